"""A trained model with everything needed to use it, fresh from training or loaded from a run folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from embeddings.progress import Progress, silent
from embeddings.special_tokens import N_SPECIAL, UNK_ID
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import parse_policy
from embeddings.tokenization.interning import token_interner
from embeddings.tokenization.tokenizer import Text, WordTokenizer
from pipeline.config import RunConfig
from pipeline.runs import verification
from pipeline.runs.folder import RunFolder
from pipeline.tasks import base
from pipeline.tasks.base import Measures, Prediction, Prepared, Task, Tokenizers
from pipeline.tasks.resolved import Setup
from pipeline.word_vectors import StageOne, unseen_words
from transformer.checkpoint import load_weights, read_weights
from transformer.kernels.precision import autocast
from transformer.layers.embedding import TokenEmbedding


@dataclass(frozen=True)
class TrainedRun:
    """A model, its vocabulary and its task.

    Attributes:
        setup: configuration, and what was found in the data.
        stage_one: training vocabulary, initial vectors, and vectors of further words.
        model: the model, in evaluation mode.
        precision: precision of predictions: ``float32``; ``bfloat16`` (weights and matrix products); ``auto`` (the
            faster of these); or ``int8`` (the fastest on a CPU; encoders only, the rest is float32).
    """

    setup: Setup[Any]
    stage_one: StageOne
    model: nn.Module
    precision: str = "float32"

    @property
    def config(self) -> RunConfig:
        """The configuration as requested."""
        return self.setup.config

    @property
    def tokenizer(self) -> WordTokenizer:
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
        self, texts: Sequence[str], *, contexts: Iterable[str] = (), progress: Progress = silent
    ) -> list[Prediction]:
        """Predict for texts; words that were not seen in training have their vectors if the source has them.

        Args:
            texts: texts to predict for; for question answering, the questions.
            contexts: second text of each, for tasks on pairs of texts.
            progress: progress callback.

        Returns:
            One prediction for each text; for classification a ``label`` and ``probabilities`` by label.
        """
        seconds = list(contexts) or [""] * len(texts)
        examples = [self.task.reader.example(text, second) for text, second in zip(texts, seconds, strict=True)]
        return self.predict_for(examples, progress=progress)

    def predict_for(self, examples: Sequence[Any], *, progress: Progress = silent) -> list[Prediction]:
        """Predict for examples of the task."""
        if not examples:
            return []
        with self.computing():
            return self.task.predict(self.model, self.prepare(examples), self.setup, progress)

    def evaluate(self, examples: Sequence[Any], *, progress: Progress = silent) -> Measures:
        """Evaluate on labelled examples.

        Raises:
            DataError: if they have labels that the model does not have.
        """
        return self.task.measure(examples, self.predict_for(examples, progress=progress), self.setup)

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

    def _extended_for(self, texts: Sequence[Text]) -> WordTokenizer:
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
    folder = RunFolder.open(Path(path))
    if verify:
        verification.verify(folder, verification.model_files(folder))
    setup = load_setup(folder)
    stage_one = load_stage_one(folder, unseen=unseen)
    weights = read_weights(folder.model)
    verification.require_size(folder, setup, weights)
    embeddings = [
        TokenEmbedding(n_words=len(side.tokenizer) - N_SPECIAL, dim=side.table.dim, d_model=setup.model.d_model,
                      freeze=setup.config.embedding.freeze)
        for side in stage_one.sides
    ]
    model = base.find(setup.config.task).model(setup, embeddings)
    load_weights(model, weights, folder.model)
    model.eval()
    return TrainedRun(setup, stage_one, model, precision)


def load_setup(folder: RunFolder) -> Setup[Any]:
    """Read the configuration of a run and what was found in its data.

    Runs of earlier versions have no ``resolved.json``; their ``config.toml`` has the resolved values.
    """
    setup = base.setup_from(RunConfig.load(folder.config))
    if not folder.resolved.exists():
        return setup
    return Setup(setup.config, type(setup.resolved).load(folder.resolved))


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
            tokenizer = WordTokenizer.load(path)
            limit = None if unseen else len(tokenizer) - N_SPECIAL
            sides.append(StageOne(tokenizer, EmbeddingTable.load(table, limit=limit)))
    stage_one = StageOne(sides[0].tokenizer, sides[0].table, target=sides[1] if len(sides) > 1 else None)
    verification.require_match(folder, stage_one)
    return stage_one
