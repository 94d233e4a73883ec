"""Labelled texts or pairs of texts, from tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from embeddings.tokenization.tokenizer import Text
from pipeline.config import DataConfig
from pipeline.data.examples import Example
from pipeline.data.readers.base import Reader
from pipeline.data.readers.bbc import read_bbc
from pipeline.data.readers.columns import LABEL_COLUMNS, find_column, find_texts
from pipeline.data.readers.tables import known_suffixes, read_rows


def _read_bbc() -> tuple[Example, ...]:
    return tuple(Example(*article) for article in read_bbc())


class LabelledReader(Reader[Example]):
    """Read tables with a column of texts and a column of labels, or ``bbc``.

    Splits are stratified by label; training examples without a label become unlabelled text.
    """

    has_labels = True
    named = MappingProxyType({"bbc": _read_bbc})

    def suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffixes of tables."""
        return known_suffixes()

    def read_file(self, path: Path, config: DataConfig) -> tuple[Example, ...]:
        """Read one table; columns are chosen by the configuration or by their usual names."""
        rows = read_rows(path)
        text, text_b = find_texts(rows, path, config)
        label = find_column(rows, path, config.label_column, LABEL_COLUMNS, "label_column")
        columns = [text, text_b] if text_b else [text]
        examples = []
        for row in rows:
            texts = [row.need(column, path) for column in columns]
            examples.append(Example(texts[0], row.cells.get(label, "").strip(), f"{path}:{row.line}", *texts[1:]))
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
