"""Detokenisation: the inverse of ``WordTokenizer.words``, as far as it is determined by the words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from embeddings.tokenization.interface import TextTokenizer
from embeddings.tokenization.subwords import SubwordTokenizer

LOOK_AHEAD = 2  # following words on which the spaces around a word depend, except for apostrophes
CLOSE_LEFT = frozenset(".,;:!?)]}%°…”’›")
CLOSE_RIGHT = frozenset("([{„‚‹#$£¿¡")
QUOTES = frozenset("\"“«»")      # „a“, “a”, «a», »a«: the direction follows from whether a quotation is open
OPENS, CLOSES = "„", "”"         # always
CLITIC = re.compile(r"n't|'(?:s|m|d|ll|re|ve)", re.IGNORECASE)
AFTER_NUMBER = re.compile(r"st|nd|rd|th|s|d|k|x|er[ns]?|x\d+", re.IGNORECASE)  # the tokenizer splits "20th" and "80er"
LINKS = frozenset(("und", "oder", "bzw", "and", "or", "to", ","))           # "Vor- und Nachname", "two- or three-fold"
SPACELESS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3001-\u30ff\u3400-\u9fff\uff01-\uff65]")


class Sides(NamedTuple):
    """Whether a word is joined to the previous and to the next one without a space."""

    left: bool
    right: bool


APART, AT_LEFT, AT_RIGHT, AT_BOTH = Sides(False, False), Sides(True, False), Sides(False, True), Sides(True, True)


def detokenize(words: Sequence[str]) -> str:
    """Join words to a text with standard spacing.

    Punctuation is joined to its word, parts of words are joined (``do n't``, ``six - pack``, ``20 th``), and quotation
    marks open and close alternately. There are no spaces in Chinese, Japanese, Thai, Lao, Khmer and Burmese.

    Args:
        words: words of :meth:`embeddings.tokenization.tokenizer.WordTokenizer.words`.

    Example:
        >>> print(detokenize(["Do", "n't", "shout", '"', "fire", '"', ",", "please", "."]))
        Don't shout "fire", please.
    """
    detokenizer = Detokenizer()
    return "".join([*map(detokenizer.add, words), detokenizer.finish()])


def text_of(tokenizer: TextTokenizer, ids: Iterable[int]) -> str:
    """Return the text of token ids: of subwords by their tokenizer, and of words detokenised."""
    if isinstance(tokenizer, SubwordTokenizer):
        return tokenizer.decode(ids).strip()
    words = tokenizer.vocabulary()
    return detokenize([words[i] for i in ids])


class Detokenizer:
    """Join words one by one; a word is returned when the spaces around it no longer depend on later words."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.n_joined = 0
        self.last_apostrophe = -1
        self.before = AT_RIGHT
        self.is_open = {"'": False, '"': False}

    def add(self, word: str) -> str:
        """Add a word; return the text that is now certain, which may be of earlier words."""
        self.words.append(word)
        if word == "'":
            self.last_apostrophe = len(self.words) - 1
        text = ""
        while self.n_joined + LOOK_AHEAD < len(self.words) and not self._waits():
            text += self._next()
        return text

    def finish(self) -> str:
        """Return the text of the remaining words."""
        text = ""
        while self.n_joined < len(self.words):
            text += self._next()
        return text

    def _waits(self) -> bool:
        """Whether the next word is an apostrophe that opens a quotation only if a later one closes it."""
        i = self.n_joined
        if self.words[i] != "'" or self.is_open["'"] or self.last_apostrophe > i:
            return False
        before = _at(self.words, i - 1)
        return _apostrophe(before, False, closes_later=True) != _apostrophe(before, False, closes_later=False)

    def _next(self) -> str:
        i = self.n_joined
        word = self.words[i]
        mark = '"' if word in QUOTES or word in (OPENS, CLOSES) else word
        sides = _sides(self.words, i, self.is_open.get(mark, False))
        if mark in self.is_open:
            self.is_open[mark] = sides == AT_RIGHT
        text = word if self.before.right or sides.left else " " + word
        self.before = sides
        self.n_joined += 1
        return text


def _sides(words: Sequence[str], i: int, is_open: bool) -> Sides:
    word, before, after = words[i], _at(words, i - 1), _at(words, i + 1)
    if word in QUOTES:
        return AT_LEFT if is_open else AT_RIGHT
    if word == "'":
        return _apostrophe(before, is_open, closes_later=word in words[i + 1:])
    if word == "-":
        return _hyphen(words, i)
    if word == "/" or (word == "&" and _is_letter(before) and _is_letter(after)):
        return AT_BOTH
    if word == ":" and before.isdigit() and after.isdigit():
        return AT_BOTH
    if word == "." and _is_letter(before) and _is_letter(after) and _at(words, i + 2) == ".":
        return AT_BOTH  # "U.S."
    if word in CLOSE_LEFT or CLITIC.fullmatch(word) or (before.isdigit() and AFTER_NUMBER.fullmatch(word)):
        return AT_LEFT
    if word in CLOSE_RIGHT:
        return AT_RIGHT
    return AT_LEFT if SPACELESS.match(before[-1:]) and SPACELESS.match(word) else APART


def _hyphen(words: Sequence[str], i: int) -> Sides:
    if _at(words, i - 1).lower() in LINKS and _at(words, i - 2) != "-":
        return AT_RIGHT  # "Mützen und -hüte", and not "back-to-back"
    return AT_LEFT if _at(words, i + 1).lower() in LINKS and _at(words, i + 2) != "-" else AT_BOTH


def _apostrophe(before: str, is_open: bool, *, closes_later: bool) -> Sides:
    if _is_letter(before) and before.lower() not in ("a", "i"):
        return AT_BOTH  # "o'clock"
    opens = closes_later and not is_open and not before.endswith("s")
    return AT_RIGHT if opens else AT_LEFT  # "the girls' hats" has no closing one


def _at(words: Sequence[str], i: int) -> str:
    return words[i] if 0 <= i < len(words) else ""


def _is_letter(word: str) -> bool:
    return len(word) == 1 and word.isalpha()
