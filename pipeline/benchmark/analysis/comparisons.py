"""Which starts of a benchmark are compared with which, and what the comparisons find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.benchmark.analysis.sentences import sentence
from pipeline.benchmark.analysis.statistics import Difference, holm, paired_all, verdict
from pipeline.benchmark.grid import BAR

Scores = Mapping[tuple[str, str], Sequence[float | None]]  # by start and condition: one a seed, None where missing


@dataclass(frozen=True)
class Controlled:
    """A start with its controls, by name; None where the plan has no such start.

    Attributes:
        source: the start's name but for its being frozen.
        frozen: whether all of them are.
        start: itself.
        baseline: frozen if they are.
        matched, covariance, shuffled: the controls.
    """

    source: str
    frozen: bool
    start: str
    baseline: str | None
    matched: str | None
    covariance: str | None
    shuffled: str | None

    @property
    def steps(self) -> dict[str, tuple[str | None, str | None]]:
        """What each step of the gain is the difference of; scale, geometry and meaning add up to the total."""
        return {"total": (self.start, self.baseline), "scale": (self.matched, self.baseline),
                "geometry": (self.shuffled, self.matched), "meaning": (self.start, self.shuffled),
                "covariance": (self.covariance, self.matched)}


class Comparisons:
    """The comparisons of a plan on the scores of its runs."""

    def __init__(self, plan: Mapping[str, Any], scores: Scores) -> None:
        self.plan, self._scores = plan, scores
        self.controlled = controlled_starts(plan)
        conditions = [condition["name"] for condition in plan["conditions"]]
        self._roles = {(*pair, condition): role for condition in conditions
                       for pair, role in _roles(plan, self.controlled).items()}
        steps = [(*pair, condition) for condition in conditions for one in self.controlled
                 for pair in one.steps.values()]
        asked = list(dict.fromkeys([*self._roles, *steps]))
        self._found = dict(zip(asked, paired_all([self._differences(*one) for one in asked]), strict=True))

    @property
    def m(self) -> int:
        """How many are tested: one family, those without any pair of runs included."""
        return len(self._roles)

    def tested(self) -> list[dict[str, Any]]:
        """Each comparison with its verdict."""
        corrected = holm([self._found[one].p for one in self._roles])
        return [self._tested(*one, role, p) for (one, role), p in zip(self._roles.items(), corrected, strict=True)]

    def steps(self) -> list[dict[str, Any]]:
        """Each controlled start's gain cut into steps."""
        return [{"source": one.source, "frozen": one.frozen, "condition": condition["name"],
                 **{step: _plain(self._found[(*pair, condition["name"])]) for step, pair in one.steps.items()}}
                for condition in self.plan["conditions"] for one in self.controlled]

    def _tested(self, start: str, reference: str, condition: str, role: str, p_holm: float | None) -> dict[str, Any]:
        found = self._found[start, reference, condition]
        made = {"start": start, "reference": reference, "condition": condition, "role": role, "n": found.n,
                **_plain(found), "p": found.p, "p_holm": p_holm, "effect_size": found.effect_size,
                "verdict": verdict(found, p_holm, self.m),
                "differences": self._differences(start, reference, condition)}
        return {**made, "sentence": sentence(self.plan, made, self.m)}

    def _differences(self, start: str | None, reference: str | None, condition: str) -> list[float]:
        """In favour of the start, of the seeds that have both."""
        sign = -1 if self.plan["smaller_is_better"] else 1
        if start is None or reference is None:
            return []
        pairs = zip(self._scores[start, condition], self._scores[reference, condition], strict=True)
        return [sign * (ours - theirs) for ours, theirs in pairs if ours is not None and theirs is not None]


def controlled_starts(plan: Mapping[str, Any]) -> list[Controlled]:
    """Every start that has a control."""
    starts = plan["starts"]
    baseline = next(start for start in starts if start["name"] == plan["baseline"])

    def named(like: Mapping[str, Any], **differing: Any) -> str | None:
        wanted = {key: like[key] for key in ("transforms", "frozen", "settings")} | differing
        return next((start["name"] for start in starts if all(start[key] == wanted[key] for key in wanted)), None)

    made = []
    for start in starts:
        controls = {kind: named(start, control=kind, control_of=start["source"])
                    for kind in ("matched", "covariance", "shuffled")}
        if start["control"] is None and any(controls.values()):
            made.append(Controlled(
                BAR.join((start["source"], *start["transforms"])), start["frozen"], start["name"],
                named(baseline, source=baseline["source"], frozen=start["frozen"], control=None), **controls))
    return made


def _roles(plan: Mapping[str, Any], controlled: Sequence[Controlled]) -> dict[tuple[str, str], str]:
    """The pairs that are tested; one that answers two questions is tested once."""
    roles = {(start["name"], plan["baseline"]): "baseline" for start in plan["starts"]
             if start["control"] is None and start["name"] != plan["baseline"]}
    for one in controlled:
        for role in ("scale", "geometry", "meaning"):
            start, reference = one.steps[role]
            if start is not None and reference is not None:
                roles.setdefault((start, reference), role)
    return roles


def _plain(found: Difference) -> dict[str, Any]:
    return {"difference": found.mean, "interval": None if found.interval is None else list(found.interval)}
