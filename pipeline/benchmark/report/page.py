"""The page of a benchmark: the verdicts in plain words, then what they stand on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.benchmark.analysis.statistics import p_value
from pipeline.benchmark.report import curves, plots
from pipeline.drawing.notation import Notation, plain
from pipeline.drawing.page import render, write_whole
from pipeline.drawing.plots import png_of, svg_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = (plots.forest, curves.over_sizes, curves.over_steps, plots.heat_map,
            plots.coverage, plots.steps, curves.over_trials)
KINDS = ("forest", "size_curves", "learning_curves", "heat_map", "coverage", "steps", "best_of_n")
NAME = re.compile(rf"({'|'.join(KINDS)})(_of_\w+?)?(_\d+)?\.(svg|png)")
MARKS = {"better": "▲", "worse": "▼", "no difference shown": "○", "too few seeds to say": "?"}
PARTS = {
    "scale": "what random numbers with the mean and the spread of the source's vectors gain over the baseline",
    "geometry": "what the source's own vectors, dealt out to the wrong words, gain over that",
    "meaning": "what each word's own vector gains over a wrong word's",
}
MANY = 24  # rows, above which a table is folded away


def write_benchmark(
    out: Path,
    summary: Mapping[str, Any],
    costs: Mapping[str, Any],
    flips: Sequence[Mapping[str, Any]],
    configs: Sequence[Mapping[str, str]],
) -> None:
    """Write ``report.html``, one page that needs no network, and its pictures as SVG and PNG to ``plots/``.

    What the summary has no data for is left out of the page.

    Args:
        out: the benchmark's folder.
        summary: what ``summary.json`` holds.
        costs: what ``costs.json`` holds.
        flips: for pairs of starts ``start``, ``reference``, ``condition``, how many test examples ``only_start``,
            ``only_reference``, ``both`` or ``neither`` got right, and ``examples`` of those on which they differ, each
            with ``text``, ``gold``, what ``start`` and ``reference`` said, ``where``, and ``times_start`` and
            ``times_reference``, the share of seeds that were right.
        configs: ``name`` and ``toml`` of each configuration, seeds apart.
    """
    pictures = _draw(out / "plots", chain.from_iterable(draw(summary) for draw in PICTURES))
    notation = Notation.of(summary)
    conditions = [condition["name"] for condition in summary["conditions"]]
    page = render(
        Path(__file__).with_name("benchmark.html"),
        title=f"{summary['data']}: what a Transformer starts from, compared by {summary['measure']}",
        summary=summary, costs=costs, flips=flips, configs=configs, notation=notation, plain=plain, p_value=p_value,
        marks=MARKS, parts=PARTS, many=MANY, pictures=pictures,
        controls=[start["name"] for start in summary["starts"] if start["control"]],
        verdicts=_by_condition(conditions, (one for one in summary["comparisons"] if one["role"] == "baseline")),
        cells=_by_condition(conditions, _rows(summary)),
        glance=_glance(summary, conditions),
        measures=_names(cell["measures"] for cell in summary["cells"]),
        simpler=_names(cell["baselines"] for cell in summary["cells"]),
        steps=_by_condition(conditions, summary.get("steps", ())),
        step_tests=_by_condition(conditions, (one for one in summary["comparisons"] if one["role"] in PARTS)),
        step_name=plots.steps_name,
        targets=_by_condition(conditions, _targets(summary, costs)),
        areas=_areas(summary),
        spent=_by_condition(conditions, (cell for cell in costs["cells"] if cell["training"]["seconds"] is not None)),
    )
    write_whole(out / "report.html", page.encode())


def _draw(folder: Path, figures: Iterable[tuple[str, Figure]]) -> dict[str, dict[str, str]]:
    """Save every figure, remove those of an earlier report, and give the SVG of each by its kind and name."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    written = set()
    for name, figure in figures:
        svg = svg_of(figure)
        figure.set_layout_engine("none")  # the panels stay where they are
        write_whole(folder / f"{name}.svg", svg.encode())
        write_whole(folder / f"{name}.png", png_of(figure))
        written |= {f"{name}.svg", f"{name}.png"}
        made[next(kind for kind in KINDS if name.startswith(kind))][name] = svg
    for file in folder.iterdir():
        if NAME.fullmatch(file.name) and file.name not in written:
            file.unlink()
    return made


def _by_condition(conditions: Sequence[str], entries: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """The entries of each condition, without conditions that have none."""
    kept = list(entries)
    groups = ((condition, [one for one in kept if one["condition"] == condition]) for condition in conditions)
    return [(condition, group) for condition, group in groups if group]


def _rows(summary: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each cell with its comparison to the baseline, which the baseline and controls lack."""
    compared = {(one["start"], one["condition"]): one for one in summary["comparisons"] if one["role"] == "baseline"}
    for cell in summary["cells"]:
        yield {**cell, "compared": compared.get((cell["start"], cell["condition"]))}


def _glance(summary: Mapping[str, Any], conditions: Sequence[str]) -> list[tuple[str, list[Any]]]:
    """A row a start, a comparison or None for each condition; nothing if there is one condition only."""
    compared = {(one["start"], one["condition"]): one for one in summary["comparisons"] if one["role"] == "baseline"}
    starts = dict.fromkeys(start for start, _ in compared)
    return [(start, [compared.get((start, condition)) for condition in conditions])
            for start in starts] if len(conditions) > 1 else []


def _targets(summary: Mapping[str, Any], costs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each curve with points, and the seconds to its target."""
    seconds = {(cell["start"], cell["condition"]): cell["target_seconds"] for cell in costs["cells"]}
    for curve in summary["curves"]:
        if curve["points"]:
            shares = curve["measure"] == summary["measure"] and summary["is_share"]
            yield {**curve, "seconds": seconds.get((curve["start"], curve["condition"])),
                   "notation": Notation(curve["measure"], shares, summary["smaller_is_better"])}


def _areas(summary: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    """The size curves that have an area, by what else varies."""
    groups: dict[str, list[Any]] = {}
    for curve in summary["size_curves"]:
        if curve["area"] is not None:
            groups.setdefault(curves.varied(curve), []).append(curve)
    return list(groups.items())


def _names(groups: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(groups)))
