"""How often confidence intervals of paired differences contain the mean, and how wide they are.

usage: python speed/coverage.py [--draws 2000]

Compares the intervals of the benchmark with Student's t and with the BCa bootstrap (Efron 1987) for several numbers of
pairs and distributions with mean 0. Coverage is in per cent, with a nominal level of 95%; its standard error with 2,000
draws is about 0.5. The width is the median relative to that of Student's t.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.benchmark.analysis.statistics import as_family, paired_all

PAIRS = (5, 6, 8, 10, 20, 30)
N_RESAMPLES = 1999
N_BOOTSTRAP = 500  # draws for the bootstrap, which is slow
FAMILY = 4

Random = np.random.Generator
Rows = NDArray[np.float64]
Intervals = tuple[Rows, Rows]

DIFFERENCES: Mapping[str, Callable[[Random, tuple[int, ...]], Rows]] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "t of 3": lambda random, shape: random.standard_t(3, size=shape),
    "exponential": lambda random, shape: random.exponential(size=shape) - 1,
    "discrete": lambda random, shape: np.rint(1.5 * random.normal(size=shape)),
    "tied": lambda random, shape: random.choice([-1.0, 0.0, 0.0, 1.0], size=shape),
}


def ours(rows: Rows) -> Intervals:
    """Return the intervals of the benchmark."""
    found = np.array([one.interval for one in paired_all(rows.tolist())])
    return found[:, 0], found[:, 1]


def student(rows: Rows) -> Intervals:
    """Return Student's intervals."""
    n = rows.shape[1]
    half = stats.t.ppf(0.975, n - 1) * rows.std(axis=1, ddof=1) / math.sqrt(n)
    return rows.mean(axis=1) - half, rows.mean(axis=1) + half


def bootstrap(rows: Rows) -> Intervals:
    """Return BCa intervals; for equal differences, the difference itself."""
    ends = []
    for row in rows:
        if np.ptp(row) == 0:
            ends.append((row[0], row[0]))
            continue
        found = stats.bootstrap((row,), np.mean, method="BCa", n_resamples=N_RESAMPLES, vectorized=True,
                                random_state=np.random.default_rng(0)).confidence_interval
        ends.append((found.low, found.high))
    lows, highs = np.array(ends).T
    return lows, highs


def covered(intervals: Intervals) -> float:
    """Return the share of intervals that contain 0, in per cent."""
    lows, highs = intervals
    return 100 * float(((lows <= 1e-9) & (highs >= -1e-9)).mean())


def together(draw: Callable[[Random, tuple[int, ...]], Rows], n: int, n_draws: int, random: Random) -> float:
    """Return the share of families of four, two of them with a mean of 1 standard deviation, that are all covered."""
    means = np.array([0.0, 0.0, 1.0, 1.0])
    rows = draw(random, (n_draws, FAMILY, n)) + means[None, :, None]
    found = np.array([[one.difference.interval for one in as_family(family.tolist())] for family in rows])
    is_inside = (found[..., 0] <= means + 1e-9) & (found[..., 1] >= means - 1e-9)
    return 100 * float(is_inside.all(axis=1).mean())


def main(n_draws: int) -> None:
    """Print one row for each number of pairs and distribution."""
    print(f"{'pairs':>5} {'differences':<12} {'ours':>7} {'width':>7} {'Student':>8} {'BCa':>7} {'width':>7}"
          f" {'family of 4':>12}")
    for n in PAIRS:
        for number, (name, draw) in enumerate(DIFFERENCES.items()):
            random = np.random.default_rng((n, number))
            rows = draw(random, (n_draws, n))
            few = rows[:N_BOOTSTRAP]
            found, theirs, boot = ours(rows), student(rows), bootstrap(few)
            width = np.median(found[1] - found[0]) / np.median(theirs[1] - theirs[0])
            boot_width = np.median(boot[1] - boot[0]) / np.median(student(few)[1] - student(few)[0])
            family = together(draw, n, n_draws // FAMILY, random)
            print(f"{n:>5} {name:<12} {covered(found):7.1f} {width:7.2f} {covered(theirs):8.1f} {covered(boot):7.1f}"
                  f" {boot_width:7.2f} {family:12.1f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    main(parser.parse_args().draws)
