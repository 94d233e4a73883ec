"""Thousands of labels train, evaluate, report, predict and are inspected in bounded memory."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.config import RunConfig
from pipeline.data.examples import Example, TaggedExample
from pipeline.drawing.plots import MAX_LABELS, confusion_caption, confusion_matrix_svg
from pipeline.errors import DataError
from pipeline.runs.calibration import with_sets
from pipeline.tasks.base import find
from pipeline.tasks.classification import MAX_PROBABILITIES, Labels, label_predictions, require_known_labels
from pipeline.tasks.resolved import Setup
from pipeline.tasks.tagging import require_known_tags

LIMIT = 3_000_000_000
SMALL = ["--source", "random,dim=8", "--epochs", "1", "--set", "model.n_layers=1", "--set", "model.d_model=16",
         "--set", "model.n_heads=2", "--set", "model.d_ff=32"]


def write_texts(path: Path, n_labels: int, n_texts: int = 2) -> None:
    """Write texts of six random words and one of their label's."""
    drawn = random.Random(0)
    words = [f"w{i}" for i in range(3000)]
    path.write_text("text\tlabel\n" + "".join(
        f"{' '.join(drawn.choices(words, k=6))} topic{label}\tlabel {label}\n"
        for label in range(n_labels) for _ in range(n_texts)))


def vecformer(*args, cwd):
    """Run a command in a process of its own, whose memory is limited."""
    code = ("import resource; from pipeline.cli.main import cli\n"
            f"resource.setrlimit(resource.RLIMIT_DATA, ({LIMIT}, {LIMIT}))\n"
            "cli()")
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code, *map(str, args)], cwd=cwd, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode == 0, done.stderr
    return done


def check_run(folder: Path, n_labels: int) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    assert len(metrics["test"]["by_label"]) == n_labels
    assert {"majority", "nearest-centroid"} <= metrics["baselines"].keys()
    assert "tfidf+logreg" not in metrics["baselines"]
    report = (folder / "report.html").read_text()
    assert len(report) < 1e6
    assert f"the 29 of {n_labels:,} labels with the most errors" in report
    assert f"25 of {n_labels:,} labels" in report
    assert "<th>support</th>" in report
    assert "Baseline tfidf+logreg was skipped: it needs about" in report
    with (folder / "predictions.jsonl").open() as lines:
        for line in map(json.loads, lines):
            assert len(line["probabilities"]) in (MAX_PROBABILITIES, MAX_PROBABILITIES + 1)
            assert line["gold"] in line["probabilities"]
            assert next(iter(line["probabilities"])) == line["label"]
    assert json.loads((folder / "sampling_error.json").read_text()).keys() >= {"accuracy", "mcc", "loss"}


def train(folder: Path, n_labels: int) -> Path:
    write_texts(folder / "texts.tsv", n_labels)
    done = vecformer("run", "--data", "texts.tsv", *SMALL, "--set", "data.test_share=0.5", "--set",
                     "training.batch_size=128", "--set", "baseline_memory_gb=1", "--out", "run", cwd=folder)
    assert "baseline tfidf+logreg skipped: it needs about" in done.stderr
    check_run(folder / "run", n_labels)
    return folder / "run"


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """A run with 1,000 labels."""
    return train(tmp_path_factory.mktemp("thousand"), 1000)


def test_a_thousand_labels(thousand):
    folder = thousand.parent
    out = vecformer("predict", "run", "w1 w2 topic7", "--json", "-q", cwd=folder).stdout
    assert len(json.loads(out)["probabilities"]) == MAX_PROBABILITIES
    evaluated = vecformer("evaluate", "run", "--data", "texts.tsv", "-q", cwd=folder).stdout
    assert "mcc" in evaluated
    assert "by_label" not in evaluated
    shown = vecformer("inspect", "run", "--text", "w1 topic3", cwd=folder).stdout
    assert len(shown) < 20_000


@pytest.mark.slow
def test_ten_thousand_labels(tmp_path):
    train(tmp_path, 10_000)
    vecformer("inspect", "run", cwd=tmp_path)
    vecformer("predict", "run", "w1 w2 topic7", "--json", "-q", cwd=tmp_path)


@pytest.mark.slow
def test_a_benchmark_with_a_thousand_labels(tmp_path):
    write_texts(tmp_path / "texts.tsv", 1000)
    vecformer("benchmark", "--data", "texts.tsv", *SMALL, "--source", "random,dim=4", "--seeds", 2, "--jobs", 1,
              "--baselines", "majority", "--set", "data.test_share=0.5", "--out", "out", "-q", cwd=tmp_path)
    assert (tmp_path / "out" / "report.html").stat().st_size < 5e6


@pytest.mark.parametrize("n_labels", [2, MAX_PROBABILITIES])
def test_up_to_a_hundred_labels_all_have_their_probability(n_labels):
    labels = [f"l{i}" for i in range(n_labels)]
    logits = torch.randn(50, n_labels, generator=torch.Generator().manual_seed(0))
    whole = logits.double().softmax(dim=-1)
    in_parts = [one for rows in logits.split(7) for one in label_predictions(rows, labels, [0] * len(rows))]
    for prediction, row in zip(in_parts, whole, strict=True):
        assert list(prediction["probabilities"]) == labels
        assert list(prediction["probabilities"].values()) == row.tolist()
        assert prediction["label"] == labels[row.argmax()]


def test_of_more_labels_the_most_probable_and_the_gold_one():
    n = 1000
    labels = [f"l{i}" for i in range(n)]
    logits = torch.randn(20, n, generator=torch.Generator().manual_seed(0))
    logits[3] = 0.0  # all equal
    gold = [-1, *range(400, 419)]
    for row, its_gold, prediction in zip(logits.double().softmax(dim=-1).numpy(), gold,
                                         label_predictions(logits, labels, gold), strict=True):
        kept = prediction["probabilities"]
        assert all(kept[label] == row[int(label[1:])] for label in kept)
        assert list(kept.values()) == sorted(kept.values(), reverse=True)
        assert sorted(kept.values(), reverse=True)[:MAX_PROBABILITIES] == sorted(row, reverse=True)[:MAX_PROBABILITIES]
        assert len(kept) <= MAX_PROBABILITIES + 2
        assert its_gold < 0 or labels[its_gold] in kept
        assert prediction["label"] == labels[int(np.argmax(row))]
        assert prediction["label"] in kept


@pytest.mark.parametrize("quantile", [0.99, 0.9985, 0.9999])
def test_prediction_sets_of_many_labels_are_complete_with_and_without_a_gold_label(quantile):
    n = 1000
    labels = [f"l{i}" for i in range(n)]
    logits = torch.randn(20, n, generator=torch.Generator().manual_seed(0))
    sizes = []
    for gold in ([-1] * 20, list(range(400, 420))):
        predictions = with_sets(label_predictions(logits, labels, gold, quantile), quantile)
        for row, prediction in zip(logits.double().softmax(dim=-1).numpy(), predictions, strict=True):
            assert set(prediction["set"]) == {labels[i] for i in range(n) if 1 - row[i] <= quantile}
            sizes.append(len(prediction["set"]))
    assert (max(sizes) > MAX_PROBABILITIES) == (quantile > 0.99)


def test_the_figure_of_ten_thousand_labels_is_as_large_as_that_of_thirty():
    labels = [f"label {i} " + "x" * 500 for i in range(10_000)]
    gold = labels * 2
    predicted = [labels[i // 3] for i in range(20_000)]
    svg = confusion_matrix_svg(gold, predicted, labels)
    few = [f"label number {i}" for i in range(MAX_LABELS)]
    width, height = (float(re.search(rf'{side}="([0-9.]+)pt"', svg)[1]) for side in ("width", "height"))
    reference = confusion_matrix_svg(few, few, few)
    assert height == float(re.search(r'height="([0-9.]+)pt"', reference)[1])
    assert width < 2000
    assert len(svg) < 1.5 * len(reference)
    assert ">other</text>" in svg
    assert "29 of 10,000 labels" in confusion_caption(len(labels))
    assert confusion_caption(MAX_LABELS) == "Confusion matrix"


def test_a_message_of_unknown_labels_is_short():
    labels = [f"label {i}" for i in range(10_000)]
    examples = [Example("text", f"other {i} {'x' * 1000}", f"f:{i}") for i in range(10_000)]
    with pytest.raises(DataError, match=r"'label 19' and 9,980 more") as error:
        require_known_labels(examples, labels)
    assert len(str(error.value)) < 3_000


def many_types(n):
    return tuple(TaggedExample(("x", "y"), (f"B-type{i}", "O"), f"f:{i}") for i in range(n))


def test_the_figure_of_many_entity_types_has_a_bounded_number_of_bars():
    task, examples = find("tagging"), many_types(200)
    setup = Setup(RunConfig(task="tagging"), Labels(labels=("O", *(one.tags[0] for one in examples))))
    predictions = [{"tags": list(one.tags), "words": ["x", "y"]} for one in examples]
    (title, svg), = task.plots(examples, predictions, setup).items()
    assert title == "Entity types: the 30 of 200 with most entities; metrics.json has all"
    assert len(re.findall(r">type\d+ \(1\)</text>", svg)) == MAX_LABELS
    (title, _), = task.plots(examples[:MAX_LABELS], predictions[:MAX_LABELS], setup).items()
    assert title == "Entity types"


def test_a_message_of_unknown_entity_types_is_short():
    with pytest.raises(DataError, match=r"'type0' \(1 words\).* and 990 more; its tags are O, B-known") as found:
        require_known_tags(many_types(1000), ("O", "B-known", "I-known"))
    message = str(found.value)
    assert "set data.labels in the configuration to the tags of all 1,001 types: [\"O\", \"B-known\"" in message
    assert len(message) < 1_000
    with pytest.raises(DataError, match=r"use --set 'data.labels=\[\"O\", \"B-known\", \"I-known\", \"B-type0\""):
        require_known_tags(many_types(1), ("O", "B-known", "I-known"))
