"""A benchmark's differences, drawn: with intervals, over coverage, as a map of values, and cut into steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.benchmark.report.panels import FONT_SIZE, WIDTH, legend, panels, plain_starts, titled
from pipeline.drawing.notation import Notation, shortened, wrapped
from pipeline.drawing.plots import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BETTER, WORSE = "#0072b2", "#d55e00"
VERDICTS = {  # colour, marker, filled
    "better": (BETTER, "^", True), "worse": (WORSE, "v", True), "no difference shown": (INK, "o", False),
    "too few seeds to say": (INK, "x", True),
}
STEPS = {"scale": ("#56b4e9", "//"), "geometry": ("#e69f00", ".."), "meaning": ("#009e73", ""), "total": (INK, "")}
ROW = 0.27  # inches


def forest(summary: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Each start's difference from the baseline with its interval, a panel a condition."""
    compared = _with_differences(summary)
    starts = [start for start in plain_starts(summary) if any(one["start"] == start for one in compared)]
    conditions = _conditions(summary, compared)
    if not compared:
        return
    notation = Notation.of(summary)
    labels = [wrapped(start, 28) for start in starts]
    height = 0.85 + ROW * sum(1 + 0.55 * label.count("\n") for label in labels)
    figure, drawn = panels(len(conditions), height=height, sharex=True, sharey=True)
    handles: dict[str, Any] = {}
    for panel, condition in zip(drawn, conditions, strict=True):
        panel.axvline(0, color=INK, linewidth=1)
        for one in compared:
            if one["condition"] == condition:
                handles[one["verdict"]] = _difference(panel, one, starts.index(one["start"]), notation, flat=True)
        titled(panel, condition)
        panel.set_yticks(range(len(starts)), labels, fontsize=FONT_SIZE)
        panel.set_ylim(len(starts) - 0.4, -0.6)
        panel.tick_params(labelbottom=True)
        panel.set_xlabel(wrapped(notation.gain_axis, 40))
        panel.grid(alpha=0.25, axis="x")
    shown = [verdict for verdict in VERDICTS if verdict in handles]
    legend(figure, [handles[verdict] for verdict in shown], shown)
    yield "forest", figure


def coverage(summary: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Each start's difference from the baseline over how much of the test's running words it knows."""
    known = {(cell["start"], cell["condition"]): cell["coverage"] for cell in summary["cells"]}
    compared = [one for one in _with_differences(summary) if known.get((one["start"], one["condition"])) is not None]
    conditions = _conditions(summary, compared)
    if not compared:
        return
    notation = Notation.of(summary)
    rows = max(sum(one["condition"] == condition for one in compared) for condition in conditions)
    figure, drawn = panels(len(conditions), height=max(2.6, 0.9 + 0.24 * rows), sharex=True)
    for panel, condition in zip(drawn, conditions, strict=True):
        here = sorted((one for one in compared if one["condition"] == condition), key=lambda one: one["difference"])
        panel.axhline(0, color=INK, linewidth=1)
        for one in here:
            _difference(panel, one, known[one["start"], condition] * 100, notation, flat=False)
        titled(panel, condition)
        panel.set_xlabel("test words known, per cent")
        panel.set_ylabel(wrapped(notation.gain_axis, 36))
        panel.grid(alpha=0.25)
        panel.margins(x=0.12, y=0.1)
        panel.tick_params(labelbottom=True)
        _name(panel, [(one["start"], known[one["start"], condition] * 100, one["difference"] * notation.factor)
                      for one in here])
    yield "coverage", figure


def heat_map(summary: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """The mean of each start (down) under each condition (across), if there are several conditions."""
    import numpy as np

    starts = plain_starts(summary)
    conditions = [condition["name"] for condition in summary["conditions"]]
    means = {(cell["start"], cell["condition"]): cell["mean"] for cell in summary["cells"]}
    values = np.array([[np.nan if means.get((start, condition)) is None else means[start, condition]
                        for condition in conditions] for start in starts], np.float64)     # (n_starts, n_conditions)
    if len(conditions) < 2 or np.isnan(values).all():
        return
    notation = Notation.of(summary)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    heights = (values - low) / ((high - low) or 1.0)
    goodness = 1 - heights if notation.smaller_is_better else heights
    width = max(0.75, min(1.5, 5.2 / len(conditions)))
    figure = new_figure(width=min(WIDTH, 2.3 + width * len(conditions)), height=1.0 + 0.36 * len(starts))
    panel = figure.subplots()
    panel.pcolormesh(range(len(conditions)), range(len(starts)), np.ma.masked_invalid(goodness), cmap="cividis",
                     vmin=0, vmax=1, shading="nearest")
    for row, column in np.argwhere(~np.isnan(values)):
        panel.text(column, row, notation.value(values[row, column]), ha="center", va="center", fontsize=FONT_SIZE,
                   color="black" if goodness[row, column] > 0.55 else "white")
    panel.set_xticks(range(len(conditions)), [wrapped(one, round(width * 12), 4) for one in conditions],
                     fontsize=FONT_SIZE)
    panel.set_yticks(range(len(starts)), [wrapped(start, 28) for start in starts], fontsize=FONT_SIZE)
    panel.invert_yaxis()
    panel.xaxis.tick_top()
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    yield "heat_map", figure


def steps(summary: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """What a gain is made of: each bar begins where the last one ended, and the total begins at 0 again."""
    cut = [step for step in summary.get("steps", ()) if all(step[part]["difference"] is not None for part in STEPS)]
    conditions = _conditions(summary, cut)
    if not cut:
        return
    notation = Notation.of(summary)
    names = list(dict.fromkeys(steps_name(step) for step in cut))
    figure, drawn = panels(len(conditions), height=0.9 + 0.21 * (len(STEPS) + 1) * len(names), sharex=True, sharey=True)
    ticks = [(group * (len(STEPS) + 1) + number + 0.5, part) for group in range(len(names))
             for number, part in enumerate(STEPS)]
    for panel, condition in zip(drawn, conditions, strict=True):
        panel.axvline(0, color=INK, linewidth=1)
        for step in cut:
            if step["condition"] == condition:
                _fall(panel, step, names.index(steps_name(step)) * (len(STEPS) + 1) + 0.5, notation)
        for group, name in enumerate(names):
            panel.annotate(shortened(name, 44), (0, group * (len(STEPS) + 1) - 0.5), (3, 0), va="center",
                           xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=FONT_SIZE,
                           weight="bold")
        titled(panel, condition)
        panel.set_yticks([place for place, _ in ticks], [part for _, part in ticks], fontsize=FONT_SIZE)
        panel.set_ylim((len(STEPS) + 1) * len(names) - 0.8, -1.1)
        panel.tick_params(labelbottom=True)
        panel.margins(x=0.16)
        panel.set_xlabel(wrapped(notation.gain_axis, 40))
        panel.grid(alpha=0.25, axis="x")
        panel.set_axisbelow(True)
    yield "steps", figure


def steps_name(step: Mapping[str, Any]) -> str:
    """The source whose gain is cut into steps, and whether it was frozen."""
    return f"{step['source']} | frozen" if step["frozen"] else str(step["source"])


def _with_differences(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in summary["comparisons"] if one["role"] == "baseline" and one["difference"] is not None]


def _conditions(summary: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> list[str]:
    present = {entry["condition"] for entry in entries}
    return [condition["name"] for condition in summary["conditions"] if condition["name"] in present]


def _difference(panel: Axes, one: Mapping[str, Any], at: float, notation: Notation, *, flat: bool) -> Any:
    """A comparison's point and interval, lying at a height or standing at a place; returns its point."""
    colour, marker, filled = VERDICTS[one["verdict"]]
    difference = one["difference"] * notation.factor
    ends = [end * notation.factor for end in one["interval"] or (one["difference"], one["difference"])]
    along, across = (ends, (at, at)) if flat else ((at, at), ends)
    panel.plot(along, across, color=colour, linewidth=1.8, alpha=0.8)
    point, = panel.plot(difference if flat else at, at if flat else difference, color=colour, marker=marker,
                        markersize=7, linestyle="none", markerfacecolor=colour if filled else "none",
                        markeredgewidth=1.6 if not filled or marker == "x" else 0)
    return point


def _name(panel: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Write names right of a panel, one beneath the other, each with a line to its point; the lowest point first."""
    low, high = panel.get_ylim()
    heights = spread([(y - low) / (high - low) for *_, y in points], 0.95 / max(9, len(points)))
    for (name, x, y), height in zip(points, heights, strict=True):
        panel.annotate(shortened(name, 24), (x, y), xytext=(1.04, height), textcoords="axes fraction", va="center",
                       fontsize=FONT_SIZE - 1, color=INK,
                       arrowprops={"arrowstyle": "-", "color": INK, "alpha": 0.5, "linewidth": 0.7, "shrinkB": 4,
                                   "relpos": (0, 0.5)})
    panel.set_ylim(low, high)


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Sorted places moved as little apart as leaves at least a gap between neighbours, and all of them below 1."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    for index in range(len(moved) - 1, -1, -1):
        limit = 0.97 if index == len(moved) - 1 else moved[index + 1] - gap
        moved[index] = min(moved[index], limit)
    return moved


def _fall(panel: Axes, step: Mapping[str, Any], top: float, notation: Notation) -> None:
    begin = 0.0
    for row, (part, (colour, hatch)) in enumerate(STEPS.items()):
        begin = 0.0 if part == "total" else begin
        change = step[part]["difference"] * notation.factor
        end, height = begin + change, top + row
        panel.barh(height, change, left=begin, height=0.72, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
        reach = end
        if step[part]["interval"]:
            low, high = (begin + value * notation.factor for value in step[part]["interval"])
            panel.plot((low, high), (height, height), color="#333333", linewidth=2.6)
            panel.plot((low, high), (height, height), color="#dddddd", linewidth=1)
            reach = max(begin, end, high)
        panel.annotate(notation.difference(step[part]["difference"]), (max(reach, begin), height), xytext=(4, 0),
                       textcoords="offset points", va="center", fontsize=FONT_SIZE - 1)
        begin = end
