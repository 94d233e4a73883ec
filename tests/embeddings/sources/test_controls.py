"""Control sources, which share statistics with another source, and averages of sources."""

import numpy as np
import pytest

from embeddings import load_vectors
from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.request import VectorRequest
from embeddings.specification import sources


@pytest.fixture(scope="module")
def many():
    """Two thousand words of GloVe."""
    listed = sources.load("glove,limit=4000", VectorRequest()).words
    return [word for word in listed if word.isalpha()][:2000]


def control(kind, words, seed=1):
    return load_vectors(f"random,init={kind}:glove", words, seed=seed)


def test_matched_control_has_the_scale_of_the_source(many):
    theirs, ours = load_vectors("glove", many), control("matched", many)
    assert ours.dim == 50
    assert ours.vectors.std() == pytest.approx(theirs.vectors.std(), rel=0.01)
    assert ours.vectors.mean() == pytest.approx(theirs.vectors.mean(), abs=0.01)
    assert set(ours.provenance) == {"random"}


def test_covariance_control_has_the_geometry_of_the_source(many):
    theirs, ours = load_vectors("glove", many).vectors, control("covariance", many).vectors
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=0.1)
    error = np.abs(np.cov(ours.T) - np.cov(theirs.T)).max()
    assert error < 0.1
    assert np.abs(np.cov(control("matched", many).vectors.T) - np.cov(theirs.T)).max() > 3 * error


def test_shuffled_control_permutes_the_rows_of_the_source(many):
    theirs, ours = load_vectors("glove", many).vectors, control("shuffled", many).vectors
    assert sorted(map(bytes, ours)) == sorted(map(bytes, theirs))
    assert (ours == theirs).all(axis=1).mean() < 0.01


def test_seed_determines_controls(many):
    for kind in ("matched", "covariance", "shuffled"):
        assert (control(kind, many[:50]).vectors == control(kind, many[:50]).vectors).all()
        assert (control(kind, many[:50]).vectors != control(kind, many[:50], seed=2).vectors).any()


def test_control_for_a_concatenated_source():
    made = load_vectors("random,init=shuffled:(glove+random,dim=3,init=normal)", ["tea", "coffee", "zzqqzz"])
    assert made.vectors.shape == (3, 53)


def test_control_requires_words_of_the_source():
    with pytest.raises(EmbeddingError, match="needs at least two words of the text"):
        control("shuffled", ["zzqqzz"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("random,init=matchd:glove", "no initialisation is called 'matchd:glove'"),
        ("random,init=matched:glvoe", "no source is called 'glvoe'"),
        ("random,dim=3,init=matched:glove", "cannot be combined with init="),
        ("average", "write it as average(A,B)"),
        ("average(glove)", "at least two sources"),
        ("average(glove,glvoe)", "no source is called 'glvoe'"),
    ],
)
def test_wrong_specifications(wrong, message):
    with pytest.raises(SpecificationError) as caught:
        sources.parse(wrong)
    assert message in str(caught.value)


@pytest.mark.reference("source", "average")
def test_average_of_equal_dimensions(tmp_path):
    (tmp_path / "a.txt").write_text("x 1 0\ny 0 1\n")
    (tmp_path / "b.txt").write_text("y 0 -10\nz 10 0\n")
    made = load_vectors(f"average(glove:{tmp_path / 'a.txt'},glove:{tmp_path / 'b.txt'})")
    assert made.words == ("x", "y", "z")
    assert made.provenance == ("exact+missing", "exact+exact", "missing+exact")
    spreads = np.std([1, 0, 0, 1]), np.std([0, -10, 10, 0])
    np.testing.assert_allclose(made.vectors[0], [1 / spreads[0], 0], rtol=1e-5)
    np.testing.assert_allclose(made.vectors[1], [0, (1 / spreads[0] - 10 / spreads[1]) / 2], rtol=1e-5)
    np.testing.assert_allclose(made.vectors[2], [10 / spreads[1], 0], rtol=1e-5)


def test_average_of_unequal_dimensions_preserves_neighbourhoods():
    words = ["tea", "coffee", "king"]
    made = load_vectors("average(glove,random,dim=20,init=normal)", words)
    assert made.dim == 20
    alone = load_vectors("average(glove,glove)", words)
    near = alone.vectors / np.linalg.norm(alone.vectors, axis=1, keepdims=True)
    assert near[0] @ near[1] > near[0] @ near[2]


def test_average_composes_words_from_ngrams():
    texts = ["the cat sat on the mat", "a dog lay on the rug"] * 30
    source = "average(glove,fasttext,dim=50,epochs=1,buckets=100,min_count=1)"
    made = load_vectors(source, ["cat", "qcatq"], texts=texts)
    assert made.provenance == ("exact+exact", "subword")
