"""Helpers shared by the plots of a benchmark: panels, legend, titles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.benchmark.analysis.rivals import rivals_of
from pipeline.drawing.notation import wrapped
from pipeline.drawing.plots import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 9.0  # inches
FONT_SIZE = 9


def with_rivals(summary: Mapping[str, Any]) -> list[str]:
    """Return the names of the initialisations that are not controls, and of the rivals."""
    return [*without_controls(summary), *(one["name"] for one in rivals_of(summary)["rivals"])]


def without_controls(summary: Mapping[str, Any]) -> list[str]:
    """Return the names of the initialisations that are not controls."""
    return [one["name"] for one in summary["starts"] if not one["control"]]


def panels(n: int, *, height: float, width: float = WIDTH, **options: Any) -> tuple[Figure, list[Axes]]:
    """Create a figure with ``n`` panels, two per row.

    Args:
        n: number of panels.
        height: of a panel in inches.
        width: of the figure in inches.
        options: passed on to ``Figure.subplots``.
    """
    columns = min(n, 2)
    rows = -(-n // columns)
    figure = new_figure(width=width, height=rows * height + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for panel in axes.flat[n:]:
        panel.remove()
    return figure, list(axes.flat[:n])


def legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Add a legend below the panels, in as many columns as fit."""
    longest = max(map(len, labels))
    figure.legend(handles, labels, loc="outside lower left", ncols=max(1, min(len(labels), 108 // (longest + 8))),
                  frameon=False, fontsize=FONT_SIZE, labelcolor=INK, handletextpad=0.5)


def set_title(panel: Axes, title: str, width: int = 44) -> None:
    """Set a left-aligned title, wrapped to ``width`` characters."""
    panel.set_title(wrapped(title, width), loc="left", fontsize=FONT_SIZE + 1)
