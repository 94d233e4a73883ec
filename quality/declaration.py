"""What a study of accuracy declares: its rows (data and targets) and its columns (settings of vecformer, and peers)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.benchmark.analysis.statistics import seeds_needed

MIN_SEEDS = 6
DEFAULT = "default"  # name of the column that is compared with all others
FULL, FEW = "full", "few"


@dataclass(frozen=True)
class Row:
    """A data set, with all of its labels or with a number of labels that the seed draws.

    Attributes:
        name: name in the table.
        data: folder of the data sets' folder, or the name of a data set.
        at_least: target for the accuracy of vecformer's default, in per cent.
        train_file: the file of training examples.
        labels: number of labelled training examples, drawn evenly over the labels; 0 for all. With a number, the other
            training texts are unlabelled and the dev file of the data set is not used.
        test_share: share of the examples that is held out, for data without a test file.
    """

    name: str
    data: str
    at_least: float
    train_file: str = "train.tsv"
    labels: int = 0
    test_share: float | None = None

    @property
    def kind(self) -> str:
        """``full`` if the examples are the same for every seed, or ``few``."""
        return FEW if self.labels else FULL


@dataclass(frozen=True)
class Column:
    """A setting of vecformer, or a peer.

    Attributes:
        name: name in the results.
        title: heading in the table.
        options: options of ``vecformer run`` in addition to ``--data`` and ``--seed``; None for a peer.
        settings: settings of a peer.
        kinds: kinds of rows that are measured.
        is_deterministic: the seed changes nothing if the data are the same.
        best_of: columns with the same value are one column of the page, that of the higher mean.
        is_pretrained: starts from a language model that was trained on other text.
    """

    name: str
    title: str
    options: tuple[str, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = (FULL, FEW)
    is_deterministic: bool = False
    best_of: str = ""
    is_pretrained: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether the column is a setting of vecformer."""
        return self.options is not None

    @property
    def group(self) -> str:
        """Name of the column of the page."""
        return self.best_of or self.name

    def configuration(self) -> dict[str, Any]:
        """Return what decides the results besides code, data and seed."""
        chosen = asdict(self)
        return {key: chosen[key] for key in ("options", "settings")}


@dataclass(frozen=True)
class Study:
    """Rows and columns that make a page of ``docs/findings``.

    Attributes:
        name: name of the study, and of its files: ``NAME.jsonl`` for the results and ``NAME.md`` for the page.
        command: the command that measures it.
        introduction: the first paragraphs of the page, Markdown.
        rows: its rows.
        columns: its columns; the one named ``default`` is compared with the others.
    """

    name: str
    command: str
    introduction: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]

    def columns_of(self, row: Row) -> tuple[Column, ...]:
        """Return the columns that are measured for a row."""
        return tuple(column for column in self.columns if row.kind in column.kinds)

    def n_comparisons(self, row: Row) -> int:
        """Return the number of columns of the page that vecformer's default is compared with."""
        return len({column.group for column in self.columns_of(row)}) - 1

    def n_seeds(self, row: Row) -> int:
        """Return the smallest number of seeds with which each comparison of a row can be significant."""
        return max(MIN_SEEDS, seeds_needed(self.n_comparisons(row)))
