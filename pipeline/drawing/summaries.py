"""Summaries of runs as HTML, for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from embeddings.table.html_view import facts_html, rows_html
from embeddings.table.listing import decimals


def run_html(name: str, metrics: Mapping[str, Any]) -> str:
    """Return the measures of a finished run and of its baselines.

    Args:
        name: name of the run.
        metrics: contents of ``metrics.json``.
    """
    test, training = metrics.get("test", {}), metrics.get("training", {})
    facts = {
        "task": metrics.get("task", ""), "source": metrics.get("source", ""), "seed": metrics.get("seed", ""),
        **({"test": f"n = {test['n']}"} if "n" in test else {}),
        **({"training": f"{training['epochs']} epochs, {training['seconds']:.1f} s"} if training else {}),
    }
    models = {"transformer": test, **metrics.get("baselines", {})} if test else {}
    names = [measure for measure, value in test.items() if measure != "n" and isinstance(value, int | float)
             and all(measure in measures for measures in models.values())]
    rows = [[model, *(decimals(measures[measure]) for measure in names)] for model, measures in models.items()]
    return facts_html(f"run {name}", facts) + (rows_html(rows, ["", *names]) if names else "")
