"""Coverage of the forecasts of the score with twice as many labels, on stored learning curves.

usage: python speed/label_budget.py [--collect DATASETS] [--train DATASETS] [--add RUNS.jsonl] [--simulate N]

Each forecast uses the sizes up to N, at least three of them, and is compared with the mean score at 2 N. The factor of
the width of the intervals is chosen so that 80% of the intervals of the *other* data sets hold the truth
(leave-one-dataset-out); the table also has the coverage with the constant of the code.

``--collect`` first measures the curves of simple models on seven data sets, five draws each; ``--train`` those of small
Transformers on three of them, two draws with up to 200 labels. ``--add`` adds the curves of runs in JSON Lines, with
``dataset``, ``size``, ``source``, ``seed`` and ``accuracy``. All of them update the stored curves. ``--simulate``
prints the coverage on simulated curves instead.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.benchmark.analysis.label_budget import LEVEL, MIN_SIZES, WIDTH, Forecast, Point, forecast

CURVES = Path(__file__).parents[1] / "docs" / "findings" / "2026-11-30-label-budget.json"
DATASETS = ("trec6", "ag_news", "sst2", "mr", "masakhanews_yor", "germeval2018_de", "afrisenti_swa")
SIZES = (25, 50, 100, 200, 400, 800)
DRAWS, N_TEST = 5, 1000
TRAINED = ("ag_news", "mr", "masakhanews_yor")
TRAINED_SIZES, TRAINED_DRAWS = (25, 50, 100, 200), 2
SMALL = {"recipe": "plain", "source": "glove", "baselines": "none", "model": {"d_model": 64, "d_ff": 128}}

Curves = dict[str, dict[str, dict[str, list[float]]]]
"""Scores of all draws by data set, model and number of training examples."""


class Check(NamedTuple):
    """A forecast and the truth.

    Attributes:
        dataset: the data set.
        model: the model.
        n_train: number of training examples of the truth.
        found: the forecast, with intervals of width factor 1.
        actual: the mean score.
    """

    dataset: str
    model: str
    n_train: int
    found: Forecast
    actual: float

    @property
    def distance(self) -> float:
        """Distance of the truth from the forecast, relative to that of the bound on its side."""
        bound = self.found.high if self.actual > self.found.expected else self.found.low
        return abs(self.actual - self.found.expected) / max(abs(bound - self.found.expected), 1e-9)


def checks(curves: Mapping[str, Mapping[str, Mapping[str, Sequence[float]]]]) -> list[Check]:
    """Make every forecast that the curves allow."""
    found = []
    for dataset, models in curves.items():
        for model, by_size in models.items():
            points = [Point(int(size), scores) for size, scores in sorted(by_size.items(), key=lambda one: int(one[0]))]
            for n in range(MIN_SIZES, len(points)):
                twice = 2 * points[n - 1].n_train
                for point in points[n:]:
                    if point.n_train == twice:
                        found.append(Check(dataset, model, twice, forecast(points[:n], twice, width=1.0),
                                           float(np.mean(point.scores))))
    return found


def factor(those: Sequence[Check]) -> float:
    """Return the smallest factor with which 80% of the intervals hold the truth, each data set having equal weight."""
    names = {one.dataset for one in those}
    weights = np.array([1 / sum(one.dataset == other.dataset for other in those) for one in those]) / len(names)
    distances: NDArray[np.float64] = np.array([one.distance for one in those])
    order = np.argsort(distances)
    reached = np.searchsorted(np.cumsum(weights[order]), LEVEL - 1e-9)
    return float(distances[order][min(reached, len(order) - 1)])


def report(those: Sequence[Check]) -> str:
    """Return the table of coverage by data set."""
    lines = ["| data | forecasts | factor from the others | hold the truth | with the factor of the code | mean width "
             "| mean error |", "|---|---:|---:|---:|---:|---:|---:|"]
    inside: list[bool] = []
    for name in sorted({one.dataset for one in those}):
        here, others = ([one for one in those if (one.dataset == name) is same] for same in (True, False))
        width = factor(others)
        held = [one.distance <= width for one in here]
        inside += held
        spread = np.mean([one.found.high - one.found.low for one in here])
        error = np.mean([abs(one.actual - one.found.expected) for one in here])
        lines.append(f"| {name} | {len(here)} | {width:.2f} | {np.mean(held):.0%} | "
                     f"{np.mean([one.distance <= WIDTH for one in here]):.0%} | {100 * spread * width:.1f} | "
                     f"{100 * error:.1f} |")
    share = np.mean(inside)
    lines += [f"| all | {len(those)} | | {share:.0%} | {np.mean([one.distance <= WIDTH for one in those]):.0%} | | "
              f"{100 * np.mean([abs(one.actual - one.found.expected) for one in those]):.1f} |"]
    kinds = {"simple models": [one for one in those if not one.model.startswith("Transformer")],
             "Transformers": [one for one in those if one.model.startswith("Transformer")]}
    for kind, of_kind in kinds.items():
        if of_kind:
            lines.append(f"| {kind} | {len(of_kind)} | | | {np.mean([one.distance <= WIDTH for one in of_kind]):.0%} | "
                         "| |")
    half = 1.96 * math.sqrt(share * (1 - share) / len({one.dataset for one in those}))
    return "\n".join(lines) + (f"\n\nThe factor over all data sets is {factor(those):.2f}; that of the code is "
                               f"{WIDTH}. The forecasts of a data set are dependent: ±{100 * half:.0f} points.")


def simulate(n_curves: int) -> str:
    """Return the coverage on simulated curves of three families, with normal errors between draws."""
    draw, lines = np.random.default_rng(0), []
    for family in ("power law", "Weibull", "logistic"):
        for sizes in ((25, 50, 100), (50, 100, 200, 400)):
            for n_seeds in (3, 10):
                held = []
                for _ in range(n_curves):
                    error, spread = _random_curve(family, draw), draw.uniform(0.005, 0.04)
                    points = [Point(n, list(np.clip(1 - error(n) + spread * draw.normal(size=n_seeds), 0, 1)))
                              for n in sizes]
                    found = forecast(points, 2 * sizes[-1])
                    truth = 1 - error(2 * sizes[-1]) + spread * draw.normal() / math.sqrt(n_seeds)
                    held.append(found.low <= truth <= found.high)
                lines.append(f"{family:10} {sizes[0]:3} to {sizes[-1]}, {n_seeds:2} seeds: {np.mean(held):.0%}")
    return "\n".join(lines)


def _random_curve(family: str, draw: np.random.Generator) -> Callable[[float], float]:
    limit = draw.uniform(0.02, 0.4)
    start = draw.uniform(limit + 0.1, 0.9)
    if family == "power law":
        power = draw.uniform(0.1, 1)
        return lambda n: limit + (start - limit) * float((50 / n) ** power)
    scale, power = draw.uniform(40, 1000), draw.uniform(0.5, 2.5)
    if family == "Weibull":
        return lambda n: limit + (start - limit) * math.exp(-((n / scale) ** power))
    return lambda n: limit + (start - limit) / (1 + float((n / scale) ** power))


def collect(datasets: Path, curves: Curves) -> None:
    """Measure the curves of simple models."""
    import vecformer
    from embeddings.tokenization.tokenizer import WordTokenizer
    from pipeline.baselines import MeanVectors, logistic_regression_on_means, nearest_centroid, tfidf

    for name in DATASETS:
        rows, test = (_read(datasets / name / f"{part}.tsv") for part in ("train", "test"))
        test = test[:N_TEST]
        texts, gold = [text for text, _ in test], np.array([label for _, label in test], dtype=object)
        words = WordTokenizer().count(text for text, _ in (*rows, *test))
        means = MeanVectors(vecformer.load_vectors("glove", vocabulary=list(words)), WordTokenizer())
        test_means = means(texts)
        for draw in range(1, DRAWS + 1):
            order = np.random.default_rng(draw).permutation(len(rows))
            for size in (size for size in SIZES if size <= len(rows)):
                train = [rows[i] for i in order[:size]]
                shown, labels = [text for text, _ in train], [label for _, label in train]
                predicted = {
                    "TF-IDF": tfidf(shown, labels, texts),
                    "mean of GloVe": logistic_regression_on_means(means(shown), labels, test_means),
                    "nearest centroid": nearest_centroid(means(shown), labels, test_means),
                }
                for model, answers in predicted.items():
                    if answers is not None:
                        scores = curves.setdefault(name, {}).setdefault(model, {}).setdefault(str(size), [])
                        del scores[draw - 1 :]
                        scores.append(round(float(np.mean(np.array(answers, dtype=object) == gold)), 4))


def train(datasets: Path, curves: Curves) -> None:
    """Measure the curves of small Transformers from GloVe."""
    import vecformer
    from pipeline.data.examples import Example, Splits

    for name in TRAINED:
        rows, test = ([Example(text, label, f"{part}:{i}") for i, (text, label) in enumerate(
            _read(datasets / name / f"{part}.tsv"))] for part in ("train", "test"))
        by_size: dict[str, list[float]] = {}
        for draw in range(1, TRAINED_DRAWS + 1):
            order = np.random.default_rng(draw).permutation(len(rows))
            for size in TRAINED_SIZES:
                config = vecformer.RunConfig.from_mapping({**SMALL, "seed": draw, "data": {
                    "path": name, "max_length": 64, "labels": sorted({one.label for one in rows})}})
                splits = Splits(name, [rows[i] for i in order[:size]], [], test[:N_TEST], [])
                with tempfile.TemporaryDirectory() as folder:
                    finished = vecformer.run(config, Path(folder) / "run", splits=splits)
                by_size.setdefault(str(size), []).append(finished.metrics["test"]["accuracy"])
        curves.setdefault(name, {})["Transformer, plain recipe, glove"] = by_size
        _write(curves)


def _write(curves: Curves) -> None:
    CURVES.write_text(json.dumps(curves) + "\n", encoding="utf-8")


def _read(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def add_runs(path: Path, curves: Curves) -> None:
    """Add the curves of runs, which replace those of the same name."""
    added: dict[tuple[str, str, str], dict[int, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        run = json.loads(line)
        key = run["dataset"], f"Transformer, {run['source']}", str(run["size"])
        added.setdefault(key, {})[run["seed"]] = run["accuracy"]
    for (dataset, model, size), by_seed in added.items():
        curves.setdefault(dataset, {}).setdefault(model, {})[size] = [by_seed[seed] for seed in sorted(by_seed)]


def main() -> None:
    """Update the stored curves if asked, and print the coverage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--collect", type=Path, metavar="DATASETS", help="folder of the data sets")
    parser.add_argument("--train", type=Path, metavar="DATASETS", help="folder of the data sets")
    parser.add_argument("--add", type=Path, metavar="RUNS.jsonl", help="runs to add")
    parser.add_argument("--simulate", type=int, metavar="N", help="number of curves of each kind")
    given = parser.parse_args()
    if given.simulate:
        print(simulate(given.simulate))
        return
    curves: Curves = json.loads(CURVES.read_text(encoding="utf-8")) if CURVES.exists() else {}
    if given.collect:
        collect(given.collect, curves)
    if given.train:
        train(given.train, curves)
    if given.add:
        add_runs(given.add, curves)
    if given.collect or given.add:
        _write(curves)
    print(report(checks(curves)))


if __name__ == "__main__":
    main()
