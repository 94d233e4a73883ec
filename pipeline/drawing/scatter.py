"""Scatter plot of predicted and true numbers."""

from __future__ import annotations

from numpy.typing import ArrayLike

from pipeline.drawing.plots import BLUE, INK, new_figure, svg_of

MAX_POINTS = 2_000  # of a plot


def scatter_svg(gold: ArrayLike, predicted: ArrayLike) -> str:
    """Plot predictions over true values, with the diagonal; of more than 2,000 points, evenly spaced ones.

    Args:
        gold: true values. *Shape:* ``(n,)``.
        predicted: predictions. *Shape:* ``(n,)``.
    """
    import numpy as np

    true, found = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    shown = np.unique(np.linspace(0, len(true) - 1, min(len(true), MAX_POINTS)).round().astype(int))
    figure = new_figure(width=4.2, height=3.8)
    panel = figure.subplots()
    ends = [true.min(), true.max()]
    panel.plot(ends, ends, color=INK, linewidth=1, linestyle=":")
    panel.scatter(true[shown], found[shown], s=12, alpha=0.5, color=BLUE, linewidths=0)
    panel.set_xlabel("true value")
    panel.set_ylabel("prediction")
    panel.grid(alpha=0.25)
    return svg_of(figure)
