"""Examples, one class per kind of data, and a data set of them, split into parts.

Every example has ``where`` (its place, ``file:line``), ``gold`` (the gold answer as ``predictions.jsonl`` holds it) and
``key``: examples with equal keys are never on both sides of a split.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from embeddings.tokenization.interface import Text
from pipeline.data.readers.findings import Findings


class AnyExample(Protocol):
    """Attributes that the examples of every task have."""

    @property
    def where(self) -> str:
        """Its place: ``file:line``."""

    @property
    def gold(self) -> Any:
        """The gold answer, JSON-serialisable."""

    @property
    def key(self) -> Hashable:
        """Equal for examples that must stay on one side of a split."""


class TextOrPair(AnyExample, Protocol):
    """Attributes that the examples of tasks on a text or a pair of texts have."""

    @property
    def text(self) -> str:
        """The text, or the first text of a pair."""

    @property
    def text_b(self) -> str:
        """The second text of a pair; "" for a single text."""


E = TypeVar("E", bound=AnyExample)
E_co = TypeVar("E_co", bound=AnyExample, covariant=True)


class _Texts:
    """A text or a pair of texts."""

    __slots__ = ()
    text: str
    text_b: str

    @property
    def key(self) -> str | tuple[str, str]:
        """The text, or both texts of a pair."""
        return (self.text.strip(), self.text_b.strip()) if self.text_b else self.text.strip()


@dataclass(frozen=True, slots=True)
class Example(_Texts):
    """A text or a pair of texts, and its label ("" for none; lines of running text have none)."""

    text: str
    label: str
    where: str
    text_b: str = ""

    @property
    def gold(self) -> str:
        """The label."""
        return self.label


@dataclass(frozen=True, slots=True)
class MultiLabelExample(_Texts):
    """A text or a pair of texts, and its labels: () for a text without any, None for unlabelled text."""

    text: str
    labels: tuple[str, ...] | None
    where: str
    text_b: str = ""

    @property
    def gold(self) -> list[str]:
        """The labels."""
        return list(self.labels or ())


@dataclass(frozen=True, slots=True)
class RatedExample(_Texts):
    """A text or a pair of texts, and a number; None for unlabelled text."""

    text: str
    value: float | None
    where: str
    text_b: str = ""

    @property
    def gold(self) -> float | None:
        """The number."""
        return self.value


@dataclass(frozen=True, slots=True)
class TaggedExample:
    """The words of a sentence and one tag for each."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    where: str

    @property
    def gold(self) -> list[str]:
        """The tags."""
        return list(self.tags)

    @property
    def key(self) -> tuple[str, ...]:
        """The words."""
        return self.words


@dataclass(frozen=True, slots=True)
class Answer:
    """A span of a context: ``context[start : start + len(text)] == text``."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class QuestionExample:
    """A question about a context, and the annotated answers; () for an unanswerable question."""

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]
    where: str

    @property
    def gold(self) -> list[str]:
        """The texts of the answers."""
        return [answer.text for answer in self.answers]

    @property
    def key(self) -> str:
        """The context."""
        return self.context.strip()


@dataclass(frozen=True, slots=True)
class TranslationExample:
    """A text and its translation."""

    source: str
    target: str
    where: str

    @property
    def gold(self) -> str:
        """The reference translation."""
        return self.target

    @property
    def key(self) -> str:
        """The source text."""
        return self.source.strip()


@dataclass(frozen=True)
class Splits(Generic[E_co]):
    """A data set, split into parts.

    Attributes:
        name: name of the data set in reports.
        train: training examples.
        dev: development examples, for early stopping; may be empty.
        test: test examples.
        unlabelled: additional texts for training word vectors; those of tagged words are not split again.
        findings: what was found while reading, for the report.
    """

    name: str
    train: tuple[E_co, ...]
    dev: tuple[E_co, ...]
    test: tuple[E_co, ...]
    unlabelled: tuple[Text, ...]
    findings: Findings = field(default_factory=Findings, compare=False)
