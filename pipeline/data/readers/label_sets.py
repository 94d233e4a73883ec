"""Texts or pairs of texts with any number of labels, from tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.config import DataConfig
from pipeline.data.examples import MultiLabelExample
from pipeline.data.readers import findings
from pipeline.data.readers.cells import shown
from pipeline.data.readers.labelled import TextReader

MIN_STRATUM = 8  # examples with a label for it to be a stratum: a quarter of them is two
SEPARATORS = (",", ";", "|")
RARE, NONE = "rare", "none"


class LabelSetReader(TextReader[MultiLabelExample]):
    """Read tables with a column of texts and a column of labels: lists, or strings with ``data.label_separator``.

    An empty list is an example without a label; a missing cell is unlabelled text. Splits are stratified by the rarest
    label of each example.
    """

    def read_file(self, path: Path, config: DataConfig) -> tuple[MultiLabelExample, ...]:
        """Read one table; columns are chosen by the configuration or by their usual names."""
        column, rows = self.labelled_rows(path, config)
        examples = tuple(
            MultiLabelExample(text, None if row.is_unlabelled(column) else
                              tuple(row.labels(column, config.label_separator)), row.where, text_b)
            for row, text, text_b in rows)
        _warn_of_separator(path, examples)
        return examples

    def example(self, text: str, context: str) -> MultiLabelExample:
        """Make an example of a text, or of a pair if there is a context."""
        return MultiLabelExample(text, None, "the given text", context)

    def labels(self, example: MultiLabelExample) -> Sequence[str]:
        """Return the labels of an example."""
        return example.gold

    def is_unlabelled(self, example: MultiLabelExample) -> bool:
        """Whether the labels of an example are unknown."""
        return example.labels is None

    def strata(self, examples: Sequence[MultiLabelExample]) -> Callable[[MultiLabelExample], str]:
        """Return the function that gives the rarest label of an example.

        Labels that fewer than 8 of the examples have are one stratum together, as are examples without a label.
        """
        counts = Counter(label for example in examples for label in example.gold)

        def stratum(example: MultiLabelExample) -> str:
            frequent = [label for label in example.gold if counts[label] >= MIN_STRATUM]
            if frequent:
                return f"label {min(frequent, key=lambda label: (counts[label], label))}"
            return RARE if example.gold else NONE

        return stratum


def _warn_of_separator(path: Path, examples: Sequence[MultiLabelExample]) -> None:
    """Warn if no example has several labels, but the only label of some seems to be several."""
    if any(len(example.gold) > 1 for example in examples):
        return
    single = [example for example in examples if example.gold]
    counts = {mark: sum(mark in example.gold[0].strip(mark) for example in single) for mark in SEPARATORS}
    mark = max(SEPARATORS, key=counts.__getitem__)
    if counts[mark]:
        first = next(example for example in single if mark in example.gold[0].strip(mark))
        findings.current().warn(f"{path}: no row has several labels, but {counts[mark]:,} labels have a {mark!r}, such "
                                f"as {shown(first.gold[0])!r}; to separate them, use --label-separator '{mark}'")
