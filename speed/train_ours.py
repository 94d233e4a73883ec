"""One training of ours, timed in this process: a Transformer from random vectors on the texts of one file.

usage: python speed/train_ours.py FILE [--set KEY=VALUE ...] [--any-order] [--more-words N] [--warm] [--peak]
           [--threads N]

FILE holds texts and labels, in any form that vecformer reads. Prints one line of JSON: seconds of the whole call to
`Trainer.run`, the making of batches included; real tokens (not those cut off, nor padding, nor what is put around a
text whose label is read from its first word); steps; words of the vocabulary; and the most memory above that of the
bare imports, from reading the file to the end. `--warm` trains a tiny model beforehand, so that what libraries set up
once counts for nothing. `--any-order` puts texts together as they come, whatever their lengths, in a random order.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from table_size import LETTERS

from embeddings.special_tokens import END_ID, START_ID
from pipeline.config import parse_assignment, resolve
from pipeline.data.examples import Splits
from pipeline.data.features.batching import Batch
from pipeline.runs.chain import build_model
from pipeline.runs.context import RunContext
from pipeline.runs.training_batches import TrainingBatches
from pipeline.tasks import base
from pipeline.tasks.base import Tokenizers
from pipeline.tasks.resolved import Setup
from pipeline.telemetry.resources import measured
from pipeline.word_vectors import prepare_vectors
from transformer.kernels.precision import choose_precision
from transformer.training.distributed import World
from transformer.training.flops import matrix_product_peak, training_operations
from transformer.training.trainer import Trainer

DEFAULTS: tuple[tuple[str, Any], ...] = (
    ("task", "classification"), ("source", "random"), ("data.max_length", 256), ("training.epochs", 1),
    ("training.device", "cpu"), ("data.unseen_words", 0),
)
AROUND = (START_ID, END_ID)  # words that a text does not have of itself
TINY = (("model.d_model", 16), ("model.d_ff", 16), ("model.n_heads", 2), ("data.max_length", 16))


def train(
    file: Path, settings: Sequence[tuple[str, Any]] = (), *, any_order: bool = False, more_words: int = 0,
    warm: bool = False, with_peak: bool = False,
) -> dict[str, float]:
    """Train once, and measure it.

    Args:
        file: texts and labels.
        settings: keys of the configuration and their values, over :data:`DEFAULTS`.
        any_order: put texts together as they come, whatever their lengths.
        more_words: made-up words to give a row of the table, beside those of the texts.
        warm: train a tiny model beforehand.
        with_peak: also count the operations, and measure the machine's peak in the precision of the training.

    Returns:
        ``seconds``, ``tokens``, ``tokens_per_second``, ``steps``, ``vocabulary``, ``memory_mb``; with the peak also
        ``operations_per_second``, ``peak`` and ``share_of_peak``.

    Raises:
        ConfigError: for a key that there is not.
    """
    if warm:
        prepared(file, [*settings, *TINY], 0)[0].run()
    with measured() as imports:
        pass
    with measured() as cost:
        trainer, n_words = prepared(file, settings, more_words)
        assert isinstance(trainer.batches, TrainingBatches)
        around = sum(int(np.isin(feature.ids, AROUND).sum()) for feature in trainer.batches.features)
        if any_order:
            trainer = replace(trainer, batches=_in_any_order(trainer.batches))
        start = time.perf_counter()
        result = trainer.run()
        seconds = time.perf_counter() - start
    tokens = result.tokens - around * trainer.config.epochs
    found = {
        "seconds": seconds, "tokens": tokens, "tokens_per_second": tokens / seconds,
        "steps": result.steps, "vocabulary": n_words,
        "memory_mb": cost.peak_memory_mb - imports.peak_memory_mb,
    }
    if with_peak:
        device = torch.device("cpu")
        batches = [batch for batch in trainer.batches(1) if batch is not None]
        speed = training_operations(trainer.model, trainer.loss, batches[::8]) * result.tokens / seconds
        precision = choose_precision(device, trainer.config.precision)
        peak = matrix_product_peak(device, getattr(torch, precision))
        found |= {"operations_per_second": speed, "peak": peak, "share_of_peak": speed / peak}
    return found


def prepared(file: Path, settings: Sequence[tuple[str, Any]], more_words: int) -> tuple[Trainer[Any], int]:
    """A trainer that has yet to run, made as the chain makes it, and the number of words of its table."""
    config = resolve(None, [*DEFAULTS, *settings])
    task = base.find(config.task)
    examples = task.reader.read_examples(file, config.data)
    setup = Setup(config, task.resolve(config, Splits(file.stem, examples, (), (), ())))
    made_up = " ".join(islice(map("".join, product(LETTERS, repeat=5)), more_words))
    stage_one = prepare_vectors(config, train=[*task.reader.texts(examples), made_up], held_out=(), unlabelled=(),
                                context=RunContext())
    model = build_model(setup, task, stage_one)
    tokenizers = Tokenizers(stage_one.tokenizer, len(stage_one.tokenizer))
    features = task.encode(examples, tokenizers, setup, training=True)
    batches = TrainingBatches(task, features, setup, World())
    trainer = Trainer(model=model, batches=batches, loss=task.loss, evaluate=None, config=config.training)
    return trainer, len(stage_one.tokenizer)


def _in_any_order(epochs: TrainingBatches) -> Callable[[int], list[Batch | None]]:
    """Batches of the same size, of texts as a shuffle brings them."""
    def batches(epoch: int) -> list[Batch | None]:
        order = np.random.default_rng(epoch).permutation(len(epochs.features))
        size = epochs.setup.config.training.batch_size
        return [epochs.task.batch([epochs.features[i] for i in order[start : start + size]], epochs.setup,
                                  np.random.default_rng(start)) for start in range(0, len(order), size)]

    return batches


def main() -> None:
    """Print a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for `vecformer run`")
    parser.add_argument("--any-order", action="store_true", help="do not put texts of like lengths together")
    parser.add_argument("--more-words", type=int, default=0, help="made-up words that get a row too")
    parser.add_argument("--warm", action="store_true", help="train a tiny model beforehand")
    parser.add_argument("--peak", action="store_true", help="also the share of the matrix-product peak")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    settings = [parse_assignment(text) for text in given.set]
    print(json.dumps(train(given.file, settings, any_order=given.any_order, more_words=given.more_words,
                           warm=given.warm, with_peak=given.peak)))


if __name__ == "__main__":
    main()
