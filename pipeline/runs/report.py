"""The report of a run, and of several runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config import RunConfig
from pipeline.drawing.page import render
from pipeline.drawing.plots import bars_svg, learning_curves_svg

HERE = Path(__file__).parent


def write_report(
    path: Path,
    config: RunConfig,
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, float]],
    plots: Mapping[str, str],
    *,
    name: str,
    measure: str,
    is_share: bool = True,
    smaller_is_better: bool = False,
) -> None:
    """Write a run's page: its measures beside the baselines', learning curves, coverage, the configuration.

    Args:
        path: the file to write.
        config: fully resolved.
        metrics: as in ``metrics.json``.
        history: a line an epoch.
        plots: the task's own pictures, title to SVG.
        name: the run's name.
        measure: the measure that the task is judged by.
        is_share: it is from 0 to 1.
        smaller_is_better: of two values of it.
    """
    scores = {"this run": metrics["test"][measure]}
    scores |= {baseline: measures[measure] for baseline, measures in metrics["baselines"].items()}
    label = f"{measure} on the test set" + " (smaller is better)" * smaller_is_better
    page = render(
        HERE / "run.html", title=name, config=config.to_toml(), metrics=metrics, measure=measure,
        comparison=bars_svg(scores, highlighted=["this run"], label=label, is_share=is_share),
        curves=learning_curves_svg(history, measure), plots=plots,
    )
    path.write_text(page, encoding="utf-8")


def write_comparison(
    path: Path, *, title: str, rows: Sequence[Mapping[str, Any]], measure: str, notes: Sequence[str]
) -> None:
    """Write a page that puts models side by side.

    Args:
        path: the file to write.
        title: of the page.
        rows: ``name``, ``score``, ``coverage``, ``tokens_per_second`` and ``report`` (a link); the last three may
            be None.
        measure: what ``score`` is.
        notes: lines of plain text beneath the title.
    """
    page = render(
        HERE / "comparison.html", title=title, rows=rows, measure=measure, notes=notes,
        comparison=bars_svg(
            {row["name"]: row["score"] for row in rows},
            highlighted=[row["name"] for row in rows if row["report"]], label=f"{measure} on the test set",
        ),
    )
    path.write_text(page, encoding="utf-8")
