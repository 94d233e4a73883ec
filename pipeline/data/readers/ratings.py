"""Texts or pairs of texts with a number, from tables."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipeline.data.config import DataConfig
from pipeline.data.examples import RatedExample
from pipeline.data.readers.columns import LABEL_COLUMNS
from pipeline.data.readers.labelled import TextReader

VALUE_COLUMNS = ("score", "rating", "value", "similarity", "relatedness", "stars", *LABEL_COLUMNS)
MAX_BINS, MIN_BIN = 10, 20  # quantile bins of a split, and examples of each


class RatingReader(TextReader[RatedExample]):
    """Read tables with a column of texts and a column of numbers.

    A missing cell is unlabelled text. Splits are stratified by up to ten quantile bins of the numbers.
    """

    def read_file(self, path: Path, config: DataConfig) -> tuple[RatedExample, ...]:
        """Read one table; columns are chosen by the configuration or by their usual names."""
        column, rows = self.labelled_rows(path, config, VALUE_COLUMNS)
        return tuple(RatedExample(text, None if row.is_unlabelled(column) else row.number(column), row.where, text_b)
                     for row, text, text_b in rows)

    def example(self, text: str, context: str) -> RatedExample:
        """Make an example of a text, or of a pair if there is a context."""
        return RatedExample(text, None, "the given text", context)

    def is_unlabelled(self, example: RatedExample) -> bool:
        """Whether the number of an example is unknown."""
        return example.value is None

    def strata(self, examples: Sequence[RatedExample]) -> Callable[[RatedExample], str]:
        """Return the function that gives the quantile bin of an example."""
        values = [example.value for example in examples if example.value is not None]
        n_bins = max(1, min(MAX_BINS, len(values) // MIN_BIN))
        edges = np.quantile(values, np.arange(1, n_bins) / n_bins).tolist() if values else []
        return lambda example: str(bisect_right(edges, example.value))
