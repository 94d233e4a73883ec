"""Stored results of benchmarks, to which the forecast is fitted: ``stored_runs.csv``, of `make forecast-data`.

A row has the score of one source with one draw of labelled examples, and the features of the source on these examples.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

from pipeline.benchmark.forecast.features import WITH_LABELS, WITHOUT_LABELS

IDENTITY = ("data", "n_labels", "seed", "source")
MEASURES = ("accuracy", "macro_f1", "dev_accuracy", "n_test")
COLUMNS = (*IDENTITY, *MEASURES, *WITH_LABELS, *WITHOUT_LABELS)
FILE = "stored_runs.csv"


@dataclass(frozen=True)
class Forecastable:
    """One draw of a setting: a data set with a number of labels.

    Attributes:
        data: name of the data set.
        n_labels: number of labelled examples.
        seed: seed of the draw.
        features: features of each source on this draw.
        scores: accuracy of each source in this setting, averaged over the draws, 0 to 1.
    """

    data: str
    n_labels: int
    seed: int
    features: Mapping[str, Mapping[str, float]]
    scores: Mapping[str, float]

    @cached_property
    def ranking(self) -> tuple[str, ...]:
        """The sources by their scores, the best first."""
        return tuple(sorted(self.scores, key=lambda source: (-self.scores[source], source)))


def stored_rows() -> list[dict[str, Any]]:
    """Read the stored results; numbers are converted."""
    lines = files("pipeline.benchmark.forecast").joinpath(FILE).read_text(encoding="utf-8").splitlines()
    return [{key: value if key in ("data", "source") else int(value) if key in ("n_labels", "seed", "n_test")
             else float(value) for key, value in row.items()} for row in csv.DictReader(lines)]


def settings_of(rows: Iterable[Mapping[str, Any]], measure: str = "accuracy") -> list[Forecastable]:
    """Group results by data set, number of labels and draw.

    Args:
        rows: results, as :func:`stored_rows` returns them.
        measure: column of the scores.

    Raises:
        ValueError: if the draws of a setting have different sources.
    """
    by_draw: dict[tuple[str, int, int], dict[str, Mapping[str, Any]]] = defaultdict(dict)
    scores: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_draw[row["data"], row["n_labels"], row["seed"]][row["source"]] = row
        scores[row["data"], row["n_labels"]][row["source"]].append(row[measure])
    made = []
    for (data, n_labels, seed), draw in by_draw.items():
        means = {source: sum(values) / len(values) for source, values in scores[data, n_labels].items()}
        if draw.keys() != means.keys():
            raise ValueError(f"{data}, {n_labels} labels, seed {seed}: sources are missing")
        features = {source: {name: row[name] for name in (*WITH_LABELS, *WITHOUT_LABELS)}
                    for source, row in draw.items()}
        made.append(Forecastable(data, n_labels, seed, features, means))
    return made
