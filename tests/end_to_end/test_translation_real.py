"""Captions of pictures, English to German; run when VECFORMER_DATASETS names the folder of data sets."""

import json

import pytest

from pipeline import RunConfig, load_run, run

pytestmark = pytest.mark.datasets


def multi30k(datasets, **sections):
    data = {"path": str(datasets / "multi30k_en_de"), "languages": ["en", "de"], "min_count": 2,
            **sections.pop("data", {})}
    return RunConfig.from_mapping({"task": "translation", "source": "word2vec,epochs=20", "data": data,
                                   "embedding": {"scale": "unit"}, **sections})


def test_a_start_is_made(datasets, tmp_path):
    finished = run(multi30k(
        datasets, source="word2vec,epochs=5", data={"limit_train": 2000}, generation={"beam": 1, "max_tokens": 20},
        model={"d_model": 64, "n_layers": 1, "n_heads": 4, "d_ff": 128},
        training={"epochs": 2, "batch_size": 32, "lr": 4e-3}), tmp_path / "run")
    assert finished.metrics["test"]["n"] == 1000 and finished.metrics["dev"]["n"] == 1014
    history = [json.loads(line) for line in (finished.path / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    assert history[1]["dev_perplexity"] < history[0]["dev_perplexity"] < 400
    trained = load_run(finished.path)
    assert {"man", "hund"} & set(trained.tokenizer.vocabulary()) == {"man"}
    assert {"Mann", "mann", "Hund"} & set(trained.stage_one.target.tokenizer.vocabulary()) == {"Mann", "Hund"}
    assert trained.predict(["A man is sleeping."])[0]["translation"].startswith("Ein")
    assert finished.metrics["baselines"]["word-for-word"]["bleu"] > finished.metrics["baselines"]["nearest"]["bleu"] > 3


@pytest.mark.slow
def test_the_command_of_the_readme(datasets, tmp_path):
    """Half an hour on two cores."""
    finished = run(multi30k(
        datasets, model={"d_model": 256, "n_layers": 3, "d_ff": 512, "dropout": 0.2},
        training={"epochs": 10, "batch_size": 64, "lr": 2e-3, "precision": "bfloat16"}), tmp_path / "run")
    assert finished.metrics["test"]["bleu"] >= 20
    assert finished.metrics["test"]["bleu"] > 1.3 * finished.metrics["baselines"]["word-for-word"]["bleu"]
    assert load_run(finished.path).predict(["A man is sleeping."])[0]["translation"] in (
        "Ein Mann schläft.", "Ein schlafender Mann.")
