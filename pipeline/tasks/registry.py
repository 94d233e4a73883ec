"""What a task is to the rest of the driver, and how it is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from embeddings.registry import Registry
from embeddings.table import EmbeddingTable
from embeddings.words.tokenization import WordTokenizer
from pipeline.config import DataConfig, RunConfig
from pipeline.data.batching import Batch
from pipeline.data.datasets import Example, Splits
from pipeline.errors import ConfigError

Measures = dict[str, Any]
Prediction = dict[str, Any]


class Task(Protocol):
    """What is read, what is predicted, and how good that is.

    A task keeps nothing: what it learns of the data goes into the configuration (:meth:`resolve`), which is saved with
    the run.
    """

    measure_name: str

    def read(self, config: RunConfig) -> Splits:
        """Read the data set and cut it."""
        ...

    def read_examples(self, path: Path, config: DataConfig) -> tuple[Example, ...]:
        """Read one file of examples to evaluate on."""
        ...

    def resolve(self, config: RunConfig, splits: Splits) -> RunConfig:
        """Write what the training examples decide (the labels, say) into the configuration."""
        ...

    def texts(self, examples: Sequence[Example]) -> list[str]:
        """The texts of examples, for counting words."""
        ...

    def batch(self, examples: Sequence[Example], ids: Sequence[Any], config: RunConfig) -> Batch:
        """Make a batch of examples whose texts are these ids."""
        ...

    def head(self, config: RunConfig) -> nn.Module:
        """What stands on the encoder."""
        ...

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """What training makes small. *Shape:* scalar."""
        ...

    def predict(self, logits: Tensor, config: RunConfig) -> list[Prediction]:
        """What the head's output says, an entry an example."""
        ...

    def measure(self, examples: Sequence[Example], predictions: Sequence[Prediction], config: RunConfig) -> Measures:
        """How good predictions are. Raises DataError for labels that the model does not have."""
        ...

    def score(self, measures: Measures) -> tuple[float, ...]:
        """What early stopping compares; the larger is the better."""
        ...

    def baselines(
        self, splits: Splits, config: RunConfig, table: EmbeddingTable, tokenizer: WordTokenizer
    ) -> dict[str, Measures]:
        """Simpler models, trained on the same examples and measured on the same test set."""
        ...

    def plots(
        self, examples: Sequence[Example], predictions: Sequence[Prediction], config: RunConfig
    ) -> Mapping[str, str]:
        """Pictures for the report: a title and an SVG each."""
        ...


TASKS = Registry("pipeline.tasks", "task", ConfigError)
task = TASKS.register


def find(name: str) -> Task:
    """The task of a name.

    Raises:
        ConfigError: if there is none; the message gives the nearest.
    """
    made: Task = TASKS.find(name)()
    return made
