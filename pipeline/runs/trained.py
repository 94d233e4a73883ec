"""A model with all that is needed to use it: fresh from training, or loaded from a run's folder."""

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
from pipeline.runs.folder import RunFolder
from pipeline.tasks import base
from pipeline.tasks.base import Measures, Prediction, Prepared, Task, Tokenizers
from pipeline.word_vectors import StageOne, unseen_words
from transformer.checkpoint import load_weights, read_weights
from transformer.kernels.precision import autocast
from transformer.layers.embedding import TokenEmbedding


@dataclass(frozen=True)
class TrainedRun:
    """A model, its words, and the task it was trained for.

    Attributes:
        config: fully resolved.
        stage_one: the words that were trained on and the vectors that training started from, and those of words that it
            did not meet.
        model: in evaluation mode.
        precision: of predictions: ``float32``, ``bfloat16`` (its weights and matrix products, which is quicker where
            the processor has it), ``auto`` (the quicker of these) or ``int8`` (the quickest on a CPU; of encoders, the
            rest of a model is float32).
    """

    config: RunConfig
    stage_one: StageOne
    model: nn.Module
    precision: str = "float32"

    @property
    def tokenizer(self) -> WordTokenizer:
        """Its vocabulary is the words that were trained on."""
        return self.stage_one.tokenizer

    @property
    def table(self) -> EmbeddingTable:
        """The vectors of the text's words, as training found them."""
        return self.stage_one.table

    @property
    def embedding(self) -> TokenEmbedding:
        """The embedding layer of the text that is read."""
        return next(module for module in self.model.modules() if isinstance(module, TokenEmbedding))

    @property
    def task(self) -> Task[Any]:
        """The task of the configuration."""
        return base.find(self.config.task)

    def predict(
        self, texts: Sequence[str], *, contexts: Iterable[str] = (), progress: Progress = silent
    ) -> list[Prediction]:
        """Predict for texts; words that training did not meet get their vectors if the source knows them.

        Args:
            texts: what to predict for; the question, where the task answers questions.
            contexts: the text beside each, for tasks that read two.
            progress: told the share that is done.

        Returns:
            For each text what its task predicts; for classification a ``label`` and ``probabilities`` (label to
            probability).
        """
        beside = list(contexts) or [""] * len(texts)
        examples = [self.task.example(text, context) for text, context in zip(texts, beside, strict=True)]
        return self.predict_for(examples, progress=progress)

    def predict_for(self, examples: Sequence[Any], *, progress: Progress = silent) -> list[Prediction]:
        """Predict for examples of the task."""
        if not examples:
            return []
        with self.computing():
            return self.task.predict(self.model, self.prepare(examples), self.config, progress)

    def evaluate(self, examples: Sequence[Any], *, progress: Progress = silent) -> Measures:
        """Measure on labelled examples.

        Raises:
            DataError: if they have labels that the model does not.
        """
        return self.task.measure(examples, self.predict_for(examples, progress=progress), self.config)

    def computing(self) -> AbstractContextManager[object]:
        """Compute within the block in :attr:`precision`."""
        return autocast(self.embedding.weight.device, self.precision)

    def prepare(self, examples: Sequence[Any]) -> Prepared[Any]:
        """Number the examples' words, and append the vectors of those that training did not meet.

        The appended vectors are those of the last call.
        """
        source = self._extended_for(self.task.texts(examples))
        target = self.stage_one.target.tokenizer if self.stage_one.target else None
        tokenizers = Tokenizers(source, len(self.tokenizer), target)
        return Prepared(examples, self.task.encode(examples, tokenizers, self.config), tokenizers)

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
        cut = zip([*distinct, ""], [*numbered, ids[:0]], strict=True)
        extended.cache_encodings({text: ids[found] for text, found in cut})  # cut once only
        return extended


def load_run(path: str | Path, *, unseen: bool = True, precision: str = "float32") -> TrainedRun:
    """Load a finished run from its folder.

    Args:
        path: the folder.
        unseen: take along the vectors of words that training did not meet; without them a run of large vectors loads
            several times as fast.
        precision: of predictions, as :attr:`TrainedRun.precision`.

    Raises:
        RunFolderError: if there is no finished run.
        ConfigError, EmbeddingError, TransformerError: if one of its files is broken.

    Example:
        >>> run = load_run("runs/bbc")                                             # doctest: +SKIP
        >>> run.predict(["Shares rose after the bank cut rates."])[0]["label"]     # doctest: +SKIP
        'business'
    """
    folder = RunFolder.open(Path(path))
    config = RunConfig.load(folder.config)
    stage_one = load_stage_one(folder, unseen=unseen)
    embeddings = [
        TokenEmbedding(n_words=len(side.tokenizer) - N_SPECIAL, dim=side.table.dim, d_model=config.model.d_model,
                      freeze=config.embedding.freeze)
        for side in stage_one.sides
    ]
    model = base.find(config.task).model(config, embeddings)
    load_weights(model, read_weights(folder.model), folder.model)
    model.eval()
    return TrainedRun(config, stage_one, model, precision)


def save_stage_one(stage_one: StageOne, folder: RunFolder) -> StageOne:
    """Write the words and vectors of a run; the same is given back, its vectors mapped from the run's file."""
    kept = []
    for side, tokenizer, table in zip(stage_one.sides, folder.tokenizers, folder.tables, strict=False):
        side.tokenizer.save(tokenizer)
        kept.append(side.table.save(table))
    target = replace(stage_one.target, table=kept[1]) if stage_one.target else None
    return replace(stage_one, table=kept[0], target=target)


def load_stage_one(folder: RunFolder, *, unseen: bool = True) -> StageOne:
    """Read the words and vectors of a run, those of words that training did not meet if ``unseen``."""
    sides = []
    for path, table in zip(folder.tokenizers, folder.tables, strict=True):
        if path.exists():
            tokenizer = WordTokenizer.load(path)
            limit = None if unseen else len(tokenizer) - N_SPECIAL
            sides.append(StageOne(tokenizer, EmbeddingTable.load(table, limit=limit)))
    return StageOne(sides[0].tokenizer, sides[0].table, target=sides[1] if len(sides) > 1 else None)
