"""SetFit: a sentence encoder fine-tuned on pairs of texts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from embeddings.formats.hf_checkpoint import find_checkpoint
from pipeline.benchmark.rivals.base import Predict, Training, rival
from pipeline.benchmark.rivals.checkpoint import PACKAGE, prepare


@rival("setfit")
@dataclass(frozen=True)
class SetFit:
    """MiniLM, fine-tuned contrastively on pairs of texts, with logistic regression (Tunstall et al. 2022).

    Attributes:
        max_steps: number of training steps.
        batch_size: pairs of each step.
    """

    description: ClassVar[str] = "SetFit: MiniLM fine-tuned on pairs of texts"
    packages: ClassVar[tuple[str, ...]] = ("setfit", PACKAGE)

    max_steps: int = 300
    batch_size: int = 16

    def fit(self, training: Training) -> Predict:
        """Train the model; see :class:`~pipeline.benchmark.rivals.base.Rival`."""
        prepare(training)
        from datasets import Dataset
        from setfit import SetFitModel, Trainer, TrainingArguments

        names = sorted(set(training.labels))
        model = SetFitModel.from_pretrained(str(find_checkpoint(PACKAGE)), labels=names)
        data = Dataset.from_dict({"text": list(training.texts), "label": [names.index(one) for one in training.labels]})
        with tempfile.TemporaryDirectory() as folder:
            Trainer(model=model, train_dataset=data, args=TrainingArguments(
                output_dir=folder, batch_size=self.batch_size, max_steps=self.max_steps, num_epochs=1,
                seed=training.seed, report_to="none")).train()

        def predict(texts: Sequence[str]) -> list[str]:
            return [one if isinstance(one, str) else names[int(one)] for one in model.predict(list(texts))]

        return predict
