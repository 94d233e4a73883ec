"""What a benchmark's pictures have in common: panels, a legend beneath them, which starts are in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.drawing.notation import wrapped
from pipeline.drawing.plots import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 9.0  # inches
FONT_SIZE = 9


def plain_starts(summary: Mapping[str, Any]) -> list[str]:
    """The starts that are no controls."""
    return [start["name"] for start in summary["starts"] if not start["control"]]


def panels(n: int, *, height: float, width: float = WIDTH, **how: Any) -> tuple[Figure, list[Axes]]:
    """A figure of ``n`` panels, two in a row, each as high as told."""
    columns = min(n, 2)
    rows = -(-n // columns)
    figure = new_figure(width=width, height=rows * height + 0.4)
    made = figure.subplots(rows, columns, squeeze=False, **how)
    for panel in made.flat[n:]:
        panel.remove()
    return figure, list(made.flat[:n])


def legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Beneath the panels, in as many columns as there is room for."""
    longest = max(map(len, labels))
    figure.legend(handles, labels, loc="outside lower left", ncols=max(1, min(len(labels), 108 // (longest + 8))),
                  frameon=False, fontsize=FONT_SIZE, labelcolor=INK, handletextpad=0.5)


def titled(panel: Axes, title: str, width: int = 44) -> None:
    """Give a panel its title, from its left edge."""
    panel.set_title(wrapped(title, width), loc="left", fontsize=FONT_SIZE + 1)
