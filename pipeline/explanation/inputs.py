"""The words of an input: their positions in the texts, and the provenance of their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.special_tokens import N_SPECIAL, UNK_ID
from embeddings.table.oov_policy import MISSING, parse_policy
from embeddings.tokenization.interface import Span
from pipeline.data.features.whole_words import whole_words
from pipeline.explanation.subjects.base import Place, Reading
from pipeline.runs.input_checks import texts_of
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Prepared
from pipeline.tasks.tagging import RawText, spans_of

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
        words: the words of each.
        numbers: for each text the number of the word to which each token belongs. *Shape:* ``(n_tokens,)``.
    """

    texts: tuple[str, ...]
    words: tuple[Sequence[Span], ...]
    numbers: tuple[NDArray[np.integer], ...]

    @classmethod
    def of(cls, trained: TrainedRun, example: Any) -> Texts:
        """Return the texts of an example that was made of strings."""
        tokenizer = trained.tokenizer
        found = [text for text in texts_of(example, trained.task, trained.setup).values() if isinstance(text, str)]
        if isinstance(example, RawText) and tokenizer.units == "subwords":  # the words are split into subwords
            words = spans_of(example, tokenizer)
            (pieces,) = tokenizer.encode_words([[span.word for span in words]])
            return cls(tuple(found), (words,), (pieces.words,))
        grouped = [whole_words(text, tokenizer.spans(text), tokenizer) for text in found]
        numbers = [np.repeat(np.arange(len(one.spans)), np.diff(one.bounds)) for one in grouped]
        return cls(tuple(found), tuple(one.spans for one in grouped), tuple(numbers))

    def number(self, place: Place) -> int:
        """Return the number of the word to which a token belongs."""
        return int(self.numbers[place.part][place.token])

    def span(self, place: Place) -> Span:
        """Return the word of a token and its position; a word that is a token as the tokenizer normalises it."""
        return self.words[place.part][self.number(place)]

    def written(self, place: Place) -> str:
        """Return the word of a token as written."""
        span = self.span(place)
        return self.texts[place.part][span.start:span.end]


def input_tokens(trained: TrainedRun, prepared: Prepared[Any], reading: Reading, texts: Texts) -> list[str]:
    """Return the tokens of an input: words as written, and subwords and special tokens by their names."""
    tokenizer = prepared.tokenizers.source
    vocabulary = tokenizer.vocabulary()
    return [vocabulary[i] if place is None or tokenizer.units == "subwords" else texts.written(place)
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
