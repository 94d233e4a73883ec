"""Exact match and F1 of answers as defined by SQuAD (Rajpurkar et al. 2016; 2018 with unanswerable questions).

The references of a question are a list of texts, empty for an unanswerable question; the prediction "" is no answer.
Measures are between 0 and 1 (the official scripts print percentages).
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
    """No answer is predicted for no-answer scores above ``value``; ``score`` is the mean of the measure."""

    value: float
    score: float


def normalize(answer: str) -> str:
    """Convert to lower case; remove ASCII punctuation, articles and repeated spaces."""
    return " ".join(ARTICLES.sub(" ", answer.lower().translate(NO_PUNCTUATION)).split())


def exact_match(prediction: str, references: Sequence[str]) -> float:
    """Return 1 if the prediction is one of the references after normalisation, otherwise 0."""
    return float(normalize(prediction) in _normalized(references))


def f1(prediction: str, references: Sequence[str]) -> float:
    """Compute the maximum F1 of the prediction's words over the references, after normalisation.

    If either has no words, it is 1 if both have none, otherwise 0.
    """
    words = normalize(prediction).split()
    return max(_words_f1(words, reference.split()) for reference in _normalized(references))


def answer_measures(references: Sequence[Sequence[str]], predictions: Sequence[str]) -> dict[str, Any]:
    """Compute mean exact match and F1.

    Returns:
        ``exact_match``, ``f1`` and ``n``; if there are unanswerable questions, also the same for either kind, named
        ``answerable_f1``, ``unanswerable_f1`` and so on.
    """
    pairs = list(zip(predictions, references, strict=True))
    exact = np.array([exact_match(prediction, texts) for prediction, texts in pairs])
    overlap = np.array([f1(prediction, texts) for prediction, texts in pairs])
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
    predictions: Sequence[str],
    no_answer: Sequence[float],
    measure: Callable[[str, Sequence[str]], float] = f1,
) -> Threshold:
    """Find the no-answer threshold with the best mean, like ``find_best_thresh`` of the official script of SQuAD 2.0.

    Unlike there, questions with equal scores are treated alike, so that the mean is that of the threshold.

    Args:
        references: gold answers of each question.
        predictions: best answer to each question.
        no_answer: no-answer score of each question, on any scale.
        measure: :func:`f1` or :func:`exact_match`.

    Returns:
        The smallest of equally good thresholds: one of the scores, or just below all of them to answer no question.
    """
    scores = np.array(no_answer, dtype=np.float64)
    order = np.argsort(scores, kind="stable")
    answered = np.array([measure(prediction, texts) for prediction, texts in zip(predictions, references, strict=True)])
    unanswered = np.array([measure("", texts) for texts in references])
    totals = unanswered.sum() + np.concatenate([[0.0], np.cumsum((answered - unanswered)[order])])
    values = np.concatenate([[np.nextafter(scores.min(), -np.inf)], scores[order]])
    is_last = np.append(values[1:] != values[:-1], True)
    best = int(np.argmax(np.where(is_last, totals, -np.inf)))
    return Threshold(float(values[best]), float(totals[best] / len(scores)))


def _normalized(references: Sequence[str]) -> list[str]:
    """Return the normalised references that are not empty; [""] if all are."""
    return [text for text in map(normalize, references) if text] or [""]


def _words_f1(prediction: Sequence[str], reference: Sequence[str]) -> float:
    if not prediction or not reference:
        return float(prediction == reference)
    common = (Counter(prediction) & Counter(reference)).total()
    return 2 * common / (len(prediction) + len(reference))
