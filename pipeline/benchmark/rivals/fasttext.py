"""fastText's classifier."""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from embeddings.tokenization.ngrams import WORD_PATTERN
from pipeline.benchmark.rivals.base import Predict, Training, rival

WORDS = re.compile(WORD_PATTERN)
LABEL = "__label__"


@rival("fasttext")
@dataclass(frozen=True)
class FastText:
    """Mean of trained vectors of words and pairs of words (Joulin et al. 2016, arXiv 1607.01759).

    Without the package ``fasttext-community``, the baseline ``hashed-ngrams`` takes its place: the same model, trained
    with Adam. The library is used with one thread, so that the seed decides the result.

    Attributes:
        epochs: number of epochs of the library.
        min_examples: smallest number of training examples that it processes; for few texts, there are more epochs.
        lr: initial learning rate.
        dim: dimension of the vectors.
    """

    description: ClassVar[str] = "fastText, words and pairs of words"
    packages: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[tuple[str, ...]] = ("fasttext-community",)

    epochs: int = 25
    min_examples: int = 16_000
    lr: float = 0.5
    dim: int = 50

    def fit(self, training: Training) -> Predict:
        """Train the model; see :class:`~pipeline.benchmark.rivals.base.Rival`."""
        return self._library(training) if find_spec("fasttext") else _replacement(training)

    def _library(self, training: Training) -> Predict:
        import fasttext

        names = sorted(set(training.labels))
        epochs = max(self.epochs, math.ceil(self.min_examples / len(training.texts)))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "train.txt"
            file.write_text("".join(f"{LABEL}{names.index(label)} {_words(text)}\n" for text, label in zip(
                training.texts, training.labels, strict=True)), encoding="utf-8")
            model = fasttext.train_supervised(str(file), epoch=epochs, lr=self.lr, dim=self.dim, wordNgrams=2,
                                              seed=training.seed, thread=1, verbose=0)

        def predict(texts: Sequence[str]) -> list[str]:
            found = (model.predict(_words(text))[0] for text in texts)
            return [names[int(labels[0].removeprefix(LABEL))] if labels else names[0] for labels in found]

        return predict


def _replacement(training: Training) -> Predict:
    import numpy as np

    from pipeline.baselines.hashed_ngrams import HashedNgrams

    names, gold = np.unique(np.asarray(training.labels, dtype=object), return_inverse=True)
    model = HashedNgrams([str(name) for name in names], seed=training.seed)
    model.fit(training.texts, gold)
    return model.predict


def _words(text: str) -> str:
    """Return the words in lower case, separated by spaces; the library reads the text up to the end of a line."""
    return " ".join(WORDS.findall(text.lower()))
