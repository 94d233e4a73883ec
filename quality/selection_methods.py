"""Dev accuracy after labelling 50 texts that different methods select, as the difference from random texts.

usage: python quality/selection_methods.py --datasets DIR [--draws 15] [--only ag_news,trec6,sst2]

A quick comparison for choosing a method: the classifier is a logistic regression on the means of GloVe vectors instead
of a Transformer. For each draw, 50 of 2,500 training texts are labelled, and each method selects 50 of the others. The
test sets are not read.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import vecformer
from embeddings.tokenization.tokenizer import WordTokenizer
from pipeline.baselines import MeanVectors
from pipeline.commands.facility_location import select, unit

N_LABELLED, N_MORE, N_TEXTS = 50, 50, 2500
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Method = Callable[[Floats, Floats, Floats, np.random.Generator], Rows]
"""Selects rows of a pool, given its vectors, those of the labelled texts, the probabilities, and a random generator."""


def margin(probabilities: Floats) -> Floats:
    """Return 1 minus the difference of the two largest probabilities."""
    ordered = np.sort(probabilities, axis=1)
    uncertainty: Floats = 1 - (ordered[:, -1] - ordered[:, -2])
    return uncertainty


def entropy(probabilities: Floats) -> Floats:
    """Return the entropy of the probabilities."""
    found: Floats = -(probabilities * np.log(probabilities + 1e-12)).sum(axis=1)
    return found


def at_random(pool: Floats, labelled: Floats, probabilities: Floats, draw: np.random.Generator) -> Rows:
    """Select random texts."""
    return draw.permutation(len(pool))[:N_MORE]


def smallest_margin(pool: Floats, labelled: Floats, probabilities: Floats, draw: np.random.Generator) -> Rows:
    """Select the texts with the smallest margin."""
    return np.argsort(-margin(probabilities))[:N_MORE]


def largest_entropy(pool: Floats, labelled: Floats, probabilities: Floats, draw: np.random.Generator) -> Rows:
    """Select the texts with the largest entropy."""
    return np.argsort(-entropy(probabilities))[:N_MORE]


def plus_plus(vectors: Floats, weights: Floats, start: Floats, draw: np.random.Generator) -> Rows:
    """Select by k-means++: with probability proportional to weight x squared distance from those before."""
    distances = ((vectors[:, None] - start[None]) ** 2).sum(axis=-1).min(axis=1)
    chosen: list[int] = []
    for _ in range(N_MORE):
        mass = distances * weights
        row = int(draw.choice(len(vectors), p=mass / mass.sum()))
        chosen.append(row)
        distances = np.minimum(distances, ((vectors - vectors[row]) ** 2).sum(axis=1))
        distances[row] = 0
    return np.array(chosen)


def uncertain_plus_plus(pool: Floats, labelled: Floats, probabilities: Floats, draw: np.random.Generator) -> Rows:
    """Select by k-means++ on the vectors, weighted by uncertainty."""
    return plus_plus(pool, margin(probabilities), labelled, draw)


def badge(pool: Floats, labelled: Floats, probabilities: Floats, draw: np.random.Generator) -> Rows:
    """Select by k-means++ on gradients of the output layer (Ash et al. 2020, arXiv 1906.03671)."""
    gradients = -probabilities
    gradients[np.arange(len(pool)), probabilities.argmax(axis=1)] += 1
    embedded = (gradients[:, :, None] * pool[:, None, :]).reshape(len(pool), -1)
    return plus_plus(embedded, np.ones(len(pool)), np.zeros((1, embedded.shape[1])), draw)


def cluster_margin(pool: Floats, labelled: Floats, probabilities: Floats, draw: np.random.Generator) -> Rows:
    """Select the centres of clusters of the most uncertain tenfold (Zhdanov 2019, arXiv 1901.05954)."""
    from sklearn.cluster import KMeans

    weights = margin(probabilities)
    top = np.argsort(-weights)[: 10 * N_MORE]
    found = KMeans(N_MORE, n_init=1, random_state=int(draw.integers(2**31))).fit(pool[top], sample_weight=weights[top])
    members = [top[found.labels_ == cluster] for cluster in range(N_MORE)]
    return np.array([rows[((pool[rows] - centre) ** 2).sum(axis=1).argmin()]
                     for rows, centre in zip(members, found.cluster_centers_, strict=True)])


def typical(pool: Floats, labelled: Floats, probabilities: Floats, draw: np.random.Generator) -> Rows:
    """Select the text with the most similar neighbours of each cluster without a label (Hacohen et al. 2022)."""
    from sklearn.cluster import KMeans

    everything = np.vstack([labelled, pool])
    n = len(labelled) + N_MORE
    cluster = KMeans(n, n_init=1, random_state=int(draw.integers(2**31))).fit_predict(everything)
    typicality = np.sort(everything @ everything.T, axis=1)[:, -21:-1].mean(axis=1)[len(labelled) :]
    n_labels, size = (np.bincount(part, minlength=n) for part in np.split(cluster, [len(labelled)]))
    chosen: list[int] = []
    for one in np.lexsort((-size, n_labels)):
        rows = np.flatnonzero(cluster[len(labelled) :] == one)
        if len(rows) and len(chosen) < N_MORE:
            chosen.append(int(rows[typicality[rows].argmax()]))
    return np.array(chosen)


def facility(pool: Floats, labelled: Floats, probabilities: Floats, draw: np.random.Generator) -> Rows:
    """Select by facility location without weights."""
    return _facility(pool, labelled, np.ones(len(pool)))


def weighted_facility(pool: Floats, labelled: Floats, probabilities: Floats, draw: np.random.Generator) -> Rows:
    """Select by facility location, weighted by uncertainty, as `vecformer suggest` does."""
    return _facility(pool, labelled, margin(probabilities))


def _facility(pool: Floats, labelled: Floats, weights: Floats) -> Rows:
    single = [part.astype(np.float32) for part in (pool, weights, labelled)]
    return np.array([one.row for one in select(single[0], single[0], single[1], N_MORE, single[2])])


METHODS: tuple[Method, ...] = (at_random, smallest_margin, largest_entropy, uncertain_plus_plus, badge, cluster_margin,
                               typical, facility, weighted_facility)


def read(path: Path) -> tuple[list[str], NDArray[np.object_]]:
    """Read texts and labels."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row["text"] for row in rows], np.array([row["label"] for row in rows], dtype=object)


def compare(dataset: Path, n_draws: int) -> dict[str, list[float]]:
    """Return the dev accuracies of each method by its name, one for each draw."""
    from sklearn.linear_model import LogisticRegression

    (texts, labels), (dev, gold) = (read(dataset / f"{part}.tsv") for part in ("train", "dev"))
    order = np.random.default_rng(0).permutation(len(texts))[:N_TEXTS]
    texts, labels = [texts[i] for i in order], labels[order]
    table = vecformer.load_vectors("glove", vocabulary=list(WordTokenizer().count([*texts, *dev])))
    means = MeanVectors(table, WordTokenizer())
    train_means, dev_means = means(texts), means(dev)
    mean, scale = train_means.mean(axis=0), train_means.std(axis=0) + np.float32(1e-6)
    vectors, inputs, of_dev = unit(train_means, mean, scale), (train_means - mean) / scale, (dev_means - mean) / scale
    found: dict[str, list[float]] = {method.__name__: [] for method in METHODS}
    for seed in range(n_draws):
        rows = np.random.default_rng(seed).permutation(len(texts))
        labelled, pool = rows[:N_LABELLED], rows[N_LABELLED:]
        first = LogisticRegression(C=0.1, max_iter=500).fit(inputs[labelled], labels[labelled])
        probabilities = first.predict_proba(inputs[pool])
        for method in METHODS:
            chosen = method(vectors[pool].astype(float), vectors[labelled].astype(float), probabilities.copy(),
                            np.random.default_rng(1000 + seed))
            more = np.concatenate([labelled, pool[chosen]])
            model = LogisticRegression(C=0.1, max_iter=500).fit(inputs[more], labels[more])
            found[method.__name__].append(float((model.predict(of_dev) == gold).mean()))
    return found


def main() -> None:
    """Print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=15)
    parser.add_argument("--only", default="ag_news,trec6,sst2", help="data sets, separated by commas")
    given = parser.parse_args()
    for name in given.only.split(","):
        found = compare(given.datasets / name, given.draws)
        base = np.array(found[at_random.__name__])
        print(f"{name}: random {100 * base.mean():.1f}")
        for method, scores in found.items():
            gain = 100 * (np.array(scores) - base)
            print(f"  {method:20} {gain.mean():+5.2f} ± {gain.std(ddof=1) / np.sqrt(len(gain)):.2f}")


if __name__ == "__main__":
    main()
