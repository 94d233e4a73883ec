"""The recommendation of a benchmark: for each condition, one sentence on which source to start from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from embeddings.table.listing import shortened
from pipeline.benchmark.analysis.statistics import BETTER, TOO_FEW, WORSE

CLEARLY = 0.9
"""A source is cheaper if its runs require less than this share of the time."""


def recommend(summary: Mapping[str, Any], costs: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return ``condition`` and ``sentence`` for each condition in which a source has results.

    Sources that are not shown to be worse than the one with the best mean cannot be told apart from it; of these, the
    one with the shortest run is recommended.

    Args:
        summary: contents of ``summary.json``.
        costs: contents of ``costs.json``.
    """
    seconds = {(cell["start"], cell["condition"]): _seconds(cell) for cell in costs["cells"]}
    answers = []
    for condition in (one["name"] for one in summary["conditions"]):
        ranked = [one["start"] for one in summary["ranking"]["ranks"] if one["condition"] == condition]
        if ranked:
            spent = {name: seconds.get((name, condition), math.inf) for name in ranked}
            answers.append({"condition": condition, "sentence": _sentence(summary, condition, ranked, spent)})
    return answers


def _seconds(cell: Mapping[str, Any]) -> float:
    """Return the median seconds of a run for its vectors and its training."""
    known = [cell[stage]["seconds"] for stage in ("vectors", "training")]
    return math.inf if None in known else math.fsum(known)


def _sentence(
    summary: Mapping[str, Any], condition: str, ranked: Sequence[str], seconds: Mapping[str, float]
) -> str:
    baseline, n = summary["baseline"], len(summary["seeds"])
    verdicts = {one["start"]: one["verdict"] for one in summary["comparisons"]
                if one["condition"] == condition and one["role"] == "baseline"}
    good = [name for name in ranked if verdicts[name] == BETTER]
    if not good:
        if all(verdicts[name] == TOO_FEW for name in ranked):
            return (f"Which source to start from cannot be said with {n} seed{'s' * (n != 1)}; at least "
                    f"{max(summary['seeds_needed'], summary['ranking']['seeds_needed'])} are needed.")
        if all(verdicts[name] == WORSE for name in ranked):
            return f"Start from {baseline}: it is better than {joined(ranked)}."
        return f"No source is shown to be better than {baseline} with {n} seeds."
    best = good[0]
    others = [name for name in ranked if name != best]
    equal = [name for name in others if _verdict(summary, condition, best, name) != BETTER]
    if not equal:
        return f"Start from {best}: it is better than {joined([*others, baseline])}."
    choices = [name for name in (best, *equal) if name in good]
    cheapest = min(choices, key=lambda name: seconds[name])
    chosen = cheapest if seconds[cheapest] < CLEARLY * seconds[best] else best
    reason = "is cheaper" if chosen != best else "has the best mean" if len(choices) == 1 else (
        "has the best mean, and no other is clearly cheaper")
    pairs = summary["ranking"]
    more = ("" if n >= pairs["seeds_needed"] else
            f" To compare the sources with one another, at least {pairs['seeds_needed']} seeds are needed.")
    return (f"{joined([best, *equal])} cannot be told apart with these seeds; take {chosen}, which {reason}"
            f"{_each(seconds, choices)}.{more}")


def joined(names: Sequence[str]) -> str:
    """Join names with commas, and the last one with "and"."""
    *first, last = map(shortened, names)
    return f"{', '.join(first)} and {last}" if first else last


def _verdict(summary: Mapping[str, Any], condition: str, name: str, other: str) -> str:
    """Return the verdict on ``name`` compared with ``other``."""
    opposite = {BETTER: WORSE, WORSE: BETTER}
    for one in summary["ranking"]["pairs"]:
        if one["condition"] == condition and {one["start"], one["reference"]} == {name, other}:
            verdict = str(one["verdict"])
            return verdict if one["start"] == name else opposite.get(verdict, verdict)
    raise KeyError((condition, name, other))


def _each(seconds: Mapping[str, float], names: Sequence[str]) -> str:
    """Return the seconds of each source in parentheses; "" if there is only one, or they are not known."""
    known = [f"{shortened(name)} {seconds[name]:.1f}" for name in names if math.isfinite(seconds[name])]
    return f" (seconds for vectors and training: {', '.join(known)})" if len(known) > 1 else ""
