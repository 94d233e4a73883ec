"""The HTML report of a benchmark: verdicts first, then the evidence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.benchmark.analysis.comparisons import STEPS
from pipeline.benchmark.analysis.pending import settlement
from pipeline.benchmark.analysis.recommendation import recommend
from pipeline.benchmark.analysis.rivals import rival_sentences, rivals_of, with_baseline
from pipeline.benchmark.analysis.statistics import BETTER, EQUAL, NO_DIFFERENCE, TOO_FEW, WORSE, p_value
from pipeline.benchmark.report import curves, plots
from pipeline.benchmark.report.label_budget import BUDGET_HEAD, budget_cell
from pipeline.drawing.notation import Notation, plain
from pipeline.drawing.page import render, write_whole
from pipeline.drawing.plots import png_of, svg_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOTS = {"forest": plots.forest, "size_curves": curves.over_sizes, "learning_curves": curves.over_steps,
         "heat_map": plots.heat_map, "coverage": plots.coverage, "steps": plots.steps, "best_of_n": curves.over_trials}
FILE_NAME = re.compile(rf"({'|'.join(PLOTS)})(_of_\w+?)?(_\d+)?\.(svg|png)")
MARKS = {BETTER: "▲", WORSE: "▼", EQUAL: "=", NO_DIFFERENCE: "○", TOO_FEW: "?"}
STEP_DEFINITIONS = dict(zip(STEPS, (
    "the gain of Gaussian vectors with the mean and standard deviation of the source over the baseline",
    "the additional gain of the source's vectors when they are randomly permuted over the words",
    "the additional gain of assigning each vector to its own word",
), strict=True))
MAX_ROWS = 24  # longer tables are collapsed


def write_benchmark(
    out: Path,
    summary: Mapping[str, Any],
    costs: Mapping[str, Any],
    disagreements: Sequence[Mapping[str, Any]],
    configs: Sequence[Mapping[str, str]],
) -> None:
    """Write a self-contained ``report.html``, and its plots as SVG and PNG to ``plots/``.

    Sections without data are omitted.

    Args:
        out: the benchmark's folder.
        summary: contents of ``summary.json``.
        costs: contents of ``costs.json``.
        disagreements: :func:`pipeline.benchmark.analysis.disagreements.find_disagreements`.
        configs: ``name`` and ``toml`` of each configuration, without its seed.
    """
    figures = {kind: draw(summary) for kind, draw in PLOTS.items()}
    drawn = _save(out / "plots", figures)
    notation = Notation.of(summary)
    conditions = [condition["name"] for condition in summary["conditions"]]
    page = render(
        Path(__file__).with_name("benchmark.html"),
        title=f"{summary['data']}: initialisations compared by {summary['measure']}",
        summary=summary, costs=costs, disagreements=disagreements, configs=configs, notation=notation, plain=plain,
        p_value=p_value,
        marks=MARKS, steps=STEP_DEFINITIONS, max_rows=MAX_ROWS, plots=drawn,
        controls=[one["name"] for one in summary["starts"] if one["control"]],
        verdicts=_by_condition(conditions, (one for one in summary["comparisons"] if one["role"] == "baseline")),
        cells=_by_condition(conditions, _rows(summary)),
        overview=_overview(summary, conditions), answers=recommend(summary, costs), settlement=settlement(summary),
        ranks=_by_condition(conditions, summary["ranking"]["ranks"]),
        pairs=_by_condition(conditions, summary["ranking"]["pairs"]), rival_answers=rival_sentences(summary),
        rivals=rivals_of(summary), rival_pairs=_by_condition(conditions, _sources_and_rivals(summary)),
        budgets=_budgets(summary), budget_head=BUDGET_HEAD, budget_cell=budget_cell,
        measures=_names(cell["measures"] for cell in summary["cells"]),
        simpler=_names(cell["baselines"] for cell in summary["cells"]),
        decompositions=_by_condition(conditions, summary.get("steps", ())),
        step_tests=_by_condition(conditions, (one for one in summary["comparisons"] if one["role"] in STEPS)),
        step_name=plots.steps_name,
        targets=_by_condition(conditions, _targets(summary, costs)),
        areas=_areas(summary),
        spent=_by_condition(conditions, (cell for cell in costs["cells"] if cell["training"]["seconds"] is not None)),
    )
    write_whole(out / "report.html", page.encode())


def _save(folder: Path, figures: Mapping[str, Iterable[tuple[str, Figure]]]) -> dict[str, dict[str, str]]:
    """Save all figures, delete those of an earlier report, and return the SVG of each by kind and name."""
    folder.mkdir(parents=True, exist_ok=True)
    saved: dict[str, dict[str, str]] = {kind: {} for kind in figures}
    written = set()
    for kind, name, figure in ((kind, *named) for kind, these in figures.items() for named in these):
        svg = svg_of(figure)
        figure.set_layout_engine("none")  # keeps the layout of the SVG
        write_whole(folder / f"{name}.svg", svg.encode())
        write_whole(folder / f"{name}.png", png_of(figure))
        written |= {f"{name}.svg", f"{name}.png"}
        saved[kind][name] = svg
    for file in folder.iterdir():
        if FILE_NAME.fullmatch(file.name) and file.name not in written:
            file.unlink()
    return saved


def _by_condition(conditions: Sequence[str], entries: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Group entries by condition, omitting conditions without entries."""
    listed = list(entries)
    groups = ((condition, [one for one in listed if one["condition"] == condition]) for condition in conditions)
    return [(condition, group) for condition, group in groups if group]


def _rows(summary: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Add to each cell its comparison with the baseline; None for the baseline itself and for controls."""
    compared = with_baseline(summary)
    for cell in summary["cells"]:
        yield {**cell, "compared": compared.get((cell["start"], cell["condition"]))}


def _overview(summary: Mapping[str, Any], conditions: Sequence[str]) -> list[tuple[str, list[Any]]]:
    """Return the comparisons of each initialisation, one or None per condition; [] for a single condition."""
    compared = with_baseline(summary)
    names = dict.fromkeys(name for name, _ in compared)
    return [(name, [compared.get((name, condition)) for condition in conditions])
            for name in names] if len(conditions) > 1 else []


def _targets(summary: Mapping[str, Any], costs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Add to each curve the median seconds to its target."""
    seconds = {(cell["start"], cell["condition"]): cell["target_seconds"] for cell in costs["cells"]}
    for curve in summary["curves"]:
        if curve["points"]:
            is_share = curve["measure"] == summary["measure"] and summary["is_share"]
            yield {**curve, "seconds": seconds.get((curve["start"], curve["condition"])),
                   "notation": Notation(curve["measure"], is_share, summary["smaller_is_better"])}


def _sources_and_rivals(summary: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the comparisons of sources with rivals, without those of rivals with the baseline."""
    return (one for one in rivals_of(summary)["comparisons"] if one["reference"] != summary["baseline"])


def _budgets(summary: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    """Group the forecasts by their varied keys."""
    groups: dict[str, list[Any]] = {}
    for one in summary.get("label_budget", ()):
        groups.setdefault(curves.varied(one), []).append(one)
    return list(groups.items())


def _areas(summary: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    """Group the size curves with an area by their varied keys."""
    groups: dict[str, list[Any]] = {}
    for curve in summary["size_curves"]:
        if curve["area"] is not None:
            groups.setdefault(curves.varied(curve), []).append(curve)
    return list(groups.items())


def _names(groups: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(groups)))
