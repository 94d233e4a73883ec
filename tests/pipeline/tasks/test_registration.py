"""Tasks of other packages, and the lists that are made from the registered tasks."""

import json
import logging
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from pipeline.cli.main import cli
from pipeline.config import RunConfig, keys
from pipeline.errors import ConfigError
from pipeline.runs.chain import run
from pipeline.tasks.base import TASKS, Task, find, find_measure, foreign_keys
from tests.conftest import ROOT

PLUGIN = '''
"""A task of another package: whether a text is a question. Its files have one text per line."""

import torch.nn.functional as F

from pipeline.data.examples import Example
from pipeline.data.features.batching import Feature, collate
from pipeline.data.readers.lines import LineReader
from pipeline.tasks.base import Measure, Task, task
from pipeline.tasks.inference import outputs
from pipeline.tasks.resolved import Resolved
import numpy as np
from transformer.models.heads import ClassificationHead
from transformer.models.models import TransformerModel
from transformer.models.stack import Encoder


class QuestionLineReader(LineReader):
    in_order = False

    def suffixes(self, config):
        return (".lines",)

    def read_file(self, path, config):
        lines = path.read_text(encoding="utf-8").splitlines()
        return tuple(Example(line.rstrip("?"), "yes" if line.endswith("?") else "no", f"{path}:{number}")
                     for number, line in enumerate(lines, start=1))


@task("is-question")
class IsQuestion(Task[Example, Resolved]):
    """Predict whether a text is a question."""

    reader = QuestionLineReader()
    measures = (Measure("hits", "share of correct answers"),)
    selection = ("hits",)
    keys = ("data.stride",)
    resolved_type = Resolved

    def model(self, setup, embeddings):
        shape = setup.model
        head = ClassificationHead(d_model=shape.d_model, n_classes=2, dropout=shape.dropout)
        return TransformerModel(encoder=Encoder(config=shape, embedding=embeddings[0]), head=head)

    def encode(self, examples, tokenizers, setup, *, training=False):
        ids = tokenizers.source.encode(self.reader.texts(examples), max_length=setup.data.max_length)
        return [Feature(ids[i], np.array(int(example.label == "yes")), i, example.where)
                for i, example in enumerate(examples)]

    def loss(self, model, batch):
        return F.cross_entropy(model(batch.ids), batch.targets)

    def predict(self, model, prepared, setup, progress=lambda *_: None):
        logits = outputs(model, prepared.features, collate, lambda batch: model(batch.ids))
        return [{"answer": "yes" if row.argmax() else "no"} for row in logits]

    def measure(self, examples, predictions, setup):
        hits = [self.outcome(one.label, prediction) for one, prediction in zip(examples, predictions)]
        return {"hits": sum(hits) / len(hits), "n": len(hits)}

    def outcome(self, gold, prediction):
        return float(prediction["answer"] == gold)

    def in_words(self, gold, prediction):
        return gold, prediction["answer"]

    def show(self, example, prediction):
        return prediction["answer"] + chr(9) + example.text
'''


@pytest.fixture
def site(tmp_path):
    """A folder of installed packages with one that adds a task."""
    folder = tmp_path / "site"
    (folder / "outside-1.0.dist-info").mkdir(parents=True)
    (folder / "outside_task.py").write_text(PLUGIN)
    (folder / "outside-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (folder / "outside-1.0.dist-info" / "entry_points.txt").write_text(
        "[vecformer.tasks]\nis-question = outside_task\n")
    return folder


def test_another_package_adds_a_task_in_one_file(tmp_path, site):
    words = ("who", "what", "where", "the", "a", "dog", "cat", "sleeps", "runs")
    lines = [f"{one} {two} sleeps{'?' if one in ('who', 'what', 'where') else ''}" for one in words for two in words]
    (tmp_path / "texts.lines").write_text("\n".join(lines) + "\n")

    def vecformer(*arguments):
        code = "from pipeline.cli.main import main; main()"
        done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=tmp_path, text=True,
                              capture_output=True, env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{site}"})
        assert done.returncode == 0, done.stderr
        return done.stdout

    printed = vecformer("run", "--task", "is-question", "--data", "texts.lines", "--source", "random", "--epochs", 30,
                        "--set", "training.lr=0.01", "--out", "made")
    assert "examples" in printed
    metrics = json.loads((tmp_path / "made" / "metrics.json").read_text())
    assert metrics["test"]["hits"] > 0.9
    assert metrics["baselines"] == {}
    assert vecformer("predict", "made", "who sleeps") == "yes\twho sleeps\n"
    assert "hits" in vecformer("evaluate", "made", "--data", "texts.lines")
    assert json.loads(vecformer("inspect", "made", "--text", "the dog"))["said"] == "no\tthe dog"
    assert "is-question" in vecformer("tasks")
    refused = subprocess.run([sys.executable, "-c", "from pipeline.tasks.base import find; find('is-question')"],
                             cwd=ROOT, capture_output=True, text=True)
    assert "no task is called 'is-question'" in refused.stderr


def test_every_task_declares_what_the_pipeline_needs():
    known = dict(keys())
    for name in TASKS.available:
        task = find(name)
        assert task.name == name
        assert task.__doc__
        assert all(measure.help for measure in task.measures)
        assert {find_measure(task, one) for one in task.selection} <= set(task.measures)
        assert set(task.keys) <= known.keys(), name


def test_a_task_has_few_methods_and_fewer_are_required():
    methods = [name for name, value in vars(Task).items() if callable(value) and not name.startswith("_")]
    assert len(Task.__abstractmethods__) <= 8
    assert len(methods) <= 17


def test_a_measure_that_is_not_declared_is_like_the_first_and_larger_is_better():
    answerable = find_measure(find("question-answering"), "answerable_f1")
    assert (answerable.is_share, answerable.smaller_is_better) == (True, False)
    assert not find_measure(find("translation"), "bleu").is_share
    assert find_measure(find("language-model"), "perplexity").smaller_is_better


def test_keys_of_other_tasks_have_no_effect_and_cause_a_warning(tmp_path, support, caplog):
    assert foreign_keys("translation")["data.stride"] == ["question-answering", "tagging"]
    config = RunConfig.from_mapping({"source": "random", "data": {"path": str(support), "stride": 7},
                                     "training": {"epochs": 1}, "generation": {"beam": 2}})
    with caplog.at_level(logging.WARNING, "vecformer"):
        run(config, tmp_path / "run")
    assert [record.getMessage() for record in caplog.records if "has no effect" in record.getMessage()] == [
        "data.stride has no effect: the task classification does not read it (question-answering, tagging does)",
        "generation.beam has no effect: the task classification does not read it (translation does)"]


def test_the_configuration_of_one_task_has_no_keys_of_others(tmp_path):
    text = CliRunner().invoke(cli, ["config", "--task", "translation"]).output
    assert 'task = "translation"' in text
    assert "beam = " in text
    assert "stride = " not in text
    (tmp_path / "config.toml").write_text(text)
    assert RunConfig.load(tmp_path / "config.toml") == RunConfig(task="translation")
    refused = CliRunner().invoke(cli, ["config", "--task", "translatoin"])
    assert (refused.exit_code, "Did you mean 'translation'" in refused.output) == (2, True)


def test_tasks_are_listed():
    printed = CliRunner().invoke(cli, ["tasks"]).output
    listed = json.loads(CliRunner().invoke(cli, ["tasks", "--json"]).output)
    assert [one["name"] for one in listed] == list(TASKS.available)
    for one in listed:
        assert f"{one['name']}\n  {one['description']}" in printed


def test_an_unknown_task_is_refused():
    with pytest.raises(ConfigError, match=r"no task is called 'clasification'\. Did you mean 'classification'"):
        find("clasification")
