"""Texts or pairs of texts with any number of labels, from tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from embeddings.table.arguments import either
from embeddings.table.listing import shortened
from pipeline.data.config import DataConfig
from pipeline.data.examples import MultiLabelExample
from pipeline.data.readers import findings
from pipeline.data.readers.labelled import TextReader

MIN_STRATUM = 8  # examples with a label for it to be a stratum: a quarter of them is two
RARE, NONE = "rare", "none"
SEPARATORS = (",", ";", "|")  # usual ones of several labels in a cell


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
        if not config.label_separator:
            _warn_of_joined_labels(path, examples)
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


def _option(separator: str) -> str:
    return either(f"--label-separator '{separator}'", f"label_separator={separator!r}")


def _warn_of_joined_labels(path: Path, examples: Sequence[MultiLabelExample]) -> None:
    """Warn if labels seem to be several labels in one cell: most of their parts occur in other labels too."""
    labels = {label for example in examples for label in example.gold}
    for separator in SEPARATORS:
        parts = Counter(part.strip() for label in labels for part in label.split(separator))
        joined = [label for label in labels if separator in label]
        if len(joined) > 1 and 2 * sum(count > 1 for count in parts.values()) > len(parts):
            findings.current().warn(f"{path}: labels contain {separator!r}, such as {shortened(min(joined))!r}; if "
                                    f"these are several labels, set {_option(separator)}")
            return
