"""Compare an exported model with its run on a few texts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from embeddings.table.paths import utf8_path
from embeddings.tokenization.interface import TextTokenizer
from pipeline.data.features.batching import Feature
from pipeline.errors import ExportError
from pipeline.exports.vocabulary import random_texts
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Architecture, Tokenizers
from pipeline.tasks.tagging import RawText, spans_of

TOLERANCE = 1e-4


def difference(trained: TrainedRun, tokenizer: TextTokenizer, architecture: Architecture, folder: Path) -> float:
    """Load an exported model with ``transformers`` and compare its scores with those of the run on random texts.

    Args:
        trained: the run, with the vectors of all exported words.
        tokenizer: tokenizer with all exported words.
        architecture: the exported architecture.
        folder: the exported model.

    Returns:
        The maximum absolute difference of the scores.

    Raises:
        ExportError: if the token ids differ, or the scores by more than 1e-4; those of a regression by more than 1e-4
            times the larger of the mean and the standard deviation of the training values.
    """
    import transformers

    their_tokenizer, theirs = _load(architecture.name, folder)
    greatest, tolerance = 0.0, TOLERANCE
    if architecture.problem_type == "regression":  # in the units of the data, whose rounding error grows with them
        scale = trained.setup.resolved
        tolerance *= max(scale.std, abs(scale.mean))
    pairs = trained.setup.model.token_types > 0
    for text, context in random_texts(trained, tokenizer, pairs=pairs, masks=architecture.reads_masks):
        feature = _feature(trained, tokenizer, text, context)
        read = _read(their_tokenizer, trained, tokenizer, text, context)
        wrong = "" if read["input_ids"][0].tolist() == feature.ids.tolist() else "the token ids differ"
        if not wrong:
            with torch.inference_mode():
                ours = _own_scores(trained.model, feature, architecture)
                distance = float((ours - scores_of(theirs(**read))).abs().max())
            wrong = "" if distance <= tolerance else f"scores differ by {distance:.2g}"
            greatest = max(greatest, distance)
        if wrong:
            raise ExportError(f"the exported model differs from the run in transformers {transformers.__version__}: "
                              f"{wrong} for {text!r}; nothing was written. Try another version of transformers")
    return greatest


def _load(architecture: str, folder: Path) -> tuple[Any, Any]:
    """Load tokenizer and model."""
    import transformers

    with without_progress_bar(), utf8_path(folder) as readable:
        return (transformers.AutoTokenizer.from_pretrained(readable),
                getattr(transformers, architecture).from_pretrained(readable).eval())


@contextmanager
def without_progress_bar() -> Iterator[None]:
    """Switch off the progress bars of ``transformers`` inside the block."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _read(
    theirs: Any, trained: TrainedRun, tokenizer: TextTokenizer, text: str, context: str
) -> Any:
    """Return the input by the exported tokenizer; a sentence to tag is split into words before subwords."""
    example = trained.task.reader.example(text, context)
    if isinstance(example, RawText) and tokenizer.units == "subwords":
        words = [span.word for span in spans_of(example, tokenizer)]
        return theirs(words, is_split_into_words=True, return_tensors="pt")
    return theirs(text, context or None, return_tensors="pt")


def _feature(trained: TrainedRun, tokenizer: TextTokenizer, text: str, context: str) -> Feature:
    example = trained.task.reader.example(text, context)
    return trained.task.encode([example], Tokenizers(tokenizer, len(trained.tokenizer)), trained.setup)[0]


def _own_scores(model: Any, feature: Feature, architecture: Architecture) -> Tensor:
    ids = torch.from_numpy(feature.ids.astype(np.int64))[None]
    token_types = None if feature.token_types is None else torch.from_numpy(feature.token_types.astype(np.int64))[None]
    if architecture.reads_masks:
        scores: Tensor = model(ids, torch.ones_like(ids, dtype=torch.bool))[None]
    else:
        scores = model(ids) if token_types is None else model(ids, token_types)
    return scores


def scores_of(output: Any) -> Tensor:
    """Return the scores of a model of ``transformers``; those of first and last words are stacked."""
    scores: Tensor = output.logits if "logits" in output else torch.stack([output.start_logits, output.end_logits], -1)
    return scores
