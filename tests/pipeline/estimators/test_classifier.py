"""`VecformerClassifier` within scikit-learn, and as a run."""

import copy
import gc
import io
import json
import logging
import os
import pickle
import pickletools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

import vecformer
from pipeline.data.examples import Example, Splits
from pipeline.errors import DataError, PipelineError, RunFolderError
from pipeline.estimators.packed_folder import PREFIX
from pipeline.estimators.parameters import seed_of
from pipeline.runs.folder import RUN_FILES
from pipeline.tasks import base

pytestmark = pytest.mark.python_messages

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(scope="module")
def fitted(messages):
    texts, labels = messages
    settings = {"model": {"d_model": 16, "n_layers": 1, "n_heads": 1, "d_ff": 16}, "embedding.scale": "unit"}
    made = vecformer.VecformerClassifier("random,dim=16", recipe="plain", epochs=2, settings=settings)
    return made.fit(texts, labels)


def temporary_folders():
    return {path.name for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if (path / "run").is_dir()}


def test_probabilities_are_those_of_the_run(fitted, messages):
    texts, _ = messages
    expected = fitted.run_.trained.predict(texts)
    labels = fitted.classes_.tolist()
    assert labels == ["billing", "delivery", "product"]
    probabilities = fitted.predict_proba(texts)
    assert probabilities.dtype == np.float64
    assert probabilities.tolist() == [[one["probabilities"][label] for label in labels] for one in expected]
    assert fitted.predict(texts).tolist() == [one["label"] for one in expected]
    assert fitted.score(texts, messages[1]) == np.mean(fitted.predict(texts) == np.array(messages[1]))


def test_the_chain_on_a_file_and_in_memory_give_the_same_weights(small, messages, tmp_path):
    """The estimator against `run` on a folder with the same training texts."""
    texts, labels = messages
    for part in ("train", "test"):
        (tmp_path / f"{part}.tsv").write_text(
            "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in zip(texts, labels, strict=True)))
    classifier = vecformer.VecformerClassifier(**small).fit(texts, labels)
    config = classifier.run_.trained.config
    values = {"data": {"path": str(tmp_path)}, "source": config.source, "recipe": "plain", "baselines": "none",
              "embedding": {"scale": "unit"}, "training": {"epochs": 2, "lr": 0.02},
              "model": {"d_model": 16, "n_layers": 1, "n_heads": 1, "d_ff": 16}}
    vecformer.run(vecformer.RunConfig.from_mapping(values), tmp_path / "run")
    ours, theirs = (path / "model.safetensors" for path in (classifier.run_.path, tmp_path / "run"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_labels_of_other_types(small, messages):
    texts, labels = messages
    for convert in ({"billing": 30, "delivery": 4, "product": 200}.__getitem__, "billing".__eq__):
        made = vecformer.VecformerClassifier(**small).fit(texts, list(map(convert, labels)))
        predicted = made.predict(texts).tolist()
        assert {type(label) for label in predicted} == {type(convert("billing"))}
        assert set(predicted) <= set(map(convert, labels))
        assert made.classes_.tolist() == sorted(set(map(convert, labels)))


def test_many_labels_have_all_their_probabilities(small):
    """A run writes the probabilities of 100 labels; the estimator has those of all."""
    labels = list(range(120)) * 2
    made = vecformer.VecformerClassifier(**small).set_params(epochs=1).fit([f"word{label}" for label in labels], labels)
    probabilities = made.predict_proba(["word3", "nothing known"])
    assert probabilities.shape == (2, 120)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert (probabilities > 0).all()


def test_a_pickle_holds_the_files_of_the_run_and_no_module(fitted, messages):
    texts, _ = messages
    stored = pickle.dumps(fitted)
    imported = {argument for opcode, argument, _ in pickletools.genops(stored)
                if isinstance(argument, str) and argument.split(".")[0] in ("torch", "transformer")}
    assert imported == set()
    assert b"PytorchStreamReader" not in stored and b"persistent_id" not in stored
    state = fitted.run_.__getstate__()
    assert state.keys() == {"files"}
    assert set(state["files"]) <= RUN_FILES
    assert {"model.safetensors", "embeddings.safetensors", "manifest.json"} <= set(state["files"])
    again = pickle.loads(stored)
    assert again.run_.path != fitted.run_.path
    assert again.predict_proba(texts).tolist() == fitted.predict_proba(texts).tolist()
    assert again.get_params() == fitted.get_params()


def test_a_pickle_works_in_another_process(fitted, messages, tmp_path):
    joblib.dump(fitted, tmp_path / "classifier.joblib", compress=3)
    code = ("import joblib, sys; made = joblib.load(sys.argv[1]); "
            "print(made.predict_proba([sys.argv[2]]).tolist(), made.run_.path)")
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "classifier.joblib", messages[0][0]],
                          capture_output=True, text=True, check=True, cwd=ROOT)
    printed, path = done.stdout.rsplit(" ", 1)
    assert printed == str(fitted.predict_proba(messages[0][:1]).tolist())
    assert not Path(path.strip()).exists()


def test_a_damaged_pickle_is_refused(fitted):
    state = fitted.run_.__getstate__()
    state["files"]["model.safetensors"] = state["files"]["model.safetensors"][:-4] + b"\0\0\0\0"
    with pytest.raises(RunFolderError, match="not the content that manifest"):
        type(fitted.run_).__new__(type(fitted.run_)).__setstate__(state)
    with pytest.raises(RunFolderError, match="not the name of a file"):
        type(fitted.run_).__new__(type(fitted.run_)).__setstate__({"files": {"../outside": b""}})
    assert not Path(tempfile.gettempdir(), "outside").exists()


def test_temporary_folders_are_deleted_with_their_estimator(small, messages):
    before = temporary_folders()
    made = vecformer.VecformerClassifier(**small).fit(*messages)
    copied = copy.deepcopy(made)
    assert len(temporary_folders() - before) == 2
    assert copied.predict(messages[0]).tolist() == made.predict(messages[0]).tolist()
    del made, copied
    gc.collect()
    assert temporary_folders() <= before


def test_a_forked_process_does_not_delete_the_folder_of_its_parent(fitted):
    made = pickle.loads(pickle.dumps(fitted))
    child = os.fork()
    if not child:
        del made
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    assert (made.run_.path / "manifest.json").is_file()


def test_a_folder_that_someone_deleted_is_named(fitted):
    made = pickle.loads(pickle.dumps(fitted))
    shutil.rmtree(made.run_.path)
    with pytest.raises(RunFolderError, match="was deleted; fit it again"):
        pickle.dumps(made)


def test_a_failed_fit_leaves_nothing(small, messages):
    before = temporary_folders()
    with pytest.raises(PipelineError):
        vecformer.VecformerClassifier(**small).set_params(recipe="plain,+tagging").fit(*messages)
    assert temporary_folders() <= before


def test_a_run_folder_can_be_kept(small, messages, tmp_path):
    out = tmp_path / "runs" / "kept"
    made = vecformer.VecformerClassifier(**small, out=out).fit(*messages)
    probabilities = made.predict_proba(messages[0])
    assert made.run_.path == out
    with pytest.raises(RunFolderError, match=r"already exists; choose another out=, or replace it with overwrite=True"):
        made.fit(*messages)
    made.set_params(overwrite=True).fit(*messages)
    (out / "notes.txt").write_text("mine")
    made.save(tmp_path / "copy")
    assert not (tmp_path / "copy" / "notes.txt").exists()
    with pytest.raises(RunFolderError, match="already exists"):
        made.save(tmp_path / "copy")
    del made
    gc.collect()
    for folder in (out, tmp_path / "copy"):
        found = [one["probabilities"] for one in vecformer.load_run(folder).predict(messages[0])]
        assert [list(one.values()) for one in found] == probabilities.tolist()


def test_the_run_has_no_measures_of_a_test_set(fitted, tmp_path):
    assert fitted.run_.metrics["test"] == {}
    assert fitted.run_.metrics["baselines"] == {}
    report = (fitted.run_.path / "report.html").read_text()
    assert "without a test set" in report and "passed by a program" in report
    fitted.save(tmp_path / "run")
    with pytest.raises(RunFolderError, match="has no test set"):
        vecformer.compare([tmp_path / "run", tmp_path / "run"])


def test_clone_and_parameters(fitted, small):
    made = clone(fitted)
    assert made.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        made.predict(["text"])
    with pytest.raises(NotFittedError):
        made.save("anywhere")
    with pytest.raises(ValueError, match="Invalid parameter"):
        made.set_params(sources="glove")
    with pytest.raises(TypeError, match="sample_weight"):
        made.fit(["a", "b"], [0, 1], sample_weight=[1, 2])


def test_seeds(small, messages):
    def weights(random_state):
        made = vecformer.VecformerClassifier(**small, random_state=random_state).fit(*messages)
        return made.seed_, (made.run_.path / "model.safetensors").read_bytes()

    three = weights(3)
    assert three == weights(np.int64(3))
    drawn = weights(np.random.RandomState(0))
    assert drawn == weights(np.random.RandomState(0))
    assert drawn[1] != three[1]
    assert seed_of(None) != seed_of(None)


def test_cross_validation_pipelines_and_a_search_over_sources(small, messages):
    texts, labels = messages
    classifier = vecformer.VecformerClassifier(**small)
    scores = cross_val_score(classifier, texts, labels, cv=2)
    assert scores.shape == (2,) and ((scores >= 0) & (scores <= 1)).all()
    assert len(cross_val_predict(classifier, np.array(texts, dtype=object), labels, cv=2)) == len(texts)
    pipeline = Pipeline([("lower", FunctionTransformer(lambda texts: [text.lower() for text in texts])),
                         ("classify", classifier)])
    search = GridSearchCV(pipeline, {"classify__source": ["random", "word2vec,min_count=1,dim=16"]}, cv=2)
    search.fit(texts, labels)
    assert len(search.cv_results_["params"]) == 2
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(["The parcel is late."])[0] in set(labels)
    assert pickle.loads(pickle.dumps(search.best_estimator_["classify"])).classes_.tolist() == sorted(set(labels))


@pytest.mark.slow
def test_a_search_in_several_processes(small, messages):
    texts, labels = messages
    classifier = vecformer.VecformerClassifier(**small)
    search = GridSearchCV(classifier, {"source": ["random", "random,dim=8"]}, cv=2, n_jobs=2)
    assert search.fit(texts, labels).best_params_["source"] in ("random", "random,dim=8")


def test_it_learns_what_a_linear_model_learns(messages):
    """The recipe with GloVe on the small sample, against TF-IDF and logistic regression on the same split."""
    texts, labels = messages
    ours = vecformer.VecformerClassifier("glove", settings={"data.unseen_words": 20_000}).fit(texts[::2], labels[::2])
    linear = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts[::2], labels[::2])
    assert ours.score(texts[1::2], labels[1::2]) >= linear.score(texts[1::2], labels[1::2])


def test_settings_set_any_other_key(small, messages):
    made = vecformer.VecformerClassifier(**small, class_weight="balanced")
    made.set_params(settings={**small["settings"], "data": {"lowercase": False}, "data.min_count": 2}).fit(*messages)
    config = made.run_.trained.config
    assert (config.data.lowercase, config.data.min_count, config.training.lr) == (False, 2, 0.02)
    assert (config.training.class_weights, config.training.epochs, config.seed) == ("balanced", 2, 1)


@pytest.mark.parametrize(("parameters", "message"), [
    ({"settings": {"training.lrr": 1}}, "no key 'training.lrr'. Did you mean 'training.lr'"),
    ({"settings": {"seed": 2}}, r"settings\['seed'\]: set the parameter random_state instead"),
    ({"settings": {"training": {"epochs": 2}}}, r"settings\['training.epochs'\]: set the parameter epochs"),
    ({"settings": {"data.path": "x"}}, r"settings\['data.path'\]: leave it out; the texts are arguments of fit"),
    ({"settings": [1]}, "settings must be a mapping"),
    ({"epochs": -1}, "the parameters: training.epochs must be 1 or more"),
    ({"random_state": -1}, "seed must be from 0"),
    ({"random_state": "x"}, "cannot be used to seed"),
    ({"source": "glvoe"}, "Did you mean 'glove'"),
    ({"recipe": "automatic"}, "begin with auto or plain"),
    ({"class_weight": "equal"}, "class_weight must be"),
])
def test_wrong_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        vecformer.VecformerClassifier(**parameters).fit(["one", "two"], ["a", "b"])


@pytest.mark.parametrize(("arguments", "message"), [
    (("one text", ["a"]), "X must be a list of strings, not one string"),
    ((["one", None], ["a", "b"]), r"X\[1\] is None"),
    ((["one", float("nan")], ["a", "b"]), r"X\[1\] is nan"),
    (([], []), "X has no texts"),
    ((["one", "two"], ["a", "a"]), "only one class, 'a'"),
    ((["", " "], ["a", "b"]), "no word occurs"),
])
def test_wrong_texts(arguments, message):
    with pytest.raises(PipelineError, match=message):
        vecformer.VecformerClassifier("random", recipe="plain", epochs=1).fit(*arguments)


def test_wrong_texts_to_predict_for(fitted):
    for wrong, message in (("text", "not one string"), (["a", None], r"X\[1\] is None")):
        with pytest.raises(TypeError, match=message):
            fitted.predict(wrong)
    assert fitted.predict([]).tolist() == []
    assert fitted.predict_proba([]).shape == (0, 3)
    assert fitted.predict(["", "unheardofword"]).shape == (2,)


def test_validation_and_unlabelled_texts_reach_the_run(small, messages):
    texts, labels = messages
    made = vecformer.VecformerClassifier(**small)
    made.fit(texts[6:], labels[6:], unlabelled=["xyzzy plugh"] * 3, validation=(texts[:6], labels[:6]))
    assert made.run_.metrics["dev"]["n"] == 6
    manifest = json.loads((made.run_.path / "manifest.json").read_text())
    assert manifest["data"]["sizes"] == {"train": 42, "dev": 6, "test": 0, "unlabelled": 3}
    for wrong, message in ((texts, "must be a pair"), ((texts[:1], ["other"]), r"validation\[1\]\[0\] is .*'other'")):
        with pytest.raises(DataError, match=message):
            made.fit(texts, labels, validation=wrong)
    with pytest.raises(TypeError, match=r"unlabelled\[0\]"):
        made.fit(texts, labels, unlabelled=[None])


def test_verbose_prints_what_is_done_and_silence_is_the_default(small, messages, capfd):
    logging.getLogger("vecformer").setLevel(logging.NOTSET)
    vecformer.VecformerClassifier(**small).fit(*messages)
    silent = capfd.readouterr()
    vecformer.VecformerClassifier(**small, verbose=True).fit(*messages)
    shown = capfd.readouterr()
    assert (silent.out, silent.err, shown.out) == ("", "", "")
    assert "train_loss" in shown.err
    assert logging.getLogger("vecformer").handlers == []


def test_examples_of_any_task_run_in_memory(tmp_path):
    """`run` on examples that a program made."""
    config = vecformer.RunConfig.from_mapping({
        "source": "random,dim=8", "recipe": "plain", "baselines": "none", "training": {"epochs": 1},
        "model": {"d_model": 8, "n_layers": 1, "n_heads": 1, "d_ff": 8}})
    examples = tuple(Example(f"text {word}", label, f"x:{i}")
                     for i, (word, label) in enumerate([("a", "1"), ("b", "2")] * 10))
    given = Splits("mine", examples[:12], (), examples[12:], ())
    finished = vecformer.run(config, tmp_path / "run", splits=base.find("classification").reader.divide(
        given, config.data, seed=1))
    assert finished.metrics["test"]["n"] == 8
    with pytest.raises(DataError, match=r"no data; set data.path"):
        vecformer.run(config, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_pickle_can_be_written_to_memory(fitted):
    stream = io.BytesIO()
    joblib.dump(fitted, stream)
    stream.seek(0)
    assert joblib.load(stream).classes_.tolist() == fitted.classes_.tolist()
