"""Runs with the n-gram branch: training, resuming, loading, predicting, inspecting and exporting."""

import json
import logging
import shutil
from dataclasses import asdict

import pytest
from safetensors.torch import load_file

from pipeline import RunConfig, load_run, run
from pipeline.commands.export import export
from pipeline.commands.inspect import open_run
from pipeline.config import in_earlier_names
from pipeline.errors import RunFolderError
from pipeline.tasks.ngrams.contributions import ngram_contributions
from pipeline.tasks.ngrams.fusion import DEFAULT

BRANCH = {"ngrams.idf", "ngrams.weight", "ngrams.bias"}
SAME = ("resolved.json", "model.safetensors", "start.safetensors", "predictions.jsonl")


def config(data, *, enabled=True, model=None, epochs=3, baselines="none", **more):
    return RunConfig.from_mapping({
        "recipe": "plain", "source": "random,dim=8", "baselines": baselines,
        "data": {"path": str(data), "dev_share": 0.25},
        "model": {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 16, **(model or {})},
        "training": {"epochs": epochs, "checkpoint_seconds": 0.0}, "ngrams": {"enabled": enabled}, **more,
    })


@pytest.fixture(scope="module")
def finished(tmp_path_factory, support):
    """A run with the branch, which can be exported apart from that."""
    like = {"like": "bert", "positions": "learned"}
    return run(config(support, model=like), tmp_path_factory.mktemp("runs") / "bert").path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, support):
    return run(config(support.parent / "pairs"), tmp_path_factory.mktemp("runs") / "pairs").path


def lines(path):
    return [json.loads(line) for line in path.open()]


def test_the_branch_is_part_of_the_weights_and_of_the_resolved_facts(finished):
    resolved = json.loads((finished / "resolved.json").read_text())
    weights = load_file(finished / "model.safetensors")
    assert weights.keys() >= BRANCH
    assert weights["ngrams.weight"].shape == (resolved["ngram_buckets"], 3)
    assert weights["ngrams.weight"].any()
    assert tuple(resolved["ngram_weights"]) == DEFAULT  # of 12 dev examples
    assert not BRANCH & load_file(finished / "start.safetensors").keys()


def test_a_loaded_run_predicts_the_same(finished, support):
    trained = load_run(finished)
    examples = trained.task.reader.read(trained.config.data, seed=1).test
    for found, expected in zip(trained.predict_for(examples), lines(finished / "predictions.jsonl"), strict=True):
        assert found["label"] == expected["label"]
        assert found["probabilities"] == pytest.approx(expected["probabilities"], rel=1e-4)
        assert found["ngrams"] == pytest.approx(expected["ngrams"], rel=1e-3, abs=1e-4)
    assert trained.evaluate(examples)["accuracy"] == json.loads(
        (finished / "metrics.json").read_text())["test"]["accuracy"]


def test_the_prediction_depends_on_ngrams_of_unknown_words(finished):
    trained = load_run(finished)
    found = trained.predict(["invoicexyz", "courierxyz"])
    assert found[0]["probabilities"] != found[1]["probabilities"]
    assert trained.predict([""])[0]["warning"]


def test_contributions_of_a_run(finished):
    trained = load_run(finished)
    found = ngram_contributions(trained.model, trained.setup, "the courier lost my package")
    largest = max(found, key=lambda one: one.by_label["delivery"])
    assert largest.by_label["delivery"] > 0


def test_dev_tunes_the_weights_and_calibrates_the_sets_of_pairs(pairs):
    trained = load_run(pairs)
    a, b = trained.setup.resolved.ngram_weights
    n_dev = len(trained.task.reader.read(trained.config.data, seed=1).dev)
    assert ((a, b) == DEFAULT) == (n_dev < 50)
    assert len(trained.calibration) == n_dev
    predicted = trained.predict(["A man is sleeping."], contexts=["A man is awake."], abstain=0.2)[0]
    assert set(predicted["set"]) <= set(trained.setup.resolved.labels)
    other = trained.predict(["A man is sleeping."], contexts=["Nobody sings."])[0]
    assert other["probabilities"] != predicted["probabilities"]


def test_a_resumed_run_has_the_same_bytes(tmp_path, support):
    def interrupt(part, fraction):
        if part == "training" and fraction > 0.4:
            raise KeyboardInterrupt

    made = config(support)
    run(made, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(made, tmp_path / "cut", progress=interrupt)
    assert not (tmp_path / "cut").exists()
    run(made, tmp_path / "cut", resume=True)
    for name in SAME:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_without_the_branch_nothing_of_it_is_written(tmp_path, support):
    finished = run(config(support, enabled=False), tmp_path / "plain").path
    assert not BRANCH & load_file(finished / "model.safetensors").keys()
    assert json.loads((finished / "resolved.json").read_text()).keys() == {"token_types", "labels"}
    assert lines(finished / "predictions.jsonl")[0].keys() == {"where", "gold", "label", "probabilities"}
    assert "logistic regression on n-grams" not in (finished / "report.html").read_text()


def test_the_transformer_has_the_same_start_with_and_without_the_branch(tmp_path, support):
    with_it, without = (run(config(support, enabled=enabled, epochs=1), tmp_path / str(enabled)).path
                        for enabled in (True, False))
    assert (with_it / "start.safetensors").read_bytes() == (without / "start.safetensors").read_bytes()
    one, other = (load_file(path / "model.safetensors") for path in (with_it, without))
    assert one.keys() - other.keys() == BRANCH
    assert all(weight.equal(one[name]) for name, weight in other.items())


def test_defaults_do_not_change_the_identity_of_a_benchmark_run():
    assert "ngrams" not in in_earlier_names(asdict(RunConfig()))
    changed = RunConfig.from_mapping({"ngrams": {"enabled": True, "characters": [2, 5]}})
    assert in_earlier_names(asdict(changed))["ngrams"] == {"enabled": True}


def test_inspection_and_report_describe_the_branch(finished):
    entries = {entry.name: entry for entry in open_run(finished).census}
    weight = entries["ngrams.weight"]
    assert (weight.kind, weight.state) == ("n-grams", "fitted, not trained")
    assert weight.shape == (32768, 3)
    assert weight.moved == 0
    assert sum(entry.share for entry in entries.values()) == pytest.approx(1)
    report = (finished / "report.html").read_text()
    assert ("The scores combine the Transformer (weight 0.30) with logistic regression on n-grams of words and "
            "characters (weight 0.60, 32,768 buckets).") in report


def test_the_branch_is_exported_with_its_code_and_the_transformer_alone_without(finished, tmp_path):
    whole = export(finished, tmp_path / "whole")
    assert (whole.architecture, whole.without_ngrams) == ("VecformerForSequenceClassification", False)
    assert whole.difference < 1e-4
    assert load_file(whole.path / "model.safetensors").keys() >= BRANCH
    made = export(finished, tmp_path / "alone", without_ngrams=True)
    assert (made.architecture, made.without_ngrams) == ("BertForSequenceClassification", True)
    assert not [name for name in load_file(made.path / "model.safetensors") if "ngrams" in name]


def test_other_tasks_warn_that_the_keys_have_no_effect(tmp_path, support, caplog):
    with caplog.at_level(logging.WARNING, logger="vecformer"):
        run(config(support.parent / "ratings", task="regression", epochs=1), tmp_path / "run")
    assert "ngrams.enabled has no effect: the task regression does not read it (classification does)" in caplog.text


def test_a_branch_that_is_too_large_is_left_out(tmp_path, support, caplog):
    with caplog.at_level(logging.WARNING, logger="vecformer"):
        path = run(config(support, baseline_memory_gb=1e-4), tmp_path / "run").path
    assert "the n-gram branch is left out: it needs about" in caplog.text
    assert not BRANCH & load_file(path / "model.safetensors").keys()
    assert load_run(path).predict(["lost package"])[0]["label"]


def test_damaged_sizes_are_refused_before_they_take_memory(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    resolved = json.loads((copy / "resolved.json").read_text())
    (copy / "resolved.json").write_text(json.dumps(resolved | {"ngram_buckets": 10**12}))
    with pytest.raises(RunFolderError, match=r"ngram_buckets: 1000000000000"):
        load_run(copy, verify=False)
