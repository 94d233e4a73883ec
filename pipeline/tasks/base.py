"""The interface of a task, and the registry of tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.specification.plugins import Registry
from embeddings.tokenization.interface import TextTokenizer
from pipeline.config import RunConfig
from pipeline.data.examples import E, Splits
from pipeline.data.features.batching import Batch, Feature, collate
from pipeline.data.readers.base import Reader
from pipeline.data.readers.columns import TEXT_COLUMNS
from pipeline.errors import ConfigError
from pipeline.tasks.resolved import R, Setup, with_parts
from pipeline.word_vectors import StageOne
from transformer.inspect.attention_record import AttentionRecord, record_attention
from transformer.layers.embedding import TokenEmbedding

Measures = dict[str, Any]
Prediction = dict[str, Any]


class Tokenizers(NamedTuple):
    """The tokenizers of a run.

    Attributes:
        source: tokenizer of the input text.
        n_rows: size of the training vocabulary, special tokens included; ids from here on are words that were not seen
            in training, which are valid as input but not as output.
        target: tokenizer of the output text, if it has a separate vocabulary.
    """

    source: TextTokenizer
    n_rows: int
    target: TextTokenizer | None = None


@dataclass(frozen=True)
class Prepared(Generic[E]):
    """Encoded examples.

    Attributes:
        examples: the examples.
        features: their features; a long example may have several.
        tokenizers: the tokenizers that encoded them, extended by words that were not seen in training.
        constant: what does not change in training, by name; computed once.
    """

    examples: Sequence[E]
    features: Sequence[Feature]
    tokenizers: Tokenizers
    constant: dict[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Measure:
    """A measure that a task reports.

    Attributes:
        name: its key in ``metrics.json``.
        help: its definition in a few words.
        is_share: whether it is between 0 and 1 and shown as a percentage.
        smaller_is_better: whether the smaller of two values is the better one.
        metric: its name on Hugging Face, for the card of a run; "" for the same name.
    """

    name: str
    help: str = ""
    is_share: bool = True
    smaller_is_better: bool = False
    metric: str = ""


LOSS = Measure("loss", "mean cross-entropy in nats", is_share=False, smaller_is_better=True)


class Architecture(NamedTuple):
    """The class of Hugging Face ``transformers`` to which the model of a task corresponds.

    Attributes:
        like: value of ``model.like`` that makes the architectures equal: ``bert`` or ``gpt2``.
        name: name of the class.
        output: name of its output layer; "" if the output layer is the embedding table.
        reads_masks: whether its texts contain the token ``<mask>``.
        problem_type: value of ``problem_type`` in its configuration; "" for none.
        prepare: changes a model before it is exported, given the setup of its run.
    """

    like: str
    name: str
    output: str = ""
    reads_masks: bool = False
    problem_type: str = ""
    prepare: Callable[[Any, Setup[Any]], None] | None = None


class Trace(NamedTuple):
    """One forward pass of a model.

    Attributes:
        source: ids of the input. *Shape:* ``(1, length)``, int64.
        target: ids of the input of the decoder; ``source`` if the model has one stack. *Shape:* ``(1, length)``, int64.
        attention: recorded attention of each layer.
    """

    source: Tensor
    target: Tensor
    attention: Sequence[AttentionRecord]


class Task(ABC, Generic[E, R]):
    """Definition of a task: its data, model, loss, predictions and measures.

    A task has no state. Facts that it finds in the data are returned by :meth:`resolve` and passed to the other methods
    as ``setup.resolved``. Methods without a default are abstract.

    Attributes:
        name: name of the task; set by :func:`task`.
        reader: reader of its data sets.
        measures: measures that it reports; the first one is the one it is judged by.
        selection: names of the dev measures by which early stopping selects an epoch; later ones break ties.
        followed: names of the dev measures that the history has; () for all.
        unit: what ``n`` of the measures counts.
        pipeline_tag: name of the task on Hugging Face, for the card of a run; "" for none.
        keys: keys of the configuration that only some tasks read, and this one does.
        baseline_names: names of the baselines that :meth:`baselines` can train, for the key ``baselines``.
        resolved_type: type of the facts that it finds in the data.
        architecture: how Hugging Face represents its model; None if runs cannot be exported.
        generates: whether its model is a decoder that can continue a text (``vecformer generate``).
        text_columns: usual names of the column of the text in a table to predict for.
        context_columns: usual names of the column of a context, which every text needs; () for none.
    """

    name: ClassVar[str]
    reader: Reader[E]
    measures: ClassVar[tuple[Measure, ...]]
    selection: ClassVar[tuple[str, ...]]
    followed: ClassVar[tuple[str, ...]] = ()
    unit: ClassVar[str] = "examples"
    pipeline_tag: ClassVar[str] = ""
    keys: ClassVar[tuple[str, ...]] = ()
    baseline_names: ClassVar[tuple[str, ...]] = ()
    resolved_type: type[R]
    architecture: ClassVar[Architecture | None] = None
    generates: ClassVar[bool] = False
    text_columns: ClassVar[tuple[str, ...]] = TEXT_COLUMNS
    context_columns: ClassVar[tuple[str, ...]] = ()

    def resolve(self, config: RunConfig, splits: Splits[E]) -> R:
        """Find facts in the training data, such as the labels; explicitly configured values take precedence.

        Raises:
            DataError: if the task cannot be learned from the data.
        """
        return self.resolved_type.from_config(config)

    @abstractmethod
    def model(self, setup: Setup[R], embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """Build the untrained model.

        Args:
            setup: configuration and resolved facts.
            embeddings: embedding layer of the input, and of the output if it has a separate vocabulary.
        """

    @abstractmethod
    def encode(
        self, examples: Sequence[E], tokenizers: Tokenizers, setup: Setup[R], *, training: bool = False
    ) -> Sequence[Feature]:
        """Convert examples to features.

        Args:
            examples: examples, with or without gold answers.
            tokenizers: the tokenizers of the run.
            setup: configuration and resolved facts.
            training: make features for training, where these differ from those for evaluation.
        """

    def batch(self, features: Sequence[Feature], setup: Setup[R], random: np.random.Generator) -> Batch:
        """Make a training batch; ``random`` is for choices that differ between epochs."""
        return collate(features)

    @abstractmethod
    def loss(self, model: Any, batch: Batch) -> Tensor:
        """Compute the training loss: the mean over the ``n_targets`` items of the batch. *Shape:* ``()``."""

    @abstractmethod
    def predict(
        self, model: Any, prepared: Prepared[E], setup: Setup[R], progress: Progress = silent
    ) -> list[Prediction]:
        """Predict for encoded examples.

        Returns:
            One JSON-serialisable dictionary for each example.
        """

    @abstractmethod
    def measure(self, examples: Sequence[E], predictions: Sequence[Prediction], setup: Setup[R]) -> Measures:
        """Evaluate predictions.

        Returns:
            Values by name, with ``n``, the number of evaluated units.

        Raises:
            DataError: if the examples cannot be evaluated, such as for unknown labels.
        """

    def develop(self, model: Any, prepared: Prepared[E], setup: Setup[R]) -> Measures:
        """Evaluate on dev after an epoch; by default with the measures of :attr:`followed`."""
        measures = self.measure(prepared.examples, self.predict(model, prepared, setup), setup)
        return {name: measures[name] for name in self.followed or measures}

    def tune(self, model: Any, prepared: Prepared[E], setup: Setup[R]) -> R:
        """Find facts that need the trained model and dev, such as a threshold; by default none."""
        return setup.resolved

    @abstractmethod
    def outcome(self, gold: Any, prediction: Prediction) -> float:
        """Score the prediction for one example between 0 and 1, for comparing models example by example."""

    @abstractmethod
    def in_words(self, gold: Any, prediction: Prediction) -> tuple[str, str]:
        """Return the gold answer and the prediction as short texts for reports."""

    @abstractmethod
    def show(self, example: E, prediction: Prediction) -> str:
        """Return the line that ``vecformer predict`` prints: the prediction and the text, separated by tabs."""

    def columns(self, prediction: Prediction) -> dict[str, Any]:
        """Return what ``vecformer predict --out`` adds to the row of a table, by the name of the column.

        By default the numbers, strings and lists of strings of the prediction.
        """
        return {name: value for name, value in prediction.items() if isinstance(value, str | int | float) or (
            isinstance(value, list) and all(isinstance(one, str) for one in value))}

    def baselines(self, splits: Splits[E], setup: Setup[R], stage_one: StageOne) -> dict[str, Measures]:
        """Train simpler models on the same examples and evaluate them on the same test set; by default none.

        :func:`pipeline.baselines.selection.train_selected` trains those that the configuration selects.
        """
        return {}

    def plots(self, examples: Sequence[E], predictions: Sequence[Prediction], setup: Setup[R]) -> Mapping[str, str]:
        """Draw figures for the report, as SVG by title; by default none."""
        return {}

    def trace(self, model: Any, ids: Tensor, token_types: Tensor | None, setup: Setup[R]) -> Trace:
        """Run the layers of the model once on one text and record their attention.

        Args:
            model: the model, in evaluation mode.
            ids: token ids. *Shape:* ``(1, length)``, int64.
            token_types: token types, if the model has any. *Shape:* ``(1, length)``, int64.
            setup: configuration and resolved facts.
        """
        with record_attention(model) as recorded:
            stack = model.encoder if hasattr(model, "encoder") else model.decoder
            stack(ids, token_types)
        return Trace(ids, ids, recorded)

    @property
    def measure_name(self) -> str:
        """Name of the measure that the task is judged by."""
        return self.measures[0].name

    def score(self, measures: Measures) -> tuple[float, ...]:
        """Return the dev measures that early stopping compares, negated where smaller is better."""
        return tuple(-measures[name] if find_measure(self, name).smaller_is_better else measures[name]
                     for name in self.selection)


class PredictionSetTask(Task[E, R]):
    """A task whose predictions have the ``probabilities`` of labels of which one is correct.

    Prediction sets can be formed from them (``vecformer predict --abstain``).
    """

    @abstractmethod
    def predict_for_sets(
        self, model: Any, prepared: Prepared[E], setup: Setup[R], quantile: float, progress: Progress = silent
    ) -> list[Prediction]:
        """Predict with the probabilities of at least the labels of a prediction set.

        Args:
            model: as for :meth:`predict`, like the following.
            prepared: encoded examples.
            setup: configuration and resolved facts.
            quantile: greatest score of a label in the set.
            progress: progress callback.
        """


T = TypeVar("T", bound=type[Task[Any]])

TASKS = Registry("pipeline.tasks", "task", ConfigError, group="vecformer.tasks")


def task(name: str) -> Callable[[T], T]:
    """Register a task class under a name, as a decorator."""

    def registered(cls: T) -> T:
        cls.name = name
        return TASKS.register(name)(cls)

    return registered


def find(name: str) -> Task[Any]:
    """Return the task of a name.

    Raises:
        ConfigError: if there is none; the message suggests the nearest name.
    """
    made: Task[Any] = TASKS.find(name)()
    return made


def find_measure(task: Task[Any], name: str) -> Measure:
    """Return a measure by name; one that is not declared is a share if the first one is, and larger is better."""
    default = Measure(name, is_share=task.measures[0].is_share)
    return next((measure for measure in task.measures if measure.name == name), default)


def setup_from(config: RunConfig) -> Setup[Any]:
    """Return the setup in which all facts are those given in the configuration."""
    return Setup(with_parts(config, {}), find(config.task).resolved_type.from_config(config), requested=config)


def foreign_keys(name: str) -> dict[str, list[str]]:
    """Return the keys that the task does not read, with the names of the tasks that do."""
    own = find(name).keys
    foreign: dict[str, list[str]] = {}
    for other, cls in TASKS.available.items():
        for key in cls.keys:  # type: ignore[attr-defined]
            if key not in own:
                foreign.setdefault(key, []).append(other)
    return foreign
