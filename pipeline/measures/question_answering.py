"""Exact match and F1 of answers, as SQuAD defines them (Rajpurkar et al. 2016; with questions without answer, 2018).

The references of a question are a list of texts; an empty list says that it has no answer, and so does the guess "".
Measures are from 0 to 1 (the official scripts print them times 100).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

ARTICLES = re.compile(r"\b(?:a|an|the)\b")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Threshold(NamedTuple):
    """Where to stop answering: a question whose no-answer score is above ``value`` gets none; ``score`` is the mean."""

    value: float
    score: float


def normalize(answer: str) -> str:
    """Lower case, without ASCII punctuation and articles, single spaces between words."""
    return " ".join(ARTICLES.sub(" ", answer.lower().translate(NO_PUNCTUATION)).split())


def exact_match(guess: str, references: Sequence[str]) -> float:
    """Whether the guess is one of the references, both normalised: 0 or 1."""
    return float(normalize(guess) in _normalized(references))


def f1(guess: str, references: Sequence[str]) -> float:
    """The F1 of the words of the guess against those of the reference that it is nearest to, all normalised.

    Where either has no words it is 1 if both have none, else 0.
    """
    words = normalize(guess).split()
    return max(_words_f1(words, reference.split()) for reference in _normalized(references))


def answer_measures(references: Sequence[Sequence[str]], guesses: Sequence[str]) -> dict[str, Any]:
    """Mean exact match and F1.

    Returns:
        ``exact_match``, ``f1`` and ``n``; if some questions have no answer, the same of either kind alone as well,
        named ``answerable_f1``, ``unanswerable_f1`` and so on.
    """
    exact = np.array([exact_match(guess, texts) for guess, texts in zip(guesses, references, strict=True)])
    overlap = np.array([f1(guess, texts) for guess, texts in zip(guesses, references, strict=True)])
    answerable = np.array([bool(texts) for texts in references])
    parts = {"": np.ones_like(answerable)}
    if not answerable.all():
        parts |= {"answerable_": answerable, "unanswerable_": ~answerable}
    measures: dict[str, Any] = {}
    for name, chosen in parts.items():
        if chosen.any():
            measures |= {f"{name}exact_match": float(exact[chosen].mean()), f"{name}f1": float(overlap[chosen].mean()),
                         f"{name}n": int(chosen.sum())}
    return measures


def best_threshold(
    references: Sequence[Sequence[str]],
    guesses: Sequence[str],
    no_answer: Sequence[float],
    measure: Callable[[str, Sequence[str]], float] = f1,
) -> Threshold:
    """Find the no-answer threshold with the best mean, as ``find_best_thresh`` of the official script for version 2.0.

    Unlike there, the mean is what the threshold really gives where several questions have the same score.

    Args:
        references: the right answers of each question.
        guesses: the best answer to each.
        no_answer: how much speaks for there being none, on any scale.
        measure: :func:`f1` or :func:`exact_match`.

    Returns:
        The smallest of equally good thresholds: one of the scores, or just below all of them to answer nothing.
    """
    scores = np.array(no_answer, dtype=np.float64)
    order = np.argsort(scores, kind="stable")
    answered = np.array([measure(guess, texts) for guess, texts in zip(guesses, references, strict=True)])
    silent = np.array([measure("", texts) for texts in references])
    totals = silent.sum() + np.concatenate([[0.0], np.cumsum((answered - silent)[order])])
    values = np.concatenate([[np.nextafter(scores.min(), -np.inf)], scores[order]])
    is_last = np.append(values[1:] != values[:-1], True)
    best = int(np.argmax(np.where(is_last, totals, -np.inf)))
    return Threshold(float(values[best]), float(totals[best] / len(scores)))


def _normalized(references: Sequence[str]) -> list[str]:
    """The references that are more than articles and punctuation; [""] if none is."""
    return [text for text in map(normalize, references) if text] or [""]


def _words_f1(guess: Sequence[str], reference: Sequence[str]) -> float:
    if not guess or not reference:
        return float(guess == reference)
    common = (Counter(guess) & Counter(reference)).total()
    return 2 * common / (len(guess) + len(reference))
