"""Self-training: when the labels of the teacher are used, which texts it chooses, and the account in the run folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import RunConfig
from pipeline.runs.chain import run
from pipeline.runs.self_training import Teacher, _most_certain
from pipeline.runs.trained import load_run

N_POOL = 200


def teacher(*, seed: int, informative: bool, n: int = 8) -> Teacher:
    """Two Gaussian clusters, few labelled points; if not informative, the labels do not depend on the clusters."""
    random = np.random.default_rng(seed)
    cluster = np.arange(n + N_POOL) % 2
    points = random.normal(size=(n + N_POOL, 20)) + np.outer(cluster * 2 - 1, np.ones(20) * 0.5)
    gold = cluster[:n] if informative else np.repeat([0, 1], n // 2)
    return Teacher(tfidf=np.maximum(points, 0), means=points.astype(np.float32), gold=gold, n_labels=2, rounds=3,
                   seed=seed)


def test_unlabelled_points_of_clusters_help() -> None:
    makers = [teacher(seed=seed, informative=True) for seed in range(5)]
    gold = np.arange(8, 8 + N_POOL) % 2
    correct = np.zeros(2)
    for one in makers:
        pool = np.arange(8, 8 + N_POOL)
        first, last = one.predictions(np.arange(8), pool, pool)
        correct += [(first.argmax(axis=1) == gold).mean(), (last.argmax(axis=1) == gold).mean()]
        assert one.label_pool() == last.argmax(axis=1).tolist()
    assert correct[1] > correct[0]


def test_the_check_compares_held_out_labelled_texts() -> None:
    one = teacher(seed=1, informative=True, n=40)
    before, after = one.check(np.random.default_rng(1), lambda share: None)
    assert 0.5 < before <= 1 and 0.5 < after <= 1
    assert (before * 40) % 1 == pytest.approx(0, abs=1e-9)


def test_a_label_with_one_text_cannot_be_checked() -> None:
    one = teacher(seed=1, informative=True, n=3)
    assert one.check(np.random.default_rng(1), lambda share: None) == (0.0, 0.0)


def test_the_most_certain_texts_of_each_label_are_chosen() -> None:
    scores = np.log(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3]]))
    guessed, chosen = _most_certain(scores, 0.5)
    assert guessed.tolist() == [0, 0, 1, 1, 0]
    assert chosen.tolist() == [0, 2, 4]
    assert _most_certain(scores, 1.0)[1].tolist() == [0, 1, 2, 3, 4]


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
