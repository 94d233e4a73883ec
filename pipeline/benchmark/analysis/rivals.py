"""Comparisons with rivals: each initialisation with each rival, a separate family of tests.

Since the family is separate, rivals change no verdict on the sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.benchmark.analysis.comparisons import Scores, described, examined
from pipeline.benchmark.analysis.ranking import candidates
from pipeline.benchmark.analysis.recommendation import joined
from pipeline.benchmark.analysis.sequential import seeds_for_a_verdict
from pipeline.benchmark.analysis.statistics import BETTER, EQUAL, NO_DIFFERENCE, WORSE


def n_rival_pairs(plan: Mapping[str, Any]) -> int:
    """Return the number of comparisons with rivals, over all conditions."""
    return len(plan["conditions"]) * len(_pairs(plan))


def compare_rivals(plan: Mapping[str, Any], scores: Scores) -> dict[str, Any]:
    """Compare every source with every rival, and every rival with the baseline.

    Args:
        plan: :meth:`pipeline.benchmark.plan.Plan.to_dict`.
        scores: test scores by initialisation or rival, and condition.

    Returns:
        JSON-serialisable: ``rivals``, each with ``name`` (of its rows), ``rival`` and ``description``; ``missing``,
        those that are not installed, with the ``command`` that installs them; ``n_comparisons`` and ``seeds_needed``;
        and ``comparisons``, with the keys of the other comparisons of a summary, and the role ``rival``.
    """
    pairs = [(name, reference, condition["name"]) for condition in plan["conditions"]
             for name, reference in _pairs(plan)]
    comparisons = [described(plan, scores, pair, "rival", one, len(pairs))
                   for pair, one in examined(plan, scores, pairs).items()]
    return {"rivals": list(plan.get("rivals", ())), "missing": list(plan.get("missing_rivals", ())),
            "n_comparisons": len(pairs), "seeds_needed": seeds_for_a_verdict(plan, len(pairs)),
            "comparisons": comparisons}


def rivals_of(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a summary that :func:`compare_rivals` returned; summaries of earlier versions have none."""
    nothing: dict[str, Any] = {"rivals": [], "missing": [], "n_comparisons": 0, "seeds_needed": 0, "comparisons": []}
    return summary.get("rivals") or nothing


def with_baseline(summary: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the comparisons with the baseline by initialisation or rival, and condition."""
    baseline = summary["baseline"]
    return {(one["start"], one["condition"]): one
            for one in (*summary["comparisons"], *rivals_of(summary)["comparisons"])
            if one["role"] == "baseline" or (one["role"], one["reference"]) == ("rival", baseline)}


def rival_sentences(summary: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return ``condition`` and ``sentence`` on the source with the best mean and the rivals, for each condition."""
    answers = []
    for condition in (one["name"] for one in summary["conditions"]):
        ranked = [one["start"] for one in summary["ranking"]["ranks"] if one["condition"] == condition]
        verdicts = {one["reference"]: one["verdict"] for one in rivals_of(summary)["comparisons"]
                    if ranked and one["condition"] == condition and one["start"] == ranked[0] and one["n"]}
        parts = [phrase.format(joined(names)) for verdict, phrase in PHRASES.items()
                 if (names := [name for name, found in verdicts.items() if found == verdict])]
        if verdicts:
            known = ", ".join(parts) or "needs more seeds to be compared with the rivals"
            answers.append({"condition": condition, "sentence": f"{ranked[0]} {known}."})
    return answers


PHRASES = {BETTER: "is better than {}", EQUAL: "is practically equal to {}", WORSE: "is worse than {}",
           NO_DIFFERENCE: "has no shown difference from {}"}



def _pairs(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    rivals = [one["name"] for one in plan.get("rivals", ())]
    return [*((name, plan["baseline"]) for name in rivals),
            *((source, name) for source in candidates(plan) for name in rivals)]
