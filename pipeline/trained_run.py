"""A model with all that is needed to use it: fresh from training, or loaded from a run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from embeddings.progress import Progress, silent
from embeddings.table import EmbeddingTable
from embeddings.unknown import parse_policy
from embeddings.words.tokenization import WordTokenizer
from pipeline.config import RunConfig
from pipeline.data.batching import by_length, pad
from pipeline.data.datasets import Example
from pipeline.run_folder import RunFolder
from pipeline.stage_one import unseen_words
from pipeline.tasks import registry
from pipeline.tasks.registry import Measures, Prediction, Task
from transformer.checkpoint import load_weights, read_weights
from transformer.embedding import N_SPECIAL, WordEmbedding
from transformer.model import Encoder, TransformerModel

PREDICT_BATCH = 64


@dataclass(frozen=True)
class TrainedRun:
    """A model, its words, and the task it was trained for.

    Attributes:
        config: fully resolved.
        tokenizer: its vocabulary is the words that were trained on.
        table: the vectors that training started from, and those of words that it did not meet.
        model: in evaluation mode.
    """

    config: RunConfig
    tokenizer: WordTokenizer
    table: EmbeddingTable
    model: TransformerModel

    @property
    def task(self) -> Task:
        """The task of the configuration."""
        return registry.find(self.config.task)

    def predict(self, texts: Sequence[str], *, progress: Progress = silent) -> list[Prediction]:
        """Predict for texts; words that training did not meet get their vectors if the source knows them.

        Returns:
            For classification, a ``label`` and ``probabilities`` (label to probability) for each text.
        """
        return self.task.predict(self.logits(texts, progress=progress), self.config) if texts else []

    def evaluate(self, examples: Sequence[Example], *, progress: Progress = silent) -> Measures:
        """Measure on labelled examples.

        Raises:
            DataError: if they have labels that the model does not.
        """
        predictions = self.predict(self.task.texts(examples), progress=progress)
        return self.task.measure(examples, predictions, self.config)

    def logits(self, texts: Sequence[str], *, progress: Progress = silent) -> Tensor:
        """The head's output for one text or more, float32 on the CPU. *Shape:* ``(n_texts, ...)``."""
        tokenizer = self.extended_for(texts)
        ids = tokenizer.encode(texts, max_length=self.config.data.max_length)
        batches = by_length([len(one) for one in ids], PREDICT_BATCH)
        device = self.model.encoder.embedding.weight.device
        parts = []
        self.model.eval()
        with torch.inference_mode():
            for number, rows in enumerate(batches, start=1):
                parts.append(self.model(pad([ids[i] for i in rows]).to(device)).float().cpu())
                progress("predicting", number / len(batches))
        order = torch.from_numpy(np.concatenate(batches))
        return torch.cat(parts)[order.argsort()]

    def extended_for(self, texts: Sequence[str]) -> WordTokenizer:
        """Append to the embedding layer the vectors of the texts' words that training did not meet.

        Returns:
            A tokenizer that numbers those words too.
        """
        unseen = unseen_words(self.tokenizer, self.table, texts, parse_policy(self.config.unknown))
        self.model.encoder.embedding.extend(unseen)
        return self.tokenizer.with_vocabulary([*self.tokenizer.vocabulary()[N_SPECIAL:], *unseen.words])


def build_model(config: RunConfig, task: Task, embedding: WordEmbedding) -> TransformerModel:
    """The model of a configuration, around an embedding layer."""
    return TransformerModel(encoder=Encoder(config=config.model, embedding=embedding), head=task.head(config))


def load_run(path: str | Path) -> TrainedRun:
    """Load a finished run from its folder.

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
    weights = read_weights(folder.model)
    n_rows, dim = weights["encoder.embedding.weight"].shape
    embedding = WordEmbedding(
        n_words=n_rows - N_SPECIAL, dim=dim, d_model=config.model.d_model, freeze=config.embedding.freeze
    )
    model = build_model(config, registry.find(config.task), embedding)
    load_weights(model, weights, folder.model)
    model.eval()
    return TrainedRun(config, WordTokenizer.load(folder.tokenizer), EmbeddingTable.load(folder.embeddings), model)
