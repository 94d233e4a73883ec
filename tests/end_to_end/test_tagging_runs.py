"""Runs of tagging with features of words: training, resuming, loading, predicting and exporting."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline import RunConfig, load_run, run
from pipeline.commands.export import export
from pipeline.config import in_earlier_names
from pipeline.errors import RunFolderError

SAMPLE = Path(__file__).parents[2] / "data" / "entities"
ON = {"features": True, "decoding": "constrained", "tune_outside": True}
BERT = {"like": "bert", "positions": "learned"}


def config(epochs=2, model=None, **tagging):
    return RunConfig.from_mapping({
        "task": "tagging", "recipe": "plain", "source": "random,dim=8", "baselines": "none",
        "data": {"path": str(SAMPLE), "dev_share": 0.25},
        "model": {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 16, **(model or {})},
        "training": {"epochs": epochs, "checkpoint_seconds": 0.0}, "tagging": tagging,
    })


def resolved(path):
    return json.loads((path / "resolved.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(config(**ON, model=BERT), tmp_path_factory.mktemp("runs") / "features").path


def test_the_branch_is_part_of_the_weights_and_of_the_resolved_facts(finished):
    weights, facts = load_file(finished / "model.safetensors"), resolved(finished)
    assert weights["features.weight"].shape == (facts["feature_buckets"], len(facts["labels"]))
    assert weights["features.weight"].any()
    assert not {"features.weight", "features.bias"} & load_file(finished / "start.safetensors").keys()
    assert len(facts["feature_weights"]) == 2


def test_a_loaded_run_predicts_the_same(finished):
    trained = load_run(finished)
    examples = trained.task.reader.read(trained.config.data, seed=1).test
    expected = [json.loads(line) for line in (finished / "predictions.jsonl").open()]
    assert [one["tags"] for one in trained.predict_for(examples)] == [one["tags"] for one in expected]
    assert trained.evaluate(examples)["f1"] == json.loads((finished / "metrics.json").read_text())["test"]["f1"]


def test_the_features_of_unknown_words_decide(finished):
    trained = load_run(finished)
    assert trained.predict([""])[0]["tags"] == []
    tags = trained.predict(["Qarina Xeller moved to Qelin ."])[0]["tags"]
    assert len(tags) == 6
    assert tags[0] == "B-person"


def test_an_interrupted_run_resumes_with_the_same_bytes(finished, tmp_path, monkeypatch):
    from pipeline.runs import chain

    def interrupt(*_args, **_more):
        raise RunFolderError("interrupted")

    with monkeypatch.context() as patched:
        patched.setattr(chain, "tuned", interrupt)
        with pytest.raises(RunFolderError, match="interrupted"):
            run(config(**ON, model=BERT), tmp_path / "run")
    again = run(config(**ON, model=BERT), tmp_path / "run", resume=True).path
    for name in ("resolved.json", "model.safetensors", "start.safetensors", "predictions.jsonl"):
        assert (again / name).read_bytes() == (finished / name).read_bytes(), name


def test_a_damaged_size_is_refused(finished, tmp_path):
    import shutil

    path = tmp_path / "damaged"
    shutil.copytree(finished, path)
    (path / "resolved.json").write_text(json.dumps(resolved(path) | {"feature_buckets": 2**40}))
    with pytest.raises(RunFolderError, match="feature_buckets: 1099511627776"):
        load_run(path, verify=False)


def test_the_features_are_exported_with_their_code(finished, tmp_path):
    made = export(finished, tmp_path / "exported")
    assert made.architecture == "VecformerForTokenClassification"
    assert made.difference < 1e-4
    assert {"features.weight", "features.bias"} <= load_file(made.path / "model.safetensors").keys()


def test_the_penalty_is_exported_in_the_output_bias(tmp_path):
    alone = run(config(tune_outside=True, decoding="constrained", model=BERT), tmp_path / "alone").path
    export(alone, tmp_path / "exported", words=0)
    bias = load_file(tmp_path / "exported" / "model.safetensors")["classifier.bias"]
    ours = load_file(alone / "model.safetensors")["head.output.bias"]
    facts = resolved(alone)
    expected = torch.zeros(len(ours))
    expected[facts["labels"].index("O")] = facts.get("outside_penalty", 0.0)
    torch.testing.assert_close(ours - bias, expected)
    assert "feature_buckets" not in facts


def test_without_the_keys_nothing_changes(tmp_path):
    plain = run(config(epochs=1), tmp_path / "plain").path
    assert not {"feature_buckets", "feature_weights", "outside_penalty"} & resolved(plain).keys()
    assert not [name for name in load_file(plain / "model.safetensors") if name.startswith("features")]


def test_the_identity_of_earlier_results_does_not_change():
    from dataclasses import asdict

    assert "tagging" not in in_earlier_names(asdict(config()))
    assert in_earlier_names(asdict(config(features=True)))["tagging"] == {"features": True}
