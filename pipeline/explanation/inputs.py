"""The words of an input: their positions in the texts, and the provenance of their vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from embeddings.special_tokens import N_SPECIAL, UNK_ID
from embeddings.table.oov_policy import MISSING, parse_policy
from embeddings.tokenization.interface import Span
from pipeline.explanation.subjects.base import Place, Reading
from pipeline.runs.input_checks import texts_of
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Prepared

PARTS = ("text", "context")


class Origin(NamedTuple):
    """The provenance of the vector of a word.

    Attributes:
        source: its provenance in the table.
        in_training: whether the word is in the training vocabulary.
    """

    source: str
    in_training: bool


@dataclass(frozen=True)
class Texts:
    """The texts of an example.

    Attributes:
        texts: the text, and the context if the model reads one.
        spans: the words of each.
    """

    texts: tuple[str, ...]
    spans: tuple[list[Span], ...]

    @classmethod
    def of(cls, trained: TrainedRun, example: Any) -> Texts:
        """Return the texts of an example that was made of strings."""
        found = [text for text in texts_of(example, trained.task, trained.setup).values() if isinstance(text, str)]
        return cls(tuple(found), tuple(trained.tokenizer.spans(text) for text in found))

    def span(self, place: Place) -> Span:
        """Return a word and its position, the word as the tokenizer normalises it."""
        return self.spans[place.part][place.word]

    def written(self, place: Place) -> str:
        """Return a word as written."""
        span = self.span(place)
        return self.texts[place.part][span.start:span.end]


def input_tokens(trained: TrainedRun, prepared: Prepared[Any], reading: Reading, texts: Texts) -> list[str]:
    """Return the tokens of an input: words as written, and special tokens by their names."""
    vocabulary = prepared.tokenizers.source.vocabulary()
    return [vocabulary[i] if place is None else texts.written(place)
            for i, place in zip(reading.feature.ids.tolist(), reading.places, strict=True)]


def origins(trained: TrainedRun, prepared: Prepared[Any], reading: Reading, texts: Texts) -> list[Origin]:
    """Return the origin of the vector of each position; special tokens have the source ``special``."""
    table, n_trained = trained.table, len(trained.tokenizer)
    ids = reading.feature.ids.tolist()
    words = [None if place is None else texts.span(place).word for place in reading.places]
    unseen = dict.fromkeys(word for i, word in zip(ids, words, strict=True) if word is not None and i >= n_trained)
    found = table.lookup(unseen, parse_policy(trained.config.unknown))
    of_unseen = dict(zip(found.words, found.provenance, strict=True))
    made = []
    for i, word in zip(ids, words, strict=True):
        if word is None:
            made.append(Origin("special", True))
        elif i == UNK_ID:
            made.append(Origin(MISSING, False))
        else:
            made.append(Origin(of_unseen[word], False) if i >= n_trained else
                        Origin(table.provenance[i - N_SPECIAL], True))
    return made
