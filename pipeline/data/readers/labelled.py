"""Labelled texts or pairs of texts, from tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from embeddings.tokenization.tokenizer import Text
from pipeline.config import DataConfig
from pipeline.data.examples import Example
from pipeline.data.readers import findings
from pipeline.data.readers.base import Reader
from pipeline.data.readers.bbc import read_bbc
from pipeline.data.readers.columns import LABEL_COLUMNS, find_column, rows_with_text
from pipeline.data.readers.tables import compressed_suffixes, known_suffixes, read_rows


def _read_bbc() -> tuple[Example, ...]:
    return tuple(Example(*article) for article in read_bbc())


class LabelledReader(Reader[Example]):
    """Read tables with a column of texts and a column of labels, or ``bbc``.

    Splits are stratified by label; training examples without a label become unlabelled text.
    """

    has_labels = True
    unit = "rows"
    named = MappingProxyType({"bbc": _read_bbc})

    def suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffixes of tables, compressed ones, and of fastText's labelled lines."""
        return (*known_suffixes(), *compressed_suffixes(), ".txt")

    def read_file(self, path: Path, config: DataConfig) -> tuple[Example, ...]:
        """Read one table; columns are chosen by the configuration or by their usual names.

        Rows without a text are left out and counted in the findings.
        """
        rows = read_rows(path, config)
        label = find_column(rows, path, config.label_column, LABEL_COLUMNS, "label_column")
        examples = [Example(text, row.label(label), f"{path}:{row.line}", text_b)
                    for row, text, text_b in rows_with_text(rows, path, config)]
        without = [row.line for row in rows if label not in row.cells]
        if without:
            findings.current().warn(f"{path}:{without[0]}: no {label!r} in {len(without):,} of {len(rows):,} rows (the "
                                    "first is in this line); they are unlabelled text")
        return tuple(examples)

    def example(self, text: str, context: str) -> Example:
        """Make an example of a text, or of a pair if there is a context."""
        return Example(text, "", "the given text", context)

    def texts(self, examples: Sequence[Example]) -> list[Text]:
        """Return the texts of examples, both texts of a pair."""
        return [text for example in examples for text in (example.text, example.text_b) if text]

    def label(self, example: Example) -> str:
        """Return the label."""
        return example.label
