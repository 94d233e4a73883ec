"""Baselines for question answering: a sentence of the context."""

from __future__ import annotations

import re

SENTENCE = re.compile(r"\S.*?(?:[.!?][\"')\]]*(?=\s)|$)", re.DOTALL)
WORD = re.compile(r"\w+")


def first_sentence(context: str) -> str:
    """Return the first sentence of a context."""
    return sentences(context)[0]


def most_overlap(question: str, context: str) -> str:
    """Return the sentence that shares most words with the question, ignoring case; the first of equals."""
    words = _words(question)
    return max(sentences(context), key=lambda sentence: len(words & _words(sentence)))


def sentences(text: str) -> list[str]:
    """Split a text after full stops, exclamation and question marks followed by space; [""] if it is blank."""
    return [sentence.rstrip() for sentence in SENTENCE.findall(text)] or [""]


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.lower()))
