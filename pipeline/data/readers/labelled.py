"""Labelled texts, or pairs of them: by name, from a folder, or from one file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipeline.config import DataConfig
from pipeline.data.examples import Example, Splits
from pipeline.data.readers.bbc import read_bbc
from pipeline.data.readers.columns import LABEL_COLUMNS, find_column, find_texts
from pipeline.data.readers.splits import Kind, read_parts
from pipeline.data.readers.tables import known_suffixes, read_rows


def read_splits(config: DataConfig, *, seed: int) -> Splits[Example]:
    """Read and cut a data set: ``bbc``, a folder with train/dev/test tables, or one table.

    Labels keep their shares in every cut; training examples without one become unlabelled texts.

    Raises:
        DataError: if nothing is there or something in it is broken.
    """
    return read_parts(_KIND, config, seed=seed)


def read_examples(path: Path, config: DataConfig) -> tuple[Example, ...]:
    """Read one file of labelled texts, such as one to evaluate a finished run on.

    Raises:
        DataError: if the file, a column or a label is missing.
    """
    examples = _read_file(path, config)
    _KIND.require_labels(examples)
    return examples


def _read_file(path: Path, config: DataConfig) -> tuple[Example, ...]:
    rows = read_rows(path)
    text, text_b = find_texts(rows, path, config)
    label = find_column(rows, path, config.label_column, LABEL_COLUMNS, "label_column")
    wanted = [text, text_b] if text_b else [text]
    examples = []
    for row in rows:
        texts = [row.need(column, path) for column in wanted]
        examples.append(Example(texts[0], row.cells.get(label, "").strip(), f"{path}:{row.line}", *texts[1:]))
    return tuple(examples)


def _articles() -> tuple[Example, ...]:
    return tuple(Example(*article) for article in read_bbc())


def _texts(examples: Iterable[Example]) -> list[str]:
    return [text for example in examples for text in (example.text, example.text_b) if text]


_KIND = Kind(
    suffixes=known_suffixes(),
    read=_read_file,
    texts=_texts,
    label=lambda example: example.label,
    named={"bbc": _articles},
)
