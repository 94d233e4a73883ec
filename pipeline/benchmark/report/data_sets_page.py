"""The HTML report of a benchmark on several data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.benchmark.analysis.random_effects import MIN_DATA_SETS, TOO_FEW_DATA
from pipeline.benchmark.analysis.statistics import p_value
from pipeline.benchmark.report import plots
from pipeline.benchmark.report.page import MARKS
from pipeline.drawing.notation import Notation
from pipeline.drawing.page import render, write_whole
from pipeline.drawing.plots import svg_of

OVER_ALL = "over data sets"


def write_data_sets(out: Path, summary: Mapping[str, Any], summaries: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a self-contained ``report.html``, which links to the reports of the data sets.

    Args:
        out: the benchmark's folder.
        summary: :func:`pipeline.benchmark.analysis.over_data_sets.summarize_data_sets`.
        summaries: contents of ``summary.json`` of each data set, by its name.
    """
    names = [one["name"] for one in summary["starts"] if one["control"] is None]
    page = render(
        Path(__file__).with_name("data_sets.html"), title=f"{len(summaries)} data sets: initialisations compared by "
                                                          f"{summary['measure']}",
        summary=summary, notation=Notation.of(summary), p_value=p_value, marks={**MARKS, TOO_FEW_DATA: "?"},
        names=names, min_data_sets=MIN_DATA_SETS,
        compared={(one["start"], one["condition"]): one for one in summary["comparisons"] if one["role"] == "baseline"},
        within={name: {(one["start"], one["condition"]): one for one in these["comparisons"]
                       if one["role"] == "baseline"} for name, these in summaries.items()},
        plots=[svg_of(figure) for condition in summary["conditions"]
               for _, figure in plots.forest(_by_data_set(summary, summaries, condition["name"]))],
    )
    write_whole(out / "report.html", page.encode())


def _by_data_set(
    summary: Mapping[str, Any], summaries: Mapping[str, Mapping[str, Any]], condition: str
) -> dict[str, Any]:
    """Return a summary for a forest plot, whose panels are the data sets and the results over all of them."""
    def entries() -> Iterator[dict[str, Any]]:
        for name, these in ((OVER_ALL, summary), *summaries.items()):
            yield from ({**one, "condition": name} for one in these["comparisons"] if one["condition"] == condition)

    return {**summary, "comparisons": list(entries()),
            "conditions": [{"name": name} for name in (OVER_ALL, *summaries)]}
