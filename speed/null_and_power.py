"""False positive rate and power of the benchmark's verdicts.

usage: python speed/null_and_power.py [--comparisons 10000] [--runs DIR]

Simulates comparisons with ten seeds and scores of several distributions, individually and in families of six with
Holm's correction. Power is measured for a difference of two standard deviations. With ``--runs``, real runs of one
initialisation with many seeds are compared with one another as well; they can be made by:

    vecformer benchmark --data DATASETS/trec6 --source random --seeds 300 --limit-train 50 --out runs/null

If both sides of a pair have the same distribution, the sign-flip test is exact: with ten pairs, at most 50 of the
1,024 sign patterns are significant (4.88%), and the printed rate differs from this bound by chance only. The last row
shows two distributions with equal means but different shapes, for which the test's assumption does not hold.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.benchmark.analysis.statistics import BETTER, WORSE, as_family
from pipeline.benchmark.store import DONE, BenchmarkFolder

N_PAIRS, FAMILY = 10, 6

Random = np.random.Generator
Rows = NDArray[np.float64]


def accuracies(random: Random, shape: tuple[int, ...]) -> Rows:
    """Accuracies on 500 texts, whose difficulty is the same for both sides of a pair."""
    return random.binomial(500, 0.85 + 0.01 * random.standard_normal(shape[1:]), size=shape) / 500


SCORES: Mapping[str, Callable[[Random, tuple[int, ...]], Rows]] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "skewed": lambda random, shape: random.exponential(size=shape) ** 2,
    "heavy-tailed (t of 3)": lambda random, shape: random.standard_t(3, size=shape),
    "bimodal": lambda random, shape: random.normal(size=shape) + 6 * (random.random(shape) < 0.3),
    "accuracies of 500 texts": accuracies,
}


class Claims(NamedTuple):
    """Rates of verdicts ``better`` or ``worse``.

    Attributes:
        alone: among single comparisons.
        in_six: among comparisons in families of six.
        any_of_six: share of families with at least one.
    """

    alone: float
    in_six: float
    any_of_six: float


def verdicts(rows: Rows, family: int) -> NDArray[np.str_]:
    """Return the verdicts of comparisons that are tested in families. *Shape:* ``(n_families, family)``."""
    starts = range(0, len(rows) - family + 1, family)
    return np.array([[one.verdict for one in as_family(rows[start : start + family].tolist())] for start in starts])


def claims(rows: Rows) -> Claims:
    """Compute the rates for paired differences. *Shape:* ``(n_comparisons, n_pairs)``."""
    single, six = (np.isin(verdicts(rows, family), [BETTER, WORSE]) for family in (1, FAMILY))
    return Claims(single.mean(), six.mean(), six.any(axis=1).mean())


def power(noise: Rows) -> tuple[float, float]:
    """Compute the power for a difference of two standard deviations, alone and with five null comparisons."""
    gap = 2 * noise.std()
    mixed = noise.copy()
    mixed[::FAMILY] += gap
    single = verdicts(noise[::FAMILY] + gap, 1) == BETTER
    return single.mean(), (verdicts(mixed, FAMILY)[:, 0] == BETTER).mean()


def simulate(n: int, random: Random) -> None:
    """Print one row per distribution."""
    print(f"simulated, {n:,} comparisons of {N_PAIRS} pairs\n{'':26} {'false positive rate':>34}"
          f" {'power':>22}\n"
          f"{'scores':26} {'alone':>10} {'in six':>10} {'any of six':>12} {'alone':>10} {'one of six':>11}")
    for kind, draw in SCORES.items():
        one, other = draw(random, (2, n, N_PAIRS))
        show(kind, claims(one - other), power(one - other))
    show("equal means, other shapes", claims(random.exponential(size=(n, N_PAIRS)) - 1))


def show(kind: str, rates: Claims, found: tuple[float, float] | None = None) -> None:
    """Print one row."""
    columns = f" {found[0]:10.2%} {found[1]:11.2%}" if found else ""
    print(f"{kind:26} {rates.alone:10.2%} {rates.in_six:10.2%} {rates.any_of_six:12.2%}{columns}", flush=True)


def known_scores(folder: Path, name: str) -> dict[str, list[float]]:
    """Return the test scores of an initialisation in a benchmark's folder by condition."""
    measure = json.loads(BenchmarkFolder(folder).summary.read_text(encoding="utf-8"))["measure"]
    scores: dict[str, list[float]] = {}
    for record in BenchmarkFolder(folder).read().values():
        if record["status"] == DONE and record["start"] == name:
            scores.setdefault(record["condition"], []).append(record["test"][measure])
    return scores


def real(folder: Path, name: str, n: int, random: Random) -> None:
    """Print one row per condition of the initialisation's runs."""
    scores = known_scores(folder, name)
    print(f"\nreal, {n:,} comparisons of {N_PAIRS} pairs of runs, six at a time with the same baseline\n"
          f"{'runs':26} {'alone':>10} {'in six':>10} {'any of six':>12}")
    for condition, known in scores.items():
        needed = N_PAIRS * (FAMILY + 1)
        if len(known) < needed:
            sys.exit(f"{folder}: {len(known)} runs of {name} with {condition}; at least {needed} are needed")
        drawn = [random.permutation(known)[:needed].reshape(FAMILY + 1, N_PAIRS) for _ in range(-(-n // FAMILY))]
        show(f"{len(known)} of {name}, {condition}", claims(np.concatenate([ten[1:] - ten[0] for ten in drawn])))


def main(arguments: argparse.Namespace) -> None:
    """Print the simulated rates, then those of real runs if given."""
    start = time.perf_counter()
    simulate(arguments.comparisons, np.random.default_rng(arguments.seed))
    if arguments.runs:
        real(arguments.runs, arguments.start, arguments.comparisons, np.random.default_rng(arguments.seed))
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=10_000)
    parser.add_argument("--runs", type=Path, metavar="DIR", help="a finished benchmark's folder")
    parser.add_argument("--start", default="random", help="initialisation whose runs are compared with one another")
    parser.add_argument("--seed", type=int, default=1)
    main(parser.parse_args())
