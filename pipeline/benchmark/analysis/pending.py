"""Which comparisons of a benchmark are not settled yet, and after how many seeds the others were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from embeddings.table.listing import listed
from pipeline.benchmark.analysis.rivals import rivals_of


def pending_cells(summary: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the initialisations and conditions that a comparison needs which is not settled."""
    return {(one[side], one["condition"]) for one in _compared(summary) if not one["is_settled"]
            for side in ("start", "reference")}


def settlement(summary: Mapping[str, Any]) -> str:
    """Return which comparisons are settled, in one or two sentences; "" for a fixed number of seeds.

    Args:
        summary: contents of ``summary.json``.
    """
    compared = list(_compared(summary)) if summary.get("until_settled") else []
    if not compared:
        return ""
    settled = [one["n_seeds"] for one in compared if one["is_settled"]]
    seeds = f"{min(settled)} to {max(settled)}" if len(set(settled)) > 1 else "".join(map(str, settled[:1]))
    found = f"{len(settled)} of {len(compared)} comparisons are settled{f', after {seeds} seeds' * bool(settled)}."
    left = [f"{one['start']} and {one['reference']} ({one['condition']})" for one in compared if not one["is_settled"]]
    if not left:
        return found
    advice = ("" if summary["margin"] is not None else
              " Without a margin, a comparison of equal sources is never settled.")
    return f"{found} Not settled with {len(summary['seeds'])} seeds: {listed(left, limit=6)}.{advice}"


def _compared(summary: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Iterate over all comparisons: those with the baseline, of controls, of pairs of sources, and with rivals."""
    yield from summary["comparisons"]
    yield from summary["ranking"]["pairs"]
    yield from rivals_of(summary)["comparisons"]
