"""Frozen sentence embeddings with logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from embeddings.formats.hf_checkpoint import find_checkpoint
from pipeline.baselines.linear import fitted, fitting
from pipeline.benchmark.rivals.base import Predict, Training, rival
from pipeline.benchmark.rivals.checkpoint import PACKAGE, prepare


@rival("minilm")
@dataclass(frozen=True)
class MiniLM:
    """Logistic regression on the sentence embeddings of MiniLM, which is not trained.

    Attributes:
        regularization: C of the logistic regression.
        batch_size: texts that are embedded at a time.
    """

    description: ClassVar[str] = "sentence embeddings of MiniLM, frozen, with logistic regression"
    packages: ClassVar[tuple[str, ...]] = ("sentence-transformers", PACKAGE)

    regularization: float = 10.0
    batch_size: int = 64

    def fit(self, training: Training) -> Predict:
        """Train the model; see :class:`~pipeline.benchmark.rivals.base.Rival`."""
        prepare(training)
        from sentence_transformers import SentenceTransformer

        encoder = SentenceTransformer(str(find_checkpoint(PACKAGE)), device="cpu")

        def embed(texts: Sequence[str]) -> Any:
            return encoder.encode(list(texts), batch_size=self.batch_size, show_progress_bar=False)

        with fitting():
            model = fitted(embed(training.texts), training.labels, C=self.regularization, max_iter=2000)
        return lambda texts: list(map(str, model.predict(embed(texts))))
