"""Static vectors distilled from a sentence encoder, with a trained classifier (model2vec)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from embeddings.formats.hf_checkpoint import find_checkpoint
from pipeline.benchmark.rivals.base import Predict, Training, rival
from pipeline.benchmark.rivals.checkpoint import PACKAGE, prepare


@rival("model2vec")
@dataclass(frozen=True)
class Model2Vec:
    """Static vectors distilled from MiniLM, fine-tuned with a classifier by model2vec.

    Attributes:
        dim: dimension of the vectors.
        held_out: share of the training examples that decides when to stop, but at least one for each label.
    """

    description: ClassVar[str] = "model2vec: static vectors distilled from MiniLM, fine-tuned"
    packages: ClassVar[tuple[str, ...]] = ("model2vec", "lightning", "sentence-transformers", PACKAGE)

    dim: int = 256
    held_out: float = 0.1

    def fit(self, training: Training) -> Predict:
        """Train the model; see :class:`~pipeline.benchmark.rivals.base.Rival`."""
        prepare(training)
        from model2vec.distill import distill
        from model2vec.train import StaticModelForClassification

        static = distill(model_name=str(find_checkpoint(PACKAGE)), pca_dims=self.dim, device="cpu")
        model = StaticModelForClassification.from_static_model(model=static)
        share = max(self.held_out, len(set(training.labels)) / len(training.labels))
        model.fit(list(training.texts), list(training.labels), test_size=share, random_seed=training.seed)
        return lambda texts: [str(label) for label in model.predict(list(texts))]
