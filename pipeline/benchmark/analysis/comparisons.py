"""Paired comparisons of a benchmark: each initialisation with the baseline, and controls with each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from embeddings.sources.random import CONTROLS
from pipeline.benchmark.analysis.sentences import sentence
from pipeline.benchmark.analysis.sequential import Examined, settle
from pipeline.benchmark.analysis.statistics import Difference, as_family, paired_all
from pipeline.benchmark.grid import BAR

Scores = Mapping[tuple[str, str], Sequence[float | None]]  # (initialisation, condition): one score per seed, or None

STEPS = ("scale", "geometry", "meaning")
"""The steps of a gain's decomposition; the roles of comparisons other than ``baseline``."""


@dataclass(frozen=True)
class Controlled:
    """The names of an initialisation and of its controls; None where the plan does not include one.

    Attributes:
        source: name of the initialisation without ``frozen``.
        frozen: whether the vectors are frozen in all of them.
        name: name of the initialisation.
        baseline: frozen if they are.
        matched, covariance, shuffled: the controls.
    """

    source: str
    frozen: bool
    name: str
    baseline: str | None
    matched: str | None
    covariance: str | None
    shuffled: str | None

    @property
    def steps(self) -> dict[str, tuple[str | None, str | None]]:
        """The pair of each difference; ``scale``, ``geometry`` and ``meaning`` add up to ``total``."""
        return {"total": (self.name, self.baseline), "scale": (self.matched, self.baseline),
                "geometry": (self.shuffled, self.matched), "meaning": (self.name, self.shuffled),
                "covariance": (self.covariance, self.matched)}


class Comparisons:
    """All comparisons of a plan.

    Args:
        plan: :meth:`pipeline.benchmark.plan.Plan.to_dict`.
        scores: test scores by initialisation and condition.
    """

    def __init__(self, plan: Mapping[str, Any], scores: Scores) -> None:
        self.plan, self._scores = plan, scores
        self.controlled = controlled_initialisations(plan)
        conditions = [condition["name"] for condition in plan["conditions"]]
        self._roles = {(*pair, condition): role for condition in conditions
                       for pair, role in _roles(plan, self.controlled).items()}
        steps = [(*pair, condition) for condition in conditions for one in self.controlled
                 for pair in one.steps.values()]
        self._examined = examined(plan, scores, list(self._roles))
        untested = list(dict.fromkeys(pair for pair in steps if pair not in self._roles))
        found = zip(untested, paired_all([self._differences(*pair) for pair in untested]), strict=True)
        self._found = {pair: one.tested.difference for pair, one in self._examined.items()} | dict(found)

    @property
    def m(self) -> int:
        """Number of tests in the family, including those without any pair of runs."""
        return len(self._roles)

    def tested(self) -> list[dict[str, Any]]:
        """Return each tested comparison with its verdict."""
        return [described(self.plan, self._scores, pair, role, self._examined[pair], self.m)
                for pair, role in self._roles.items()]

    def steps(self) -> list[dict[str, Any]]:
        """Return the decomposition of each controlled initialisation's gain."""
        return [{"source": one.source, "frozen": one.frozen, "condition": condition["name"],
                 **{step: mean_and_interval(self._found[(*pair, condition["name"])])
                    for step, pair in one.steps.items()}}
                for condition in self.plan["conditions"] for one in self.controlled]

    def _differences(self, name: str | None, reference: str | None, condition: str) -> list[float]:
        return [] if name is None or reference is None else _known(
            improvements_by_seed(self.plan, self._scores, name, reference, condition))


def examined(
    plan: Mapping[str, Any], scores: Scores, pairs: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], Examined]:
    """Test a family of comparisons: with all seeds, or at each look up to them if the plan is until settled.

    Args:
        plan: :meth:`pipeline.benchmark.plan.Plan.to_dict`.
        scores: test scores by initialisation and condition.
        pairs: initialisation, reference and condition of each comparison.
    """
    by_seed = [improvements_by_seed(plan, scores, *pair) for pair in pairs]
    n_seeds, margin = len(plan["seeds"]), margin_of(plan)
    if plan.get("until_settled"):
        found = settle(by_seed, n_seeds, margin=margin)
    else:
        found = [Examined(one, n_seeds) for one in as_family(list(map(_known, by_seed)), margin=margin)]
    return dict(zip(pairs, found, strict=True))


def described(
    plan: Mapping[str, Any], scores: Scores, pair: tuple[str, str, str], role: str, one: Examined, m: int
) -> dict[str, Any]:
    """Return a comparison of a family of ``m`` as the summary lists it, with its sentence.

    Args:
        plan: :meth:`pipeline.benchmark.plan.Plan.to_dict`.
        scores: test scores by initialisation and condition.
        pair: initialisation, reference and condition.
        role: of the comparison.
        one: its result.
        m: number of comparisons of the family.
    """
    (name, reference, condition), found = pair, one.tested.difference
    comparison = {"start": name, "reference": reference, "condition": condition, "role": role, "n": found.n,
                  **mean_and_interval(found), "p": found.p, "p_holm": one.tested.p_holm,
                  "effect_size": found.effect_size, "verdict": one.tested.verdict,
                  "differences": _known(improvements_by_seed(plan, scores, *pair)[: one.n_seeds]),
                  **settling(plan, one)}
    return {**comparison, "sentence": sentence(plan, comparison, m)}


def settling(plan: Mapping[str, Any], one: Examined) -> dict[str, Any]:
    """Return ``n_seeds`` at the last look, and whether it ``is_settled``; {} for a fixed number of seeds."""
    return {"n_seeds": one.n_seeds, "is_settled": one.is_settled} if plan.get("until_settled") else {}


def margin_of(plan: Mapping[str, Any]) -> float | None:
    """Return the largest difference that counts as equal in units of the measure, not in points; None without one."""
    margin: float | None = plan.get("margin")
    return margin / 100 if margin is not None and plan["is_share"] else margin


def improvements_by_seed(
    plan: Mapping[str, Any], scores: Scores, name: str, reference: str, condition: str
) -> list[float | None]:
    """Return the improvement of an initialisation over another for each seed; None without both scores."""
    sign = -1 if plan["smaller_is_better"] else 1
    pairs = zip(scores[name, condition], scores[reference, condition], strict=True)
    return [None if ours is None or theirs is None else sign * (ours - theirs) for ours, theirs in pairs]


def _known(differences: Sequence[float | None]) -> list[float]:
    return [one for one in differences if one is not None]


def n_comparisons(plan: Mapping[str, Any]) -> int:
    """Return the number of comparisons that a plan tests."""
    return len(plan["conditions"]) * len(_roles(plan, controlled_initialisations(plan)))


def controlled_initialisations(plan: Mapping[str, Any]) -> list[Controlled]:
    """Return every initialisation that has at least one control."""
    initialisations = plan["starts"]
    baseline = next(one for one in initialisations if one["name"] == plan["baseline"])

    def find(like: Mapping[str, Any], **differing: Any) -> str | None:
        wanted = {key: like[key] for key in ("transforms", "frozen", "settings")} | differing
        return next((one["name"] for one in initialisations if all(one[key] == wanted[key] for key in wanted)), None)

    found = []
    for one in initialisations:
        controls = {kind: find(one, control=kind, control_of=one["source"]) for kind in CONTROLS}
        if one["control"] is None and any(controls.values()):
            found.append(Controlled(
                BAR.join((one["source"], *one["transforms"])), one["frozen"], one["name"],
                find(baseline, source=baseline["source"], frozen=one["frozen"], control=None), **controls))
    return found


def _roles(plan: Mapping[str, Any], controlled: Sequence[Controlled]) -> dict[tuple[str, str], str]:
    """Return the pairs to test with their roles; a pair with two roles is tested once."""
    roles = {(one["name"], plan["baseline"]): "baseline" for one in plan["starts"]
             if one["control"] is None and one["name"] != plan["baseline"]}
    for one in controlled:
        for role in STEPS:
            name, reference = one.steps[role]
            if name is not None and reference is not None:
                roles.setdefault((name, reference), role)
    return roles


def mean_and_interval(found: Difference) -> dict[str, Any]:
    """Return ``difference`` and ``interval`` as JSON has them."""
    return {"difference": found.mean, "interval": None if found.interval is None else list(found.interval)}
