"""Training examples whose representation is nearest to that of a text.

A run folder has no training texts. They are read again from the data of the run, if the data still exist and match the
hash in the manifest.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.table.arguments import argument
from embeddings.table.paths import from_written
from pipeline.data.features.batching import Batch, collate
from pipeline.errors import DataError, PipelineError
from pipeline.explanation.explanation import Neighbour
from pipeline.explanation.subjects.base import Subject
from pipeline.runs.data_hash import data_hash
from pipeline.runs.folder import RunFolder
from pipeline.runs.trained import TrainedRun
from pipeline.runs.verification import read_manifest
from pipeline.tasks.base import Prepared, Tokenizers
from pipeline.tasks.inference import reduced_outputs

log = logging.getLogger("vecformer")

MAX_EXAMPLES = 20_000  # training examples that are compared

_COMPARED: WeakKeyDictionary[nn.Module, dict[str, _Examples]] = WeakKeyDictionary()


@dataclass(frozen=True)
class _Examples:
    """Training examples and their inputs to the output layer.

    Attributes:
        examples: the examples.
        vectors: centred, of length 1. *Shape:* ``(n, width)``, float32.
        mean: the mean that was subtracted. *Shape:* ``(width,)``, float32.
        note: their origin.
    """

    examples: Sequence[Any]
    vectors: Tensor
    mean: Tensor
    note: str


def nearest_examples(
    trained: TrainedRun, subject: Subject, prepared: Prepared[Any], n: int, *, data: str | Path | None = None
) -> tuple[tuple[Neighbour, ...], str]:
    """Find the training examples nearest to the first encoded example.

    The similarity is the cosine of the inputs of the output layer, after subtracting their mean over the training
    examples. The output layer has no other input.

    Args:
        trained: the run.
        subject: what is explained for its task.
        prepared: encoded examples.
        n: number of examples.
        data: the training data, if they are no longer at the path of the run: a data set, or one file.

    Returns:
        The examples, nearest first, and their origin; or no examples and the reason.
    """
    output = getattr(getattr(trained.model, "head", None), "output", None)
    if not subject.compares_texts or not isinstance(output, nn.Linear):
        return (), f"the task {trained.task.name} has no vector of a whole text to compare"
    try:
        found = _examples(trained, output, data)
    except (PipelineError, OSError) as error:
        if data is not None:
            raise
        return (), f"the training texts are not available: {error}"
    vector = F.normalize(_read_by(output, trained, prepared, [0]) - found.mean, dim=1)      # (1, width)
    similarity = (found.vectors @ vector[0]).clamp(-1, 1)                                   # (n_examples,)
    best = similarity.argsort(descending=True, stable=True)[:n].tolist()
    return tuple(Neighbour(one.text, one.text_b, _label(one.gold), float(similarity[i]))
                 for i in best for one in [found.examples[i]]), found.note


def _label(gold: Any) -> str:
    return ", ".join(gold) if isinstance(gold, list) else f"{gold:g}" if isinstance(gold, float) else str(gold)


def _examples(trained: TrainedRun, output: nn.Linear, data: str | Path | None) -> _Examples:
    """Read the training examples and compute their vectors, once for each model and place of the data."""
    stored = _COMPARED.setdefault(trained.model, {})
    key = str(data or "")
    if key not in stored:
        examples, note = training_examples(trained, data)
        if len(examples) > MAX_EXAMPLES:
            note += f"; the first {MAX_EXAMPLES:,} of {len(examples):,} were compared"
        examples = examples[:MAX_EXAMPLES]
        tokenizers = Tokenizers(trained.tokenizer, len(trained.tokenizer))
        prepared = Prepared(examples, trained.task.encode(examples, tokenizers, trained.setup), tokenizers)
        vectors = _read_by(output, trained, prepared, range(len(examples)))                 # (n, width)
        mean = vectors.mean(dim=0)
        stored[key] = _Examples(examples, F.normalize(vectors - mean, dim=1), mean, note)
    return stored[key]


def training_examples(trained: TrainedRun, data: str | Path | None) -> tuple[Sequence[Any], str]:
    """Read the training examples of a run again.

    Args:
        trained: the run.
        data: the training data, if they are no longer at the path of the run: a data set, or one file.

    Returns:
        The examples and their origin.

    Raises:
        DataError: if they are not there, or have changed.
    """
    config, reader = trained.config, trained.task.reader
    path = Path(from_written(config.data.path)) if data is None else Path(data)
    asked = f"name the training data with {argument('train_data', 'PATH')}"
    if data is not None and path.is_file() and str(path) != from_written(config.data.path):
        return reader.read_examples(path, config.data), f"the examples of {path}"
    if data is None and config.data.path not in reader.named and not path.exists():
        raise DataError(f"{path} does not exist here; {asked}")
    with without_warnings():
        splits = reader.read(config.data if data is None else config.data.changed(path=str(path)), seed=config.seed)
    if trained.folder is None:
        expected = ""
    else:
        expected = read_manifest(RunFolder(trained.folder)).get("data", {}).get("sha256", "")
    if data_hash(splits) == expected:
        return splits.train, f"the training examples of the run, read from {path}"
    if data is None:
        raise DataError(f"{path} does not have the content that the run was trained on; {asked}")
    return splits.train, f"the training examples of {path}, which are not exactly those of the run"


def _read_by(output: nn.Linear, trained: TrainedRun, prepared: Prepared[Any], rows: Sequence[int]) -> Tensor:
    """Return the input of the output layer for these examples. *Shape:* ``(n, width)``, float32, on the CPU."""
    features = [prepared.features[i] for i in rows]

    def forward(batch: Batch) -> Tensor:
        trained.model(batch.ids, batch.token_types)
        return inputs.pop()

    with recorded_inputs(output) as inputs:
        return torch.stack(reduced_outputs(trained.model, features, collate, forward,
                                           lambda _rows, vectors: vectors.unbind()))


@contextmanager
def without_warnings() -> Iterator[None]:
    """Do not log warnings of this thread inside the block: the run printed those on its data when it was trained."""
    thread = threading.get_ident()

    def is_kept(record: logging.LogRecord) -> bool:
        return record.thread != thread or record.levelno > logging.WARNING

    log.addFilter(is_kept)
    try:
        yield
    finally:
        log.removeFilter(is_kept)


@contextmanager
def recorded_inputs(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Append the input of a layer to a list at each call inside the block."""
    inputs: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _layer, args: inputs.append(args[0]))
    try:
        yield inputs
    finally:
        hook.remove()
