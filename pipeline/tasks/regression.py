"""Regression: a number for a text or a pair of texts, such as a rating or a similarity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.table.arguments import argument
from embeddings.table.listing import decimals
from embeddings.table.oov_policy import parse_policy
from pipeline.baselines import regression as baselines
from pipeline.baselines.classification import MeanVectors
from pipeline.baselines.selection import train_selected
from pipeline.config import RunConfig
from pipeline.data.examples import RatedExample, Splits
from pipeline.data.features.batching import Batch, Feature
from pipeline.data.readers.ratings import RatingReader
from pipeline.drawing.scatter import scatter_svg
from pipeline.errors import DataError
from pipeline.measures.regression import regression_measures
from pipeline.tasks.base import Architecture, Measure, Measures, Prediction, Prepared, Task, Tokenizers, task
from pipeline.tasks.resolved import Resolved, Setup
from pipeline.tasks.text_input import encode_texts, model_outputs, n_token_types, shown, text_model
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding


@dataclass(frozen=True)
class Scale(Resolved):
    """The scale of the training values; the model predicts ``(value - mean) / std``.

    Attributes:
        mean: mean of the training values.
        std: standard deviation of the training values.
    """

    mean: float = 0.0
    std: float = 1.0


def in_units_of_the_data(model: Any, setup: Setup[Scale]) -> None:
    """Change the output layer of a model so that it computes values instead of standardised values."""
    output, scale = model.head.output, setup.resolved
    with torch.no_grad():
        output.weight.mul_(scale.std)
        output.bias.mul_(scale.std).add_(scale.mean)


@task("regression")
class Regression(Task[RatedExample, Scale]):
    """Predict a number for a text or a pair of texts; trained with the squared error of standardised values."""

    reader = RatingReader()
    measures = (
        Measure("pearson", "Pearson correlation, -1 to 1", is_share=False, metric="pearsonr"),
        Measure("spearman", "Spearman rank correlation, -1 to 1", is_share=False, metric="spearmanr"),
        Measure("mse", "mean squared error", is_share=False, smaller_is_better=True),
    )
    selection = ("mse", "pearson")
    keys = ("data.label_column",)
    pipeline_tag = "text-classification"
    resolved_type = Scale
    baseline_names = ("mean", "tfidf+ridge", "mean-vectors+ridge", "cosine")
    architecture = Architecture("bert", "BertForSequenceClassification", "classifier", problem_type="regression",
                                prepare=in_units_of_the_data)

    def resolve(self, config: RunConfig, splits: Splits[RatedExample]) -> Scale:
        """Find mean and standard deviation of the training values, and the token types.

        Raises:
            DataError: if there are no training examples, or all have the same value.
        """
        values = _values(splits.train)
        with np.errstate(all="ignore"):
            mean, std = (float(values.mean()), float(values.std())) if len(values) else (0.0, 0.0)
        is_constant = not len(values) or not np.ptp(values)  # of equal values, the rounding of std may be above 0
        if is_constant or not std > 0 or not np.isfinite(std):
            found = ("there are none" if not len(values) else f"all have the value {values[0]:g}" if is_constant
                     else f"the mean of their squares is not a number that float64 can hold (values up to "
                          f"{np.abs(values).max():g})")
            raise DataError(f"{config.data.path}: regression needs training examples with different values, but "
                            f"{found}; choose the column of the values with {argument('label_column', 'NAME')}")
        return Scale(n_token_types(config, splits.train), mean=mean, std=std)

    def model(self, setup: Setup[Scale], embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """Build an encoder with pooling and an output layer with one number."""
        return text_model(setup, embeddings[0], n_outputs=1)

    def encode(
        self, examples: Sequence[RatedExample], tokenizers: Tokenizers, setup: Setup[Scale], *, training: bool = False
    ) -> Sequence[Feature]:
        """Encode each text, or each pair with special tokens. The target is the standardised value, NaN for none."""
        scale = setup.resolved
        values = np.array([np.nan if example.value is None else example.value for example in examples])
        return encode_texts(examples, ((values - scale.mean) / scale.std).astype(np.float32), tokenizers, setup)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Compute the mean squared error of the standardised values of the batch."""
        return F.mse_loss(model(batch.ids, batch.token_types)[:, 0], batch.targets)

    def predict(
        self, model: nn.Module, prepared: Prepared[RatedExample], setup: Setup[Scale], progress: Progress = silent
    ) -> list[Prediction]:
        """Predict ``value``; ``training_std``, the standard deviation of the training values, is its scale."""
        scale = setup.resolved
        standardised = model_outputs(model, prepared, progress)[:, 0].double()
        return [{"value": value * scale.std + scale.mean, "training_std": scale.std} for value in standardised.tolist()]

    def measure(
        self, examples: Sequence[RatedExample], predictions: Sequence[Prediction], setup: Setup[Scale]
    ) -> Measures:
        """Compute Pearson and Spearman correlation and mean squared error."""
        return regression_measures(_values(examples), [prediction["value"] for prediction in predictions])

    def outcome(self, gold: float, prediction: Prediction) -> float:
        """Return ``1 / (1 + e^2)``, where ``e`` is the error in standard deviations of the training values."""
        error: float = (prediction["value"] - gold) / prediction["training_std"]
        return 1 / (1 + error * error)

    def in_words(self, gold: float, prediction: Prediction) -> tuple[str, str]:
        """Return both numbers."""
        return f"{gold:.4g}", f"{prediction['value']:.4g}"

    def show(self, example: RatedExample, prediction: Prediction) -> str:
        """Return the number and the text, separated by a tab."""
        return f"{decimals(prediction['value'])}\t{shown(example)}"

    def columns(self, prediction: Prediction) -> dict[str, Any]:
        """Return the ``value``."""
        return {"value": prediction["value"]}

    def baselines(
        self, splits: Splits[RatedExample], setup: Setup[Scale], stage_one: StageOne
    ) -> dict[str, Measures]:
        """Mean of the training values; ridge regression on TF-IDF and on mean vectors; cosine of pairs."""
        train, test = (baselines.Texts([example.text for example in part], [example.text_b for example in part])
                       for part in (splits.train, splits.test))
        values, gold = _values(splits.train), _values(splits.test)
        vectors = MeanVectors(stage_one.table, stage_one.tokenizer, parse_policy(setup.config.unknown))
        means = cache(lambda: [baselines.Means(*map(vectors, part)) for part in (train, test)])
        predicted = train_selected(setup.config, {
            "mean": lambda: baselines.mean(values, len(gold)),
            "tfidf+ridge": lambda: baselines.ridge_on_tfidf(train, values, test),
            "mean-vectors+ridge": lambda: baselines.ridge_on_means(means()[0], values, means()[1]),
            "cosine": lambda: baselines.cosine(means()[0], values, means()[1]),
        })
        return {name: regression_measures(gold, by_name) for name, by_name in predicted.items()}

    def plots(
        self, examples: Sequence[RatedExample], predictions: Sequence[Prediction], setup: Setup[Scale]
    ) -> Mapping[str, str]:
        """Draw predictions over gold values."""
        return {"Predictions": scatter_svg(_values(examples), [prediction["value"] for prediction in predictions])}


def _values(examples: Sequence[RatedExample]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the values of labelled examples. *Shape:* ``(n,)``, float64."""
    return np.array([example.value for example in examples], dtype=np.float64)
