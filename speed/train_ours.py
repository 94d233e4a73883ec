"""Time one training by vecformer in this process: a Transformer from random vectors on the texts of a file.

usage: python speed/train_ours.py FILE [--set KEY=VALUE ...] [--any-order] [--more-words N] [--warm] [--peak]
           [--threads N]

FILE contains texts and labels in any format that vecformer reads. Prints one line of JSON with the seconds of
`Trainer.run`, including the preparation of batches; the number of tokens (without truncated, padding and special
tokens); steps; size of the vocabulary; and peak memory above that of the imports. `--warm` trains a tiny model
beforehand, to exclude one-time initialisation of libraries. `--any-order` forms batches of texts in random order
instead of similar length.
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
ADDED = (START_ID, END_ID)  # special tokens added around a text
TINY = (("model.d_model", 16), ("model.d_ff", 16), ("model.n_heads", 2), ("data.max_length", 16))


def train(
    file: Path, settings: Sequence[tuple[str, Any]] = (), *, any_order: bool = False, more_words: int = 0,
    warm: bool = False, with_peak: bool = False,
) -> dict[str, float]:
    """Train once and measure time and memory.

    Args:
        file: texts and labels.
        settings: configuration keys and values that override :data:`DEFAULTS`.
        any_order: form batches of texts in random order, regardless of their lengths.
        more_words: number of synthetic words to add to the vocabulary.
        warm: train a tiny model beforehand.
        with_peak: also count floating-point operations, and measure the machine's peak in the training precision.

    Returns:
        ``seconds``, ``tokens``, ``tokens_per_second``, ``steps``, ``vocabulary``, ``memory_mb``; with the peak also
        ``operations_per_second``, ``peak`` and ``share_of_peak``.

    Raises:
        ConfigError: for an unknown key.
    """
    if warm:
        prepared(file, [*settings, *TINY], 0)[0].run()
    with measured() as imports:
        pass
    with measured() as cost:
        trainer, n_words = prepared(file, settings, more_words)
        assert isinstance(trainer.batches, TrainingBatches)
        around = sum(int(np.isin(feature.ids, ADDED).sum()) for feature in trainer.batches.features)
        if any_order:
            trainer = replace(trainer, batches=_shuffled(trainer.batches))
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
    """Return a trainer set up like that of `vecformer run`, and the size of its vocabulary."""
    config = resolve(None, [*DEFAULTS, *settings])
    task = base.find(config.task)
    examples = task.reader.read_examples(file, config.data)
    setup = Setup(config, task.resolve(config, Splits(file.stem, examples, (), (), ())))
    synthetic = " ".join(islice(map("".join, product(LETTERS, repeat=5)), more_words))
    stage_one = prepare_vectors(config, train=[*task.reader.texts(examples), synthetic], held_out=(), unlabelled=(),
                                context=RunContext())
    model = build_model(setup, task, stage_one)
    tokenizers = Tokenizers(stage_one.tokenizer, len(stage_one.tokenizer))
    features = task.encode(examples, tokenizers, setup, training=True)
    batches = TrainingBatches(task, features, setup, World())
    trainer = Trainer(model=model, batches=batches, loss=task.loss, evaluate=None, config=config.training)
    return trainer, len(stage_one.tokenizer)


def _shuffled(epochs: TrainingBatches) -> Callable[[int], list[Batch | None]]:
    """Return batches of equal size in random order, regardless of the lengths of texts."""
    def batches(epoch: int) -> list[Batch | None]:
        order = np.random.default_rng(epoch).permutation(len(epochs.features))
        size = epochs.setup.config.training.batch_size
        return [epochs.task.batch([epochs.features[i] for i in order[start : start + size]], epochs.setup,
                                  np.random.default_rng(start)) for start in range(0, len(order), size)]

    return batches


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for `vecformer run`")
    parser.add_argument("--any-order", action="store_true", help="do not group texts of similar length")
    parser.add_argument("--more-words", type=int, default=0, help="number of synthetic words to add to the vocabulary")
    parser.add_argument("--warm", action="store_true", help="train a tiny model beforehand")
    parser.add_argument("--peak", action="store_true", help="also measure the share of the peak of matrix products")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    settings = [parse_assignment(text) for text in given.set]
    print(json.dumps(train(given.file, settings, any_order=given.any_order, more_words=given.more_words,
                           warm=given.warm, with_peak=given.peak)))


if __name__ == "__main__":
    main()
