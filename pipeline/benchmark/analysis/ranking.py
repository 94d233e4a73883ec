"""Comparisons of the sources with one another: all pairs, and ranks with simultaneous confidence intervals.

The pairs of all conditions are one family, separate from that of the comparisons with the baseline. A source that ``b``
others are shown to be better than, and that is shown to be better than ``w`` others, has one of the ranks ``b + 1`` to
``k - w``. All true ranks lie in these intervals with a probability of at least 95%, since with that probability no
verdict on a pair is wrong (Holm's procedure; Mogstad et al. 2024, "Inference for Ranks").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any

from pipeline.benchmark.analysis.comparisons import Scores, examined, settling
from pipeline.benchmark.analysis.sequential import Examined, seeds_for_a_verdict
from pipeline.benchmark.analysis.statistics import BETTER, WORSE


def candidates(plan: Mapping[str, Any]) -> list[str]:
    """Return the initialisations that a user can choose: neither controls nor the baseline."""
    return [one["name"] for one in plan["starts"] if one["control"] is None and one["name"] != plan["baseline"]]


def n_pairs(plan: Mapping[str, Any]) -> int:
    """Return the number of comparisons between candidates that a plan allows, over all conditions."""
    k = len(candidates(plan))
    return len(plan["conditions"]) * k * (k - 1) // 2


def rank(plan: Mapping[str, Any], scores: Scores) -> dict[str, Any]:
    """Compare every pair of candidates and rank them.

    Args:
        plan: :meth:`pipeline.benchmark.plan.Plan.to_dict`.
        scores: test scores by initialisation and condition.

    Returns:
        JSON-serialisable: ``n_comparisons``; ``seeds_needed``, the smallest number of seeds with which one of them can
        have a verdict; ``pairs``, each with ``condition``, ``start``, ``reference``, ``n``, ``difference`` (positive if
        ``start`` is better), ``interval``, ``p``, ``p_holm`` and ``verdict``; and ``ranks``, each with ``condition``,
        ``start``, ``mean`` score, and the ``first`` and ``last`` rank of the interval, by condition from best to worst.
    """
    names = candidates(plan)
    pairs = [(name, other, condition["name"]) for condition in plan["conditions"]
             for name, other in combinations(names, 2)]
    tested = examined(plan, scores, pairs)
    return {
        "n_comparisons": len(pairs),
        "seeds_needed": seeds_for_a_verdict(plan, len(pairs)),
        "pairs": [{**_described(*pair, one), **settling(plan, one)} for pair, one in tested.items()],
        "ranks": [row for condition in plan["conditions"]
                  for row in _ranks(plan, scores, names, condition["name"], tested)],
    }


def _described(name: str, reference: str, condition: str, one: Examined) -> dict[str, Any]:
    found = one.tested.difference
    return {"condition": condition, "start": name, "reference": reference, "n": found.n, "difference": found.mean,
            "interval": None if found.interval is None else list(found.interval), "p": found.p,
            "p_holm": one.tested.p_holm, "verdict": one.tested.verdict}


def _ranks(
    plan: Mapping[str, Any], scores: Scores, names: Sequence[str], condition: str,
    tested: Mapping[tuple[str, str, str], Examined],
) -> list[dict[str, Any]]:
    """Return the ranks of the candidates that have results, the best mean first."""
    means = {name: fmean(known) for name in names
             if (known := [score for score in scores[name, condition] if score is not None])}
    better = dict.fromkeys(means, 0)  # number of candidates that are better than it
    worse = dict(better)
    for (name, other, where), one in tested.items():
        if where == condition and one.tested.verdict in (BETTER, WORSE):
            above, below = (name, other) if one.tested.verdict == BETTER else (other, name)
            better[below] += 1
            worse[above] += 1
    ordered = sorted(means, key=lambda name: means[name], reverse=not plan["smaller_is_better"])
    return [{"condition": condition, "start": name, "mean": means[name], "first": better[name] + 1,
             "last": len(means) - worse[name]} for name in ordered]
