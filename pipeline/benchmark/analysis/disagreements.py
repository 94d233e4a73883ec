"""Test examples on which an initialisation and its reference disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from pipeline.tasks import base

MAJORITY = 0.5  # an outcome, or a share of seeds, above this counts as correct
CATEGORIES = ("only_start", "only_reference", "both", "neither")
"""Which of the two predicts an example correctly; keys in JSON."""

Lines = Sequence[Mapping[str, Any]]


class ExampleResult(NamedTuple):
    """The result of one run on one test example.

    Attributes:
        correct: whether the prediction is correct.
        text: the example's text, truncated.
        gold: the gold answer as text.
        predicted: the predicted answer as text.
    """

    correct: bool
    text: str = ""
    gold: str = ""
    predicted: str = ""


PairedResults = dict[str, list[tuple[ExampleResult, ExampleResult]]]
"""By location of the test example: the results of an initialisation and of its reference, one pair per seed."""


def find_disagreements(
    summary: Mapping[str, Any],
    selected: Mapping[tuple[str, str, int], str],
    predictions_of: Callable[[str], Lines | None],
    n_examples: int = 8,
) -> list[dict[str, Any]]:
    """Count and list the test examples that either an initialisation or the baseline predicts correctly.

    An example counts as correct if more than half of the seeds that were tested on it predict it correctly. Pairs
    without any correct prediction are omitted, such as language models, whose probabilities rarely exceed one half.

    Args:
        summary: contents of ``summary.json``.
        selected: key of the selected run by initialisation, condition and seed.
        predictions_of: returns the test-set predictions of a run, one per example, or None if they are missing.
        n_examples: number of examples to list, those with the largest difference first; half of them in favour of
            either side if there are enough.

    Returns:
        For each comparison with the baseline: ``start``, ``reference``, ``condition``; the number of test examples
        ``only_start``, ``only_reference``, ``both`` or ``neither`` predict correctly; and ``examples`` with ``text``,
        ``gold``, ``where``, the most frequent predictions ``start`` and ``reference``, and the shares of seeds with a
        correct prediction (``times_start``, ``times_reference``).
    """
    task, seeds = base.find(summary["task"]), summary["seeds"]

    @lru_cache(maxsize=2 * len(seeds))  # keeps the baseline's results for all of its comparisons
    def results_of(key: str) -> dict[str, ExampleResult]:
        return {line["where"]: ExampleResult(line["outcome"] > MAJORITY, line["text"],
                                             *task.in_words(line["gold"], line["prediction"]))
                for line in predictions_of(key) or ()}

    found = []
    for one in summary["comparisons"]:
        if one["role"] != "baseline":
            continue
        name, reference, condition = one["start"], one["reference"], one["condition"]
        keys = [(selected.get((name, condition, seed)), selected.get((reference, condition, seed))) for seed in seeds]
        paired = pair_results((results_of(ours), results_of(theirs)) for ours, theirs in keys if ours and theirs)
        if any_correct(paired):
            found.append({"start": name, "reference": reference, "condition": condition, **count_categories(paired),
                          "examples": _most_different(paired, n_examples)})
    return found


def pair_results(
    seeds: Iterable[tuple[Mapping[str, ExampleResult], Mapping[str, ExampleResult]]]
) -> PairedResults:
    """Pair the results of an initialisation with those of its reference, example by example.

    Args:
        seeds: for each seed, both sides' results by location of the example. Test sets may differ between seeds, not
            within a pair.
    """
    paired: PairedResults = {}
    for ours, theirs in seeds:
        for where in ours:
            if where in theirs:
                paired.setdefault(where, []).append((ours[where], theirs[where]))
    return paired


def count_categories(paired: PairedResults) -> dict[str, int]:
    """Count the examples of each category by majority vote over seeds."""
    counts = Counter(_category(*_correct_shares(seeds)) for seeds in paired.values())
    return {category: counts[category] for category in CATEGORIES}


def any_correct(paired: PairedResults) -> bool:
    """Return whether there is any correct prediction."""
    return any(side.correct for seeds in paired.values() for sides in seeds for side in sides)


def _category(ours: float, theirs: float) -> str:
    if ours > MAJORITY:
        return "both" if theirs > MAJORITY else "only_start"
    return "only_reference" if theirs > MAJORITY else "neither"


def _correct_shares(seeds: Sequence[tuple[ExampleResult, ExampleResult]]) -> tuple[float, float]:
    ours, theirs = zip(*seeds, strict=True)
    return sum(one.correct for one in ours) / len(seeds), sum(one.correct for one in theirs) / len(seeds)


def _most_different(paired: PairedResults, n: int) -> list[dict[str, Any]]:
    """Return the examples with the largest differences, those in favour of the initialisation first."""
    lead = {where: ours - theirs for where, seeds in paired.items() for ours, theirs in (_correct_shares(seeds),)}
    order = sorted(lead, key=lambda where: (-abs(lead[where]), -len(paired[where]), where))
    ahead, behind = [where for where in order if lead[where] > 0], [where for where in order if lead[where] < 0]
    n_ahead = min(len(ahead), max(n - n // 2, n - len(behind)))
    return [_to_dict(where, paired[where]) for where in [*ahead[:n_ahead], *behind[: n - n_ahead]]]


def _to_dict(where: str, seeds: Sequence[tuple[ExampleResult, ExampleResult]]) -> dict[str, Any]:
    ours, theirs = (Counter(side.predicted for side in sides).most_common(1)[0][0]
                    for sides in zip(*seeds, strict=True))
    first, (times_start, times_reference) = seeds[0][0], _correct_shares(seeds)
    return {"text": first.text, "gold": first.gold, "start": ours, "reference": theirs, "where": where,
            "times_start": times_start, "times_reference": times_reference}
