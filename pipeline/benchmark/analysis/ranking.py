"""Comparisons of the sources with one another: all pairs, and ranks with simultaneous confidence intervals.

The pairs of all conditions are one family, separate from that of the comparisons with the baseline. A source that ``b``
others are shown to be better than, and that is shown to be better than ``w`` others, has one of the ranks ``b + 1`` to
``k - w``. All true ranks lie in these intervals with a probability of at least 95%, since with that probability no
verdict on a pair is wrong (Holm's procedure; Mogstad et al. 2024, "Inference for Ranks").
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from pipeline.benchmark.analysis.comparisons import Scores, examined, settling
from pipeline.benchmark.analysis.selection import mean_of_known
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
        "ranks": [row for condition in plan["conditions"] for row in ranks(
            condition["name"], {name: mean_of_known(scores[name, condition["name"]]) for name in names},
            {pair: one.tested.verdict for pair, one in tested.items()}, smaller_is_better=plan["smaller_is_better"])],
    }


def _described(name: str, reference: str, condition: str, one: Examined) -> dict[str, Any]:
    found = one.tested.difference
    return {"condition": condition, "start": name, "reference": reference, "n": found.n, "difference": found.mean,
            "interval": None if found.interval is None else list(found.interval), "p": found.p,
            "p_holm": one.tested.p_holm, "verdict": one.tested.verdict}


def ranks(
    condition: str, scores: Mapping[str, float | None], verdicts: Mapping[tuple[str, str, str], str], *,
    smaller_is_better: bool,
) -> list[dict[str, Any]]:
    """Return ``condition``, ``start``, ``mean``, ``first`` and ``last`` rank of each candidate, the best mean first.

    Args:
        condition: name of the condition.
        scores: mean score of each candidate; None for one without results, which is left out.
        verdicts: of each pair of candidates in each condition, on the first compared with the second.
        smaller_is_better: whether a smaller mean is better.
    """
    means = {name: mean for name, mean in scores.items() if mean is not None}
    better = dict.fromkeys(means, 0)  # number of candidates that are better than it
    worse = dict(better)
    for (name, other, where), verdict in verdicts.items():
        if where == condition and verdict in (BETTER, WORSE):
            above, below = (name, other) if verdict == BETTER else (other, name)
            better[below] += 1
            worse[above] += 1
    ordered = sorted(means, key=lambda name: means[name], reverse=not smaller_is_better)
    return [{"condition": condition, "start": name, "mean": means[name], "first": better[name] + 1,
             "last": len(means) - worse[name]} for name in ordered]
