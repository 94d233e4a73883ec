"""One label a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.table import EmbeddingTable
from embeddings.unknown import parse_policy
from embeddings.words.tokenization import WordTokenizer
from pipeline import baselines
from pipeline.config import DataConfig, RunConfig
from pipeline.data.batching import Batch, pad
from pipeline.data.datasets import Example, Splits, read_examples, read_splits
from pipeline.errors import DataError
from pipeline.report.plots import confusion_matrix_svg
from pipeline.tasks.registry import Measures, Prediction, task
from transformer.heads import ClassificationHead


@task("classification")
class Classification:
    """Accuracy and macro-F1 of one label a text, by cross-entropy."""

    measure_name = "accuracy"

    def read(self, config: RunConfig) -> Splits:
        """Read a data set of texts and labels."""
        return read_splits(config.data, seed=config.seed)

    def read_examples(self, path: Path, config: DataConfig) -> tuple[Example, ...]:
        """Read one file of texts and labels."""
        return read_examples(path, config)

    def resolve(self, config: RunConfig, splits: Splits) -> RunConfig:
        """Fix the labels and their order: those given, or those of the training examples, sorted.

        Raises:
            DataError: if the training examples have one label only, or dev or test have others.
        """
        found = sorted({example.label for example in splits.train})
        labels = config.data.labels or tuple(found)
        if len(found) < 2:
            raise DataError(f"{config.data.path}: classification needs two labels or more, but the training examples "
                            f"have {'only ' + repr(found[0]) if found else 'none'}")
        resolved = replace(config, data=replace(config.data, labels=labels))
        for examples in (splits.train, splits.dev, splits.test):
            require_known_labels(examples, labels)
        return resolved

    def texts(self, examples: Sequence[Example]) -> list[str]:
        """The texts of examples."""
        return [example.text for example in examples]

    def batch(self, examples: Sequence[Example], ids: Sequence[Any], config: RunConfig) -> Batch:
        """Pad the ids; the targets are the labels' numbers. *Shape:* ``(batch,)``, int64."""
        number = {label: i for i, label in enumerate(config.data.labels)}
        targets = torch.tensor([number[example.label] for example in examples])
        return Batch(pad(ids), targets, sum(map(len, ids)))

    def head(self, config: RunConfig) -> nn.Module:
        """Pooling and an output layer."""
        return ClassificationHead(
            d_model=config.model.d_model, n_classes=len(config.data.labels), dropout=config.model.dropout
        )

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy, the mean over the batch."""
        return F.cross_entropy(model(batch.ids), batch.targets)

    def predict(self, logits: Tensor, config: RunConfig) -> list[Prediction]:
        """The likeliest label, and every label's probability."""
        labels = config.data.labels
        probabilities = logits.double().softmax(dim=-1).numpy()
        return [
            {"label": labels[row.argmax()], "probabilities": dict(zip(labels, row.tolist(), strict=True))}
            for row in probabilities
        ]

    def measure(self, examples: Sequence[Example], predictions: Sequence[Prediction], config: RunConfig) -> Measures:
        """Accuracy, macro-F1, cross-entropy, and the number of examples."""
        require_known_labels(examples, config.data.labels)
        gold = [example.label for example in examples]
        measures = label_measures(gold, [prediction["label"] for prediction in predictions])
        right = [p["probabilities"][label] for label, p in zip(gold, predictions, strict=True)]
        measures["loss"] = float(-np.log(np.maximum(right, 1e-12)).mean())
        return measures

    def score(self, measures: Measures) -> tuple[float, ...]:
        """Accuracy; at equal accuracy the smaller loss."""
        return (measures["accuracy"], -measures["loss"])

    def baselines(
        self, splits: Splits, config: RunConfig, table: EmbeddingTable, tokenizer: WordTokenizer
    ) -> dict[str, Measures]:
        """Majority, TF-IDF + logistic regression, mean of the vectors + logistic regression, nearest centroid."""
        train, test = self.texts(splits.train), self.texts(splits.test)
        labels = [example.label for example in splits.train]
        gold = [example.label for example in splits.test]
        guesses = {
            "majority": baselines.majority(labels, len(test)),
            "tfidf+logreg": baselines.tfidf(train, labels, test),
        }
        vectors = baselines.MeanVectors(table, tokenizer, parse_policy(config.unknown))
        guesses |= baselines.on_mean_vectors(vectors(train), labels, vectors(test))
        return {name: label_measures(gold, guessed) for name, guessed in guesses.items()}

    def plots(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], config: RunConfig
    ) -> Mapping[str, str]:
        """The confusion matrix."""
        gold = [example.label for example in examples]
        guessed = [prediction["label"] for prediction in predictions]
        return {"Confusion matrix": confusion_matrix_svg(gold, guessed, config.data.labels)}


def label_measures(gold: Sequence[str], guessed: Sequence[str]) -> Measures:
    """Accuracy, macro-F1 over the labels that stand on either side, and the number of examples."""
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(gold, guessed)),
        "macro_f1": float(f1_score(gold, guessed, average="macro", zero_division=0)),
        "n": len(gold),
    }


def require_known_labels(examples: Sequence[Example], labels: Sequence[str]) -> None:
    """Refuse examples with labels that the model does not have.

    Raises:
        DataError: naming them, how often each stands, and where first.
    """
    unknown = [example for example in examples if example.label not in set(labels)]
    if unknown:
        counts = Counter(example.label for example in unknown)
        named = ", ".join(f"{label!r} ({count})" for label, count in counts.most_common(10))
        raise DataError(f"{unknown[0].where}: labels that the model was not trained on: {named}; "
                        f"it knows {', '.join(map(repr, labels))}")
