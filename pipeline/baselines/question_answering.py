"""Answers without learning: a sentence of the context."""

from __future__ import annotations

import re

SENTENCE = re.compile(r"\S.*?(?:[.!?][\"')\]]*(?=\s)|$)", re.DOTALL)
WORD = re.compile(r"\w+")


def first_sentence(context: str) -> str:
    """The first sentence of a context."""
    return sentences(context)[0]


def most_overlap(question: str, context: str) -> str:
    """The sentence that has most of the question's words, whatever their case; the first of equals."""
    asked = _words(question)
    return max(sentences(context), key=lambda sentence: len(asked & _words(sentence)))


def sentences(text: str) -> list[str]:
    """Cut a text after every full stop, exclamation and question mark with space behind it; [""] if it is blank."""
    return [sentence.rstrip() for sentence in SENTENCE.findall(text)] or [""]


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.lower()))
