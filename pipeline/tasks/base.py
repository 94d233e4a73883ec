"""What a task is to the rest of the driver, and how it is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol

import numpy as np
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.specification.plugins import Registry
from embeddings.tokenization.tokenizer import Text, WordTokenizer
from pipeline.config import DataConfig, RunConfig
from pipeline.data.examples import E, Splits
from pipeline.data.features.batching import Batch, Feature
from pipeline.errors import ConfigError
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding

Measures = dict[str, Any]
Prediction = dict[str, Any]


class Tokenizers(NamedTuple):
    """Text to numbers.

    Attributes:
        source: of the text that is read.
        n_rows: words that training met, special ones included; the numbers from here on are of other words, which are
            read but never written.
        target: of the text that is written, if it has words of its own.
    """

    source: WordTokenizer
    n_rows: int
    target: WordTokenizer | None = None


@dataclass(frozen=True)
class Prepared(Generic[E]):
    """Examples as the model reads them.

    Attributes:
        examples: as they came.
        features: what they were encoded to.
        tokenizers: that did it; they number words that training did not meet, too.
    """

    examples: Sequence[E]
    features: Sequence[Feature]
    tokenizers: Tokenizers


class Task(Protocol[E]):
    """What is read, what is predicted, and how good that is.

    A task keeps nothing: what it learns of the data goes into the configuration (:meth:`resolve`), which is saved with
    the run. What most tasks do alike stands here, with a body.

    Attributes:
        measure_name: the measure that the task is judged by.
        measure_is_share: it is from 0 to 1, and shown as a percentage.
        smaller_is_better: of two values of it.
        counted: what ``n`` of the measures is the number of.
    """

    measure_name: str
    measure_is_share: bool = True
    smaller_is_better: bool = False
    counted: str = "examples"

    def read(self, config: RunConfig) -> Splits[E]:
        """Read the data set and cut it."""
        ...

    def read_examples(self, path: Path, config: DataConfig) -> tuple[E, ...]:
        """Read one file of examples to evaluate on."""
        ...

    def example(self, text: str, context: str) -> E:
        """An example of which only the input is known, such as one from the command line.

        Args:
            text: what to predict for.
            context: the text beside it, for tasks that read two ("" for none).
        """
        ...

    def resolve(self, config: RunConfig, splits: Splits[E]) -> RunConfig:
        """Write what the training examples decide (the labels, say) into the configuration."""
        return config

    def texts(self, examples: Sequence[E]) -> list[Text]:
        """What is read of examples, for counting words."""
        ...

    def target_texts(self, examples: Sequence[E]) -> list[Text]:
        """What is written, if it has words of its own; [] if not."""
        return []

    def model(self, config: RunConfig, embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """The model around its embedding layers: that of the text, and that of the target if there is one."""
        ...

    def encode(self, examples: Sequence[E], tokenizers: Tokenizers, config: RunConfig) -> list[Feature]:
        """Number the words of examples, once; targets are filled in where they are known."""
        ...

    def encode_training(self, examples: Sequence[E], tokenizers: Tokenizers, config: RunConfig) -> list[Feature]:
        """As :meth:`encode`, for training: where text is cut otherwise than it is for measuring."""
        return self.encode(examples, tokenizers, config)

    def batch(self, features: Sequence[Feature], config: RunConfig, random: np.random.Generator) -> Batch:
        """Make a batch to train on; ``random`` is for what differs from epoch to epoch."""
        ...

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """What training makes small: the mean over the batch's ``n_targets``. *Shape:* scalar."""
        ...

    def predict(
        self, model: nn.Module, prepared: Prepared[E], config: RunConfig, progress: Progress = silent
    ) -> list[Prediction]:
        """What the model says, an entry an example."""
        ...

    def measure(self, examples: Sequence[E], predictions: Sequence[Prediction], config: RunConfig) -> Measures:
        """How good predictions are. Raises DataError for what the model cannot know, such as other labels."""
        ...

    def outcome(self, gold: Any, prediction: Prediction) -> float:
        """How well one example was predicted, 0 to 1: for comparing models example by example.

        Args:
            gold: the example's ``gold``.
            prediction: what a model said of it.
        """
        ...

    def in_words(self, gold: Any, prediction: Prediction) -> tuple[str, str]:
        """What was right of one example and what was said, as text for people; given as for :meth:`outcome`."""
        ...

    def develop(self, model: nn.Module, prepared: Prepared[E], config: RunConfig) -> Measures:
        """What is measured on dev after each epoch: all of it, unless that would take longer than the epoch."""
        return self.measure(prepared.examples, self.predict(model, prepared, config), config)

    def tune(self, model: nn.Module, prepared: Prepared[E], config: RunConfig) -> RunConfig:
        """Write what only the trained model and dev can decide (a threshold, say) into the configuration."""
        return config

    def score(self, measures: Measures) -> tuple[float, ...]:
        """What early stopping compares; the larger is the better."""
        ...

    def baselines(self, splits: Splits[E], config: RunConfig, stage_one: StageOne) -> dict[str, Measures]:
        """Simpler models, trained on the same examples and measured on the same test set."""
        ...

    def plots(self, examples: Sequence[E], predictions: Sequence[Prediction], config: RunConfig) -> Mapping[str, str]:
        """Pictures for the report: a title and an SVG each."""
        return {}

    def show(self, example: E, prediction: Prediction) -> str:
        """A prediction as a line of text for people."""
        ...


TASKS = Registry("pipeline.tasks", "task", ConfigError)
task = TASKS.register


def find(name: str) -> Task[Any]:
    """The task of a name.

    Raises:
        ConfigError: if there is none; the message gives the nearest.
    """
    made: Task[Any] = TASKS.find(name)()
    return made
