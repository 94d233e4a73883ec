"""Comparisons as plain sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import stdev
from typing import Any

from pipeline.benchmark.analysis.planning import POWER, power_of_equality, seeds_to_settle
from pipeline.benchmark.analysis.sequential import factor, seeds_for_a_verdict
from pipeline.benchmark.analysis.statistics import EQUAL, NO_DIFFERENCE, TOO_FEW, p_value


def sentence(plan: Mapping[str, Any], comparison: Mapping[str, Any], m: int) -> str:
    """Describe the result of a comparison, with the number of seeds to aim for where it is inconclusive.

    Differences are printed in the measure's own direction: negative for a better score where smaller is better.

    Args:
        plan: with ``measure``, ``is_share``, ``smaller_is_better`` and ``margin``.
        comparison: an entry of the summary's ``comparisons``.
        m: number of comparisons.
    """
    n, verdict = comparison["n"], comparison["verdict"]
    name, reference = comparison["start"], comparison["reference"]
    prefix = f"With {comparison['condition']}, "
    step = "" if comparison["role"] == "baseline" else f" ({comparison['role']} step)"
    family = f"{m} comparisons" if m > 1 else "1 comparison"
    if verdict == TOO_FEW:
        observed = (f"no seed has results for both {name} and {reference}{step}" if n == 0 else
                    f"{n} seed{'s are' if n > 1 else ' is'} too few to compare {name} with {reference}{step}; the "
                    f"observed difference is {_change(plan, [comparison['difference']])[0]}")
        return f"{prefix}{observed}. {family} need{'s' * (m == 1)} at least {seeds_for_a_verdict(plan, m)} seeds."
    change, low, high = _change(plan, [comparison["difference"], *comparison["interval"]])
    p = p_value(comparison["p_holm"])
    found = (f"{change} (95% confidence interval {low} to {high}, p {p if p.startswith('<') else f'= {p}'}"
             f"{_correction(plan, comparison, m)})")
    settled = f" Settled after {comparison['n_seeds']} seeds." if comparison.get("is_settled") else ""
    if verdict == EQUAL:
        return (f"{prefix}{name} and {reference} are practically equal{step}: {found}; the interval lies within "
                f"{_margin(plan)}.{settled}")
    if verdict != NO_DIFFERENCE:
        return f"{prefix}{name} is {verdict} than {reference}{step}: {found}.{settled}"
    note = ("The scores are equal for every seed." if len(set(comparison["interval"])) == 1 else
            f"About {4 * n} seeds would halve the width of the interval." if plan.get("margin") is None else
            _seeds_for_margin(plan, comparison["differences"], _factor(plan, comparison, m)))
    return f"{prefix}no difference between {name} and {reference} is shown{step}: {found}. {note}"


def _correction(plan: Mapping[str, Any], comparison: Mapping[str, Any], m: int) -> str:
    """Name the correction of the p-value; "" without one."""
    if plan.get("until_settled"):
        return f" after correction for {f'{m} comparisons and ' * (m > 1)}repeated looks"
    return f" after Holm correction for {m} comparisons" if m > 1 else ""


def _factor(plan: Mapping[str, Any], comparison: Mapping[str, Any], m: int) -> float:
    """Return the factor of the p-value of one of ``m`` comparisons."""
    return factor(m, m=m, n=comparison["n_seeds"]) if plan.get("until_settled") else m


def _margin(plan: Mapping[str, Any]) -> str:
    return f"±{plan['margin']:g}{' points' if plan['is_share'] else ''}"


def _seeds_for_margin(plan: Mapping[str, Any], differences: Sequence[float], m: float) -> str:
    """Describe the power of the comparison for the margin, and the number of seeds that would be enough."""
    spread, n = stdev(differences), len(differences)
    margin = plan["margin"] / (100 if plan["is_share"] else 1)
    power, needed = power_of_equality(spread, n, margin, m), seeds_to_settle(spread, margin, m)
    enough = f"about {needed:,}" if needed else "more than 10,000"
    return (f"If they were equal, this would be shown within {_margin(plan)} with a probability of {power:.0%} with "
            f"{n} seeds; for {POWER:.0%}, {enough} seeds are needed.")


def _change(plan: Mapping[str, Any], gains: Sequence[float]) -> list[str]:
    """Format a gain with its unit, and the bounds of its interval if given, as changes of the measure."""
    sign = -1 if plan["smaller_is_better"] else 1
    changes = [sign * gain * (100 if plan["is_share"] else 1) for gain in gains]
    largest = max(map(abs, changes)) or 1
    magnitude = math.floor(math.log10(largest))
    digits = max(1, 1 - magnitude) if plan["is_share"] else max(0, 2 - magnitude)
    name = "" if plan["is_share"] and sign > 0 else f"{plan['measure']} "
    unit = " points" if plan["is_share"] else ""
    bounds = sorted(changes[1:])
    return [f"{name}{changes[0]:+z,.{digits}f}{unit}", *(f"{bound:z,.{digits}f}" for bound in bounds)]
