"""Classification of texts and of pairs of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.table.oov_policy import parse_policy
from pipeline import baselines
from pipeline.config import RunConfig
from pipeline.data.examples import Example, Splits
from pipeline.data.features.batching import Batch, Feature
from pipeline.data.readers.labelled import LabelledReader
from pipeline.drawing.plots import confusion_matrix_svg, reliability_svg
from pipeline.errors import DataError
from pipeline.measures.classification import expected_calibration_error, label_measures, reliability_curve
from pipeline.tasks.base import LOSS, Architecture, Measure, Measures, Prediction, Prepared, Task, Tokenizers, task
from pipeline.tasks.resolved import Resolved, Setup
from pipeline.tasks.text_input import encode_texts, joined, model_outputs, n_token_types, shown, text_model
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding


@dataclass(frozen=True)
class Labels(Resolved):
    """The labels of a data set.

    Attributes:
        labels: labels in the order of the output layer.
    """

    labels: tuple[str, ...] = ()


@task("classification")
class Classification(Task[Example, Labels]):
    """Predict the label of a text or of a pair of texts; trained with cross-entropy."""

    reader = LabelledReader()
    measures = (
        Measure("accuracy", "share of correct labels"),
        Measure("macro_f1", "mean of the F1 of all labels"),
        LOSS,
        Measure("calibration_error", "expected calibration error (Guo et al. 2017)", smaller_is_better=True),
    )
    selection = ("accuracy", "loss")
    keys = ("data.labels", "data.label_column")
    resolved_type = Labels
    architecture = Architecture("bert", "BertForSequenceClassification", "classifier")
    has_prediction_sets = True

    def resolve(self, config: RunConfig, splits: Splits[Example]) -> Labels:
        """Find the labels (the configured ones, or those of the training examples, sorted) and the token types.

        Raises:
            DataError: if the training examples have fewer than two labels, or dev or test have further labels.
        """
        found = sorted({example.label for example in splits.train})
        labels = config.data.labels or tuple(found)
        if len(found) < 2:
            raise DataError(f"{config.data.path}: classification needs at least two labels, but the training examples "
                            f"have {'only ' + repr(found[0]) if found else 'none'}; choose the column of the labels "
                            "with --label-column NAME")
        for examples in (splits.train, splits.dev, splits.test):
            require_known_labels(examples, labels)
        return Labels(token_types=n_token_types(config, splits.train), labels=labels)

    def model(self, setup: Setup[Labels], embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """Build an encoder with pooling and an output layer."""
        return text_model(setup, embeddings[0], n_outputs=len(setup.resolved.labels))

    def encode(
        self, examples: Sequence[Example], tokenizers: Tokenizers, setup: Setup[Labels], *, training: bool = False
    ) -> list[Feature]:
        """Encode each text, or each pair with special tokens. The target is the label's number, -1 for none."""
        number = {label: i for i, label in enumerate(setup.resolved.labels)}
        targets = [np.array(number.get(example.label, -1)) for example in examples]
        return encode_texts(examples, targets, tokenizers, setup)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Compute the mean cross-entropy of the batch."""
        return F.cross_entropy(model(batch.ids, batch.token_types), batch.targets)

    def predict(
        self, model: nn.Module, prepared: Prepared[Example], setup: Setup[Labels], progress: Progress = silent
    ) -> list[Prediction]:
        """Predict ``label``, the most probable label, and ``probabilities`` by label."""
        return label_predictions(model_outputs(model, prepared, progress), setup.resolved.labels)

    def measure(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], setup: Setup[Labels]
    ) -> Measures:
        """Compute accuracy, macro-F1, cross-entropy and calibration error."""
        require_known_labels(examples, setup.resolved.labels)
        gold = [example.label for example in examples]
        measures = label_measures(gold, [prediction["label"] for prediction in predictions])
        of_gold = [p["probabilities"][label] for label, p in zip(gold, predictions, strict=True)]
        measures["loss"] = float(-np.log(np.maximum(of_gold, 1e-12)).mean())
        measures["calibration_error"] = expected_calibration_error(*_confidences(gold, predictions))
        return measures

    def outcome(self, gold: str, prediction: Prediction) -> float:
        """Return 1 for the correct label, otherwise 0."""
        return float(prediction["label"] == gold)

    def in_words(self, gold: str, prediction: Prediction) -> tuple[str, str]:
        """Return both labels."""
        return gold, prediction["label"]

    def show(self, example: Example, prediction: Prediction) -> str:
        """Return the label, its probability and the text, separated by tabs.

        With a prediction set: the label or "abstained", the labels of the set with their probabilities, and the text.
        """
        if "set" in prediction:
            members = ", ".join(f"{label} {prediction['probabilities'][label]:.4f}" for label in prediction["set"])
            answer = "abstained" if prediction["abstained"] else prediction["set"][0]
            return f"{answer}\t{members or 'empty set'}\t{shown(example)}"
        return f"{prediction['label']}\t{prediction['probabilities'][prediction['label']]:.4f}\t{shown(example)}"

    def baselines(self, splits: Splits[Example], setup: Setup[Labels], stage_one: StageOne) -> dict[str, Measures]:
        """Majority, TF-IDF + logistic regression, mean vectors + logistic regression, nearest centroid."""
        train, test = ([joined(example) for example in part] for part in (splits.train, splits.test))
        labels = [example.label for example in splits.train]
        gold = [example.label for example in splits.test]
        predicted = {
            "majority": baselines.majority(labels, len(test)),
            "tfidf+logreg": baselines.tfidf(train, labels, test),
        }
        vectors = baselines.MeanVectors(stage_one.table, stage_one.tokenizer, parse_policy(setup.config.unknown))
        predicted |= baselines.on_mean_vectors(vectors(train), labels, vectors(test))
        return {name: label_measures(gold, by_name) for name, by_name in predicted.items()}

    def plots(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], setup: Setup[Labels]
    ) -> Mapping[str, str]:
        """Draw the confusion matrix and the reliability diagram."""
        gold = [example.label for example in examples]
        predicted = [prediction["label"] for prediction in predictions]
        return {
            "Confusion matrix": confusion_matrix_svg(gold, predicted, setup.resolved.labels),
            "Reliability": reliability_svg(reliability_curve(*_confidences(gold, predictions))),
        }


def label_predictions(logits: Tensor, labels: Sequence[str]) -> list[Prediction]:
    """Return the most probable label of each row and all probabilities.

    Args:
        logits: *Shape:* ``(n, n_labels)``, float32.
        labels: names of the labels.
    """
    return [
        {"label": labels[row.argmax()], "probabilities": dict(zip(labels, row.tolist(), strict=True))}
        for row in logits.double().softmax(dim=-1).numpy()
    ]


def require_known_labels(examples: Sequence[Example], labels: Sequence[str]) -> None:
    """Require that the model has all labels of the examples.

    Raises:
        DataError: if some are unknown; the message has their counts and the place of the first.
    """
    unknown = [example for example in examples if example.label not in set(labels)]
    if unknown:
        counts = Counter(example.label for example in unknown)
        named = ", ".join(f"{label!r} ({count})" for label, count in counts.most_common(10))
        raise DataError(f"{unknown[0].where}: labels that are not among the model's labels: {named}; the model's "
                        f"labels are {', '.join(map(repr, labels))}. Correct the file, or train with all labels")


def _confidences(gold: Sequence[str], predictions: Sequence[Prediction]) -> tuple[list[float], list[bool]]:
    """Return the probability of each predicted label, and whether the label is correct."""
    return ([prediction["probabilities"][prediction["label"]] for prediction in predictions],
            [prediction["label"] == label for label, prediction in zip(gold, predictions, strict=True)])
