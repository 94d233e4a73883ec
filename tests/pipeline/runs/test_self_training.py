"""Self-training: when the labels of the teacher are used, which texts it chooses, and the account in the run folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import RunConfig
from pipeline.runs.chain import run
from pipeline.runs.self_training.clusters import WEIGHT, cluster_scores
from pipeline.runs.self_training.teacher import Check, Start, Teacher, View, most_certain
from pipeline.runs.trained import load_run

N_POOL = 200


def teacher(*, seed: int, informative: bool, n: int = 8) -> Teacher:
    """Two Gaussian clusters, few labelled points; if not informative, the labels do not depend on the clusters."""
    random = np.random.default_rng(seed)
    cluster = np.arange(n + N_POOL) % 2
    points = random.normal(size=(n + N_POOL, 20)) + np.outer(cluster * 2 - 1, np.ones(20) * 0.5)
    gold = cluster[:n] if informative else np.repeat([0, 1], n // 2)
    views = (View(np.maximum(points, 0), {"C": 10, "max_iter": 1000}), View(points, {"C": 0.1}))
    return Teacher(views, gold, n_pool=N_POOL, n_labels=2, rounds=3, seed=seed)


def test_unlabelled_points_of_clusters_help() -> None:
    makers = [teacher(seed=seed, informative=True) for seed in range(5)]
    gold = np.arange(8, 8 + N_POOL) % 2
    correct = np.zeros(2)
    for one in makers:
        pool = np.arange(8, 8 + N_POOL)
        first, last = one.predictions(np.arange(8), pool, pool, "labels")
        correct += [(first.argmax(axis=1) == gold).mean(), (last.argmax(axis=1) == gold).mean()]
        assert one.label_pool("labels") == last.argmax(axis=1).tolist()
    assert correct[1] > correct[0]


def test_the_check_compares_held_out_labelled_texts() -> None:
    one = teacher(seed=1, informative=True, n=40)
    check = one.check(np.random.default_rng(1), lambda share: None)
    assert 0.5 < check.before <= 1 and 0.5 < check.after["labels"] <= 1
    assert (check.before * 40) % 1 == pytest.approx(0, abs=1e-9)
    assert check.most_frequent == 0.5


def test_a_label_with_one_text_cannot_be_checked() -> None:
    one = teacher(seed=1, informative=True, n=3)
    check = one.check(np.random.default_rng(1), lambda share: None)
    assert (check.before, dict(check.after), check.helps) == (0.0, {"labels": 0.0}, False)


def clustered(*, seed: int, n: int, angle: float, informative: bool = True) -> Teacher:
    """Three clusters on the unit sphere, and a teacher that can start from them."""
    random = np.random.default_rng(seed)
    cluster = np.arange(n + N_POOL) % 3
    points = np.eye(3, 12)[cluster] + random.normal(size=(n + N_POOL, 12)) * angle
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    gold = cluster[:n] if informative else random.permutation(cluster[:n])
    view = View(points, {"C": 10.0, "max_iter": 1000}, {"C": 1.0}, concentration=20.0)
    return Teacher((view,), gold, n_pool=N_POOL, n_labels=3, rounds=3, seed=seed)


def test_clusters_are_found_from_one_text_for_each_label() -> None:
    correct = {"labels": 0.0, "clusters": 0.0}
    for seed in range(5):
        one = clustered(seed=seed, n=3, angle=0.35)
        for start in one.starts:
            correct[start] += float((np.array(one.label_pool(start)) == np.arange(3, 3 + N_POOL) % 3).mean()) / 5
    assert correct["clusters"] > 0.9 and correct["clusters"] > correct["labels"]


def test_labels_that_do_not_follow_the_clusters_are_refused() -> None:
    one = clustered(seed=1, n=30, angle=0.3, informative=False)
    assert not one.check(np.random.default_rng(1), lambda share: None).helps
    assert clustered(seed=1, n=30, angle=0.3).check(np.random.default_rng(1), lambda share: None).helps


def test_scores_of_clusters_are_a_fixed_point_of_expectation_maximisation() -> None:
    one = clustered(seed=2, n=6, angle=0.3)
    points = np.asarray(one.views[0].features)
    scores = cluster_scores(points[:6], one.gold, points[6:], n_labels=3, concentration=20.0)
    shares = np.exp(scores)
    assert shares.sum(axis=1) == pytest.approx(np.ones(N_POOL))
    sums = np.stack([WEIGHT * points[:6][one.gold == label].sum(axis=0) + shares[:, label] @ points[6:]
                     for label in range(3)])
    logits = 20 * points[6:] @ (sums / np.linalg.norm(sums, axis=1, keepdims=True)).T
    again = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.abs(again - shares).max() < 1e-3


@pytest.mark.parametrize(("before", "after", "most_frequent", "helps"), [
    (0.7, {"labels": 0.7, "clusters": 0.6}, 0.25, True),
    (0.7, {"labels": 0.6, "clusters": 0.7}, 0.25, True),
    (0.7, {"labels": 0.6}, 0.25, False),
    (0.5, {"labels": 0.6}, 0.5, False),  # four fifths of the errors of guessing
    (0.0, {"labels": 0.0}, 0.5, False),
])
def test_when_the_labels_are_used(
    before: float, after: dict[Start, float], most_frequent: float, helps: bool
) -> None:
    assert Check(before, after, most_frequent).helps is helps


def test_of_equal_starts_the_clusters_are_taken() -> None:
    assert Check(0.5, {"labels": 0.8, "clusters": 0.8}, 0.25).best == "clusters"
    assert Check(0.5, {"labels": 0.9, "clusters": 0.8}, 0.25).best == "labels"


def test_themost_certain_texts_of_each_label_are_chosen() -> None:
    scores = np.log(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3]]))
    guessed, chosen = most_certain(scores, 0.5)
    assert guessed.tolist() == [0, 0, 1, 1, 0]
    assert chosen.tolist() == [0, 2, 4]
    assert most_certain(scores, 1.0)[1].tolist() == [0, 1, 2, 3, 4]


def write_topics(path: Path, *, n_labelled: int, n_unlabelled: int) -> None:
    """Write texts of two topics, whose labelled texts share few words with one another."""
    random = np.random.default_rng(1)
    words = {"food": [f"dish{i}" for i in range(40)], "cars": [f"motor{i}" for i in range(40)]}
    rows = ["text\tlabel"]
    for i in range(n_labelled + n_unlabelled + 40):
        label = ("food", "cars")[i % 2]
        text = " ".join(random.choice(words[label], size=8))
        known = n_labelled > i or i >= n_labelled + n_unlabelled
        rows.append(f"{text}\t{label if known else ''}")
    (path / "train.tsv").write_text("\n".join(rows[: n_labelled + n_unlabelled + 1]) + "\n", encoding="utf-8")
    (path / "test.tsv").write_text("\n".join([rows[0], *rows[n_labelled + n_unlabelled + 1:]]) + "\n",
                                   encoding="utf-8")


def test_a_run_trains_on_the_labels_and_resumes_to_the_same_weights(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_topics(data, n_labelled=10, n_unlabelled=100)
    config = RunConfig.from_mapping({
        "recipe": "plain", "source": "word2vec,dim=16,epochs=2,min_count=1", "baselines": "none",
        "data": {"path": str(data), "dev_share": 0.0}, "self_training": {"rounds": 3},
        "model": {"d_model": 16, "n_heads": 2, "d_ff": 32, "n_layers": 1}, "training": {"epochs": 3}})
    run(config, tmp_path / "run")
    account = json.loads((tmp_path / "run" / "resolved.json").read_text())["self_training"]
    assert account["n_texts"] == 100
    assert account["is_used"] == (account["accuracy_after"] >= account["accuracy_before"] > 0)
    n_steps = json.loads((tmp_path / "run" / "metrics.json").read_text())["training"]["steps"]
    per_epoch = (10 + 100 * account["is_used"] + 15) // 16
    assert n_steps == 3 * per_epoch
    assert load_run(tmp_path / "run").setup.resolved.self_training.n_texts == 100
    run(config, tmp_path / "again")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "again")]
    assert weights[0] == weights[1]
