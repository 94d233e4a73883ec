"""What was requested and what was found are separate files; runs of earlier versions have both in config.toml."""

import json
import math
import tomllib

import pytest
import tomli_w

from pipeline import RunConfig, load_run, run
from pipeline.errors import RunFolderError
from pipeline.runs.folder import RunFolder
from pipeline.tasks.question_answering import Threshold
from pipeline.tasks.resolved import Resolved, Setup
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config = RunConfig.from_mapping({"source": "random", "training": {"epochs": 1},
                                     "data": {"path": str(ROOT / "data" / "pairs"), "limit_train": 40}})
    return config, run(config, tmp_path_factory.mktemp("runs") / "pairs").path


def test_the_configuration_is_saved_as_requested_and_findings_separately(finished):
    config, path = finished
    assert RunConfig.load(path / "config.toml") == config
    found = json.loads((path / "resolved.json").read_text())
    assert found == {"token_types": 4, "labels": ["contradiction", "entailment", "neutral"]}
    setup = load_run(path).setup
    assert (setup.config, setup.resolved.labels) == (config, ("contradiction", "entailment", "neutral"))
    assert (setup.model.token_types, setup.data.labels) == (4, setup.resolved.labels)
    assert "contradiction, entailment, neutral" in (path / "report.html").read_text()


def test_a_run_of_an_earlier_version_has_its_findings_in_the_configuration(finished, tmp_path):
    _, path = finished
    old = tmp_path / "old"
    old.mkdir()
    for file in path.iterdir():
        if file.name not in ("config.toml", "resolved.json"):
            (old / file.name).write_bytes(file.read_bytes())
    values = tomllib.loads((path / "config.toml").read_text())
    values["data"]["labels"] = ["contradiction", "entailment", "neutral"]
    values["model"]["token_types"] = 4
    (old / "config.toml").write_text(tomli_w.dumps(values))
    texts, contexts = ["A man sleeps.", "A dog runs."], ["Somebody is asleep.", "A cat sits."]
    (old / "manifest.json").unlink()
    RunFolder(old).write_manifest({})
    assert load_run(old).predict(texts, contexts=contexts) == load_run(path).predict(texts, contexts=contexts)
    assert load_run(old).setup.resolved == load_run(path).setup.resolved


@pytest.mark.parametrize("content", ["", "[]", '{"labels": 3}', "{"])
def test_a_damaged_file_is_one_message(finished, tmp_path, content):
    (tmp_path / "resolved.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"resolved\.json: damaged .* repeat the run"):
        type(load_run(finished[1]).setup.resolved).load(tmp_path / "resolved.json")


@pytest.mark.parametrize("threshold", [math.inf, -math.inf, 0.25, "dev"])
def test_thresholds_survive_json(tmp_path, threshold):
    Threshold(2, threshold).save(tmp_path / "resolved.json")
    json.loads((tmp_path / "resolved.json").read_text(), parse_constant=pytest.fail)
    assert Threshold.load(tmp_path / "resolved.json") == Threshold(2, threshold)


def test_labels_that_are_requested_are_used():
    config = RunConfig.from_mapping({"data": {"labels": ["b", "a"], "no_answer_threshold": 2.5}})
    assert Threshold.from_config(config).no_answer_threshold == 2.5
    setup = Setup(config, Resolved(token_types=3))
    assert (setup.model.token_types, setup.data.labels) == (3, ("b", "a"))
