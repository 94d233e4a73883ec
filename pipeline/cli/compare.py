"""``vecformer compare``: finished runs side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rich_click as click

from pipeline.cli.common import against, reports_errors, seeds_advice, table

SIDES = ("only_start", "only_reference", "both", "neither")


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...", type=click.Path(path_type=Path))
@click.option("--measure", default="", metavar="NAME", help="What is compared, if not what the task is judged by.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@reports_errors
def compare_command(runs: tuple[Path, ...], measure: str, as_json: bool) -> None:
    """Put finished RUNs of one task and the same data side by side, and say which are better, and how surely.

    Runs that differ only in their seed count as one group. Each group is compared with that of the first RUN, paired by
    seed: six seeds can show a difference, fewer cannot.

    \b
    vecformer compare runs/random-seed* runs/glove-seed*
    vecformer compare runs/random-seed* runs/glove-seed* --measure macro_f1
    """
    from pipeline.benchmark.compare_runs import compare

    found = compare(runs, measure)
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else told(found))


def told(found: Mapping[str, Any]) -> str:
    """A comparison as tables: what each group measured, and which test examples tell it from the reference."""
    from pipeline.drawing.notation import Notation

    notation = Notation.of(found)
    compared = {one["group"]: one for one in found["comparisons"]}
    rows = []
    for group in found["groups"]:
        one = compared.get(group["name"])
        rows.append([group["name"], str(len(group["seeds"])), notation.value(group["mean"]),
                     notation.size(group["spread"]), notation.size(group["sampling_error"]),
                     str(one["n"]) if one else "", *against(one, notation)])
    header = ["group", "seeds", "mean", "over seeds ±", "test set ±", "in common", f"against {found['reference']}",
              "p (Holm)", "verdict"]
    smaller = " (smaller is better)" if found["smaller_is_better"] else ""
    parts = [f"{found['data']}, {found['measure']}{smaller}", table(header, rows)]
    flips = {name: one["flips"] for name, one in compared.items() if one["flips"]}
    if flips:
        sides = [[name, *(f"{counts[side]:,}" for side in SIDES)] for name, counts in flips.items()]
        parts.append(table(["test examples, as most seeds had them", "only it is right",
                            f"only {found['reference']}", "both", "neither"], sides))
    return "\n\n".join([*parts, *_advice(found)])


def _advice(found: Mapping[str, Any]) -> list[str]:
    """How many seeds would do, if some comparison has too few."""
    from pipeline.benchmark.analysis.statistics import TOO_FEW

    if not any(one["verdict"] == TOO_FEW for one in found["comparisons"]):
        return []
    return [seeds_advice(found)]
