"""Plots of a benchmark: forest plot, gain over coverage, heat map of means, decomposition of gains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from embeddings.table.listing import shortened
from pipeline.benchmark.analysis.comparisons import STEPS
from pipeline.benchmark.analysis.random_effects import TOO_FEW_DATA
from pipeline.benchmark.analysis.statistics import BETTER, EQUAL, NO_DIFFERENCE, TOO_FEW, WORSE
from pipeline.benchmark.report.panels import FONT_SIZE, WIDTH, legend, panels, set_title, without_controls
from pipeline.drawing.notation import Notation, wrapped
from pipeline.drawing.plots import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VERDICT_STYLES = {  # colour, marker, filled
    BETTER: ("#0072b2", "^", True), WORSE: ("#d55e00", "v", True), EQUAL: (INK, "s", True),
    NO_DIFFERENCE: (INK, "o", False),
    TOO_FEW: (INK, "x", True), TOO_FEW_DATA: (INK, "x", True),
}
BAR_STYLES = dict(zip((*STEPS, "total"), (("#56b4e9", "//"), ("#e69f00", ".."), ("#009e73", ""), (INK, "")),
                      strict=True))  # colour, hatch
ROW = 0.27  # inches


def forest(summary: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Draw a forest plot: differences from the baseline with intervals, one panel per condition."""
    compared = _with_differences(summary)
    names = [name for name in without_controls(summary) if any(one["start"] == name for one in compared)]
    conditions = _conditions(summary, compared)
    if not compared:
        return
    notation = Notation.of(summary)
    labels = [wrapped(name, 28) for name in names]
    height = 0.85 + ROW * sum(1 + 0.55 * label.count("\n") for label in labels)
    figure, drawn = panels(len(conditions), height=height, sharex=True, sharey=True)
    handles: dict[str, Any] = {}
    for panel, condition in zip(drawn, conditions, strict=True):
        panel.axvline(0, color=INK, linewidth=1)
        for one in compared:
            if one["condition"] == condition:
                handles[one["verdict"]] = _difference(panel, one, names.index(one["start"]), notation, horizontal=True)
        set_title(panel, condition)
        panel.set_yticks(range(len(names)), labels, fontsize=FONT_SIZE)
        panel.set_ylim(len(names) - 0.4, -0.6)
        panel.tick_params(labelbottom=True)
        panel.set_xlabel(wrapped(notation.gain_axis, 40))
        panel.grid(alpha=0.25, axis="x")
    shown = [verdict for verdict in VERDICT_STYLES if verdict in handles]
    legend(figure, [handles[verdict] for verdict in shown], shown)
    yield "forest", figure


def coverage(summary: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Plot the difference from the baseline over the share of test tokens that the vectors cover."""
    covered = {(cell["start"], cell["condition"]): cell["coverage"] for cell in summary["cells"]}
    compared = [one for one in _with_differences(summary) if covered.get((one["start"], one["condition"])) is not None]
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
            _difference(panel, one, covered[one["start"], condition] * 100, notation, horizontal=False)
        set_title(panel, condition)
        panel.set_xlabel("coverage of test tokens (%)")
        panel.set_ylabel(wrapped(notation.gain_axis, 36))
        panel.grid(alpha=0.25)
        panel.margins(x=0.12, y=0.1)
        panel.tick_params(labelbottom=True)
        _label(panel, [(one["start"], covered[one["start"], condition] * 100, one["difference"] * notation.factor)
                       for one in here])
    yield "coverage", figure


def heat_map(summary: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Draw a heat map of mean scores, initialisations by conditions, if there are several conditions."""
    import numpy as np

    names = without_controls(summary)
    conditions = [condition["name"] for condition in summary["conditions"]]
    means = {(cell["start"], cell["condition"]): cell["mean"] for cell in summary["cells"]}
    values = np.array([[np.nan if means.get((name, condition)) is None else means[name, condition]
                        for condition in conditions] for name in names], np.float64)  # (n_names, n_conditions)
    if len(conditions) < 2 or np.isnan(values).all():
        return
    notation = Notation.of(summary)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    heights = (values - low) / ((high - low) or 1.0)
    goodness = 1 - heights if notation.smaller_is_better else heights
    width = max(0.75, min(1.5, 5.2 / len(conditions)))
    figure = new_figure(width=min(WIDTH, 2.3 + width * len(conditions)), height=1.0 + 0.36 * len(names))
    panel = figure.subplots()
    panel.pcolormesh(range(len(conditions)), range(len(names)), np.ma.masked_invalid(goodness), cmap="cividis",
                     vmin=0, vmax=1, shading="nearest")
    for row, column in np.argwhere(~np.isnan(values)):
        panel.text(column, row, notation.value(values[row, column]), ha="center", va="center", fontsize=FONT_SIZE,
                   color="black" if goodness[row, column] > 0.55 else "white")
    panel.set_xticks(range(len(conditions)), [wrapped(one, round(width * 12), 4) for one in conditions],
                     fontsize=FONT_SIZE)
    panel.set_yticks(range(len(names)), [wrapped(name, 28) for name in names], fontsize=FONT_SIZE)
    panel.invert_yaxis()
    panel.xaxis.tick_top()
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    yield "heat_map", figure


def steps(summary: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Draw waterfall charts of the decomposition of gains into steps, followed by the total."""
    complete = [step for step in summary.get("steps", ())
                if all(step[part]["difference"] is not None for part in BAR_STYLES)]
    conditions = _conditions(summary, complete)
    if not complete:
        return
    notation = Notation.of(summary)
    names = list(dict.fromkeys(steps_name(step) for step in complete))
    n_rows = len(BAR_STYLES) + 1
    figure, drawn = panels(len(conditions), height=0.9 + 0.21 * n_rows * len(names), sharex=True, sharey=True)
    ticks = [(group * n_rows + number + 0.5, part) for group in range(len(names))
             for number, part in enumerate(BAR_STYLES)]
    for panel, condition in zip(drawn, conditions, strict=True):
        panel.axvline(0, color=INK, linewidth=1)
        for step in complete:
            if step["condition"] == condition:
                _waterfall(panel, step, names.index(steps_name(step)) * n_rows + 0.5, notation)
        for group, name in enumerate(names):
            panel.annotate(shortened(name, 44), (0, group * n_rows - 0.5), (3, 0), va="center",
                           xycoords=("axes fraction", "data"), textcoords="offset points", fontsize=FONT_SIZE,
                           weight="bold")
        set_title(panel, condition)
        panel.set_yticks([tick for tick, _ in ticks], [part for _, part in ticks], fontsize=FONT_SIZE)
        panel.set_ylim(n_rows * len(names) - 0.8, -1.1)
        panel.tick_params(labelbottom=True)
        panel.margins(x=0.16)
        panel.set_xlabel(wrapped(notation.gain_axis, 40))
        panel.grid(alpha=0.25, axis="x")
        panel.set_axisbelow(True)
    yield "steps", figure


def steps_name(step: Mapping[str, Any]) -> str:
    """Return the name of the initialisation whose gain is decomposed."""
    return f"{step['source']} | frozen" if step["frozen"] else str(step["source"])


def _with_differences(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in summary["comparisons"] if one["role"] == "baseline" and one["difference"] is not None]


def _conditions(summary: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> list[str]:
    present = {entry["condition"] for entry in entries}
    return [condition["name"] for condition in summary["conditions"] if condition["name"] in present]


def _difference(panel: Axes, one: Mapping[str, Any], at: float, notation: Notation, *, horizontal: bool) -> Any:
    """Draw a comparison's point and interval, horizontal (at height ``at``) or vertical; return the point."""
    colour, marker, filled = VERDICT_STYLES[one["verdict"]]
    difference = one["difference"] * notation.factor
    bounds = [bound * notation.factor for bound in one["interval"] or (one["difference"], one["difference"])]
    xs, ys = (bounds, (at, at)) if horizontal else ((at, at), bounds)
    panel.plot(xs, ys, color=colour, linewidth=1.8, alpha=0.8)
    point, = panel.plot(difference if horizontal else at, at if horizontal else difference, color=colour, marker=marker,
                        markersize=7, linestyle="none", markerfacecolor=colour if filled else "none",
                        markeredgewidth=1.6 if not filled or marker == "x" else 0)
    return point


def _label(panel: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Write labels to the right of a panel, each with a line to its point; points in ascending order."""
    low, high = panel.get_ylim()
    heights = spread_out([(y - low) / (high - low) for *_, y in points], 0.95 / max(9, len(points)))
    for (name, x, y), height in zip(points, heights, strict=True):
        panel.annotate(shortened(name, 24), (x, y), xytext=(1.04, height), textcoords="axes fraction", va="center",
                       fontsize=FONT_SIZE - 1, color=INK,
                       arrowprops={"arrowstyle": "-", "color": INK, "alpha": 0.5, "linewidth": 0.7, "shrinkB": 4,
                                   "relpos": (0, 0.5)})
    panel.set_ylim(low, high)


def spread_out(positions: Sequence[float], gap: float) -> list[float]:
    """Move sorted positions apart, so that neighbours have a minimum distance and none exceeds 0.97."""
    moved: list[float] = []
    for position in positions:
        moved.append(max(position, moved[-1] + gap) if moved else position)
    for index in range(len(moved) - 1, -1, -1):
        limit = 0.97 if index == len(moved) - 1 else moved[index + 1] - gap
        moved[index] = min(moved[index], limit)
    return moved


def _waterfall(panel: Axes, step: Mapping[str, Any], top: float, notation: Notation) -> None:
    left = 0.0
    for row, (part, (colour, hatch)) in enumerate(BAR_STYLES.items()):
        left = 0.0 if part == "total" else left
        change = step[part]["difference"] * notation.factor
        right, height = left + change, top + row
        panel.barh(height, change, left=left, height=0.72, color=colour, hatch=hatch, edgecolor="white", linewidth=0)
        reach = right
        if step[part]["interval"]:
            low, high = (left + value * notation.factor for value in step[part]["interval"])
            panel.plot((low, high), (height, height), color="#333333", linewidth=2.6)
            panel.plot((low, high), (height, height), color="#dddddd", linewidth=1)
            reach = max(left, right, high)
        panel.annotate(notation.difference(step[part]["difference"]), (max(reach, left), height), xytext=(4, 0),
                       textcoords="offset points", va="center", fontsize=FONT_SIZE - 1)
        left = right
