"""Line plots of a benchmark: over training steps, training examples and trials, with one panel per condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from embeddings.table.listing import shortened
from pipeline.benchmark.report.panels import legend, panels, set_title, with_rivals, without_controls
from pipeline.drawing.notation import Notation, wrapped
from pipeline.drawing.plots import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008, safe for colour-blind readers; without black and yellow, which lack contrast on dark or white pages.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True)
class Line:
    """The line of one initialisation in a panel.

    Attributes:
        x: horizontal coordinates.
        mean: vertical coordinates.
        band: lower and upper bounds of the confidence intervals; None for no band.
    """

    x: Sequence[float]
    mean: Sequence[float]
    band: tuple[Sequence[float], Sequence[float]] | None = None


@dataclass(frozen=True)
class Facet:
    """The contents of a panel.

    Attributes:
        title: title of the panel.
        lines: line of each initialisation.
        target: height of a dotted horizontal line, or None.
    """

    title: str
    lines: Mapping[str, Line]
    target: float | None = None


def over_steps(summary: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Plot the measure during training, with the target."""
    curves = [curve for curve in summary["curves"] if curve["points"] and curve["start"] in without_controls(summary)]
    for number, measure in enumerate(dict.fromkeys(curve["measure"] for curve in curves)):
        notation = Notation.of(summary) if measure == summary["measure"] else Notation(measure, False, False)
        facets = []
        for condition in summary["conditions"]:
            here = [curve for curve in curves
                    if (curve["condition"], curve["measure"]) == (condition["name"], measure)]
            lines = {curve["start"]: _banded(curve["points"], "step", notation) for curve in here}
            targets = [curve["target"]["value"] * notation.factor for curve in here if curve["target"]]
            facets += [Facet(condition["name"], lines, targets[0] if targets else None)] if lines else []
        name = "learning_curves" + f"_of_{measure}" * (number > 0)
        yield from _figures(name, facets, summary, notation, x="training step")


def over_sizes(summary: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Plot the test score over the number of training examples, if there are several."""
    notation = Notation.of(summary)
    facets: dict[str, dict[str, Line]] = {}
    for curve in summary["size_curves"]:
        if len(curve["points"]) > 1 and curve["start"] in with_rivals(summary):
            facets.setdefault(varied(curve), {})[curve["start"]] = _banded(curve["points"], "n_train", notation)
    yield from _figures("size_curves", [Facet(*one) for one in facets.items()], summary, notation,
                        x="number of training examples", x_scale="sizes")


def varied(curve: Mapping[str, Any]) -> str:
    """Return the varied keys of a size curve, such as ``norm=pre``."""
    return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in curve["vary"].items())


def over_trials(summary: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Plot the expected score of the best of 1, 2, ... trials."""
    notation, shown = Notation.of(summary), without_controls(summary)
    facets = []
    for condition in summary["conditions"]:
        here = [best for best in summary["best_of"]
                if best["condition"] == condition["name"] and best["start"] in shown and best["expected"]]
        heights = {best["start"]: [one * notation.factor for one in best["expected"]] for best in here}
        lines = {name: Line(range(1, len(height) + 1), height) for name, height in heights.items()}
        facets += [Facet(condition["name"], lines)] if lines else []
    yield from _figures("best_of_n", facets, summary, notation, x="number of trials", x_scale="integer")


def _banded(points: Sequence[Mapping[str, Any]], x: str, notation: Notation) -> Line:
    points = [point for point in points if point["mean"] is not None]
    mean, low, high = ([(point["mean"] if point[end] is None else point[end]) * notation.factor for point in points]
                       for end in ("mean", "low", "high"))
    return Line([point[x] for point in points], mean, (low, high))


def _figures(
    name: str, facets: Sequence[Facet], summary: Mapping[str, Any], notation: Notation, *, x: str,
    x_scale: Literal["linear", "integer", "sizes"] = "linear",
) -> Iterator[tuple[str, Figure]]:
    """Draw one figure for each group of up to six initialisations; the baseline is in all of them."""
    drawn = {name for facet in facets for name in facet.lines}
    others = [one for one in with_rivals(summary) if one != summary["baseline"] and (
        one in drawn or one in without_controls(summary))]
    n_groups = max(1, -(-len(others) // len(PALETTE)))
    size = -(-len(others) // n_groups)
    groups = [others[number * size : (number + 1) * size] for number in range(n_groups)]
    for number, group in enumerate(groups, start=1):
        shown = [facet for facet in facets if facet.lines.keys() & {*group, summary["baseline"]}]
        if not shown:
            continue
        figure, axes = panels(len(shown), height=2.8, sharey=True)
        handles: dict[str, Any] = {}
        for panel, facet in zip(axes, shown, strict=True):
            handles |= _draw(panel, facet, summary["baseline"], group)
            set_title(panel, facet.title)
            _set_x_scale(panel, facet, x_scale)
            if not notation.is_share:
                _set_y_scale(panel, facet)
            panel.set_xlabel(x)
            if panel.get_subplotspec().is_first_col():  # type: ignore[union-attr]
                panel.set_ylabel(wrapped(notation.axis, 34))
        legend(figure, list(handles.values()), [shortened(one, 44) for one in handles])
        yield name + f"_{number}" * (len(groups) > 1), figure


def _draw(panel: Axes, facet: Facet, baseline: str, group: Sequence[str]) -> dict[str, Any]:
    styles = {baseline: (INK, "x", "--")} | {name: (colour, marker, "-") for name, colour, marker
                                             in zip(group, PALETTE, MARKERS, strict=False)}
    handles = {}
    for name, (colour, marker, style) in styles.items():
        if name in facet.lines:
            line = facet.lines[name]
            handles[name], = panel.plot(line.x, line.mean, color=colour, marker=marker, linestyle=style,
                                        markersize=4.5)
            if line.band:
                panel.fill_between(line.x, *line.band, color=colour, alpha=0.18, linewidth=0)
    if facet.target is not None:
        handles["target"] = panel.axhline(facet.target, color=INK, linewidth=1.2, linestyle=":")
    panel.grid(alpha=0.25)
    return handles


def _set_x_scale(panel: Axes, facet: Facet, x_scale: str) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator

    ticks = sorted({x for line in facet.lines.values() for x in line.x})
    if x_scale == "sizes":
        panel.set_xscale("log")
        panel.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
        panel.xaxis.set_minor_locator(NullLocator())
    elif x_scale == "integer":
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))


def _set_y_scale(panel: Axes, facet: Facet) -> None:
    """Use a logarithmic axis for values over a wide range, such as perplexities."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    heights = [height for line in facet.lines.values() for height in line.mean]
    if min(heights) > 0 and max(heights) > 20 * min(heights):
        panel.set_yscale("log", nonpositive="clip")
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
