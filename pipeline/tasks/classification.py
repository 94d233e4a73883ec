"""One label a text, or a pair of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.table.oov_policy import parse_policy
from embeddings.tokenization.tokenizer import Text
from pipeline import baselines
from pipeline.config import DataConfig, RunConfig
from pipeline.data.examples import Example, Splits
from pipeline.data.features.batching import Batch, Feature, collate
from pipeline.data.features.special_tokens import N_TOKEN_TYPES, framed, shortened, token_types_of
from pipeline.data.readers.labelled import read_examples, read_splits
from pipeline.drawing.plots import confusion_matrix_svg, reliability_svg
from pipeline.errors import DataError
from pipeline.measures.classification import expected_calibration_error, label_measures, reliability_curve
from pipeline.tasks.base import Measures, Prediction, Prepared, Task, Tokenizers, task
from pipeline.tasks.inference import outputs
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import ClassificationHead, ClsHead, PairHead
from transformer.models.models import TransformerModel
from transformer.models.stack import Encoder


@task("classification")
class Classification(Task[Example]):
    """Accuracy and macro-F1 of one label a text, or a pair of texts, by cross-entropy."""

    measure_name = "accuracy"

    def read(self, config: RunConfig) -> Splits[Example]:
        """Read a data set of texts and labels."""
        return read_splits(config.data, seed=config.seed)

    def read_examples(self, path: Path, config: DataConfig) -> tuple[Example, ...]:
        """Read one file of texts and labels."""
        return read_examples(path, config)

    def example(self, text: str, context: str) -> Example:
        """A text, and the other of its pair."""
        return Example(text, "", "the text given", context)

    def resolve(self, config: RunConfig, splits: Splits[Example]) -> RunConfig:
        """Fix the labels and their order (those given, or those of the training examples, sorted), and the segments.

        Raises:
            DataError: if the training examples have one label only, or dev or test have others.
        """
        found = sorted({example.label for example in splits.train})
        labels = config.data.labels or tuple(found)
        if len(found) < 2:
            raise DataError(f"{config.data.path}: classification needs two labels or more, but the training examples "
                            f"have {'only ' + repr(found[0]) if found else 'none'}")
        for examples in (splits.train, splits.dev, splits.test):
            require_known_labels(examples, labels)
        pairs = any(example.text_b for example in splits.train)
        token_types = (2 if config.model.like else N_TOKEN_TYPES) if pairs else 0
        model = replace(config.model, token_types=token_types)
        return replace(config, data=replace(config.data, labels=labels), model=model)

    def texts(self, examples: Sequence[Example]) -> list[Text]:
        """The texts of examples."""
        return [text for example in examples for text in (example.text, example.text_b) if text]

    def model(self, config: RunConfig, embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """An encoder, pooling and an output layer."""
        shape = config.model
        kind = ClsHead if shape.pooling == "cls" else PairHead if shape.token_types else ClassificationHead
        head = kind(d_model=shape.d_model, n_classes=len(config.data.labels), dropout=shape.dropout)
        return TransformerModel(encoder=Encoder(config=shape, embedding=embeddings[0]), head=head)

    def encode(self, examples: Sequence[Example], tokenizers: Tokenizers, config: RunConfig) -> list[Feature]:
        """The words of each text; of a pair both, framed. The target is the label's number, -1 if it has none."""
        number = {label: i for i, label in enumerate(config.data.labels)}
        limit, kinds = config.data.max_length, config.model.token_types
        first = tokenizers.source.encode([example.text for example in examples], max_length=limit)
        second = tokenizers.source.encode([example.text_b for example in examples], max_length=limit)
        features = []
        for i, example in enumerate(examples):
            ids, token_types = first[i], None
            if kinds:
                one, other = shortened(first[i], second[i], max(2, limit - 3))
                ids, token_types = framed(one, other), token_types_of(one, other) % kinds
            elif config.model.pooling == "cls":
                ids = framed(first[i][: max(1, limit - 2)])
            target = np.array(number.get(example.label, -1))
            features.append(Feature(ids, target, i, example.where, token_types))
        return features

    def batch(self, features: Sequence[Feature], config: RunConfig, random: np.random.Generator) -> Batch:
        """Pad the ids; the targets are the labels' numbers. *Shape:* ``(batch,)``, int64."""
        return collate(features)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy, the mean over the batch."""
        return F.cross_entropy(model(batch.ids, batch.token_types), batch.targets)

    def predict(
        self, model: nn.Module, prepared: Prepared[Example], config: RunConfig, progress: Progress = silent
    ) -> list[Prediction]:
        """The likeliest label, and every label's probability."""
        logits = outputs(model, prepared.features, collate, lambda batch: model(batch.ids, batch.token_types),
                         progress=progress)
        return label_predictions(torch.stack(logits), config.data.labels)

    def measure(self, examples: Sequence[Example], predictions: Sequence[Prediction], config: RunConfig) -> Measures:
        """Accuracy, macro-F1, the number of examples, cross-entropy, and how far off the probabilities are."""
        require_known_labels(examples, config.data.labels)
        gold = [example.label for example in examples]
        measures = label_measures(gold, [prediction["label"] for prediction in predictions])
        right = [p["probabilities"][label] for label, p in zip(gold, predictions, strict=True)]
        measures["loss"] = float(-np.log(np.maximum(right, 1e-12)).mean())
        measures["calibration_error"] = expected_calibration_error(*_confidences(gold, predictions))
        return measures

    def outcome(self, gold: str, prediction: Prediction) -> float:
        """1 for the right label."""
        return float(prediction["label"] == gold)

    def in_words(self, gold: str, prediction: Prediction) -> tuple[str, str]:
        """Both labels."""
        return gold, prediction["label"]

    def score(self, measures: Measures) -> tuple[float, ...]:
        """Accuracy; at equal accuracy the smaller loss."""
        return (measures["accuracy"], -measures["loss"])

    def baselines(self, splits: Splits[Example], config: RunConfig, stage_one: StageOne) -> dict[str, Measures]:
        """Majority, TF-IDF + logistic regression, mean of the vectors + logistic regression, nearest centroid."""
        train, test = ([_joined(example) for example in part] for part in (splits.train, splits.test))
        labels = [example.label for example in splits.train]
        gold = [example.label for example in splits.test]
        guesses = {
            "majority": baselines.majority(labels, len(test)),
            "tfidf+logreg": baselines.tfidf(train, labels, test),
        }
        vectors = baselines.MeanVectors(stage_one.table, stage_one.tokenizer, parse_policy(config.unknown))
        guesses |= baselines.on_mean_vectors(vectors(train), labels, vectors(test))
        return {name: label_measures(gold, guessed) for name, guessed in guesses.items()}

    def plots(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], config: RunConfig
    ) -> Mapping[str, str]:
        """The confusion matrix, and how often the model is right when it is so sure."""
        gold = [example.label for example in examples]
        guessed = [prediction["label"] for prediction in predictions]
        return {
            "Confusion matrix": confusion_matrix_svg(gold, guessed, config.data.labels),
            "Reliability": reliability_svg(reliability_curve(*_confidences(gold, predictions))),
        }

    def show(self, example: Example, prediction: Prediction) -> str:
        """The label, its probability and the text, with tabs between."""
        texts = "\t".join(text for text in (example.text, example.text_b) if text)
        return f"{prediction['label']}\t{prediction['probabilities'][prediction['label']]:.4f}\t{texts}"


def label_predictions(logits: Tensor, labels: Sequence[str]) -> list[Prediction]:
    """The likeliest label of each row, and every label's probability. *Shape:* ``(n, n_labels)``, float32."""
    return [
        {"label": labels[row.argmax()], "probabilities": dict(zip(labels, row.tolist(), strict=True))}
        for row in logits.double().softmax(dim=-1).numpy()
    ]


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


def _confidences(gold: Sequence[str], predictions: Sequence[Prediction]) -> tuple[list[float], list[bool]]:
    """The probability of each predicted label, and whether it is the right one."""
    return ([prediction["probabilities"][prediction["label"]] for prediction in predictions],
            [prediction["label"] == label for label, prediction in zip(gold, predictions, strict=True)])


def _joined(example: Example) -> str:
    return f"{example.text} {example.text_b}".strip()
