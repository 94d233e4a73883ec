"""What a task is to the rest of the driver, and how it is found."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

import pipeline.tasks
from embeddings.suggest import did_you_mean
from embeddings.table import EmbeddingTable
from embeddings.tokenization import WordTokenizer
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

    name: str
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


T = TypeVar("T", bound=type)
_TASKS: dict[str, type] = {}


def task(cls: T) -> T:
    """Register the class below under its ``name``."""
    _TASKS[cls.name] = cls  # type: ignore[attr-defined]
    return cls


@cache
def available() -> dict[str, type]:
    """Every task by name; each file of this folder is imported once."""
    for module in pkgutil.iter_modules(pipeline.tasks.__path__):
        importlib.import_module(f"pipeline.tasks.{module.name}")
    return dict(sorted(_TASKS.items()))


def find(name: str) -> Task:
    """The task of a name.

    Raises:
        ConfigError: if there is none; the message gives the nearest.
    """
    if name not in available():
        hint = did_you_mean(name, available())
        raise ConfigError(f"no task is called {name!r}.{hint} There are: {', '.join(available())}")
    made: Task = available()[name]()
    return made
