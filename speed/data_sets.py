"""Coverage of intervals over several data sets, simulated.

usage: python speed/data_sets.py [--draws 2000]

Compares Student's t over the means of the data sets, which the benchmark uses, with weights by the estimated variances
(Paule & Mandel 1982; Hartung & Knapp 2001; Sidik & Jonkman 2002; the factor of the standard error is at least 1). The
errors of the seeds are normal, with a standard deviation between 0.37 and 2.7 that differs between the data sets; the
effects of the data sets are normal with standard deviation tau. Coverage in per cent, with a nominal level of 95%, and
the median width.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import t

from pipeline.benchmark.analysis.random_effects import pool

Row = NDArray[np.float64]


def weighted(means: Row, variances: Row) -> tuple[float, float]:
    """Return the interval with weights by the variances."""
    def excess(between: float) -> float:
        weights = 1 / (variances + between)
        return float(weights @ (means - weights @ means / weights.sum()) ** 2) - (len(means) - 1)

    between = 0.0 if excess(0.0) <= 0 else brentq(excess, 0.0, len(means) * float(np.ptp(means)) ** 2)
    weights = 1 / (variances + between)
    half = float(t.ppf(0.975, len(means) - 1)) / math.sqrt(weights.sum())
    mean = float(weights @ means / weights.sum())
    return mean - half, mean + half


def row(k: int, n_seeds: int, tau: float, n_draws: int) -> list[float]:
    """Return coverage and width of both intervals."""
    random, ends = np.random.default_rng((k, n_seeds, int(10 * tau))), []
    for _ in range(n_draws):
        spreads, effects = np.exp(random.uniform(-1, 1, (k, 1))), random.normal(0, tau, (k, 1))
        rows = effects + spreads * random.normal(size=(k, n_seeds))
        pooled = pool(rows.tolist())
        assert pooled is not None
        ours = pooled.difference().interval
        assert ours is not None
        ends.append((*ours, *weighted(rows.mean(axis=1), rows.var(axis=1, ddof=1) / n_seeds)))
    found = np.array(ends)
    return [value for low, high in ((found[:, 0], found[:, 1]), (found[:, 2], found[:, 3]))
            for value in (100 * float(((low <= 0) & (high >= 0)).mean()), float(np.median(high - low)))]


def main(n_draws: int) -> None:
    """Print one row for each number of data sets and seeds, and each tau."""
    print(f"{'data sets':>9} {'seeds':>6} {'tau':>5} {'ours':>7} {'width':>7} {'weighted':>9} {'width':>7}")
    for k in (3, 5, 10):
        for n_seeds in (6, 10):
            for tau in (0.0, 0.5, 2.0):
                ours, width, theirs, their_width = row(k, n_seeds, tau, n_draws)
                print(f"{k:>9} {n_seeds:>6} {tau:5.1f} {ours:7.1f} {width:7.2f} {theirs:9.1f} {their_width:7.2f}",
                      flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    main(parser.parse_args().draws)
