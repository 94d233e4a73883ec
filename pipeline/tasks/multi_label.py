"""Multi-label classification of texts and of pairs of texts: any number of labels, none included."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.table.arguments import argument
from embeddings.table.listing import listed
from embeddings.table.oov_policy import parse_policy
from pipeline.baselines.classification import MeanVectors
from pipeline.baselines.linear import tfidf_features
from pipeline.baselines.multi_label import most_frequent, one_vs_rest
from pipeline.baselines.selection import train_selected
from pipeline.config import RunConfig
from pipeline.data.examples import MultiLabelExample, Splits
from pipeline.data.features.batching import Batch, Feature
from pipeline.data.readers.label_sets import LabelSetReader
from pipeline.errors import DataError
from pipeline.measures.multi_label import (
    common_threshold,
    cross_entropy,
    example_f1,
    label_set_measures,
    label_thresholds,
    measures_by_label,
)
from pipeline.tasks.base import Architecture, Measure, Measures, Prediction, Prepared, Task, Tokenizers, task
from pipeline.tasks.resolved import Resolved, Setup
from pipeline.tasks.text_input import encode_texts, joined, model_outputs, n_token_types, shown, text_model
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding

log = logging.getLogger("vecformer")

NO_LABEL = "no label"
UNTUNED = 0.5  # threshold without a dev set: the model's probability of having the label is above that of not having it
N_NAMED = 10   # labels that a message lists
MAX_PROBABILITIES = 100  # labels whose probability a prediction has


@dataclass(frozen=True)
class LabelSets(Resolved):
    """The labels of a data set and the thresholds of their probabilities.

    Attributes:
        labels: labels in the order of the output layer.
        thresholds: a label is predicted if its probability is above its threshold; one threshold for all labels, or
            one for each. () is still to be tuned.
    """

    labels: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()


@task("multi-label")
class MultiLabel(Task[MultiLabelExample, LabelSets]):
    """Predict any number of labels of a text or of a pair of texts; trained with binary cross-entropy."""

    reader = LabelSetReader()
    measures = (
        Measure("micro_f1", "F1 of all labels of all texts together", metric="f1"),
        Measure("macro_f1", "mean of the F1 of all labels", metric="f1"),
        Measure("subset_accuracy", "share of texts with exactly the correct labels", metric="accuracy"),
        Measure("loss", "mean binary cross-entropy in nats", is_share=False, smaller_is_better=True),
    )
    selection = ("micro_f1", "loss")
    keys = ("data.labels", "data.label_column", "data.label_separator", "data.label_threshold")
    pipeline_tag = "text-classification"
    resolved_type = LabelSets
    baseline_names = ("majority", "tfidf+logreg", "mean-vectors+logreg")
    architecture = Architecture("bert", "BertForSequenceClassification", "classifier",
                                problem_type="multi_label_classification")

    def resolve(self, config: RunConfig, splits: Splits[MultiLabelExample]) -> LabelSets:
        """Find the labels (the configured ones, or those of the training examples, sorted) and the token types.

        Labels that occur in dev or test only are reported; they count as not predicted.

        Raises:
            DataError: if the training examples have no label, all have the same labels, or have labels that are not
                among the configured ones, or if no label of dev or test is among the model's labels.
        """
        found = {label for example in splits.train for label in example.gold}
        labels = config.data.labels or tuple(sorted(found))
        if not found:
            raise DataError(f"{config.data.path}: no training example has a label, so there is nothing to learn; "
                            f"choose the column of the labels with {argument('label_column', 'NAME')}")
        if all(set(example.gold) == found for example in splits.train):
            raise DataError(f"{config.data.path}: all training examples have the same labels "
                            f"({listed(sorted(found), form=repr)}), so there is nothing to learn. An empty cell is "
                            "unlabelled text; a text without a label is an empty list, or the separator alone")
        if unknown := unknown_labels(splits.train, labels):
            raise DataError(f"{unknown.described}; data.labels are "
                            f"{listed(labels, limit=N_NAMED, form=repr)}. Add them, or leave data.labels out")
        for examples in (splits.dev, splits.test):
            warn_of_unknown_labels(examples, labels)
        threshold = config.data.label_threshold
        tuned = bool(splits.dev) and isinstance(threshold, str)
        thresholds = () if tuned else (UNTUNED if isinstance(threshold, str) else threshold,)
        return LabelSets(token_types=n_token_types(config, splits.train), labels=labels, thresholds=thresholds)

    def model(self, setup: Setup[LabelSets], embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """Build an encoder with pooling and an output layer with one score for each label."""
        return text_model(setup, embeddings[0], n_outputs=len(setup.resolved.labels))

    def encode(
        self, examples: Sequence[MultiLabelExample], tokenizers: Tokenizers, setup: Setup[LabelSets], *,
        training: bool = False,
    ) -> Sequence[Feature]:
        """Encode each text, or each pair with special tokens. The target holds the numbers of its labels."""
        number = {label: i for i, label in enumerate(setup.resolved.labels)}
        targets = [np.array([number[label] for label in example.gold if label in number], dtype=np.int64)
                   for example in examples]
        return encode_texts(examples, targets, tokenizers, setup)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Compute the mean binary cross-entropy over all labels of all texts of the batch."""
        logits = model(batch.ids, batch.token_types)                                           # (B, n_labels)
        rows, columns = (batch.targets >= 0).nonzero(as_tuple=True)
        hot = torch.zeros_like(logits)
        hot[rows, batch.targets[rows, columns]] = 1.0
        return F.binary_cross_entropy_with_logits(logits, hot)

    def predict(
        self, model: nn.Module, prepared: Prepared[MultiLabelExample], setup: Setup[LabelSets],
        progress: Progress = silent,
    ) -> list[Prediction]:
        """Predict ``labels``, those whose probability is above their threshold, the most probable first.

        ``probabilities`` has the probability of every label; of more than :data:`MAX_PROBABILITIES` labels, the
        predicted and the most probable ones. ``cross_entropy`` is that of an example whose labels are known, the mean
        over all labels of the model.
        """
        names = setup.resolved.labels
        probabilities, hot = _probabilities(model, prepared, progress), _hot(prepared.examples, names)
        predictions: list[Prediction] = []
        for example, row, above, gold in zip(prepared.examples, probabilities, _above(probabilities, setup.resolved),
                                             hot, strict=True):
            ranked = np.argsort(-row, kind="stable")
            kept = range(len(row)) if len(row) <= MAX_PROBABILITIES else dict.fromkeys(
                [*ranked[:MAX_PROBABILITIES].tolist(), *np.flatnonzero(above).tolist()])
            known = {} if example.labels is None else {"cross_entropy": cross_entropy(row, gold)}
            predictions.append({"labels": [names[i] for i in ranked if above[i]],
                                "probabilities": {names[i]: float(row[i]) for i in kept}, **known})
        return predictions

    def measure(
        self, examples: Sequence[MultiLabelExample], predictions: Sequence[Prediction], setup: Setup[LabelSets]
    ) -> Measures:
        """Compute micro and macro F1, subset accuracy, cross-entropy, and measures of each label (``by_label``)."""
        require_some_known_label(examples, setup.resolved.labels)
        gold, predicted = [example.gold for example in examples], [one["labels"] for one in predictions]
        return {**label_set_measures(gold, predicted),
                "loss": float(np.mean([one["cross_entropy"] for one in predictions])),
                "by_label": measures_by_label(gold, predicted)}

    def develop(self, model: nn.Module, prepared: Prepared[MultiLabelExample], setup: Setup[LabelSets]) -> Measures:
        """Compute the measures at the best threshold for dev, if it is to be tuned."""
        measures = super().develop(model, prepared, replace(setup, resolved=self.tune(model, prepared, setup)))
        return {name: value for name, value in measures.items() if name != "by_label"}

    def tune(self, model: nn.Module, prepared: Prepared[MultiLabelExample], setup: Setup[LabelSets]) -> LabelSets:
        """Find the thresholds with the best F1 on dev, if they are to be tuned."""
        if setup.resolved.thresholds:
            return setup.resolved
        return replace(setup.resolved, thresholds=_tuned(_probabilities(model, prepared), prepared.examples, setup))

    def outcome(self, gold: Sequence[str], prediction: Prediction) -> float:
        """Return the F1 of the labels of the text; 1 if there are none and none is predicted."""
        return example_f1(gold, prediction["labels"])

    def in_words(self, gold: Sequence[str], prediction: Prediction) -> tuple[str, str]:
        """Return both sets of labels."""
        return ", ".join(sorted(gold)) or NO_LABEL, ", ".join(sorted(prediction["labels"])) or NO_LABEL

    def show(self, example: MultiLabelExample, prediction: Prediction) -> str:
        """Return the labels, their probabilities and the text, separated by tabs; "-" for no label."""
        chosen = prediction["labels"]
        probabilities = ", ".join(f"{prediction['probabilities'][label]:.4f}" for label in chosen)
        return f"{', '.join(chosen) or '-'}\t{probabilities or '-'}\t{shown(example)}"

    def columns(self, prediction: Prediction) -> dict[str, Any]:
        """Return ``labels`` and the probability of each of them in ``probabilities``."""
        labels = prediction["labels"]
        return {"labels": labels, "probabilities": [prediction["probabilities"][label] for label in labels]}

    def baselines(
        self, splits: Splits[MultiLabelExample], setup: Setup[LabelSets], stage_one: StageOne
    ) -> dict[str, Measures]:
        """Most frequent label; one-vs-rest logistic regression on TF-IDF and on mean vectors.

        The thresholds of the logistic regressions are tuned on dev in the same way as those of the model.
        """
        gold = [example.gold for example in splits.test]
        texts = [[joined(example) for example in part] for part in (splits.train, splits.dev, splits.test)]
        means = MeanVectors(stage_one.table, stage_one.tokenizer, parse_policy(setup.config.unknown))
        predicted = train_selected(setup.config, {
            "majority": lambda: most_frequent([example.gold for example in splits.train], len(gold)),
            "tfidf+logreg": lambda: _one_vs_rest(texts, splits, setup, tfidf_features(), C=10, max_iter=1000),
            "mean-vectors+logreg": lambda: _on_mean_vectors([means(part) for part in texts], splits, setup),
        })
        return {name: label_set_measures(gold, sets) for name, sets in predicted.items()}


@dataclass(frozen=True)
class UnknownLabels:
    """Labels of examples that the model does not have.

    Attributes:
        counts: number of examples by label.
        where: place of the first of them.
    """

    counts: Counter[str]
    where: str

    @property
    def described(self) -> str:
        """Their number, place and counts in words."""
        named = listed((f"{label!r} ({count})" for label, count in self.counts.most_common()), limit=N_NAMED)
        return (f"{self.where}: {'label' if len(self.counts) == 1 else 'labels'} that "
                f"{'is' if len(self.counts) == 1 else 'are'} not among the model's labels: {named}")


def unknown_labels(examples: Sequence[MultiLabelExample], labels: Sequence[str]) -> UnknownLabels | None:
    """Return the labels that the model does not have; None if there are none."""
    known = set(labels)
    unknown = [(label, example.where) for example in examples for label in example.gold if label not in known]
    return UnknownLabels(Counter(label for label, _ in unknown), unknown[0][1]) if unknown else None


def require_some_known_label(examples: Sequence[MultiLabelExample], labels: Sequence[str]) -> None:
    """Require that the model has at least one of the labels of the examples, if these have any.

    Raises:
        DataError: if it has none of them.
    """
    known = set(labels)
    if any(example.gold for example in examples) and not any(
            label in known for example in examples for label in example.gold):
        unknown = unknown_labels(examples, labels)
        assert unknown is not None
        raise DataError(f"{unknown.described}; none of the model's labels occurs in the file. Its labels are "
                        f"{listed(labels, limit=N_NAMED, form=repr)}")


def warn_of_unknown_labels(examples: Sequence[MultiLabelExample], labels: Sequence[str]) -> None:
    """Log labels that the model does not have.

    Raises:
        DataError: if the examples have labels, but none of the model's.
    """
    require_some_known_label(examples, labels)
    if unknown := unknown_labels(examples, labels):
        log.warning("%s. They do not occur in training and count as not predicted", unknown.described)


def _on_mean_vectors(
    parts: Sequence[NDArray[np.float32]], splits: Splits[MultiLabelExample], setup: Setup[LabelSets]
) -> list[list[str]] | None:
    """Predict by one-vs-rest logistic regression; None if all means are equal."""
    from sklearn.preprocessing import StandardScaler

    if not np.ptp(parts[0], axis=0).any():
        return None
    return _one_vs_rest(parts, splits, setup, StandardScaler(), C=1, max_iter=2000)


def _one_vs_rest(
    parts: Sequence[Any], splits: Splits[MultiLabelExample], setup: Setup[LabelSets], features: Any, **settings: Any
) -> list[list[str]]:
    """Predict the labels of the test examples; ``parts`` are the training, dev and test examples."""
    labels = setup.resolved.labels
    of_dev, of_test = one_vs_rest(parts[0], _hot(splits.train, labels), parts[1:], features=features,
                                  max_gb=setup.config.baseline_memory_gb, **settings)
    tuned = splits.dev and isinstance(setup.data.label_threshold, str)
    thresholds = _tuned(of_dev, splits.dev, setup) if tuned else setup.resolved.thresholds
    above = _above(of_test, replace(setup.resolved, thresholds=thresholds))
    return [[labels[i] for i in np.flatnonzero(row)] for row in above]


def _probabilities(
    model: nn.Module, prepared: Prepared[MultiLabelExample], progress: Progress = silent
) -> NDArray[np.float64]:
    """Return the probability of each label for each example. *Shape:* ``(n, n_labels)``, float64."""
    return model_outputs(model, prepared, progress).double().sigmoid().numpy()


def _above(probabilities: NDArray[np.float64], resolved: LabelSets) -> NDArray[np.bool_]:
    """Return whether each probability is above the threshold of its label. *Shape:* ``(n, n_labels)``, bool."""
    above: NDArray[np.bool_] = probabilities > np.array(resolved.thresholds or (UNTUNED,))
    return above


def _tuned(
    probabilities: NDArray[np.float64], examples: Sequence[MultiLabelExample], setup: Setup[LabelSets]
) -> tuple[float, ...]:
    hot = _hot(examples, setup.resolved.labels)
    if setup.data.label_threshold == "dev-per-label":
        return tuple(label_thresholds(probabilities, hot))
    return (common_threshold(probabilities, hot),)


def _hot(examples: Sequence[MultiLabelExample], labels: Sequence[str]) -> NDArray[np.bool_]:
    """Return whether each example has each label. *Shape:* ``(n, n_labels)``, bool."""
    number = {label: i for i, label in enumerate(labels)}
    hot = np.zeros((len(examples), len(labels)), dtype=bool)
    for row, example in enumerate(examples):
        hot[row, [number[label] for label in example.gold if label in number]] = True
    return hot
