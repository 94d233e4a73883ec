"""The result: an explanation and its parts, JSON-serialisable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Token(NamedTuple):
    """A word of the text and its contribution.

    Attributes:
        token: the word as written.
        start: position of its first character in its text.
        end: position after its last character.
        part: ``text`` or ``context``, the text to which the word belongs.
        contribution: contribution of its embedding to the score.
        from_ngrams: contribution of the n-grams of the branch, as far as their characters are those of the word.
        source: provenance of its vector in the table: ``exact``, ``folded``, ``digits``, ``subword``, ``copied``,
            ``mixed``, ``spelling``, ``random``, ``zero``, or ``missing`` for none.
        in_training: whether the word is in the training vocabulary, so that its vector was trained.
    """

    token: str
    start: int
    end: int
    part: str
    contribution: float
    from_ngrams: float
    source: str
    in_training: bool

    @property
    def total(self) -> float:
        """Contribution of the embedding and of the n-grams."""
        return self.contribution + self.from_ngrams

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable dictionary."""
        return {**self._asdict(), "total": self.total}


class NgramContribution(NamedTuple):
    """A feature of the linear branch and its contribution to the score.

    Attributes:
        ngram: the n-gram; for tagging, a feature of the word.
        family: ``words`` or ``characters``; for tagging ``features``.
        contribution: contribution to the score.
    """

    ngram: str
    family: str
    contribution: float


@dataclass(frozen=True)
class Ngrams:
    """The contribution of the linear branch.

    Attributes:
        sum: sum of the contributions of all its features.
        share: absolute value of this sum, divided by those of the sums of the branch and of the Transformer; 0 to 1.
        contributions: the strongest features.
        rest: sum of the contributions of the other features.
    """

    sum: float
    share: float
    contributions: tuple[NgramContribution, ...]
    rest: float

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable dictionary."""
        return {"share": self.share, "sum": self.sum, "rest": self.rest,
                "contributions": [one._asdict() for one in self.contributions]}


class Completeness(NamedTuple):
    """Whether the contributions sum to the difference of the scores.

    Attributes:
        sum: sum of all contributions.
        difference: score of the text minus that of the baseline.
        relative_error: their distance, relative to the difference.
        score: score of the text.
        baseline_score: score of the baseline.
        steps: number of steps of the integral.
        holds: whether the relative error is at most 1%.
    """

    sum: float
    difference: float
    relative_error: float
    score: float
    baseline_score: float
    steps: int
    holds: bool


class Neighbour(NamedTuple):
    """A training example with a representation similar to that of the text.

    Attributes:
        text: its text.
        context: its second text, for pairs.
        label: its gold label, as text.
        similarity: cosine similarity of the inputs of the output layer, after subtracting the mean; -1 to 1.
    """

    text: str
    context: str
    label: str
    similarity: float


class ChangedWord(NamedTuple):
    """The prediction without a word, and with another word in its place.

    Attributes:
        token: the word as written.
        start: position of its first character in its text.
        part: ``text`` or ``context``.
        probability_change: change of the probability of the label (of the value, for regression) without the word.
        label: predicted label without it; "" if there is none to compare.
        replaced_by: nearest neighbour of the word in the table of vectors; None if there is none.
        replaced_change: as ``probability_change``, with this word in its place.
    """

    token: str
    start: int
    part: str
    probability_change: float
    label: str
    replaced_by: str | None
    replaced_change: float | None


class AttentionMaps(NamedTuple):
    """The attention of every head.

    Attributes:
        tokens: tokens of the input; of a long one the first ones.
        layers: for each layer and head the attention weights, one row per query.
    """

    tokens: tuple[str, ...]
    layers: tuple[tuple[list[list[float]], ...], ...]


@dataclass(frozen=True)
class Explanation:
    """An explanation of the prediction for a text.

    Attributes:
        task: name of the task.
        text: the text.
        context: second text; "" for none.
        label: what is explained: a label, a tag, ``start`` or ``end`` of an answer, or ``value``.
        word: the word to which the label belongs, for tagging and question answering; "" for the whole text.
        unit: unit of the contributions: ``log-odds`` of the label, or ``value``.
        prediction: the prediction as one line of text.
        probability: probability of the label; None for a value.
        probabilities: probability by label; of more than 100 labels the most probable ones.
        value: the predicted value; None for tasks with labels.
        tokens: the words and their contributions, in order.
        completeness: whether the contributions sum to the difference of the scores.
        ngrams: share of the linear branch; None for a run without one.
        attention: attention of every head.
        neighbours: nearest training examples, nearest first.
        neighbours_note: their origin, or why there are none.
        without_word: the prediction without each word.
        vectors: the table of vectors: ``source`` and ``transforms``.
        notes: notes for the reader, such as that the text was truncated.
    """

    task: str
    text: str
    context: str
    label: str
    word: str
    unit: str
    prediction: str
    probability: float | None
    probabilities: Mapping[str, float]
    value: float | None
    tokens: tuple[Token, ...]
    completeness: Completeness
    ngrams: Ngrams | None
    attention: AttentionMaps
    neighbours: tuple[Neighbour, ...]
    neighbours_note: str
    without_word: tuple[ChangedWord, ...]
    vectors: Mapping[str, Any]
    notes: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-serialisable dictionary."""
        return {
            **vars(self),
            "probabilities": dict(self.probabilities),
            "tokens": [one.to_json() for one in self.tokens],
            "completeness": self.completeness._asdict(),
            "ngrams": self.ngrams.to_json() if self.ngrams else None,
            "attention": {"tokens": list(self.attention.tokens), "layers": [*map(list, self.attention.layers)]},
            "neighbours": [one._asdict() for one in self.neighbours],
            "without_word": [one._asdict() for one in self.without_word],
            "vectors": dict(self.vectors),
            "notes": list(self.notes),
        }
