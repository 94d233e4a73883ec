"""Measures of tagging: precision, recall and F1 of entities, with seqeval, or of words with plain tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

OUTSIDE = "O"
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


def word_measures(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Compute the measures of :func:`entity_measures` for plain tags: each word whose tag is not ``O`` is an entity.

    If no tag is ``O``, as for parts of speech, F1, precision and recall are the accuracy (micro-average).

    Args:
        gold: gold tags of each sentence.
        predicted: predicted tags of each sentence.

    Returns:
        The same keys; ``by_type`` has the tags and ``n_entities`` counts words.

    Raises:
        ValueError: if gold and prediction of a sentence differ in length.
    """
    pairs = [pair for tags in zip(gold, predicted, strict=True) for pair in zip(*tags, strict=True)]
    n_gold = Counter(expected for expected, _ in pairs)
    n_predicted = Counter(found for _, found in pairs)
    n_correct = Counter(expected for expected, found in pairs if expected == found)
    accuracy = n_correct.total() / len(pairs) if pairs else 0.0
    tags = sorted((n_gold | n_predicted).keys() - {OUTSIDE})
    return {
        **_scores(*(sum(counts[tag] for tag in tags) for counts in (n_correct, n_predicted, n_gold))),
        "accuracy": accuracy,
        "n": len(gold),
        "by_type": {tag: _scores(n_correct[tag], n_predicted[tag], n_gold[tag]) for tag in tags},
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


def _scores(n_correct: int, n_predicted: int, n_gold: int) -> dict[str, Any]:
    precision = n_correct / n_predicted if n_predicted else 0.0
    recall = n_correct / n_gold if n_gold else 0.0
    return _named(precision, recall, 2 * n_correct / (n_predicted + n_gold) if n_predicted + n_gold else 0.0, n_gold)


def _named(precision: float, recall: float, f1: float, n_entities: int) -> dict[str, Any]:
    return {"f1": float(f1), "precision": float(precision), "recall": float(recall), "n_entities": int(n_entities)}
