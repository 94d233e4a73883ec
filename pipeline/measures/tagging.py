"""Measures of tagging: precision, recall and F1 of entities, with seqeval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

AS_IOBES = {"L-": "E-", "U-": "S-"}  # seqeval's lenient mode does not support BILOU


def entity_measures(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Compute precision, recall and F1 of whole entities, in total and by type, and the accuracy of tags.

    An entity is correct if its type and both of its ends are. Tags are interpreted as by ``conlleval`` (Tjong Kim Sang
    and De Meulder 2003; the default mode of seqeval): an ``I-`` after ``O`` or another type starts an entity.

    Args:
        gold: gold tags of each sentence, such as ``O``, ``B-person``, ``I-person``; IOB1, IOB2, IOBES or BILOU.
        predicted: predicted tags of each sentence.

    Returns:
        ``f1``, ``precision``, ``recall`` (0 if undefined), ``accuracy``, ``n`` (sentences), ``n_entities`` (gold) and
        ``by_type``: for each type ``f1``, ``precision``, ``recall`` and ``n_entities``.

    Raises:
        ValueError: if gold and prediction of a sentence differ in length.
    """
    from seqeval.metrics.sequence_labeling import accuracy_score, get_entities, precision_recall_fscore_support

    expected, found = _as_iobes(gold), _as_iobes(predicted)
    types = sorted({entity[0] for side in (expected, found) for entity in get_entities(side)})
    whole = precision_recall_fscore_support(expected, found, average="micro", zero_division=0)
    each = zip(*precision_recall_fscore_support(expected, found, average=None, zero_division=0), strict=True)
    return {
        **_named(*whole),
        "accuracy": float(accuracy_score(expected, found)) if any(expected) else 0.0,
        "n": len(expected),
        "by_type": {name: _named(*numbers) for name, numbers in zip(types, each, strict=True)},
    }


def repair(tags: Sequence[str]) -> list[str]:
    """Make tags valid IOB2: an ``I-`` that does not continue an entity becomes ``B-``."""
    repaired: list[str] = []
    for tag in tags:
        continues = repaired and repaired[-1][:1] in ("B", "I") and repaired[-1][1:] == tag[1:]
        repaired.append(tag if continues or not tag.startswith("I-") else "B-" + tag[2:])
    return repaired


def _as_iobes(sentences: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[AS_IOBES.get(tag[:2], tag[:2]) + tag[2:] for tag in tags] for tags in sentences]


def _named(precision: float, recall: float, f1: float, n_entities: int) -> dict[str, Any]:
    return {"f1": float(f1), "precision": float(precision), "recall": float(recall), "n_entities": int(n_entities)}
