"""Labelled texts or pairs of texts, from tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from embeddings.tokenization.interface import Text
from pipeline.data.config import DataConfig
from pipeline.data.examples import Example, TextOrPair
from pipeline.data.readers import findings
from pipeline.data.readers.base import Reader
from pipeline.data.readers.bbc import read_bbc
from pipeline.data.readers.columns import LABEL_COLUMNS, find_column, require_some_usual_name, rows_with_text
from pipeline.data.readers.tables import Row, compressed_suffixes, known_suffixes, read_rows

X = TypeVar("X", bound=TextOrPair)


def _read_bbc() -> tuple[Example, ...]:
    return tuple(Example(*article) for article in read_bbc())


class TextReader(Reader[X]):
    """Read tables with a column of texts, or two columns of pairs of texts, and a column of labels.

    A subclass implements :meth:`read_file` and :meth:`example`.
    """

    has_labels = True
    unit = "rows"

    def suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffixes of tables, compressed ones, and of fastText's labelled lines."""
        return (*known_suffixes(), *compressed_suffixes(), ".txt")

    def labelled_rows(
        self, path: Path, config: DataConfig, usual_names: Sequence[str] = LABEL_COLUMNS
    ) -> tuple[str, Iterator[tuple[Row, str, str]]]:
        """Read one table; rows without a text are left out and counted in the findings.

        Args:
            path: the file.
            config: columns, separator and encoding are used.
            usual_names: usual names of the column of labels.

        Returns:
            The column of labels, and each row with its text and second text, "" for single texts.
        """
        rows = read_rows(path, config)
        require_some_usual_name(rows, path, config, usual_names)
        label = find_column(rows, path, config.label_column, usual_names, "label_column")
        findings.current().choose(path, "label", (label,))
        without = [row.line for row in rows if label not in row.places]
        if without:
            findings.current().warn(f"{path}:{without[0]}: no {label!r} in {len(without):,} of {len(rows):,} rows (the "
                                    "first is in this line); they are unlabelled text")
        return label, rows_with_text(rows, path, config)

    def texts(self, examples: Sequence[X]) -> list[Text]:
        """Return the texts of examples, both texts of a pair."""
        return [text for example in examples for text in (example.text, example.text_b) if text]


class LabelledReader(TextReader[Example]):
    """Read tables with a column of texts and a column of labels, or ``bbc``.

    Splits are stratified by label; training examples without a label become unlabelled text.
    """

    named = MappingProxyType({"bbc": _read_bbc})

    def read_file(self, path: Path, config: DataConfig) -> tuple[Example, ...]:
        """Read one table; columns are chosen by the configuration or by their usual names.

        Rows without a text are left out and counted in the findings.
        """
        label, rows = self.labelled_rows(path, config)
        return tuple(Example(text, row.label(label), row.where, text_b) for row, text, text_b in rows)

    def example(self, text: str, context: str) -> Example:
        """Make an example of a text, or of a pair if there is a context."""
        return Example(text, "", "the given text", context)

    def label(self, example: Example) -> str:
        """Return the label."""
        return example.label
