"""`VecformerVectorizer`: means of word vectors and outputs of an encoder."""

import gc
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import vecformer
from pipeline.errors import ConfigError, DataError, RunFolderError
from transformer.kernels import engine

pytestmark = pytest.mark.python_messages

VECTORS = {"the": [1.0, 0.0, 0.0], "parcel": [0.0, 2.0, 0.0], "invoice": [0.0, 0.0, 4.0], "late": [1.0, 1.0, 1.0]}


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in VECTORS.items()))
    return path


@pytest.fixture(scope="module")
def run(messages, tmp_path_factory):
    texts, labels = messages
    out = tmp_path_factory.mktemp("runs") / "run"
    settings = {"model": {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 16}, "embedding.scale": "unit"}
    vecformer.VecformerClassifier("random,dim=16", recipe="plain", epochs=1, settings=settings, out=out).fit(
        texts, labels)
    return out


def test_means_are_those_of_the_vectors_in_the_file(vectors):
    made = vecformer.VecformerVectorizer(f"file:{vectors}", settings={"unknown": ["zero"]}).fit(["the parcel"])
    texts = ["The parcel", "late late invoice!", "unheard of", ""]
    expected = [np.mean([VECTORS[word] for word in words] or [[0.0] * 3], axis=0)
                for words in (["the", "parcel"], ["late", "late", "invoice"], [], [])]
    assert np.allclose(made.transform(texts), expected)
    assert made.transform(texts).dtype == np.float32
    assert made.transform([]).shape == (0, 3)
    assert made.get_feature_names_out().tolist() == [f"vecformervectorizer{i}" for i in range(3)]


def test_vectors_are_trained_on_the_texts_and_further_ones(messages):
    texts, labels = messages
    source = "word2vec,dim=8,min_count=2"
    alone = vecformer.VecformerVectorizer(source).fit(texts, labels)
    further = vecformer.VecformerVectorizer(source).fit(texts, unlabelled=["xyzzy plugh xyzzy plugh"] * 5)
    assert not alone.transform(["xyzzy"]).any()
    assert further.transform(["xyzzy"]).any()
    assert alone.transform(texts).tolist() == clone(alone).fit_transform(texts).tolist()


def test_transforms_and_other_keys(vectors):
    made = vecformer.VecformerVectorizer(f"file:{vectors}", settings={"transforms": ["unit"], "unknown": ["zero"]})
    assert np.allclose(made.fit(["parcel"]).transform(["invoice"]), [[0, 0, 1]])


def test_encoder_vectors_are_means_of_the_encoders_outputs(run, messages):
    """Against plain PyTorch, one text at a time and without padding."""
    texts = [*messages[0][:5], "parcel"]
    made = vecformer.VecformerVectorizer(run=run, vectors="encoder").fit(["anything"])
    trained = vecformer.load_run(run)
    ids = [torch.tensor(feature.ids.astype(np.int64))[None]
           for feature in trained.prepare([trained.example(text) for text in texts]).features]
    with torch.inference_mode(), engine.use("torch"):
        expected = [trained.model.encoder(one).hidden.mean(dim=1)[0].numpy() for one in ids]
    assert np.allclose(made.transform(texts), expected, atol=1e-5)
    assert not made.transform([""]).any()
    gc.collect()
    assert (run / "manifest.json").is_file()  # the run is not the estimator's own


def test_an_encoder_is_trained_on_texts_without_labels(messages):
    texts, _ = messages
    settings = {"model": {"d_model": 16, "n_layers": 1, "n_heads": 1, "d_ff": 16}, "data.max_length": 8}
    made = vecformer.VecformerVectorizer("random,dim=16", vectors="encoder", recipe="plain", epochs=1,
                                         settings=settings)
    found = made.fit(texts).transform(texts)
    assert found.shape == (48, 16)
    assert made.fitted_.trained.config.task == "masked-language-model"
    assert made.transform(texts).tolist() == found.tolist()  # nothing is masked at random
    longest = max(texts, key=len)  # several windows of 8 tokens: the mean of their vectors, weighted by their tokens
    tokenizer = made.fitted_.trained.tokenizer
    words = tokenizer.words(longest)
    assert len(words) > 8
    windows = [words[start : start + 8] for start in range(0, len(words), 8)]
    parts = made.transform([" ".join(window) for window in windows])
    assert np.allclose(made.transform([longest])[0], np.average(parts, axis=0, weights=list(map(len, windows))),
                       atol=1e-5)


@pytest.mark.parametrize("parameters", [{}, {"vectors": "encoder", "epochs": 1}])
def test_pickles(parameters, messages):
    settings = {"model": {"d_model": 16, "n_layers": 1, "n_heads": 1, "d_ff": 16}}
    made = vecformer.VecformerVectorizer("random,dim=8", recipe="plain", settings=settings, **parameters)
    stored = pickle.dumps(made.fit(messages[0]))
    assert b"torch.nn" not in stored
    expected = made.transform(messages[0]).tolist()
    del made
    gc.collect()
    assert pickle.loads(stored).transform(messages[0]).tolist() == expected


def test_a_search_over_sources_in_a_pipeline(messages):
    texts, labels = messages
    pipeline = make_pipeline(vecformer.VecformerVectorizer(recipe="plain"), LogisticRegression())
    sources = ["random,dim=8", "word2vec,dim=8,min_count=1"]
    search = GridSearchCV(pipeline, {"vecformervectorizer__source": sources}, cv=2, error_score="raise")
    assert search.fit(texts, labels).best_params_["vecformervectorizer__source"] in sources


@pytest.mark.parametrize(("parameters", "texts", "error", "message"), [
    ({"vectors": "sum"}, ["a"], ConfigError, "vectors must be 'mean' or 'encoder', not 'sum'"),
    ({"run": "runs/x"}, ["a"], ConfigError, "needs vectors='encoder'"),
    ({"run": "runs/x", "vectors": "encoder"}, ["a"], RunFolderError, r"no such run; create one with: vecformer.run\("),
    ({"settings": {"source": "glove"}}, ["a"], ConfigError, "set the parameter source"),
    ({"source": "random"}, ["", " "], DataError, "no word occurs"),
    ({}, [], DataError, "X has no texts"),
    ({}, "text", TypeError, "not one string"),
    ({}, ["a", None], TypeError, r"X\[1\] is None"),
])
def test_what_is_refused(parameters, texts, error, message):
    with pytest.raises(error, match=message):
        vecformer.VecformerVectorizer(**parameters).fit(texts)


def test_runs_without_an_encoder_of_single_texts(tmp_path):
    text = tmp_path / "lines.txt"
    text.write_text("one line of text\nanother line of text\n" * 10)
    config = vecformer.RunConfig.from_mapping({
        "task": "language-model", "data": {"path": str(text)}, "source": "random,dim=8", "recipe": "plain",
        "baselines": "none", "training": {"epochs": 1},
        "model": {"d_model": 8, "n_layers": 1, "n_heads": 1, "d_ff": 8}})
    vecformer.run(config, tmp_path / "run")
    with pytest.raises(ConfigError, match="a run of the task language-model has no encoder of single texts"):
        vecformer.VecformerVectorizer(run=tmp_path / "run", vectors="encoder").fit(["a"])


def test_not_fitted(messages):
    with pytest.raises(NotFittedError):
        vecformer.VecformerVectorizer().transform(["a"])
