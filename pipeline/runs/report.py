"""The HTML report of a run, and of a comparison of several models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embeddings.table.atomic_files import write_atomically
from pipeline.drawing.page import render
from pipeline.drawing.plots import bars_svg, learning_curves_svg
from pipeline.runs.label_table import label_tables
from pipeline.tasks.base import Measure
from pipeline.tasks.ngrams.fusion import in_words
from pipeline.tasks.resolved import Setup

HERE = Path(__file__).parent


def write_report(
    path: Path,
    setup: Setup[Any],
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, float]],
    plots: Mapping[str, str],
    *,
    name: str,
    measure: Measure,
    skipped: Mapping[str, str],
) -> None:
    """Write the page of a run: measures, baselines, learning curves, coverage and configuration.

    Args:
        path: the file to write.
        setup: configuration and resolved facts of the run.
        metrics: contents of ``metrics.json``.
        history: one entry for each epoch.
        plots: figures of the task, SVG by title.
        name: name of the run.
        measure: measure that the task is judged by.
        skipped: why baselines were skipped, by their names.
    """
    models = {"this run": metrics["test"], **metrics["baselines"]} if metrics["test"] else {}
    scores = {model: measures[measure.name] for model, measures in models.items()}
    label = f"{measure.name} on the test set" + " (smaller is better)" * measure.smaller_is_better
    page = render(
        HERE / "run.html", title=name, config=setup.config.to_toml(), metrics=metrics,
        is_repeatable=bool(setup.config.data.path),
        resolved={key: value for key, value in vars(setup.resolved).items() if value not in (0, ())},
        comparison=bars_svg(scores, highlighted=["this run"], label=label, is_share=measure.is_share) if scores else "",
        curves=learning_curves_svg(history, measure.name), plots=plots,
        ngrams=in_words(setup.resolved), skipped=skipped,
        label_tables=label_tables(metrics["test"].get("by_label", {})),
    )
    write_atomically(path, page)


def write_comparison(
    path: Path, *, title: str, rows: Sequence[Mapping[str, Any]], measure: str, notes: Sequence[str]
) -> None:
    """Write a page that compares models.

    Args:
        path: the file to write.
        title: title of the page.
        rows: one mapping for each model with ``name``, ``score``, ``coverage``, ``tokens_per_second`` and ``report`` (a
            link); the last three may be None.
        measure: name of the measure of ``score``.
        notes: lines of plain text below the title.
    """
    page = render(
        HERE / "comparison.html", title=title, rows=rows, measure=measure, notes=notes,
        comparison=bars_svg(
            {row["name"]: row["score"] for row in rows},
            highlighted=[row["name"] for row in rows if row["report"]], label=f"{measure} on the test set",
        ),
    )
    write_atomically(path, page)
