"""Suggestions of texts to label: the selection, what is left out, files that are written, and mistakes."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from python_calamine import CalamineWorkbook

import vecformer
from pipeline.cli.main import cli
from pipeline.commands.facility_location import select, unit
from pipeline.commands.suggest import _bounded, suggest
from pipeline.errors import ConfigError, DataError

DIM = 5


def directions(n, seed):
    vectors = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def value(chosen, pool, weights, labelled):
    """The objective, computed text by text."""
    total = 0.0
    for vector, weight in zip(pool, weights, strict=True):
        similarities = [max(0.0, float(vector @ other)) for other in (*chosen, *labelled)]
        total += weight * max(similarities, default=0.0)
    return total


@pytest.mark.parametrize("n_labelled", [0, 3])
def test_each_selection_has_the_largest_gain(n_labelled):
    candidates, pool, labelled = directions(12, 1), directions(30, 2), directions(n_labelled, 3)
    weights = np.random.default_rng(4).random(30).astype(np.float32)
    found = select(candidates, pool, weights, 4, labelled)
    chosen = []
    for one in found:
        before = value([candidates[i] for i in chosen], pool, weights, labelled)
        gains = {row: value([candidates[i] for i in (*chosen, row)], pool, weights, labelled) - before
                 for row in range(12) if row not in chosen}
        assert gains[one.row] == pytest.approx(max(gains.values()), abs=1e-5)
        assert one.gain == pytest.approx(gains[one.row] / weights.sum(), abs=1e-5)
        chosen.append(one.row)
    gains = [one.gain for one in found]
    assert gains == sorted(gains, reverse=True)  # diminishing returns


def test_a_text_is_represented_by_the_most_similar_selected_one():
    candidates, pool = directions(3, 1), directions(40, 2)
    found = select(candidates, pool, np.ones(40, np.float32), 3)
    similar = np.maximum(pool @ candidates[[one.row for one in found]].T, 0)
    nearest = similar.argmax(axis=1)[similar.max(axis=1) > 0]
    assert [one.represents for one in found] == np.bincount(nearest, minlength=3).tolist()


def test_more_than_all_candidates_are_not_selected():
    candidates = directions(4, 1)
    assert sorted(one.row for one in select(candidates, candidates, np.ones(4, np.float32), 9)) == [0, 1, 2, 3]


def test_weights_move_the_selection_to_the_uncertain_texts():
    pool = np.eye(DIM, dtype=np.float32)
    assert [one.row for one in select(pool, pool, np.array([1, 3, 2, 5, 4], np.float32), 3)] == [3, 4, 1]


def test_texts_without_a_vector_stay_zero():
    made = unit(np.array([[0, 0], [3, 1]], np.float32), np.array([1, 1], np.float32), np.array([2, 1], np.float32))
    np.testing.assert_allclose(made, [[0, 0], [1, 0]])


def test_a_large_pool_is_bounded(monkeypatch):
    monkeypatch.setattr("pipeline.commands.suggest.MAX_TEXTS", 10)
    uncertainty = np.random.default_rng(1).random(50).astype(np.float32)
    candidates, pool = _bounded(uncertainty)
    assert sorted(candidates) == sorted(np.argsort(-uncertainty)[:10])
    assert len(set(pool)) == 10
    assert [one.tolist() for one in _bounded(uncertainty[:10])] == [list(range(10))] * 2


CONFIG = {"source": "glove", "recipe": "plain", "baselines": "none", "training": {"epochs": 2},
          "model": {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 16}}


@pytest.fixture(scope="module")
def run(support, tmp_path_factory):
    path = tmp_path_factory.mktemp("suggest") / "run"
    vecformer.run(vecformer.RunConfig.from_mapping({**CONFIG, "data": {"path": str(support)}}), path)
    return path


@pytest.fixture(scope="module")
def texts(support):
    return (support / "unlabelled.txt").read_text(encoding="utf-8").splitlines()


def test_suggestions_have_their_reasons(run, texts):
    trained = vecformer.load_run(run)
    found = vecformer.suggest(trained, texts, 5)
    assert len({one.text for one in found}) == 5
    for one in found:
        probabilities = trained.predict([one.text])[0]["probabilities"]
        first, second, *_ = sorted(probabilities.values(), reverse=True)
        assert one.text == texts[one.row]
        assert one.label == max(probabilities, key=probabilities.get)
        assert one.uncertainty == pytest.approx(1 - (first - second), abs=1e-3)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert found == suggest(run, texts, 5)


def test_copies_labelled_and_empty_texts_are_not_suggested(run, texts, support):
    labelled = [line.split("\t")[0] for line in (support / "train.tsv").read_text().splitlines()[1:4]]
    found = suggest(run, [*labelled, "", " ", *texts, *texts], 100)
    assert sorted(one.text for one in found) == sorted(set(texts))
    assert {one.row for one in found} <= set(range(5, 5 + len(texts)))


def test_words_without_a_vector_are_counted(run):
    found = suggest(run, ["the qqzzq parcel xxyyx", "a bill"], 2)
    assert {one.text: one.unknown_words for one in found} == {"the qqzzq parcel xxyyx": 2, "a bill": 0}


def test_without_the_training_data_a_warning_says_what_is_missing(support, tmp_path, texts, caplog):
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train.tsv", "test.tsv"):
        (data / name).write_bytes((support / name).read_bytes())
    vecformer.run(vecformer.RunConfig.from_mapping({**CONFIG, "data": {"path": str(data)}}), tmp_path / "run")
    (data / "train.tsv").unlink()
    assert len(suggest(tmp_path / "run", texts, 3)) == 3
    assert "texts that have a label already cannot be left out" in caplog.text


def invoke(*args):
    return CliRunner().invoke(cli, ["suggest", *map(str, args)])


def test_the_command_prints_lines_or_json(run, support, texts):
    file = support / "unlabelled.txt"
    expected = suggest(run, texts, 3)
    printed = invoke(run, "--unlabelled", file, "-n", 3)
    assert printed.exit_code == 0, printed.output
    header, *lines = printed.stdout.splitlines()
    assert header.split("\t") == ["score", "label", "uncertainty", "represents", "unknown words", "text"]
    assert [line.split("\t")[-1] for line in lines] == [one.text for one in expected]
    as_json = invoke(run, "--unlabelled", file, "-n", 3, "--json")
    assert [json.loads(line) for line in as_json.stdout.splitlines()] == [one.to_json() for one in expected]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".xlsx", ".tsv"])
def test_the_rows_of_a_table_are_written_with_the_reasons(run, texts, tmp_path, suffix):
    table = tmp_path / "texts.csv"
    table.write_text("id,text,date\n" + "".join(f'{100 + i},"{text}",2026\n' for i, text in enumerate(texts)))
    result = tmp_path / f"chosen{suffix}"
    done = invoke(run, "--unlabelled", table, "-n", 4, "--out", result)
    assert done.exit_code == 0, done.output
    assert done.stdout == f"wrote {result}: 4 texts to label\n"
    expected = suggest(run, texts, 4)
    rows = read(result)
    assert list(rows[0]) == ["id", "text", "date", "score", "label", "uncertainty", "represents", "unknown_words"]
    assert [(f"{float(row['id']):.0f}", row["text"], row["label"]) for row in rows] == [
        (str(100 + one.row), one.text, one.label) for one in expected]
    assert [float(row["score"]) for row in rows] == pytest.approx([one.score for one in expected], abs=1e-4)


def read(path):
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    if path.suffix == ".xlsx":
        header, *rows = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
        return [dict(zip(header, row, strict=True)) for row in rows]
    import csv

    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


def test_the_lines_of_a_text_file_become_a_table(run, support, tmp_path):
    result = tmp_path / "chosen.csv"
    assert invoke(run, "--unlabelled", support / "unlabelled.txt", "-n", 2, "--out", result).exit_code == 0
    assert list(read(result)[0])[:3] == ["text", "score", "label"]


@pytest.mark.parametrize(("args", "message"), [
    (("--unlabelled", "none.txt"), "none.txt"),
    (("--unlabelled", "texts.txt", "--text-column", "x"), "is for tables; name one with --unlabelled"),
    (("--unlabelled", "texts.txt", "--out", "texts.doc"), "its suffix must be one of"),
    (("--unlabelled", "texts.txt", "--out", "there.csv"), "exists already"),
    (("--unlabelled", "texts.txt", "--out", "new.csv", "--json"), "leave out --json"),
    (("--unlabelled", "texts.txt", "--overwrite"), "add --out RESULT"),
    (("--unlabelled", "labelled.txt", "--out", "new.csv"), "all are empty or have a label already"),
    ((), "--unlabelled"),
])
def test_mistakes_are_one_message_and_write_nothing(run, support, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.txt").write_text("one text\n")
    (tmp_path / "there.csv").write_text("kept")
    (tmp_path / "labelled.txt").write_text((support / "train.tsv").read_text().splitlines()[1].split("\t")[0] + "\n")
    done = invoke(run, *args)
    assert done.exit_code != 0
    assert message in done.output
    assert "Traceback" not in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labelled.txt", "texts.txt", "there.csv"]
    assert (tmp_path / "there.csv").read_text() == "kept"


def test_other_tasks_and_no_texts_are_errors(run, support, tmp_path):
    with pytest.raises(DataError, match="no text to suggest from"):
        suggest(run, [])
    ratings = {**CONFIG, "task": "regression", "data": {"path": str(support.parent / "ratings")}}
    vecformer.run(vecformer.RunConfig.from_mapping(ratings), tmp_path / "run")
    with pytest.raises(ConfigError, match="this is a run of the task regression"):
        suggest(tmp_path / "run", ["a"])
