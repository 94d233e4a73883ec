"""How often the benchmark's verdict claims a difference where there is none, and how often it finds one of two spreads.

usage: python speed/null_and_power.py [--comparisons 10000] [--runs DIR]

Simulated, ten seeds a comparison: scores of several distributions, compared alone and in families of six under Holm.
With ``--runs`` also real: the runs of one start with many seeds, as this makes them, compared with one another:

    vecformer benchmark --data DATASETS/trec6 --source random --seeds 300 --limit-train 50 --out runs/null

Both starts of a pair being the same, the sign-flip test is exact: with ten pairs it claims a difference in at most
50 of 1,024 cases, 4.88 %, and the printed share lies about that, or below, by chance. Two starts whose means are equal
and whose scores are spread differently are not the same; what is claimed of those is printed last.
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

from pipeline.benchmark.analysis.statistics import BETTER, WORSE, Difference, holm, paired_all, verdict
from pipeline.benchmark.store import DONE, BenchmarkFolder

N_PAIRS, FAMILY = 10, 6

Random = np.random.Generator
Rows = NDArray[np.float64]


def accuracies(random: Random, shape: tuple[int, ...]) -> Rows:
    """Shares of 500 texts; a seed's cut of the data is as hard for both."""
    return random.binomial(500, 0.85 + 0.01 * random.standard_normal(shape[1:]), size=shape) / 500


SCORES: Mapping[str, Callable[[Random, tuple[int, ...]], Rows]] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "skewed": lambda random, shape: random.exponential(size=shape) ** 2,
    "heavy-tailed (t of 3)": lambda random, shape: random.standard_t(3, size=shape),
    "two heaps": lambda random, shape: random.normal(size=shape) + 6 * (random.random(shape) < 0.3),
    "accuracies of 500 texts": accuracies,
}


class Claims(NamedTuple):
    """Shares of comparisons, or of families.

    Attributes:
        alone: comparisons that are called better or worse, each by itself.
        in_six: likewise, in families of six.
        any_of_six: families with any such comparison.
    """

    alone: float
    in_six: float
    any_of_six: float


def families(found: list[Difference]) -> NDArray[np.str_]:
    """Verdicts, six by six. *Shape:* ``(n_families, 6)``."""
    said = []
    for begin in range(0, len(found) - FAMILY + 1, FAMILY):
        these = found[begin : begin + FAMILY]
        said.append([verdict(one, p, FAMILY) for one, p in zip(these, holm([one.p for one in these]), strict=True)])
    return np.array(said)


def alone(found: list[Difference]) -> NDArray[np.str_]:
    """The verdict of each."""
    return np.array([verdict(one, one.p, 1) for one in found])


def claims(rows: Rows) -> Claims:
    """What is claimed of paired differences. *Shape:* ``(n_comparisons, n_pairs)``."""
    found = paired_all(rows.tolist())
    single, six = (np.isin(said, [BETTER, WORSE]) for said in (alone(found), families(found)))
    return Claims(single.mean(), six.mean(), six.any(axis=1).mean())


def found_gaps(noise: Rows) -> tuple[float, float]:
    """The share of gaps of two spreads that are found: alone, and where five comparisons beside have none."""
    gap = 2 * noise.std()
    beside = noise.copy()
    beside[::FAMILY] += gap
    single = alone(paired_all((noise[::FAMILY] + gap).tolist())) == BETTER
    return single.mean(), (families(paired_all(beside.tolist()))[:, 0] == BETTER).mean()


def simulate(n: int, random: Random) -> None:
    """Print a row a distribution."""
    print(f"simulated, {n:,} comparisons of {N_PAIRS} pairs\n{'':26} {'no difference, claimed':>34}"
          f" {'two spreads, found':>22}\n"
          f"{'scores':26} {'alone':>10} {'in six':>10} {'any of six':>12} {'alone':>10} {'one of six':>11}")
    for kind, draw in SCORES.items():
        one, other = draw(random, (2, n, N_PAIRS))
        show(kind, claims(one - other), found_gaps(one - other))
    show("equal means, unlike spreads", claims(random.exponential(size=(n, N_PAIRS)) - 1))


def show(kind: str, claimed: Claims, found: tuple[float, float] | None = None) -> None:
    """Print a row."""
    gaps = f" {found[0]:10.2%} {found[1]:11.2%}" if found else ""
    print(f"{kind:26} {claimed.alone:10.2%} {claimed.in_six:10.2%} {claimed.any_of_six:12.2%}{gaps}", flush=True)


def real(folder: Path, start: str, n: int, random: Random) -> None:
    """Print a row for each condition that the start's runs were made under."""
    measure = json.loads(BenchmarkFolder(folder).summary.read_text(encoding="utf-8"))["measure"]
    scores: dict[str, list[float]] = {}
    for record in BenchmarkFolder(folder).read().values():
        if record["status"] == DONE and record["start"] == start:
            scores.setdefault(record["condition"], []).append(record["test"][measure])
    print(f"\nreal, {n:,} comparisons of {N_PAIRS} pairs of runs, six of them with one baseline\n"
          f"{'runs':26} {'alone':>10} {'in six':>10} {'any of six':>12}")
    for condition, known in scores.items():
        needed = N_PAIRS * (FAMILY + 1)
        if len(known) < needed:
            sys.exit(f"{folder}: {len(known)} runs of {start} with {condition}; {needed} or more are needed")
        drawn = [random.permutation(known)[:needed].reshape(FAMILY + 1, N_PAIRS) for _ in range(-(-n // FAMILY))]
        show(f"{len(known)} of {start}, {condition}", claims(np.concatenate([ten[1:] - ten[0] for ten in drawn])))


def main(arguments: argparse.Namespace) -> None:
    """Simulate, then look at real runs if there are any."""
    begin = time.perf_counter()
    simulate(arguments.comparisons, np.random.default_rng(arguments.seed))
    if arguments.runs:
        real(arguments.runs, arguments.start, arguments.comparisons, np.random.default_rng(arguments.seed))
    print(f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comparisons", type=int, default=10_000)
    parser.add_argument("--runs", type=Path, metavar="DIR", help="a finished benchmark's folder")
    parser.add_argument("--start", default="random", help="whose runs are compared with one another")
    parser.add_argument("--seed", type=int, default=1)
    main(parser.parse_args())
