"""A comparison in plain sentences, for readers who know no statistics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.benchmark.analysis.statistics import NO_DIFFERENCE, TOO_FEW, p_value, seeds_needed

STEPS = ("scale", "geometry", "meaning")


def sentence(plan: Mapping[str, Any], comparison: Mapping[str, Any], m: int) -> str:
    """What a comparison found, and what follows where it found nothing.

    Differences are the measure's own: where smaller is better, a better start has a negative one.

    Args:
        plan: with ``measure``, ``is_share`` and ``smaller_is_better``.
        comparison: one of a summary's.
        m: how many comparisons there are.
    """
    n, verdict = comparison["n"], comparison["verdict"]
    start, reference = comparison["start"], comparison["reference"]
    under = f"With {comparison['condition']}, "
    step = f" (the step of {comparison['role']})" if comparison["role"] in STEPS else ""
    family = f"{m} comparisons" if m > 1 else "1 comparison"
    if verdict == TOO_FEW:
        said = (f"no seed has a result of both {start} and {reference}{step}" if n == 0 else
                f"{n} seed{'s are' if n > 1 else ' is'} too few to say whether {start} differs from {reference}{step}; "
                f"so far {_change(plan, [comparison['difference']])[0]}")
        return f"{under}{said}. {family} need{'s' * (m == 1)} at least {seeds_needed(m)} seeds."
    change, low, high = _change(plan, [comparison["difference"], *comparison["interval"]])
    p = p_value(comparison["p_holm"])
    found = (f"{change} (95 % interval {low} to {high}, p {p if p.startswith('<') else f'= {p}'}"
             f"{f' after correction for {family}' * (m > 1)})")
    if verdict != NO_DIFFERENCE:
        return f"{under}{start} is {verdict} than {reference}{step}: {found}."
    follows = (f"If there is one, it probably lies in this interval; about {4 * n} seeds would halve its width."
               if len(set(comparison["interval"])) > 1 else "They are equal with every seed.")
    return f"{under}no difference between {start} and {reference} is shown{step}: {found}. {follows}"


def _change(plan: Mapping[str, Any], gains: Sequence[float]) -> list[str]:
    """A gain with its unit, then the ends of its interval if there are any, as changes of the measure."""
    sign = -1 if plan["smaller_is_better"] else 1
    changes = [sign * gain * (100 if plan["is_share"] else 1) for gain in gains]
    largest = max(map(abs, changes)) or 1
    magnitude = math.floor(math.log10(largest))
    digits = max(1, 1 - magnitude) if plan["is_share"] else max(0, 2 - magnitude)
    name = "" if plan["is_share"] and sign > 0 else f"{plan['measure']} "
    unit = " points" if plan["is_share"] else ""
    ends = sorted(changes[1:])
    return [f"{name}{changes[0]:+z,.{digits}f}{unit}", *(f"{end:z,.{digits}f}" for end in ends)]

