"""Entities that were found beside those that are there, by seqeval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

AS_IOBES = {"L-": "E-", "U-": "S-"}  # seqeval's lenient mode does not know BILOU's letters


def entity_measures(gold: Sequence[Sequence[str]], guessed: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Precision, recall and F1 of whole entities, of all and of each type, and the accuracy of single tags.

    An entity is found if its type and both its ends are right. Entities are read off the tags as ``conlleval`` does
    (Tjong Kim Sang and De Meulder 2003; seqeval's default mode): an ``I-`` after ``O`` or another type starts one.

    Args:
        gold: the right tags of each sentence: ``O``, ``B-person``, ``I-person``; IOB1, IOB2, IOBES or BILOU.
        guessed: the predicted ones, as many.

    Returns:
        ``f1``, ``precision``, ``recall`` (0 where there is nothing to divide by), ``accuracy``, ``n`` (sentences),
        ``n_entities`` (right ones) and ``by_type``: for each type ``f1``, ``precision``, ``recall`` and ``n_entities``.

    Raises:
        ValueError: if a sentence has another number of tags on either side.
    """
    from seqeval.metrics.sequence_labeling import accuracy_score, get_entities, precision_recall_fscore_support

    right, found = _as_iobes(gold), _as_iobes(guessed)
    types = sorted({entity[0] for side in (right, found) for entity in get_entities(side)})
    whole = precision_recall_fscore_support(right, found, average="micro", zero_division=0)
    each = zip(*precision_recall_fscore_support(right, found, average=None, zero_division=0), strict=True)
    return {
        **_named(*whole),
        "accuracy": float(accuracy_score(right, found)) if any(right) else 0.0,
        "n": len(right),
        "by_type": {name: _named(*numbers) for name, numbers in zip(types, each, strict=True)},
    }


def repair(tags: Sequence[str]) -> list[str]:
    """Make IOB2 of tags that were predicted one by one: an ``I-`` that goes on with nothing becomes a ``B-``."""
    repaired: list[str] = []
    for tag in tags:
        goes_on = repaired and repaired[-1][:1] in ("B", "I") and repaired[-1][1:] == tag[1:]
        repaired.append(tag if goes_on or not tag.startswith("I-") else "B-" + tag[2:])
    return repaired


def _as_iobes(sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[AS_IOBES.get(tag[:2], tag[:2]) + tag[2:] for tag in tags] for tags in sentences]


def _named(precision: float, recall: float, f1: float, n_entities: int) -> dict[str, Any]:
    return {"f1": float(f1), "precision": float(precision), "recall": float(recall), "n_entities": int(n_entities)}
