"""Nearest training examples: the right ones, and a reason where there are none."""

import shutil

import numpy as np
import pytest
import torch

from pipeline import load_run
from pipeline.explanation.explain import explain
from pipeline.runs.trained import TrainedRun
from transformer.kernels.engine import use

TEXT = "The courier lost my package."


def copied(folders, tmp_path, data):
    """A copy of a run whose configuration names other data."""
    shutil.copytree(folders("plain"), tmp_path / "run")
    config = (tmp_path / "run" / "config.toml").read_text()
    lines = [f'path = "{data}"' if line.startswith("path =") else line for line in config.splitlines()]
    (tmp_path / "run" / "config.toml").write_text("\n".join(lines))
    return load_run(tmp_path / "run", verify=False)


def test_equal_to_a_search_in_all_training_texts(runs):
    trained = runs("plain")
    found = explain(trained, TEXT, neighbours=4)
    train = trained.task.reader.read(trained.config.data, seed=trained.config.seed).train

    def vector(text):
        ids = trained.prepare([trained.example(text)]).features[0].ids  # "lost" does not occur in training
        with torch.no_grad(), use("torch"):
            return trained.model.encoder(torch.tensor(ids[None].astype(np.int64))).features[0].numpy()

    rows = np.stack([vector(example.text) for example in train])
    centred, query = rows - rows.mean(axis=0), vector(TEXT) - rows.mean(axis=0)
    similarity = centred @ query / np.linalg.norm(centred, axis=1) / np.linalg.norm(query)
    order = np.argsort(-similarity)[:4]
    assert [(one.text, one.label) for one in found.neighbours] == [(train[i].text, train[i].label) for i in order]
    assert [one.similarity for one in found.neighbours] == pytest.approx(similarity[order].tolist(), abs=1e-4)
    assert found.neighbours_note.startswith("the training examples of the run")


def test_a_training_text_is_its_own_neighbour(runs):
    for name in ("support", "hotels", "ratings", "pairs"):
        trained = runs(name)
        example = trained.task.reader.read(trained.config.data, seed=trained.config.seed).train[3]
        found = explain(trained, example.text, context=example.text_b)
        assert found.neighbours[0].similarity == pytest.approx(1, abs=1e-4)
        assert (example.text, example.text_b) in [(one.text, one.context) for one in found.neighbours]


def test_the_data_must_be_those_of_the_run(folders, tmp_path, support):
    shutil.copytree(support, tmp_path / "data")
    trained = copied(folders, tmp_path, tmp_path / "data")
    assert len(explain(trained, TEXT).neighbours) == 5
    (tmp_path / "data" / "train.tsv").write_text((support / "train.tsv").read_text() + "One more.\tbilling\n")
    found = explain(load_run(trained.folder, verify=False), TEXT)
    assert found.neighbours == ()
    assert "does not have the content" in found.neighbours_note
    assert "--train-data" in found.neighbours_note
    given = explain(load_run(trained.folder, verify=False), TEXT, train_data=tmp_path / "data")
    assert len(given.neighbours) == 5
    assert "not exactly those of the run" in given.neighbours_note


def test_data_that_are_gone_are_named_again(folders, tmp_path, support, runs):
    trained = copied(folders, tmp_path, tmp_path / "gone")
    found = explain(trained, TEXT)
    assert found.neighbours == ()
    assert "gone does not exist here" in found.neighbours_note
    expected = explain(runs("plain"), TEXT).neighbours
    given = explain(trained, TEXT, train_data=support)
    assert given.neighbours == expected
    assert given.neighbours_note.startswith("the training examples of the run")
    one_file = explain(trained, TEXT, train_data=support / "test.tsv")
    assert one_file.neighbours
    assert "test.tsv" in one_file.neighbours_note


def test_a_run_without_a_folder_has_no_hash_to_compare(runs):
    trained = runs("plain")
    fresh = TrainedRun(trained.setup, trained.stage_one, trained.model)
    from pipeline.explanation import nearest_examples

    nearest_examples._COMPARED.pop(trained.model, None)
    assert "does not have the content" in explain(fresh, TEXT).neighbours_note


def test_the_number_of_examples(runs, monkeypatch):
    assert explain(runs("plain"), TEXT, neighbours=0).neighbours == ()
    assert len(explain(runs("plain"), TEXT, neighbours=1000).neighbours) == 48
    from pipeline.explanation import nearest_examples

    monkeypatch.setattr(nearest_examples, "MAX_EXAMPLES", 10)
    nearest_examples._COMPARED.pop(runs("plain").model, None)
    found = explain(runs("plain"), TEXT, neighbours=1000)
    nearest_examples._COMPARED.pop(runs("plain").model, None)
    assert len(found.neighbours) == 10
    assert "the first 10 of 48" in found.neighbours_note


def test_warnings_about_the_data_are_not_repeated(folders, tmp_path, support, caplog):
    shutil.copytree(support, tmp_path / "data")
    train = (support / "train.tsv").read_text().splitlines()
    (tmp_path / "data" / "test.tsv").write_text((support / "test.tsv").read_text() + train[1] + "\n")
    trained = copied(folders, tmp_path, support)
    explain(trained, TEXT, train_data=tmp_path / "data")
    assert caplog.records == []
    trained.task.reader.read(trained.config.data.changed(path=str(tmp_path / "data")), seed=1)
    assert "training file" in caplog.text


@pytest.mark.parametrize("name", ["entities", "questions"])
def test_predictions_for_words_have_no_neighbours(name, runs):
    found = explain(runs(name), "Where is Paris?", context="It is in France." if name == "questions" else "")
    assert found.neighbours == ()
    assert "no vector of a whole text" in found.neighbours_note
