"""Labels that another tool predicted for the test examples of a run, to be compared like a run.

A file is a table with a row for each test example: ``label``, the predicted label; ``gold``, the correct one; and
optionally ``where``, the location of the example as in ``predictions.jsonl`` of the run, and ``seed``.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embeddings.table.paths import from_written, written
from pipeline.benchmark.analysis.disagreements import ExampleResult
from pipeline.data.readers.rows import Row
from pipeline.data.readers.tables import read_rows
from pipeline.errors import ConfigError, DataError, RunFolderError
from pipeline.measures.classification import label_measures
from pipeline.runs.folder import RunFolder
from pipeline.runs.verification import RESTORE
from pipeline.tasks.base import Task

LABEL, GOLD, WHERE, SEED = "label", "gold", "where", "seed"
TASK = "classification"
EVERY_SEED = None


@dataclass(frozen=True)
class OtherPredictions:
    """The predictions of another tool for the test set of one seed.

    Attributes:
        path: the file.
        test: measures on the test set.
        outcomes: for the place of each example, whether the label is correct.
        sampling_error: empty.
    """

    path: Path
    test: Mapping[str, Any]
    outcomes: Mapping[str, bool]
    sampling_error: Mapping[str, float] = field(default_factory=dict)

    def example_results(self, task: Task[Any]) -> dict[str, ExampleResult]:
        """Return the result on each test example by its location."""
        return {where: ExampleResult(is_correct) for where, is_correct in self.outcomes.items()}


def parse_predictions(text: str) -> tuple[str, Path]:
    """Parse ``NAME=FILE``.

    Raises:
        ConfigError: if it is of another form.
    """
    name, equals, path = text.partition("=")
    if not (name.strip() and equals and path.strip()):
        raise ConfigError(f"{text!r}: not of the form NAME=FILE, such as svm=predictions.csv")
    return name.strip(), Path(from_written(path.strip()))


def read_predictions(path: Path, runs: Mapping[int, RunFolder]) -> dict[int, OtherPredictions]:
    """Read the predictions of another tool and align them with those of a run of each seed.

    Args:
        path: the table. Without a column ``seed``, its rows are the predictions of every seed, as those of a tool
            without random numbers.
        runs: a run of each seed, whose test examples the rows must match.

    Raises:
        DataError: if the file cannot be read, or its rows are not the test examples of the runs; the message names the
            first row that differs.
        RunFolderError: if the predictions of a run are damaged.
    """
    rows = read_rows(path)
    for column in (LABEL, GOLD):
        if column not in rows.columns:
            raise DataError(f"{path}: no column {column!r}; a table of predictions has the columns {LABEL} (predicted) "
                            f"and {GOLD} (correct), and optionally {WHERE} and {SEED}")
    of_seed: dict[int | None, list[Row]] = defaultdict(list)
    for row in rows:
        of_seed[_seed(row) if SEED in rows.columns else EVERY_SEED].append(row)
    has_places = WHERE in rows.columns
    found = {seed: _aligned(path, of_seed[key], run, has_places=has_places) for seed, run in runs.items()
             if (key := seed if seed in of_seed else EVERY_SEED) in of_seed}
    if not found:
        raise DataError(f"{path}: has predictions for the seeds {', '.join(map(str, of_seed))}; the runs have "
                        f"{', '.join(map(str, runs))}")
    return found


def _seed(row: Row) -> int:
    value = row.number(SEED)
    if not value.is_integer():
        raise DataError(f"{row.where}: the seed {value} is not a whole number")
    return int(value)


def _aligned(path: Path, rows: Sequence[Row], run: RunFolder, *, has_places: bool) -> OtherPredictions:
    """Return the predictions in the order of the run's test examples."""
    examples = _gold(run)
    source = f"{written(run.path)}: its test examples"
    if has_places:
        rows = _by_place(rows, [where for where, _ in examples], source)
    if len(rows) != len(examples):
        raise DataError(f"{path}: {len(rows):,} predictions, but {source} are {len(examples):,}; write one row for "
                        "each, in their order")
    for number, (row, (where, gold)) in enumerate(zip(rows, examples, strict=True), start=1):
        if row.label(GOLD) != gold:
            raise DataError(f"{row.where}: the gold label is {row.label(GOLD)!r}, but that of test example {number:,} "
                            f"of the run ({where}) is {gold!r}; write the rows in the order of the test examples")
    predicted = [row.label(LABEL) for row in rows]
    gold_labels = [gold for _, gold in examples]
    outcomes = {where: label == gold for label, (where, gold) in zip(predicted, examples, strict=True)}
    return OtherPredictions(path, label_measures(gold_labels, predicted), outcomes)


def _by_place(rows: Sequence[Row], places: Sequence[str], source: str) -> list[Row]:
    """Return the rows in the order of places, each of which has one row."""
    of_place: dict[str, Row] = {}
    for row in rows:
        place = row.text(WHERE)
        if place in of_place:
            raise DataError(f"{row.where}: {WHERE} is {place!r} for a second time; the first is in "
                            f"{of_place[place].where}")
        of_place[place] = row
    if unknown := [row for place, row in of_place.items() if place not in set(places)]:
        raise DataError(f"{unknown[0].where}: {unknown[0].text(WHERE)!r} is not among {source}")
    if missing := [place for place in places if place not in of_place]:
        raise DataError(f"{rows[0].path}: no row for {missing[0]!r}, one of {source}")
    return [of_place[place] for place in places]


def _gold(run: RunFolder) -> list[tuple[str, str]]:
    """Return the place and the gold label of each test example."""
    try:
        with run.predictions.open(encoding="utf-8") as file:
            return [(line["where"], line["gold"]) for line in map(json.loads, file)]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise RunFolderError(f"{run.predictions}: damaged ({error!r}); {RESTORE}") from error


def require_labels(task: str) -> None:
    """Require that the task is classification.

    Raises:
        ConfigError: if it is another one.
    """
    if task != TASK:
        raise ConfigError(f"predictions of other tools can be compared for {TASK}, not for {task}")
