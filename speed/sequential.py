"""Error rates and power of comparisons that are examined until they are settled.

usage: python speed/sequential.py [--families 500] [--max-seeds 32] [--margin 1] [--design] [--runs DIR]

Simulates families of four comparisons of ``vecformer benchmark --until-settled``, and prints for each distribution of
the differences, in per cent:

- the families with a false claim if no difference exists (``null``, and ``fixed`` for a single look at the largest
  number of seeds), and if two of four have a mean of 1 standard deviation (``mixed``: a difference claimed of one of
  the other two, or an interval that excludes its mean);
- the comparisons that are called practically equal although their mean is the margin (``edge``);
- the comparisons with a mean of 1 and of 2 standard deviations that are shown, and the equal ones that are called
  practically equal, with the mean number of seeds, and the same with the largest number of seeds from the beginning
  (``fixed``).

``--design`` compares the spending of the error and the spacing of the looks by the normal distribution instead: the
share of settled comparisons and the mean number of seeds, for several means, in standard deviations, and margins. It
also shows an e-process with a look at every seed (the normal mixture of de la Pena 1999 for symmetric differences), for
several standard deviations of the mixture.

``--runs`` prints the families with a false claim among real runs of ``random`` instead. For each family, five times the
largest number of seeds are drawn at random, one fifth of them as the baseline.

For speed, tests beyond 13 pairs use 9,999 random subsets here.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from coverage import DIFFERENCES, Random, Rows
from null_and_power import known_scores
from numpy.typing import NDArray
from scipy import stats

from pipeline.benchmark.analysis import sequential, statistics
from pipeline.benchmark.analysis.sequential import SETTLED, Examined, settle
from pipeline.benchmark.analysis.statistics import BETTER, EQUAL, WORSE, as_family

FAMILY = 4
KINDS = {"normal": DIFFERENCES["normal"], "t of 3": DIFFERENCES["t of 3"],
         "skewed scores": lambda random, shape: np.subtract(*random.exponential(size=(2, *shape)) ** 2),
         "discrete": DIFFERENCES["discrete"], "tied": DIFFERENCES["tied"],
         "exponential": DIFFERENCES["exponential"]}
"""The last ones are not symmetric, which the test assumes."""
MIXED = np.array([0.0, 0.0, 1.0, 1.0])  # means, in standard deviations
DESIGN_MEANS = ((3.0, None), (2.0, None), (1.0, None), (0.7, None), (0.5, None), (0.0, 1.0), (0.0, 0.7))


def draw(kind: str, random: Random, n_families: int, n_seeds: int) -> Rows:
    """Return differences with mean 0 and standard deviation 1. *Shape:* ``(n_families, 4, n_seeds)``."""
    rows = KINDS[kind](random, (n_families, FAMILY, n_seeds))
    return rows / KINDS[kind](np.random.default_rng(0), (1_000_000,)).std()


def examined(rows: Rows, margin: float | None = None) -> list[list[Examined]]:
    """Examine each family until it is settled. *Shape:* ``(n_families, 4, n_seeds)``."""
    return [settle(family.tolist(), rows.shape[2], margin=margin) for family in rows]


def false_claims(families: Sequence[Sequence[Examined]], means: Rows) -> float:
    """Return the share of families that claim a difference of equal ones, or have an interval without its mean."""
    wrong = [any((mean == 0 and one.tested.verdict in (BETTER, WORSE)) or not _contains(one, mean)
                 for one, mean in zip(family, means, strict=True)) for family in families]
    return 100 * float(np.mean(wrong))


def _contains(one: Examined, mean: float) -> bool:
    interval = one.tested.difference.interval
    return interval is None or interval[0] - 1e-9 <= mean <= interval[1] + 1e-9


def share(families: Sequence[Sequence[Examined]], *verdicts: str) -> float:
    """Return the share of comparisons with one of the verdicts."""
    return 100 * float(np.mean([one.tested.verdict in verdicts for family in families for one in family]))


def seeds(families: Sequence[Sequence[Examined]]) -> float:
    """Return the mean number of seeds of a comparison."""
    return float(np.mean([one.n_seeds for family in families for one in family]))


def fixed(rows: Rows, *verdicts: str, margin: float | None = None) -> float:
    """Return the share of comparisons with one of the verdicts if all seeds are examined once."""
    return 100 * float(np.mean([one.verdict in verdicts for family in rows
                                for one in as_family(family.tolist(), margin=margin)]))


def row(kind: str, random: Random, n: int, n_seeds: int, margin: float) -> list[float]:
    """Return one row of the table."""
    null = draw(kind, random, n, n_seeds)
    few = draw(kind, random, max(1, n // 5), n_seeds)
    by_mean = [(examined(few + mean, margin if mean == 0 else None), few + mean, mean) for mean in (1.0, 2.0, 0.0)]
    power = [value for families, rows, mean in by_mean for value in (
        share(families, EQUAL if mean == 0 else BETTER), seeds(families),
        fixed(rows, EQUAL if mean == 0 else BETTER, margin=margin if mean == 0 else None))]
    single = [any(one.verdict in (BETTER, WORSE) for one in as_family(family.tolist())) for family in null]
    return [false_claims(examined(null, margin), np.zeros(FAMILY)), 100 * float(np.mean(single)),
            false_claims(examined(draw(kind, random, n, n_seeds) + MIXED[:, None], margin / 2), MIXED),
            share(examined(draw(kind, random, n, n_seeds) + margin, margin), EQUAL), *power]


def design(n_draws: int, max_seeds: int) -> None:
    """Compare spending functions and spacings of the looks for one and for six normal comparisons."""
    normal = np.random.default_rng(0).normal(size=(n_draws, max_seeds))
    print("m  half spent  looks a decade" + "".join(
        f"{f'mean {mean:g}' if margin is None else f'equal, {margin:g}':>14}" for mean, margin in DESIGN_MEANS))
    for m in (1, 6):
        for half in (5, 10, 20, 40):
            for spacing in (10, 5, 3):
                sequential.HALF_SPENT = half
                sequential.SERIES = tuple(round(10 ** (i / spacing)) for i in range(math.ceil(0.78 * spacing),
                                                                                   2 * spacing + 1))
                sequential.first_look.cache_clear()
                cells = [_designed(normal + mean, m, margin) for mean, margin in DESIGN_MEANS]
                print(f"{m}  {half:10}  {spacing:14}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


        for width in (0.5, 1.0, 2.0):
            cells = [_by_e_process(normal + mean, m, margin, width) for mean, margin in DESIGN_MEANS]
            print(f"{m}  {f'e-process, mixture of {width:g}':>26}" + "".join(f"{cell:>14}" for cell in cells),
                  flush=True)


def _by_e_process(rows: Rows, m: int, margin: float | None, width: float) -> str:
    def is_rejected(shifted: Rows) -> NDArray[np.bool_]:
        total, squares = shifted.cumsum(axis=1), 1 + width**2 * (shifted**2).cumsum(axis=1)
        logarithm = width**2 * total**2 / (2 * squares) - np.log(squares) / 2
        crossed: NDArray[np.bool_] = np.logical_or.accumulate(logarithm >= math.log(m / statistics.ALPHA), axis=1)
        return crossed

    settled = is_rejected(rows) if margin is None else is_rejected(rows - margin) & is_rejected(rows + margin)
    spent = np.where(settled[:, -1], settled.argmax(axis=1) + 1, rows.shape[1])
    return f"{100 * settled[:, -1].mean():.0f}% {spent.mean():.1f}"


def _designed(rows: Rows, m: int, margin: float | None) -> str:
    settled, numbers = np.zeros(len(rows), bool), sequential.looks(m, rows.shape[1])
    spent = np.full(len(rows), numbers[-1])
    for n in numbers:
        level = statistics.ALPHA / sequential.factor(m, m=m, n=n)
        mean, spread = rows[:, :n].mean(axis=1), rows[:, :n].std(axis=1, ddof=1)
        half = stats.t.isf(level / 2, n - 1) * spread / math.sqrt(n)
        now = (np.abs(mean) > half) if margin is None else (np.abs(mean) + half < margin)
        spent[now & ~settled] = n
        settled |= now
    return f"{100 * settled.mean():.0f}% {spent.mean():.1f}"


def real(folder: Path, n_families: int, n_seeds: int) -> None:
    """Print one row for each condition of the runs of ``random``."""
    random = np.random.default_rng(n_seeds)
    for condition, known in known_scores(folder, "random").items():
        drawn = [random.permutation(known)[: (FAMILY + 1) * n_seeds].reshape(FAMILY + 1, n_seeds)
                 for _ in range(n_families)]
        rows = np.array([one[1:] - one[0] for one in drawn])
        print(f"{len(known)} runs of random, {condition}: {n_families} families of {FAMILY}, at most {n_seeds} seeds; "
              f"families with a false claim: {false_claims(examined(rows), np.zeros(FAMILY)):.1f}%", flush=True)


def main(arguments: argparse.Namespace) -> None:
    """Print one row for each distribution, or the designs, or the rate of real runs."""
    if arguments.design:
        design(20_000, 50)
        return
    statistics.MAX_EXACT, statistics.N_RANDOM_SUBSETS = 13, 9_999
    if arguments.runs:
        real(arguments.runs, arguments.families, arguments.max_seeds)
        return
    print(f"{arguments.families} families of {FAMILY}, at most {arguments.max_seeds} seeds, margin {arguments.margin:g}"
          f" standard deviations; settled with {', '.join(SETTLED)}\n"
          f"{'':13} {'false claims':>27} {'mean 1':>24} {'mean 2':>23} {'equal':>23}\n{'differences':<13}"
          f" {'null':>6} {'fixed':>6} {'mixed':>6} {'edge':>6} "
          + f" {'shown':>7} {'seeds':>7} {'fixed':>7}" * 3, flush=True)
    for number, kind in enumerate(KINDS):
        random = np.random.default_rng((arguments.max_seeds, number))
        values = row(kind, random, arguments.families, arguments.max_seeds, arguments.margin)
        print(f"{kind:<13} " + " ".join(f"{value:6.1f}" for value in values[:4]) + "  "
              + " ".join(f"{value:7.1f}" for value in values[4:]), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", type=int, default=500)
    parser.add_argument("--max-seeds", type=int, default=32)
    parser.add_argument("--margin", type=float, default=1.0, help="in standard deviations of the differences")
    parser.add_argument("--design", action="store_true", help="compare designs instead")
    parser.add_argument("--runs", type=Path, metavar="DIR", help="a benchmark's folder with runs of random")
    main(parser.parse_args())
