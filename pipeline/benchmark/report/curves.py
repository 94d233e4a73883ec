"""A benchmark's lines: over steps, over numbers of training examples, over trials; a panel a condition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipeline.benchmark.report.panels import legend, panels, plain_starts, titled
from pipeline.drawing.notation import Notation, shortened, wrapped
from pipeline.drawing.plots import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito 2008, told apart by colour-blind people; without their black and yellow, lost on near-black or on white.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True)
class Line:
    """A start's line in a panel.

    Attributes:
        x: its points.
        mean: as long.
        band: the lower and the upper ends of the intervals, each as long; none if empty.
    """

    x: Sequence[float]
    mean: Sequence[float]
    band: tuple[Sequence[float], Sequence[float]] | None = None


@dataclass(frozen=True)
class Facet:
    """A panel.

    Attributes:
        title: of the panel.
        lines: start to line.
        target: the height of a dotted line; None for none.
    """

    title: str
    lines: Mapping[str, Line]
    target: float | None = None


def over_steps(summary: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """The measure that was taken while the models trained, with the target."""
    curves = [curve for curve in summary["curves"] if curve["points"] and curve["start"] in plain_starts(summary)]
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
        yield from _figures(name, facets, summary, notation, x="steps of training")


def over_sizes(summary: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """The measure on the test set over numbers of training examples, if there are several."""
    notation = Notation.of(summary)
    facets: dict[str, dict[str, Line]] = {}
    for curve in summary["size_curves"]:
        if len(curve["points"]) > 1 and curve["start"] in plain_starts(summary):
            facets.setdefault(varied(curve), {})[curve["start"]] = _banded(curve["points"], "n_train", notation)
    yield from _figures("size_curves", [Facet(*one) for one in facets.items()], summary, notation,
                        x="training examples", x_is="sizes")


def varied(curve: Mapping[str, Any]) -> str:
    """What a size curve is under, beside its sizes: ``norm=pre``."""
    return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in curve["vary"].items())


def over_trials(summary: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """The score that can be expected of the best of so many trials."""
    notation, starts = Notation.of(summary), plain_starts(summary)
    facets = []
    for condition in summary["conditions"]:
        here = [best for best in summary["best_of"]
                if best["condition"] == condition["name"] and best["start"] in starts and best["expected"]]
        heights = {best["start"]: [one * notation.factor for one in best["expected"]] for best in here}
        lines = {start: Line(range(1, len(height) + 1), height) for start, height in heights.items()}
        facets += [Facet(condition["name"], lines)] if lines else []
    yield from _figures("best_of_n", facets, summary, notation, x="trials", x_is="whole")


def _banded(points: Sequence[Mapping[str, Any]], x: str, notation: Notation) -> Line:
    points = [point for point in points if point["mean"] is not None]
    mean, low, high = ([(point["mean"] if point[end] is None else point[end]) * notation.factor for point in points]
                       for end in ("mean", "low", "high"))
    return Line([point[x] for point in points], mean, (low, high))


def _figures(
    name: str, facets: Sequence[Facet], summary: Mapping[str, Any], notation: Notation, *, x: str,
    x_is: Literal["any", "whole", "sizes"] = "any",
) -> Iterator[tuple[str, Figure]]:
    """A figure for six starts at most, since more lines in a panel are not told apart; the baseline is in all."""
    others = [start for start in plain_starts(summary) if start != summary["baseline"]]
    n_groups = max(1, -(-len(others) // len(PALETTE)))
    size = -(-len(others) // n_groups)
    groups = [others[number * size : (number + 1) * size] for number in range(n_groups)]
    for number, group in enumerate(groups, start=1):
        shown = [facet for facet in facets if facet.lines.keys() & {*group, summary["baseline"]}]
        if not shown:
            continue
        figure, drawn = panels(len(shown), height=2.8, sharey=True)
        handles: dict[str, Any] = {}
        for panel, facet in zip(drawn, shown, strict=True):
            handles |= _draw(panel, facet, summary["baseline"], group)
            titled(panel, facet.title)
            _scale(panel, facet, x_is)
            if not notation.is_share:
                _compress(panel, facet)
            panel.set_xlabel(x)
            if panel.get_subplotspec().is_first_col():  # type: ignore[union-attr]
                panel.set_ylabel(wrapped(notation.axis, 34))
        legend(figure, list(handles.values()), [shortened(one, 44) for one in handles])
        yield name + f"_{number}" * (len(groups) > 1), figure


def _draw(panel: Axes, facet: Facet, baseline: str, group: Sequence[str]) -> dict[str, Any]:
    looks = {baseline: (INK, "x", "--")} | {start: (colour, marker, "-") for start, colour, marker
                                            in zip(group, PALETTE, MARKERS, strict=False)}
    handles = {}
    for start, (colour, marker, style) in looks.items():
        if start in facet.lines:
            line = facet.lines[start]
            handles[start], = panel.plot(line.x, line.mean, color=colour, marker=marker, linestyle=style,
                                         markersize=4.5)
            if line.band:
                panel.fill_between(line.x, *line.band, color=colour, alpha=0.18, linewidth=0)
    if facet.target is not None:
        handles["target"] = panel.axhline(facet.target, color=INK, linewidth=1.2, linestyle=":")
    panel.grid(alpha=0.25)
    return handles


def _scale(panel: Axes, facet: Facet, x_is: str) -> None:
    from matplotlib.ticker import MaxNLocator, NullLocator

    places = sorted({place for line in facet.lines.values() for place in line.x})
    if x_is == "sizes":
        panel.set_xscale("log")
        panel.set_xticks(places, [f"{place:,.0f}" for place in places])
        panel.xaxis.set_minor_locator(NullLocator())
    elif x_is == "whole":
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))


def _compress(panel: Axes, facet: Facet) -> None:
    """Draw heights that differ many times over, as perplexities do, by their logarithm."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    heights = [height for line in facet.lines.values() for height in line.mean]
    if min(heights) > 0 and max(heights) > 20 * min(heights):
        panel.set_yscale("log", nonpositive="clip")
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        panel.yaxis.set_minor_formatter(NullFormatter())
