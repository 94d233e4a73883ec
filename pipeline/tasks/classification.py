"""Classification of texts and of pairs of texts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.table.arguments import argument
from embeddings.table.listing import listed, shortened
from embeddings.table.oov_policy import parse_policy
from pipeline import baselines
from pipeline.baselines.fasttext import fasttext_baselines
from pipeline.baselines.selection import FASTTEXT, train_selected
from pipeline.config import RunConfig
from pipeline.data.examples import Example, Splits
from pipeline.data.features.batching import Batch, Feature, collate
from pipeline.data.readers.labelled import LabelledReader
from pipeline.drawing.plots import confusion_caption, confusion_matrix_svg, reliability_svg
from pipeline.errors import DataError
from pipeline.measures.classification import (
    expected_calibration_error,
    label_measures,
    measures_by_label,
    reliability_curve,
)
from pipeline.measures.conformal import nonconformity
from pipeline.tasks.base import (
    LOSS,
    Architecture,
    Measure,
    Measures,
    Prediction,
    PredictionSetTask,
    Prepared,
    Tokenizers,
    task,
)
from pipeline.tasks.class_weights import class_weights, weighted, with_label_weights
from pipeline.tasks.inference import reduced_outputs
from pipeline.tasks.ngrams.fusion import fusion_of, with_tuned_weights
from pipeline.tasks.ngrams.scores import with_branch
from pipeline.tasks.resolved import Resolved, Setup
from pipeline.tasks.text_input import encode_texts, joined, n_token_types, shown, text_model
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding

MAX_PROBABILITIES = 100  # labels whose probability a prediction has
AT_ONCE = 2           # baselines trained at the same time; one of them takes more than half of the time of all
MANY_TEXTS = 100_000  # with more, baselines are trained one after another, because each needs much memory


@dataclass(frozen=True)
class Labels(Resolved):
    """The labels of a data set.

    Attributes:
        labels: labels in the order of the output layer.
        label_weights: weight of each label in the training loss; empty for equal weights.
        ngram_buckets: number of buckets of the n-gram branch; 0 for a run without one.
        ngram_regularization: C of the logistic regression of the branch; 0 without a branch.
        ngram_weights: weights of the log-probabilities of the Transformer and of the branch; () without a branch.
    """

    optional: ClassVar[tuple[str, ...]] = ("label_weights", "ngram_buckets", "ngram_regularization",
                                           "ngram_weights")
    labels: tuple[str, ...] = ()
    label_weights: tuple[float, ...] = ()
    ngram_buckets: int = 0
    ngram_regularization: float = 0.0
    ngram_weights: tuple[()] | tuple[float, float] = ()


@task("classification")
class Classification(PredictionSetTask[Example, Labels]):
    """Predict the label of a text or of a pair of texts; trained with cross-entropy."""

    reader = LabelledReader()
    measures = (
        Measure("accuracy", "share of correct labels"),
        Measure("macro_f1", "mean of the F1 of all labels", metric="f1"),
        Measure("balanced_accuracy", "mean of the recall of all labels"),
        Measure("mcc", "Matthews' correlation coefficient, -1 to 1", is_share=False, metric="matthews_correlation"),
        LOSS,
        Measure("calibration_error", "expected calibration error (Guo et al. 2017)", smaller_is_better=True),
    )
    selection = ("accuracy", "loss")
    followed = ("accuracy", "macro_f1", "n", "loss", "calibration_error")
    keys = ("data.labels", "data.label_column", "training.class_weights", "ngrams.enabled", "ngrams.words",
            "ngrams.characters", "ngrams.regularization", "ngrams.buckets", "ngrams.refit",
            "self_training.rounds", "self_training.max_texts", "contrastive.steps", "contrastive.batch_size",
            "contrastive.lr", "contrastive.head_first")
    pipeline_tag = "text-classification"
    resolved_type = Labels
    baseline_names = ("majority", "tfidf+logreg", "tfidf-chars+logreg", "hashed-ngrams", "mean-vectors+logreg",
                      "nearest-centroid", FASTTEXT)
    architecture = Architecture("bert", "BertForSequenceClassification", "classifier")

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
                            f"with {argument('label_column', 'NAME')}")
        for examples in (splits.train, splits.dev, splits.test):
            require_known_labels(examples, labels)
        weights = class_weights(config, (example.label for example in splits.train), labels)
        return Labels(token_types=n_token_types(config, splits.train), labels=labels, label_weights=weights)

    def model(self, setup: Setup[Labels], embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """Build an encoder with pooling and an output layer, and an empty n-gram branch if the run has one."""
        return with_branch(text_model(setup, embeddings[0], n_outputs=len(setup.resolved.labels)), setup)

    def encode(
        self, examples: Sequence[Example], tokenizers: Tokenizers, setup: Setup[Labels], *, training: bool = False
    ) -> Sequence[Feature]:
        """Encode each text, or each pair with special tokens. The target is the label's number, -1 for none."""
        number = {label: i for i, label in enumerate(setup.resolved.labels)}
        targets = np.array([number.get(example.label, -1) for example in examples], dtype=np.int64)
        features = encode_texts(examples, targets, tokenizers, setup)
        return weighted(features, setup.resolved.label_weights) if training else features

    def batch(self, features: Sequence[Feature], setup: Setup[Labels], random: np.random.Generator) -> Batch:
        """Make a training batch with the weights of the labels."""
        return with_label_weights(super().batch(features, setup, random), setup.resolved.label_weights)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Compute the mean cross-entropy of the batch, weighted by label."""
        return F.cross_entropy(model(batch.ids, batch.token_types), batch.targets, weight=batch.label_weights)

    def predict(
        self, model: nn.Module, prepared: Prepared[Example], setup: Setup[Labels], progress: Progress = silent
    ) -> list[Prediction]:
        """Predict ``label``, the most probable label, and ``probabilities`` by label.

        Of more than :data:`MAX_PROBABILITIES` labels, only the most probable ones and the gold label have theirs.
        """
        return self.predict_for_sets(model, prepared, setup, -math.inf, progress)

    def predict_for_sets(
        self, model: nn.Module, prepared: Prepared[Example], setup: Setup[Labels], quantile: float,
        progress: Progress = silent,
    ) -> list[Prediction]:
        """Predict as :meth:`predict`; all labels of the prediction set have their probability as well."""
        fusion, labels = fusion_of(model, prepared, setup), setup.resolved.labels

        def reduce(rows: list[int], logits: Tensor) -> list[Prediction]:
            gold = [int(prepared.features[i].target) for i in rows]
            scores = fusion(rows, logits) if fusion else logits
            predictions = label_predictions(scores, labels, gold, quantile)
            return fusion.with_shares(predictions, scores, logits, labels) if fusion else predictions

        return reduced_outputs(model, prepared.features, collate, lambda batch: model(batch.ids, batch.token_types),
                               reduce, progress=progress)

    def tune(self, model: nn.Module, prepared: Prepared[Example], setup: Setup[Labels]) -> Labels:
        """Find the weights of the Transformer and of the n-gram branch, if the run has one."""
        return with_tuned_weights(model, prepared, setup)

    def measure(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], setup: Setup[Labels]
    ) -> Measures:
        """Compute all measures, and precision, recall, F1 and support of each label."""
        require_known_labels(examples, setup.resolved.labels)
        gold = [example.label for example in examples]
        predicted = [prediction["label"] for prediction in predictions]
        measures = label_measures(gold, predicted)
        of_gold = [p["probabilities"][label] for label, p in zip(gold, predictions, strict=True)]
        measures["loss"] = float(-np.log(np.maximum(of_gold, 1e-12)).mean())
        measures["calibration_error"] = expected_calibration_error(*_confidences(gold, predictions))
        measures["by_label"] = measures_by_label(gold, predicted)
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

    def columns(self, prediction: Prediction) -> dict[str, Any]:
        """Return ``label`` and its ``probability``; with prediction sets also the set, and no label if it abstains."""
        label = prediction["label"]
        found = {"label": label, "probability": prediction["probabilities"][label]}
        if "set" not in prediction:
            return found
        return {**found, "label": None if prediction["abstained"] else prediction["set"][0], "set": prediction["set"]}

    def baselines(self, splits: Splits[Example], setup: Setup[Labels], stage_one: StageOne) -> dict[str, Measures]:
        """Majority, TF-IDF + logistic regression, mean vectors + logistic regression, nearest centroid."""
        train, test = ([joined(example) for example in part] for part in (splits.train, splits.test))
        labels = [example.label for example in splits.train]
        gold = [example.label for example in splits.test]
        means = baselines.MeanVectors(stage_one.table, stage_one.tokenizer, parse_policy(setup.config.unknown))
        vectors, one_at_a_time = cache(lambda: (means(train), means(test))), Lock()

        def on_means(fit: Callable[..., list[str] | None], **options: Any) -> list[str] | None:
            with one_at_a_time:  # they share the vectors
                return fit(vectors()[0], labels, vectors()[1], **options)

        max_gb = setup.config.baseline_memory_gb
        predicted = train_selected(setup.config, {
            "majority": lambda: baselines.majority(labels, len(test)),
            "tfidf+logreg": lambda: baselines.tfidf(train, labels, test, seed=setup.config.seed, max_gb=max_gb),
            "tfidf-chars+logreg": lambda: baselines.tfidf_chars(train, labels, test, seed=setup.config.seed,
                                                                max_gb=max_gb),
            "hashed-ngrams": lambda: baselines.hashed_ngrams(train, labels, test, seed=setup.config.seed,
                                                             max_gb=max_gb),
            "mean-vectors+logreg": lambda: on_means(baselines.logistic_regression_on_means, max_gb=max_gb),
            "nearest-centroid": lambda: on_means(baselines.nearest_centroid),
            **fasttext_baselines(setup.config.baselines, test, set(labels)),
        }, at_once=1 if len(train) > MANY_TEXTS else min(AT_ONCE, torch.get_num_threads()))
        return {name: label_measures(gold, by_name) for name, by_name in predicted.items()}

    def plots(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], setup: Setup[Labels]
    ) -> Mapping[str, str]:
        """Draw the confusion matrix and the reliability diagram."""
        gold, labels = [example.label for example in examples], setup.resolved.labels
        predicted = [prediction["label"] for prediction in predictions]
        return {
            confusion_caption(len(labels)): confusion_matrix_svg(gold, predicted, labels),
            "Reliability": reliability_svg(reliability_curve(*_confidences(gold, predictions))),
        }


def label_predictions(
    logits: Tensor, labels: Sequence[str], gold: Sequence[int] = (), quantile: float = -math.inf
) -> list[Prediction]:
    """Return the most probable label of each row and the probabilities by label.

    With up to :data:`MAX_PROBABILITIES` labels, all have their probability, in the order of ``labels``. With more, only
    as many of the most probable ones have, the most probable first, the gold label, and the labels of a prediction set.

    Args:
        logits: *Shape:* ``(n, n_labels)``, float32.
        labels: names of the labels.
        gold: number of the gold label of each row, -1 for none; may be empty.
        quantile: greatest score of a label in a prediction set (:mod:`pipeline.measures.conformal`).
    """
    probabilities = logits.double().softmax(dim=-1).numpy()
    if len(labels) <= MAX_PROBABILITIES:
        return [{"label": labels[row.argmax()], "probabilities": dict(zip(labels, row.tolist(), strict=True))}
                for row in probabilities]
    predictions: list[Prediction] = []
    for row, its_gold in zip(probabilities, gold or [-1] * len(probabilities), strict=True):
        best = int(row.argmax())
        likely = np.argpartition(-row, MAX_PROBABILITIES)[:MAX_PROBABILITIES].tolist()
        kept = {best, its_gold, *likely, *np.flatnonzero(nonconformity(row) <= quantile).tolist()} - {-1}
        order = sorted(kept, key=lambda i: (-row[i], i))
        predictions.append({"label": labels[best], "probabilities": {labels[i]: float(row[i]) for i in order}})
    return predictions


def require_known_labels(examples: Sequence[Example], labels: Sequence[str]) -> None:
    """Require that the model has all labels of the examples.

    Raises:
        DataError: if some are unknown; the message has their counts and the place of the first.
    """
    known = set(labels)
    unknown = [example for example in examples if example.label not in known]
    if unknown:
        counts = Counter(example.label for example in unknown)
        named = listed([f"{shortened(label)!r} ({count})" for label, count in counts.most_common()], limit=10)
        raise DataError(f"{unknown[0].where}: labels that are not among the model's labels: {named}; the model's "
                        f"labels are {listed(labels, form=repr)}. Correct the file, or train with all labels")


def _confidences(gold: Sequence[str], predictions: Sequence[Prediction]) -> tuple[list[float], list[bool]]:
    """Return the probability of each predicted label, and whether the label is correct."""
    return ([prediction["probabilities"][prediction["label"]] for prediction in predictions],
            [prediction["label"] == label for label, prediction in zip(gold, predictions, strict=True)])
