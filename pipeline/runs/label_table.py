"""The table of the labels in the report of a run, of bounded length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

MAX_ROWS = 50  # of a table with all labels; with more labels, each of two tables has half as many


class LabelTable(NamedTuple):
    """Some or all labels with their measures.

    Attributes:
        caption: which labels these are.
        rows: measures by label.
    """

    caption: str
    rows: Mapping[str, Mapping[str, Any]]


def label_tables(by_label: Mapping[str, Mapping[str, Any]]) -> list[LabelTable]:
    """Arrange the labels: all of them, or of more than :data:`MAX_ROWS` the largest and those with the lowest F1.

    Args:
        by_label: ``precision``, ``recall``, ``f1`` and ``support`` of each label.

    Returns:
        No table without labels.
    """
    if not by_label:
        return []
    if len(by_label) <= MAX_ROWS:
        return [LabelTable("", by_label)]
    n, total = MAX_ROWS // 2, f"{len(by_label):,}"
    largest = sorted(by_label, key=lambda label: -by_label[label]["support"])[:n]
    with_examples = (label for label in by_label if by_label[label]["support"])
    worst = sorted(with_examples, key=lambda label: (by_label[label]["f1"], -by_label[label]["support"]))[:n]
    return [LabelTable(caption, {label: by_label[label] for label in chosen}) for caption, chosen in (
        (f"The {n} of {total} labels with most test examples; metrics.json has all labels", largest),
        (f"The {len(worst)} labels with the lowest F1, ties by the most test examples", worst))]
