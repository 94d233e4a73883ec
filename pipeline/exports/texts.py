"""Texts on which an exported model is compared with its run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from embeddings.errors import EmbeddingError
from embeddings.tokenization.interface import TextTokenizer
from pipeline.errors import PipelineError
from pipeline.exports.vocabulary import random_texts
from pipeline.runs.trained import TrainedRun

N_TEXTS = 200

log = logging.getLogger("vecformer")


@dataclass(frozen=True)
class Texts:
    """Texts to compare with.

    Attributes:
        examples: examples of the task.
        held_out: whether they are test examples of the run; otherwise they are random words.
        words: distinct words of all dev and test examples of the run.
    """

    examples: Sequence[Any]
    held_out: bool
    words: Sequence[str] = ()

    @property
    def described(self) -> str:
        """Their number and origin."""
        return f"{len(self.examples)} {'test texts of the run' if self.held_out else 'texts of random words'}"


def test_texts(trained: TrainedRun) -> Texts | None:
    """Return the first test examples of a run; None if its data can no longer be read."""
    config = trained.config
    with _without_messages():
        try:
            splits = trained.task.reader.read(config.data, seed=config.seed)
        except (PipelineError, EmbeddingError, OSError):
            return None
    words = trained.tokenizer.count(trained.task.reader.texts([*splits.test, *splits.dev]))
    return Texts(splits.test[:N_TEXTS], held_out=True, words=tuple(words)) if splits.test else None


def texts_of_words(trained: TrainedRun, tokenizer: TextTokenizer) -> Texts:
    """Return texts of random words."""
    pairs = trained.setup.model.token_types > 0 and trained.config.task != "tagging"
    drawn = random_texts(trained, tokenizer, pairs=pairs, masks=trained.config.task == "masked-language-model")
    return Texts([trained.task.reader.example(text, context) for text, context in drawn], held_out=False)


@contextmanager
def _without_messages() -> Iterator[None]:
    """Hide warnings about the data, which were shown when the run was trained."""
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
