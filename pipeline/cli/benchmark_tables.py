"""The results of a benchmark as tables for terminals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.cli.common import against, seeds_advice, table

if TYPE_CHECKING:
    from pipeline.benchmark.driver import BenchmarkResult


def format_result(result: BenchmarkResult) -> str:
    """Format the scores and comparisons as tables, with the paths of the summary and the report."""
    parts = ([part for one in result.data_sets.values() for part in _of_one(one)] + _over_data_sets(result.summary)
             if result.data_sets else _of_one(result))
    return "\n\n".join([*parts, f"summary   {result.path / 'summary.json'}\nreport    {result.path / 'report.html'}"])


def _of_one(result: BenchmarkResult) -> list[str]:
    """Return the tables and sentences of the benchmark on one data set."""
    from pipeline.benchmark.analysis.pending import settlement
    from pipeline.benchmark.analysis.recommendation import recommend
    from pipeline.benchmark.analysis.rivals import rival_sentences, rivals_of, with_baseline
    from pipeline.benchmark.analysis.statistics import TOO_FEW
    from pipeline.benchmark.report.label_budget import BUDGET_HEAD, budget_rows
    from pipeline.drawing.notation import Notation

    summary, notation = result.summary, Notation.of(result.summary)
    compared = with_baseline(summary)
    header = ["initialisation", "mean", "SD over seeds", "sampling error", f"gain over {summary['baseline']}",
              "p (Holm)", "verdict", *(["settled"] if summary["until_settled"] else [])]
    parts = [f"{summary['data']}, {summary['measure']}, {len(summary['seeds'])} seeds"]
    for condition in summary["conditions"]:
        rows = [[cell["start"], notation.value(cell["mean"]), notation.size(cell["spread"]),
                 notation.size(cell["sampling_error"]),
                 *against(compared.get((cell["start"], cell["condition"])), notation),
                 *_settled(compared.get((cell["start"], cell["condition"])), summary["until_settled"])]
                for cell in summary["cells"] if cell["condition"] == condition["name"]]
        parts.append(f"{condition['name']}\n{table(header, rows)}")
    if any(one["verdict"] == TOO_FEW for one in summary["comparisons"]):
        parts.append(seeds_advice(summary))
    if budget := budget_rows(summary, notation):
        parts.append("More labels: expected gain (score, 80% interval)\n"
                     + table(["initialisation", "examples", "mean", *BUDGET_HEAD], budget))
    parts += [settlement(summary)] if summary["until_settled"] else []
    answers = [*recommend(summary, result.costs), *rival_sentences(summary)]
    parts += [f"rival {one['rival']} left out: {', '.join(one['packages'])} missing; type: {one['command']}"
              for one in rivals_of(summary)["missing"]]
    parts += ["\n".join(f"{one['condition']}: {one['sentence']}" for one in answers)] if answers else []
    return parts


def _over_data_sets(summary: Mapping[str, Any]) -> list[str]:
    """Return the tables and sentences of the results over data sets."""
    from pipeline.drawing.notation import Notation

    notation, controls = Notation.of(summary), {one["name"] for one in summary["starts"] if one["control"]}
    compared = {(one["start"], one["condition"]): one for one in summary["comparisons"] if one["role"] == "baseline"}
    header = ["initialisation", "mean", "mean rank", f"gain over {summary['baseline']}", "p (Holm)",
              "SD between data sets", "verdict"]
    parts = [f"over {len(summary['data_sets'])} data sets, {summary['measure']}"]
    for condition in summary["conditions"]:
        rows = []
        for cell in summary["cells"]:
            if cell["condition"] == condition["name"] and cell["start"] not in controls:
                one = compared.get((cell["start"], cell["condition"]))
                gain, p, verdict = against(one, notation)
                rank = "" if cell["mean_rank"] is None else f"{cell['mean_rank']:.1f}"
                rows.append([cell["start"], notation.value(cell["mean"]), rank, gain, p,
                             notation.size(one["spread"]) if one else "", verdict])
        parts.append(f"{condition['name']}\n{table(header, rows)}")
    return [*parts, "\n".join(f"{one['condition']}: {one['sentence']}" for one in summary["sentences"])]


def _settled(comparison: Mapping[str, Any] | None, until_settled: bool) -> list[str]:
    """Return the table cell of the number of seeds that settled a comparison; [] for a fixed number of seeds."""
    if not until_settled:
        return []
    return ["" if comparison is None else
            f"{'after' if comparison['is_settled'] else 'not with'} {comparison['n_seeds']} seeds"]
