"""What a task learns from: one class a kind of data, and a data set of them, cut.

Each says where it stands (``where``: ``file:line``), what is right (``gold``, as ``predictions.jsonl`` shows it), and
what makes two of them the same (``key``): examples of equal keys never end up on both sides of a cut.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar


class AnyExample(Protocol):
    """What the examples of every task have in common."""

    @property
    def where(self) -> str:
        """Its place: ``file:line``."""

    @property
    def gold(self) -> Any:
        """What is right, made of what JSON has."""

    @property
    def key(self) -> Hashable:
        """Equal in examples that must stay on one side of a cut."""


E = TypeVar("E", bound=AnyExample)
E_co = TypeVar("E_co", bound=AnyExample, covariant=True)


@dataclass(frozen=True)
class Example:
    """A text, or two, and its label ("" for none; a language model's lines have none)."""

    text: str
    label: str
    where: str
    text_b: str = ""

    @property
    def gold(self) -> str:
        """The label."""
        return self.label

    @property
    def key(self) -> tuple[str, str]:
        """Both texts."""
        return self.text.strip(), self.text_b.strip()


@dataclass(frozen=True)
class TaggedExample:
    """The words of a sentence, and a tag for each."""

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


@dataclass(frozen=True)
class Answer:
    """A span of a context: ``context[start : start + len(text)] == text``."""

    text: str
    start: int


@dataclass(frozen=True)
class QuestionExample:
    """A question about a context, and the answers that people marked in it; () if it has none."""

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


@dataclass(frozen=True)
class TranslationExample:
    """A text and what it is in the other language."""

    source: str
    target: str
    where: str

    @property
    def gold(self) -> str:
        """The translation."""
        return self.target

    @property
    def key(self) -> str:
        """The text to translate."""
        return self.source.strip()


@dataclass(frozen=True)
class Splits(Generic[E_co]):
    """A data set, cut.

    Attributes:
        name: what to call it in reports.
        train: to learn from.
        dev: to stop early by; may be empty.
        test: to measure on.
        unlabelled: texts to train word vectors on, beside those of ``train``.
    """

    name: str
    train: tuple[E_co, ...]
    dev: tuple[E_co, ...]
    test: tuple[E_co, ...]
    unlabelled: tuple[str, ...]
