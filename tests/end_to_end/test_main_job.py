"""The main job's figures over three seeds; minutes, so run by `make test-slow`."""

import statistics

import pytest

from pipeline import RunConfig, run

pytestmark = pytest.mark.slow


def accuracy(source, labels, folder):
    """Mean over three seeds, each with a split, a draw of labels and an initialisation of its own."""
    scores = []
    for seed in (1, 2, 3):
        values = {"recipe": "plain", "source": source, "seed": seed,
                  "data": {"path": "bbc", "limit_train": labels, "unseen_words": 0}}
        made = run(RunConfig.from_mapping(values), folder / f"{labels}-{source}-{seed}")
        assert made.metrics["test"]["n"] >= 500
        scores.append(made.metrics["test"]["accuracy"])
    print(f"\n{source} from {labels}: {statistics.mean(scores):.4f}  {scores}")
    return statistics.mean(scores)


def test_from_50_articles(tmp_path):
    assert accuracy("glove", 50, tmp_path) >= 0.80
    assert accuracy("glove+word2vec", 50, tmp_path) >= 0.88
    assert accuracy("random", 50, tmp_path) < 0.45


def test_from_1500_articles(tmp_path):
    assert accuracy("glove", 1500, tmp_path) >= 0.96
