"""Which test examples one start gets right and another wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from pipeline.tasks import base

RIGHT = 0.5  # an outcome, or a share of seeds, above this counts as right

Lines = Sequence[Mapping[str, Any]]


class Seen(NamedTuple):
    """What a run made of a test example.

    Attributes:
        right: it was right.
        text: the example's, cut.
        gold: what would have been right, as text.
        said: what the run said, as text.
    """

    right: bool
    text: str = ""
    gold: str = ""
    said: str = ""


Met = dict[str, list[tuple[Seen, Seen]]]
"""Of each test example, by its place, what a start and its reference made of it in each seed that tested on it."""


def flips(
    summary: Mapping[str, Any],
    counting: Mapping[tuple[str, str, int], str],
    predictions_of: Callable[[str], Lines | None],
    n_examples: int = 8,
) -> list[dict[str, Any]]:
    """What each start gets right and the baseline wrong, and the other way round.

    An example counts as right if more than half of the seeds that tested on it were right. Pairs of starts that were
    never right are left out, such as language models, for which hardly a text's words get a probability above a half.

    Args:
        summary: what ``summary.json`` holds.
        counting: the key of the run that counts, of each start, condition and seed that has one.
        predictions_of: what a run with a key said of its test set, a line an example; None if it is not known.
        n_examples: how many of the examples on which the two differ most are shown, half of them from either side if
            there are so many.

    Returns:
        For each comparison with the baseline ``start``, ``reference``, ``condition``; how many test examples
        ``only_start``, ``only_reference``, ``both`` or ``neither`` got right; and ``examples``: each its ``text``,
        ``gold`` and ``where``, what ``start`` and ``reference`` said of it most often, and the share of the seeds in
        which they were right (``times_start``, ``times_reference``).
    """
    task, seeds = base.find(summary["task"]), summary["seeds"]

    @lru_cache(maxsize=2 * len(seeds))  # the baseline's stay for all its comparisons
    def seen(key: str) -> dict[str, Seen]:
        return {line["where"]: Seen(line["outcome"] > RIGHT, line["text"],
                                    *task.in_words(line["gold"], line["prediction"]))
                for line in predictions_of(key) or ()}

    found = []
    for one in summary["comparisons"]:
        if one["role"] != "baseline":
            continue
        start, reference, condition = one["start"], one["reference"], one["condition"]
        keys = [(counting.get((start, condition, seed)), counting.get((reference, condition, seed))) for seed in seeds]
        met = meet((seen(ours), seen(theirs)) for ours, theirs in keys if ours and theirs)
        if ever_right(met):
            found.append({"start": start, "reference": reference, "condition": condition, **counts(met),
                          "examples": _most_different(met, n_examples)})
    return found


def meet(pairs: Iterable[tuple[Mapping[str, Seen], Mapping[str, Seen]]]) -> Met:
    """Bring together what a start and its reference made of each example, given both by the example's place.

    Args:
        pairs: one a seed; seeds may test on different examples, but the two of a pair on the same.
    """
    met: Met = {}
    for start, reference in pairs:
        for where in start:
            if where in reference:
                met.setdefault(where, []).append((start[where], reference[where]))
    return met


def counts(met: Met) -> dict[str, int]:
    """How many examples ``only_start``, ``only_reference``, ``both`` and ``neither`` got right in most seeds."""
    sides = Counter(_side(*_times(seeds)) for seeds in met.values())
    return {name: sides[name] for name in ("only_start", "only_reference", "both", "neither")}


def ever_right(met: Met) -> bool:
    """Whether one of the two got one example right once."""
    return any(side.right for seeds in met.values() for sides in seeds for side in sides)


def _side(start: float, reference: float) -> str:
    if start > RIGHT:
        return "both" if reference > RIGHT else "only_start"
    return "only_reference" if reference > RIGHT else "neither"


def _times(seeds: Sequence[tuple[Seen, Seen]]) -> tuple[float, float]:
    """The shares of seeds in which the start and the reference were right."""
    start, reference = zip(*seeds, strict=True)
    return sum(one.right for one in start) / len(seeds), sum(one.right for one in reference) / len(seeds)


def _most_different(met: Met, n: int) -> list[dict[str, Any]]:
    """The examples with the largest difference first, those that the start has right before the reference's."""
    lead = {where: start - reference for where, seeds in met.items() for start, reference in (_times(seeds),)}
    order = sorted(lead, key=lambda where: (-abs(lead[where]), -len(met[where]), where))
    ahead, behind = [where for where in order if lead[where] > 0], [where for where in order if lead[where] < 0]
    n_ahead = min(len(ahead), max(n - n // 2, n - len(behind)))
    return [_shown(where, met[where]) for where in [*ahead[:n_ahead], *behind[: n - n_ahead]]]


def _shown(where: str, seeds: Sequence[tuple[Seen, Seen]]) -> dict[str, Any]:
    start, reference = (Counter(side.said for side in sides).most_common(1)[0][0] for sides in zip(*seeds, strict=True))
    first, (times_start, times_reference) = seeds[0][0], _times(seeds)
    return {"text": first.text, "gold": first.gold, "start": start, "reference": reference, "where": where,
            "times_start": times_start, "times_reference": times_reference}
