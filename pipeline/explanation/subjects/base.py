"""The parts of an explanation that differ between tasks, and their choice for a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from embeddings.special_tokens import END_ID, START_ID
from pipeline.data.features.batching import Feature
from pipeline.errors import PipelineError
from pipeline.explanation.scores import ScoreRule, Term
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Prediction, Prepared, Task

Ids = Sequence[int]


class Place(NamedTuple):
    """A token of an example.

    Attributes:
        part: 0 for the text, or the first of two; 1 for the context.
        token: number of the token in that text.
    """

    part: int
    token: int


class Anchor(NamedTuple):
    """A word to which a prediction belongs, such as a tagged one.

    Attributes:
        part: as for :class:`Place`.
        start: position of its first character in that text.
    """

    part: int
    start: int


class Target(NamedTuple):
    """What is explained.

    Attributes:
        label: the label, tag, ``start``, ``end`` or ``value``.
        anchor: the word to which the prediction belongs; None for the whole text.
    """

    label: str
    anchor: Anchor | None = None


@dataclass(frozen=True)
class Reading:
    """The input of the model for an example, and the part of its output that is explained.

    Attributes:
        feature: the input.
        places: the word at each position; None for special tokens.
        select: output of the model to the scores of the columns, ``(batch, n_columns)``.
        names: name of each column.
        column: the column that is explained.
    """

    feature: Feature
    places: tuple[Place | None, ...]
    select: Callable[[Tensor], Tensor]
    names: Sequence[str]
    column: int


class Subject(ABC):
    """What is explained for one kind of task.

    Args:
        trained: the run.

    Attributes:
        unit: unit of the contributions.
        compares_texts: whether the output layer reads one vector of a whole text, by which texts can be compared.
    """

    unit: ClassVar[str] = "log-odds"
    compares_texts: ClassVar[bool] = False

    def __init__(self, trained: TrainedRun) -> None:
        self.trained = trained

    @abstractmethod
    def rule(self) -> ScoreRule:
        """Return how scores are computed."""

    @abstractmethod
    def target(self, prepared: Prepared[Any], prediction: Prediction, label: str | None, word: str | None) -> Target:
        """Choose what is explained of the first example.

        Args:
            prepared: encoded examples.
            prediction: the prediction for the first one.
            label: the label to explain; None for the prediction.
            word: the word whose prediction is explained; None for the default. Only for predictions for words.

        Raises:
            DataError: if the model has no such label, or the text no such word.
        """

    @abstractmethod
    def reading(self, prepared: Prepared[Any], i: int, target: Target) -> Reading:
        """Return the input of an example."""

    def terms(self, prepared: Prepared[Any], target: Target) -> tuple[list[Term], Tensor]:
        """Return the features of the linear branch for the first example and their logits.

        *Shape* of the logits: ``(n_terms, n_columns)``, float32; ``(0, 0)`` without a branch.
        """
        return [], torch.zeros(0, 0)

    def linear(self, prepared: Prepared[Any], targets: Sequence[Target]) -> list[Tensor]:
        """Return the logits of the branch for each example, without the bias. *Shape:* ``(n_columns,)`` or ``(0,)``."""
        return [torch.zeros(0)] * len(targets)

    def characters(self, prepared: Prepared[Any], contributions: Mapping[Term, float]) -> list[NDArray[np.float64]]:
        """Divide contributions of features of the branch between the characters of the texts, if they are of them.

        Returns:
            For each text of the first example, *shape* ``(n_characters,)``; an empty list if they cannot be divided.
        """
        return []

    def word(self, prepared: Prepared[Any], target: Target) -> str:
        """Return the word to which the prediction belongs, as written; "" for the whole text."""
        return ""

    def refuse_word(self, word: str | None) -> None:
        """Reject a word, because the predictions of this task are not for words.

        Raises:
            PipelineError: if one is given.
        """
        if word is not None:
            raise PipelineError(f"a word was given, but the task {self.trained.task.name} predicts for whole texts; "
                                "leave it out")


@singledispatch
def make_subject(task: Task[Any], trained: TrainedRun) -> Subject:
    """Return what is explained for a task; other packages can register theirs with ``make_subject.register``.

    Raises:
        PipelineError: if predictions of the task cannot be explained.
    """
    from pipeline.tasks.base import TASKS

    able = [name for name, cls in TASKS.available.items() if make_subject.dispatch(cls) is not make_subject.dispatch(
        object)]
    raise PipelineError(f"predictions of the task {task.name} cannot be explained; those of {', '.join(able)} can. "
                        "`vecformer inspect` shows the attention of every task")


def framed_places(ids: Ids) -> tuple[Place | None, ...]:
    """Return the places of the tokens of a text, or of a pair ``<s> first </s> second </s>``."""
    places: list[Place | None] = []
    part, token = 0, 0
    for i in ids:
        if i in (START_ID, END_ID):
            places.append(None)
            part, token = (part + 1, 0) if i == END_ID else (part, token)
        else:
            places.append(Place(part, token))
            token += 1
    return tuple(places)
