"""``vecformer compare``: compare finished runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rich_click as click

from pipeline.cli.common import against, echo, echo_blocks, reports_errors, seeds_advice, table
from pipeline.cli.verification import verify_option
from pipeline.drawing.terminal import to_json


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...", type=click.Path(path_type=Path))
@click.option("--measure", default="", metavar="NAME", help="Measure to compare. Default: the task's main measure.")
@click.option("--margin", type=click.FloatRange(0, min_open=True), metavar="POINTS",
              help="Largest difference that counts as practically equal, such as 0.5: in percentage points for shares, "
                   "otherwise in units of the measure. Default: no such verdict.")
@click.option("--predictions", multiple=True, metavar="NAME=FILE",
              help="Also compare the labels that another tool predicted: a table with a row for each test example of "
                   "the runs, with the columns label and gold, and optionally where and seed. May be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@verify_option
@reports_errors
def compare_command(
    runs: tuple[Path, ...], measure: str, margin: float | None, predictions: tuple[str, ...], as_json: bool,
    verify: bool,
) -> None:
    """Compare finished RUNs of the same task and data, with confidence intervals and corrected p-values.

    Runs that differ in their seed only form a group. Each group is compared with the group of the first RUN, paired by
    seed. One comparison needs at least 6 seeds to be significant, three need 7, six need 8.

    \b
    vecformer compare runs/random-seed* runs/glove-seed*
    vecformer compare runs/random-seed* runs/glove-seed* --measure macro_f1
    vecformer compare runs/glove-seed* --predictions svm=svm.csv
    """
    from pipeline.benchmark.compare_runs import compare
    from pipeline.benchmark.other_predictions import parse_predictions

    found = compare(runs, measure, margin=margin, predictions=dict(map(parse_predictions, predictions)), verify=verify)
    if as_json:
        echo(to_json(found))
    else:
        echo_blocks(format_comparison(found))


def format_comparison(found: Mapping[str, Any]) -> str:
    """Format a comparison as tables: scores of the groups, and counts of disagreements on test examples."""
    from pipeline.benchmark.analysis.disagreements import CATEGORIES
    from pipeline.benchmark.analysis.statistics import TOO_FEW
    from pipeline.drawing.notation import Notation

    notation = Notation.of(found)
    compared = {one["group"]: one for one in found["comparisons"]}
    rows = []
    for group in found["groups"]:
        one = compared.get(group["name"])
        rows.append([group["name"], str(len(group["seeds"])), notation.value(group["mean"]),
                     notation.size(group["spread"]), notation.size(group["sampling_error"]),
                     str(one["n"]) if one else "", *against(one, notation)])
    header = ["group", "seeds", "mean", "SD over seeds", "sampling error", "common seeds",
              f"gain over {found['reference']}", "p (Holm)", "verdict"]
    smaller = " (smaller is better)" if found["smaller_is_better"] else ""
    parts = [f"{found['data']}, {found['measure']}{smaller}", table(header, rows)]
    for name, one in compared.items():
        if one["flips"]:
            parts.append(table(["test examples by majority vote over seeds", f"only {name} correct",
                                f"only {found['reference']} correct", "both", "neither"],
                               [[name, *(f"{one['flips'][category]:,}" for category in CATEGORIES)]]))
    if not found["comparisons"]:
        parts.append("All runs differ only in their seed; to compare, add runs with another configuration.")
    if any(one["verdict"] == TOO_FEW for one in found["comparisons"]):
        parts.append(seeds_advice(found))
    return "\n\n".join(parts)
