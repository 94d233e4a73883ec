"""The HTML page of an explanation: one file that opens offline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from pipeline.commands.pages.attention import MAX_WORDS, packed
from pipeline.drawing.page import render, write_whole
from pipeline.explanation.explanation import AttentionMaps, Explanation, Token

ORANGE, BLUE = "245, 133, 24", "76, 120, 168"  # positive and negative contributions
MAX_OPACITY = 0.5   # of the strongest contribution, so that the text keeps its contrast
N_PROBABILITIES = 10

MEANINGS = {
    "exact": "the table contains the word",
    "folded": "the table contains the word in another case",
    "digits": "the table contains the word with its digits replaced",
    "subword": "composed from character n-grams or subwords",
    "copied": "the row of the same token of the checkpoint",
    "mixed": "computed from rows of the checkpoint",
    "spelling": "the mean of words with similar spelling",
    "random": "initialised at random",
    "zero": "initialised with zeros",
    "missing": "no vector: the word is <unk>, as in the baseline, so that its contribution is zero",
}


class Piece(NamedTuple):
    """A piece of a text: a coloured word, or the characters between words.

    Attributes:
        text: the piece.
        colour: background colour, as CSS; "" for none.
        value: contribution of the word, with its sign; "" for none.
    """

    text: str
    colour: str = ""
    value: str = ""


class Coloured(NamedTuple):
    """The texts, coloured by one kind of contribution.

    Attributes:
        caption: the kind of contribution.
        texts: the pieces of each text.
    """

    caption: str
    texts: list[list[Piece]]


def write_explanation(path: Path, found: Explanation, *, name: str) -> None:
    """Write the page.

    Args:
        path: the file to write.
        found: the explanation.
        name: name of the run.
    """
    kinds: list[tuple[str, Callable[[Token], float]]] = [("contributions of the words", lambda token: token.total)]
    if found.ngrams and any(token.from_ngrams for token in found.tokens):
        kinds = [("both together", lambda token: token.total),
                 ("of the Transformer (integrated gradients)", lambda token: token.contribution),
                 ("of the n-gram branch (exact)", lambda token: token.from_ngrams)]
    has_probability = found.probability is not None
    page = render(
        Path(__file__).with_name("explanation.html"), title=f"Why {name} predicts this", found=found,
        coloured=[Coloured(caption, _texts(found, value)) for caption, value in kinds],
        probabilities=sorted(found.probabilities.items(), key=lambda one: -one[1])[:N_PROBABILITIES],
        n_probabilities=len(found.probabilities), what="probability" if has_probability else "value",
        changes={(one.part, one.start): one for one in found.without_word}, signed=signed,
        change=percentage_points if has_probability else signed,
        meanings={source: MEANINGS.get(source, "parts of a concatenation, each as its name says")
                  for source in dict.fromkeys(token.source for token in found.tokens)},
        n_tokens=len(found.attention.tokens), max_words=MAX_WORDS, data={"blocks": [_block(found.attention)]},
    )
    write_whole(path, page.encode())


def signed(value: float) -> str:
    """Format a contribution with its sign."""
    return f"{value:+.3f}".replace("-", "−")


def percentage_points(value: float) -> str:
    """Format the change of a probability."""
    return f"{100 * value:+.1f}".replace("-", "−")


def _texts(found: Explanation, value: Callable[[Token], float]) -> list[list[Piece]]:
    """Return the pieces of the text, and of the context if the model reads one."""
    largest = max((abs(value(token)) for token in found.tokens), default=0.0) or 1.0
    return [_pieces(text, [token for token in found.tokens if token.part == part], value, largest)
            for part, text in (("text", found.text), ("context", found.context)) if text]


def _pieces(text: str, tokens: Sequence[Token], value: Callable[[Token], float], largest: float) -> list[Piece]:
    pieces, end = [], 0
    for token in sorted(tokens, key=lambda token: token.start):
        pieces += [Piece(text[end:token.start])] if token.start > end else []
        of_word = value(token)
        opacity = MAX_OPACITY * abs(of_word) / largest
        colour = f"rgba({ORANGE if of_word > 0 else BLUE}, {opacity:.3f})" if opacity else ""
        pieces.append(Piece(text[token.start:token.end], colour, signed(of_word)))
        end = token.end
    return [*pieces, Piece(text[end:])] if end < len(text) else pieces


def _block(attention: AttentionMaps) -> dict[str, object]:
    """Return the attention in the form of the page of ``vecformer inspect --html``."""
    tokens = attention.tokens[:MAX_WORDS]
    layers = [[{"attention": packed(torch.tensor(head)[:MAX_WORDS, :MAX_WORDS])} for head in layer]
              for layer in attention.layers]
    return {"name": "encoder", "words": tokens, "seen": tokens, "layers": layers}
