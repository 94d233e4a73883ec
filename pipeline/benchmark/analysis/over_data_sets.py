"""The summary of a benchmark on several data sets: comparisons and ranks over them, and one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from pipeline.benchmark.analysis.comparisons import improvements_by_seed, margin_of
from pipeline.benchmark.analysis.random_effects import MIN_DATA_SETS, TOO_FEW_DATA, family_over_data_sets
from pipeline.benchmark.analysis.ranking import candidates, ranks
from pipeline.benchmark.analysis.recommendation import joined
from pipeline.benchmark.analysis.selection import larger_is_better, mean_of_known
from pipeline.benchmark.analysis.statistics import ALPHA, BETTER, EQUAL, NO_DIFFERENCE, WORSE
from pipeline.drawing.notation import Notation
from pipeline.errors import ConfigError

SHARED = ("task", "measure", "is_share", "smaller_is_better", "margin", "baseline", "starts", "conditions",
          "until_settled", "tuned")
"""Parts of a summary that are the same for all data sets."""
Summaries = Mapping[str, Mapping[str, Any]]
Pair = tuple[str, str, str]


def summarize_data_sets(summaries: Summaries, command: str = "") -> dict[str, Any]:
    """Compute the contents of ``summary.json`` of a benchmark on several data sets.

    Args:
        summaries: the summary of each data set, by its name.
        command: command that repeats the benchmark.

    Returns:
        JSON-serialisable: the parts of a summary that the data sets share; ``data_sets``, their names; ``n_runs``;
        ``cells``, each with ``start``, ``condition``, ``scores`` (the mean over seeds on each data set or None), their
        ``mean``, and ``mean_rank`` among all initialisations but controls; ``comparisons`` with the baseline and those
        of controls, and ``ranking`` of the sources, as in the summary of one data set, with ``n`` data sets and the
        standard deviation ``spread`` between them; and ``sentences``, one for each condition.

    Raises:
        ConfigError: if the data sets differ in their task, measure, sources or conditions.
    """
    first = next(iter(summaries.values()))
    for name, one in summaries.items():
        for key in SHARED:
            if one[key] != first[key]:
                raise ConfigError(f"{next(iter(summaries))} and {name} differ in their {key.replace('_', ' ')}: "
                                  f"{first[key]!r}, {one[key]!r}; only results of the same grid can be pooled")
    roles = {(one["start"], one["reference"], one["condition"]): one["role"] for one in first["comparisons"]}
    compared = _compared(summaries, list(roles))
    pairs = _compared(summaries, [(*pair, condition["name"]) for condition in first["conditions"]
                                  for pair in combinations(candidates(first), 2)])
    cells = _cells(summaries)
    verdicts = {(one["start"], one["reference"], one["condition"]): one["verdict"] for one in pairs}
    summary = {
        **{key: first[key] for key in SHARED},
        "data_sets": list(summaries),
        "seeds": max((one["seeds"] for one in summaries.values()), key=len),
        "command": command,
        "n_runs": {key: sum(one["n_runs"][key] for one in summaries.values()) for key in first["n_runs"]},
        "alpha": ALPHA,
        "n_comparisons": len(compared),
        "cells": cells,
        "comparisons": [{**one, "role": role} for one, role in zip(compared, roles.values(), strict=True)],
        "ranking": {"n_comparisons": len(pairs), "pairs": pairs, "ranks": [
            row for condition in first["conditions"] for row in ranks(
                condition["name"], {cell["start"]: cell["mean"] for cell in cells
                                    if cell["condition"] == condition["name"] and cell["start"] in candidates(first)},
                verdicts, smaller_is_better=first["smaller_is_better"])]},
    }
    return {**summary, "sentences": [{"condition": condition["name"], "sentence": sentence}
                                     for condition in first["conditions"]
                                     if (sentence := _sentence(summary, condition["name"]))]}


def _compared(summaries: Summaries, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Test pairs over the data sets as one family."""
    first = next(iter(summaries.values()))
    scores = {name: {(cell["start"], cell["condition"]): cell["scores"] for cell in one["cells"]}
              for name, one in summaries.items()}
    differences = [{name: [value for value in improvements_by_seed(one, scores[name], *pair) if value is not None]
                    for name, one in summaries.items()} for pair in pairs]
    family = family_over_data_sets([list(one.values()) for one in differences], margin=margin_of(first))
    return [
        {"start": start, "reference": reference, "condition": condition, "n": tested.difference.n,
         "difference": tested.difference.mean,
         "interval": None if tested.difference.interval is None else list(tested.difference.interval),
         "p": tested.difference.p, "p_holm": tested.p_holm, "spread": spread, "verdict": tested.verdict,
         "by_data_set": {name: mean_of_known(values) for name, values in by_name.items()}}
        for (start, reference, condition), (tested, spread), by_name in zip(pairs, family, differences, strict=True)]


def _cells(summaries: Summaries) -> list[dict[str, Any]]:
    """Return the mean of each initialisation and condition on each data set, and its mean rank."""
    from scipy.stats import rankdata

    first = next(iter(summaries.values()))
    means = {name: {(cell["start"], cell["condition"]): cell["mean"] for cell in one["cells"]}
             for name, one in summaries.items()}
    ranked = {one["name"] for one in first["starts"] if one["control"] is None}
    found: dict[tuple[str, str], list[float]] = {}
    for by_cell in means.values():
        for condition in first["conditions"]:
            known = {key: mean for key, mean in by_cell.items()
                     if key[1] == condition["name"] and key[0] in ranked and mean is not None}
            places = rankdata([-larger_is_better(first, mean) for mean in known.values()])
            for key, place in zip(known, places, strict=True):
                found.setdefault(key, []).append(float(place))
    return [{"start": start, "condition": condition, "scores": {name: means[name][start, condition] for name in means},
             "mean": mean_of_known(means[name][start, condition] for name in means),
             "mean_rank": mean_of_known(found.get((start, condition), ()))}
            for start, condition in means[next(iter(means))]]


def _sentence(summary: Mapping[str, Any], condition: str) -> str:
    """Describe the source with the best mean over the data sets, and its comparisons; "" without results."""
    ranked = [one for one in summary["ranking"]["ranks"] if one["condition"] == condition]
    if not ranked:
        return ""
    best, k = ranked[0]["start"], len(summary["data_sets"])
    cell = next(one for one in summary["cells"] if (one["start"], one["condition"]) == (best, condition))
    verdicts: dict[str, list[str]] = {}
    for other, verdict in _verdicts(summary, best, condition):
        verdicts.setdefault(verdict, []).append(other)
    if TOO_FEW_DATA in verdicts:
        found = f"{k} data sets are too few for verdicts over data sets; at least {MIN_DATA_SETS} are needed"
    else:
        clauses = {BETTER: "it is better than {}", WORSE: "it is worse than {}",
                   EQUAL: "it is practically equal to {}", NO_DIFFERENCE: "no difference from {} is shown"}
        found = "; ".join(clause.format(joined(verdicts[verdict])) for verdict, clause in clauses.items()
                          if verdict in verdicts)
    notation = Notation.of(summary)
    place = f"the best mean of {len(ranked)} sources" if len(ranked) > 1 else "a mean"
    return (f"Over {k} data sets, {best} has {place} ({notation.value(cell['mean'])}, mean rank "
            f"{cell['mean_rank']:.1f}): {found}.")


def _verdicts(summary: Mapping[str, Any], name: str, condition: str) -> list[tuple[str, str]]:
    """Return each other source, and the baseline, with the verdict on ``name`` compared with it."""
    opposite = {BETTER: WORSE, WORSE: BETTER}
    found = []
    for one in (*summary["ranking"]["pairs"], *summary["comparisons"]):
        if one["condition"] == condition and one.get("role", "baseline") == "baseline":
            if one["start"] == name:
                found.append((one["reference"], one["verdict"]))
            elif one["reference"] == name:
                found.append((one["start"], opposite.get(one["verdict"], one["verdict"])))
    return found
