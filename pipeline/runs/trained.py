"""A trained model with everything needed to use it, fresh from training or loaded from a run folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from embeddings.progress import Progress, silent
from embeddings.special_tokens import N_SPECIAL, UNK_ID
from embeddings.table import EmbeddingTable
from embeddings.table.arguments import argument
from embeddings.table.html_view import facts_html
from embeddings.table.listing import listed
from embeddings.table.oov_policy import parse_policy
from embeddings.tokenization.interface import Text, TextTokenizer
from embeddings.tokenization.interning import token_interner
from pipeline.config import RunConfig
from pipeline.data.given_texts import checked_texts
from pipeline.errors import DataError
from pipeline.runs import verification
from pipeline.runs.calibration import load_scores, measure_sets, quantile_for, with_sets
from pipeline.runs.folder import RunFolder, read_unreplaced
from pipeline.runs.input_checks import InputCheck, check_inputs, flagged, require_context_is_read
from pipeline.runs.tokenizer import load_tokenizer
from pipeline.tasks import base
from pipeline.tasks.base import Measures, Prediction, PredictionSetTask, Prepared, Task, Tokenizers
from pipeline.tasks.resolved import Setup, with_parts
from pipeline.word_vectors import StageOne, unseen_words
from transformer.checkpoint import load_weights, read_weights
from transformer.kernels.precision import autocast
from transformer.layers.embedding import TokenEmbedding

log = logging.getLogger("vecformer")

CALIBRATED = "float32"
"""Precision of the scores of the dev set."""


@dataclass(frozen=True, repr=False)
class TrainedRun:
    """A model, its vocabulary and its task.

    Attributes:
        setup: configuration, and what was found in the data.
        stage_one: training vocabulary, initial vectors, and vectors of further words.
        model: the model, in evaluation mode.
        precision: precision of predictions: ``float32``; ``bfloat16`` (weights and matrix products); ``auto`` (the
            faster of these); or ``int8`` (the fastest on a CPU; encoders only, the rest is float32).
        calibration: nonconformity scores of the dev set, for prediction sets; () without a dev set.
        folder: the run folder; None for a run fresh from training.
    """

    setup: Setup[Any]
    stage_one: StageOne
    model: nn.Module
    precision: str = "float32"
    calibration: tuple[float, ...] = ()
    folder: Path | None = None

    def __repr__(self) -> str:
        return f"TrainedRun({', '.join(f'{name}={value!r}' for name, value in self._facts().items())})"

    def _repr_html_(self) -> str:
        return facts_html("TrainedRun", self._facts())

    def _facts(self) -> dict[str, object]:
        """What identifies the run, in one line."""
        labels = getattr(self.setup.resolved, "labels", ())
        return {
            "task": self.config.task, "source": self.table.source, **({"labels": listed(labels)} if labels else {}),
            "vocabulary": len(self.tokenizer), "weights": sum(weight.numel() for weight in self.model.parameters()),
            "precision": self.precision,
        }

    @property
    def config(self) -> RunConfig:
        """The configuration as requested."""
        return self.setup.config

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer; its vocabulary is the training vocabulary."""
        return self.stage_one.tokenizer

    @property
    def table(self) -> EmbeddingTable:
        """The initial vectors of the input text, before training."""
        return self.stage_one.table

    @property
    def embedding(self) -> TokenEmbedding:
        """The embedding layer of the input text."""
        return next(iter(embedding_layers(self.model).values()))

    @property
    def task(self) -> Task[Any]:
        """The task."""
        return base.find(self.config.task)

    def predict(
        self, texts: Sequence[str], *, contexts: Iterable[str] = (), abstain: float | None = None,
        progress: Progress = silent,
    ) -> list[Prediction]:
        """Predict for texts; words that were not seen in training have their vectors if the source has them.

        Args:
            texts: texts to predict for; for question answering, the questions.
            contexts: second text of each, for tasks on pairs of texts.
            abstain: error rate of prediction sets, for classification; None for none.
            progress: progress callback.

        Returns:
            One prediction for each text; for classification a ``label`` and ``probabilities`` by label. With
            ``abstain`` also the labels of the ``set``, and ``abstained``: whether this is not exactly one label.
            Predictions for texts that are empty, or have no known word, have a ``warning``.

        Raises:
            TextsError: if ``texts`` is one string, or an element is not a string; the message has its position.
            DataError: if the model has no use for contexts, or there is not one for each text.
            ConfigError: if the run cannot form prediction sets with the error rate ``abstain``.
        """
        given, seconds = checked_texts(texts, "texts"), checked_texts(contexts, "contexts")
        if seconds and len(seconds) != len(given):
            raise DataError(f"{len(seconds)} contexts for {len(given)} texts; give one for each")
        examples = [self.example(text, second) for text, second in zip(given, seconds or [""] * len(given),
                                                                       strict=True)]
        return self.predict_for(examples, abstain=abstain, progress=progress)

    def example(self, text: str, context: str = "") -> Any:
        """Make an example of a text, with a context if the model reads pairs.

        Raises:
            DataError: if the model has no use for a context, or the task needs one.
        """
        made = self.task.reader.example(text, context)
        require_context_is_read(made, context, self.task, self.setup)
        return made

    def predict_for(
        self, examples: Sequence[Any], *, abstain: float | None = None, progress: Progress = silent,
        report: Callable[[Sequence[InputCheck]], None] | None = None,
    ) -> list[Prediction]:
        """Predict for examples of the task.

        Args:
            examples: the examples.
            abstain: error rate of prediction sets, for classification; None for none.
            progress: progress callback.
            report: called with the checks of the examples' texts; its caller also calls
                :meth:`warn_of_precision`, once for all calls.

        Returns:
            One prediction for each example, with a ``warning`` if it does not depend on the words of its text.
        """
        quantile = None if abstain is None else quantile_for(self.task, self.calibration, abstain)
        if report is None:
            self.warn_of_precision(abstain)
        if not examples:
            return []
        with self.computing():
            prepared = self.prepare(examples)
            if quantile is not None and isinstance(self.task, PredictionSetTask):
                sets = self.task.predict_for_sets(self.model, prepared, self.setup, quantile, progress)
                predictions = with_sets(sets, quantile)
            else:
                predictions = self.task.predict(self.model, prepared, self.setup, progress)
        checks = check_inputs(self.task, prepared, self.setup)
        if report:
            report(checks)
        return flagged(predictions, checks)

    def warn_of_precision(self, abstain: float | None) -> None:
        """Log a warning if prediction sets were calibrated in another precision."""
        if abstain is not None and self.precision != CALIBRATED:
            log.warning("prediction sets are calibrated in %s: with %s, their error rate can be another",
                        CALIBRATED, argument("precision", self.precision))

    def evaluate(
        self, examples: Sequence[Any], *, abstain: float | None = None, progress: Progress = silent
    ) -> Measures:
        """Evaluate on labelled examples; with ``abstain``, prediction sets too.

        Raises:
            DataError: if they have labels that the model does not have.
            ConfigError: if the run cannot form prediction sets with that error rate.
        """
        predictions = self.predict_for(examples, abstain=abstain, progress=progress)
        measures = self.task.measure(examples, predictions, self.setup)
        return measures if abstain is None else measures | measure_sets(examples, predictions)

    def computing(self) -> AbstractContextManager[object]:
        """Return a context manager that computes in :attr:`precision`."""
        return autocast(self.embedding.weight.device, self.precision)

    def prepare(self, examples: Sequence[Any]) -> Prepared[Any]:
        """Encode examples, and append the vectors of unseen words to the embedding layer.

        The appended vectors replace those of the previous call.
        """
        source = self._extended_for(self.task.reader.texts(examples))
        target = self.stage_one.target.tokenizer if self.stage_one.target else None
        tokenizers = Tokenizers(source, len(self.tokenizer), target)
        return Prepared(examples, self.task.encode(examples, tokenizers, self.setup), tokenizers)

    def _extended_for(self, texts: Sequence[Text]) -> TextTokenizer:
        if self.tokenizer.units == "subwords":  # no text has other tokens
            return self.tokenizer
        distinct = list(dict.fromkeys(text if isinstance(text, str) else tuple(text) for text in texts))
        trained = self.tokenizer.vocabulary()
        numbers = token_interner(trained)
        numbered = self.tokenizer.intern(distinct, numbers)
        new = [numbers[i] for i in range(len(trained), len(numbers))]
        unseen = unseen_words(self.table, new, parse_policy(self.config.unknown))
        self.embedding.extend(unseen)
        extended = self.tokenizer.with_vocabulary([*trained[N_SPECIAL:], *unseen.words])
        of_unseen = {word: len(trained) + i for i, word in enumerate(unseen.words)}
        ids = np.array([*range(len(trained)), *(of_unseen.get(word, UNK_ID) for word in new)], dtype=np.int32)
        encodings = zip([*distinct, ""], [*numbered, ids[:0]], strict=True)
        extended.cache_encodings({text: ids[found] for text, found in encodings})  # so that each text is split once
        return extended


def embedding_layers(model: nn.Module) -> dict[str, TokenEmbedding]:
    """Return the embedding layers of a model by the names of their weights, that of the input text first."""
    return {f"{name}.weight": module for name, module in model.named_modules() if isinstance(module, TokenEmbedding)}


def load_run(
    path: str | Path, *, unseen: bool = True, precision: str = "float32", verify: bool = True
) -> TrainedRun:
    """Load a finished run from its folder.

    Args:
        path: the run folder.
        unseen: load the vectors of words that were not seen in training too; without them, a run with large vectors
            loads several times faster.
        precision: precision of predictions; see :attr:`TrainedRun.precision`.
        verify: check that the files have the SHA-256 that ``manifest.json`` lists.

    Raises:
        RunFolderError: if there is no finished run, or its files are damaged or of different runs.
        ConfigError, EmbeddingError, TransformerError: if one of its files is damaged.

    Example:
        >>> run = load_run("runs/bbc")                                             # doctest: +SKIP
        >>> run.predict(["Shares rose after the bank cut rates."])[0]["label"]     # doctest: +SKIP
        'business'
    """
    return read_unreplaced(Path(path), lambda folder: _load(folder, unseen, precision, verify))


def _load(folder: RunFolder, unseen: bool, precision: str, verify: bool) -> TrainedRun:
    if verify:
        verification.verify(folder, verification.model_files(folder))
    setup = load_setup(folder)
    stage_one = load_stage_one(folder, unseen=unseen)
    weights = read_weights(folder.model)
    verification.require_size(folder, setup, weights)
    embeddings = [
        TokenEmbedding(n_words=len(side.tokenizer) - N_SPECIAL, dim=side.table.dim, d_model=setup.model.embedding_width,
                      freeze=setup.config.embedding.freeze)
        for side in stage_one.sides
    ]
    model = base.find(setup.config.task).model(setup, embeddings)
    load_weights(model, weights, folder.model)
    model.eval()
    return TrainedRun(setup, stage_one, model, precision, load_scores(folder.calibration), folder.path)


def load_setup(folder: RunFolder) -> Setup[Any]:
    """Read the configuration of a run and what was found in its data.

    Runs of earlier versions have no ``resolved.json``; their ``config.toml`` has the resolved values.
    """
    requested = RunConfig.load(folder.config)
    setup = base.setup_from(requested)
    if not folder.resolved.exists():
        return setup
    resolved = type(setup.resolved).load(folder.resolved)
    return Setup(with_parts(requested, resolved.parts), resolved, requested=requested)


def save_stage_one(stage_one: StageOne, folder: RunFolder) -> StageOne:
    """Write the tokenizers and vectors of a run; return them with the vectors memory-mapped from the files."""
    kept = []
    for side, tokenizer, table in zip(stage_one.sides, folder.tokenizers, folder.tables, strict=False):
        side.tokenizer.save(tokenizer)
        kept.append(side.table.save(table))
    target = replace(stage_one.target, table=kept[1]) if stage_one.target else None
    return replace(stage_one, table=kept[0], target=target)


def load_stage_one(folder: RunFolder, *, unseen: bool = True) -> StageOne:
    """Read the tokenizers and vectors of a run; with ``unseen``, those of words not seen in training too.

    Raises:
        EmbeddingError: if a file is missing or damaged.
        RunFolderError: if tokenizer and vectors do not have the same words.
    """
    sides = []
    for path, table in zip(folder.tokenizers, folder.tables, strict=True):
        if path == folder.tokenizers[0] or path.exists() or table.exists():
            tokenizer = load_tokenizer(path)
            limit = None if unseen else len(tokenizer) - N_SPECIAL
            sides.append(StageOne(tokenizer, EmbeddingTable.load(table, limit=limit)))
    stage_one = StageOne(sides[0].tokenizer, sides[0].table, target=sides[1] if len(sides) > 1 else None)
    verification.require_match(folder, stage_one)
    return stage_one
