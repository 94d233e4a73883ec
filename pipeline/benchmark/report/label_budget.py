"""Forecasts with more labels as text, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.benchmark.analysis.label_budget import MORE
from pipeline.drawing.notation import Notation

BUDGET_HEAD = [*(f"+{more} labels" for more in MORE), "twice as many"]


def budget_cell(forecast: Mapping[str, Any], notation: Notation) -> str:
    """Return a forecast of a summary as text: the gain, the score and its interval."""
    return (f"{notation.difference(forecast['gain'])} ({notation.value(forecast['expected'])}, "
            f"{notation.value(forecast['low'])} to {notation.value(forecast['high'])})")


def budget_rows(summary: Mapping[str, Any], notation: Notation) -> list[list[str]]:
    """Return a row of text for each curve with forecasts; an empty list if there are none."""
    return [[one["start"] + "".join(f", {key.rpartition('.')[2]}={value}" for key, value in one["vary"].items()),
             f"{one['n_train']:,}", notation.value(one["mean"]),
             *(budget_cell(forecast, notation) for forecast in one["forecasts"])]
            for one in summary.get("label_budget", ())]
