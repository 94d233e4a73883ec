"""Compare an exported ONNX graph, and the Python file next to it, with the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from embeddings.special_tokens import MASK, N_SPECIAL
from embeddings.tokenization.interface import TextTokenizer
from pipeline.errors import ExportError
from pipeline.exports.scores import run_scores
from pipeline.exports.standalone.vecformer_onnx import Model
from pipeline.exports.texts import Texts
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Prediction, Prepared, Tokenizers
from pipeline.tasks.tagging import RawText

TOLERANCE = 1e-4
DECISIONS = ("label", "labels", "tags", "entities", "answer", "start", "end")
LANGUAGE_MODELS = ("language-model", "masked-language-model")
N_LINES = 50  # that are compared of a language model


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        texts: the texts.
        difference: maximum absolute difference of the scores.
    """

    texts: Texts
    difference: float


class Recorder(Model):
    """A model that stores the last rows that it computed, and their scores."""

    def run(self, rows: Sequence[Any]) -> list[Any]:
        """Compute the scores of rows."""
        self.rows = rows
        self.scores: list[Any] = super().run(rows)
        return self.scores


def compare(trained: TrainedRun, tokenizer: TextTokenizer, folder: Path, texts: Texts) -> Comparison:
    """Compare an exported model with its run, whose vocabulary is limited to the exported words.

    Args:
        trained: the run, with the vectors of all exported words.
        tokenizer: tokenizer with all exported words.
        folder: the exported model.
        texts: texts to predict for.

    Raises:
        ExportError: if token ids or predictions differ, or scores by more than 1e-4; those of a regression by more
            than 1e-4 times the larger of the mean and the standard deviation of the training values.
    """
    theirs = Recorder(folder)
    if trained.config.task in LANGUAGE_MODELS:
        compared = replace(texts, examples=texts.examples[:N_LINES])
        return Comparison(compared, _compare_language_model(trained, theirs, compared))
    tokenizers = Tokenizers(tokenizer, len(trained.tokenizer))
    prepared = Prepared(texts.examples, trained.task.encode(texts.examples, tokenizers, trained.setup), tokenizers)
    predictions = trained.task.predict(trained.model, prepared, trained.setup)
    ours = run_scores(trained, prepared)
    found = exported_predictions(theirs, texts)
    for feature, row in zip(prepared.features, theirs.rows, strict=True):
        _require(np.array_equal(feature.ids, row["input_ids"]), f"the token ids differ ({feature.where})")
        _require(feature.token_types is None or np.array_equal(feature.token_types, row["token_type_ids"]),
                 f"the token types differ ({feature.where})")
    scores = theirs.tag_scores(_given(texts))[1] if trained.config.task == "tagging" else theirs.scores
    worst, tolerance = _difference(ours, scores), TOLERANCE
    if trained.config.task == "regression":  # in the units of the data, whose rounding error grows with them
        tolerance *= max(trained.setup.resolved.std, abs(trained.setup.resolved.mean))
    _require(worst <= tolerance, f"scores differ by {worst:.2g}")
    for example, one, other in zip(texts.examples, predictions, found, strict=True):
        _require(decision(one) == decision(other), f"the predictions differ ({example.where})")
    return Comparison(texts, worst)


def exported_predictions(model: Model, texts: Texts) -> list[Prediction]:
    """Predict by the exported files."""
    contexts = [getattr(example, "context", "") or getattr(example, "text_b", "") for example in texts.examples]
    if model.config["task"] in LANGUAGE_MODELS:  # one by one: the scores of all words of the vocabulary are large
        return [model.predict([text])[0] for text in _given(texts)]
    return model.predict(_given(texts), contexts)


def agreement(folder: Path, file: str, texts: Texts) -> tuple[float, float | None]:
    """Compare another graph of an exported folder with ``model.onnx``.

    Returns:
        The share of texts with the same prediction, and the maximum difference of probabilities or values; None if
        the predictions have none.
    """
    one, other = Model(folder), Model(folder, file)
    single = texts if one.config["task"] not in LANGUAGE_MODELS else replace(texts, examples=texts.examples[:N_LINES])
    pairs = list(zip(exported_predictions(one, single), exported_predictions(other, single), strict=True))
    return (float(np.mean([decision(a) == decision(b) for a, b in pairs])),
            max((abs(a - b) for x, y in pairs for a, b in zip(_numbers(x), _numbers(y), strict=False)), default=None))


def decision(prediction: Prediction) -> Any:
    """Return a prediction without its probabilities."""
    if "guesses" in prediction or "next" in prediction:
        return [next(iter(words)) for words in prediction.get("guesses", [prediction.get("next")])]
    return {name: prediction[name] for name in DECISIONS if name in prediction}


def _numbers(prediction: Prediction) -> list[float]:
    numbers = list(prediction.get("probabilities", {}).values())
    numbers += prediction.get("next", {}).values()
    return numbers or [prediction[name] for name in ("value", "probability") if name in prediction]


def _given(texts: Texts) -> list[Any]:
    """Return the texts as the exported files take them."""
    return [getattr(example, "question", None) or (
        list(example.words) if hasattr(example, "words") and not isinstance(example, RawText) else example.text)
        for example in texts.examples]


def _compare_language_model(trained: TrainedRun, theirs: Recorder, texts: Texts) -> float:
    """Compare the scores of all positions of each text, and the number of known words."""
    model: nn.Module = trained.model
    limit, worst = trained.config.data.max_length, 0.0
    for example in texts.examples:
        row = theirs.encode(example.text)
        plain = trained.tokenizer.encode([example.text])[0]
        if MASK not in example.text and len(plain) <= limit - 2:
            _require(row["input_ids"][row["input_ids"] >= N_SPECIAL].tolist() == plain[plain >= N_SPECIAL].tolist(),
                     f"the token ids differ ({example.where})")
        ids = torch.from_numpy(row["input_ids"].astype(np.int64))[None]
        ids = ids if ids.shape[1] else torch.zeros(1, 1, dtype=torch.long)
        with torch.inference_mode():
            scores = (model(ids) if trained.config.task == "language-model" else
                      model(ids, torch.ones_like(ids, dtype=torch.bool))[None])
        ours = scores[0].numpy()[: len(row["input_ids"])]
        worst = max(worst, _difference([ours], theirs.run([row])))
        _require(worst <= TOLERANCE, f"scores differ by {worst:.2g}")
    return worst


def _difference(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """Return the maximum absolute difference; NaN if there is one."""
    return float(np.max([np.abs(one - other).max(initial=0.0) for one, other in zip(ours, theirs, strict=True)]))


def _require(condition: Any, wrong: str) -> None:
    if not condition:
        import onnxruntime

        raise ExportError(f"the exported model differs from the run in onnxruntime {onnxruntime.__version__}: {wrong}; "
                          "nothing was written. Try another version of onnxruntime")
