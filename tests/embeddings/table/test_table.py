import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embeddings import EmbeddingTable
from embeddings.errors import EmbeddingError, VectorFileError
from embeddings.table.oov_composers import NgramVectors


def table(words=("cat", "Paris", "NATO"), dim=3, **more):
    vectors = np.arange(len(words) * dim, dtype=np.float32).reshape(len(words), dim) + 1
    return EmbeddingTable.known(words, vectors, "here", **more)


def test_number_of_words_and_rows_must_be_equal():
    with pytest.raises(EmbeddingError, match="2 words but 3 rows"):
        EmbeddingTable.known(["a", "b"], np.zeros((3, 2), np.float32), "file.txt")


def test_repeated_word_is_an_error():
    with pytest.raises(EmbeddingError, match="1 words are repeated"):
        EmbeddingTable.known(["a", "a"], np.zeros((2, 2), np.float32), "file.txt")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_must_be_finite(bad):
    with pytest.raises(EmbeddingError, match="vector of 'b' is not finite"):
        EmbeddingTable.known(["a", "b"], np.array([[1.0], [bad]], np.float32), "file.txt")


def test_vectors_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        table().vectors[0, 0] = 9


def test_lookup_tries_other_spellings_and_records_them():
    found = table().lookup(["cat", "paris", "nato", "dog"])
    assert found.provenance == ("exact", "folded", "folded", "missing")
    assert found.vectors.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [0, 0, 0]]


def test_random_row_is_not_used_for_other_spellings():
    drawn = EmbeddingTable(("Cat",), np.ones((1, 2), np.float32), ("random",), "random")
    assert drawn.lookup(["Cat", "cat"]).provenance == ("random", "missing")


def test_ngrams_give_a_word_outside_the_table_a_vector():
    ngrams = NgramVectors(np.ones((10, 3), np.float32), min_n=3, max_n=4)
    zeros = np.zeros((1, 3), np.float32)
    found = EmbeddingTable(("cat",), zeros, ("exact",), "here", composer=ngrams).lookup(["catty"])
    assert found.provenance == ("subword",)
    assert found.vectors.tolist() == [[1, 1, 1]]


def test_missing_rows_are_filled_with_the_scale_of_known_rows():
    random = np.random.default_rng(0)
    words = [f"w{i}" for i in range(2000)]
    known = EmbeddingTable.known(words, random.normal(3, 0.5, (2000, 4)).astype(np.float32), "here")
    gaps = known.lookup([*words, *(f"gap{i}" for i in range(2000))]).filled(seed=1)
    drawn = gaps.vectors[2000:]
    assert set(gaps.provenance[2000:]) == {"random"}
    np.testing.assert_allclose(drawn.mean(axis=0), 3, atol=0.05)
    np.testing.assert_allclose(drawn.std(axis=0), 0.5, atol=0.05)
    assert (gaps.vectors[:2000] == known.vectors).all()


def test_seed_determines_filled_rows():
    gaps = table().lookup(["cat", "Paris", "x", "y"])
    assert (gaps.filled(1).vectors == gaps.filled(1).vectors).all()
    assert (gaps.filled(1).vectors != gaps.filled(2).vectors).any()


def test_followed_by_appends_new_words_only():
    both = table(("a", "b")).followed_by(table(("b", "c")))
    assert both.words == ("a", "b", "c")
    assert both.vectors[2].tolist() == [4, 5, 6]


def test_scaling_is_recorded():
    assert table().scaled(2).transforms == ("scale=2",)
    assert table().scaled(2).vectors[0].tolist() == [2, 4, 6]


@given(
    words=st.lists(st.text(min_size=1), unique=True, min_size=1, max_size=8),
    vectors=arrays(np.float32, (8, 3), elements=st.floats(-1e6, 1e6, width=32)),
)
def test_save_and_load_are_lossless(tmp_path_factory, words, vectors):
    path = tmp_path_factory.mktemp("table") / "embeddings.safetensors"
    ngrams = NgramVectors(vectors, min_n=2, max_n=5)
    provenance = tuple("exact" if i % 2 else "random" for i in range(len(words)))
    made = EmbeddingTable(tuple(words), vectors[: len(words)], provenance, "a+b", ("scale=2",), ngrams)
    made.save(path)
    read = EmbeddingTable.load(path)
    assert (read.words, read.provenance, read.source, read.transforms) == (made.words, provenance, "a+b", ("scale=2",))
    assert read.vectors.tobytes() == made.vectors.tobytes()
    assert read.composer.vectors.tobytes() == vectors.tobytes()
    assert read.composer.describe() == ngrams.describe()


@pytest.mark.parametrize("broken", ["embeddings.safetensors", "embeddings.json"])
def test_error_of_a_broken_table_names_the_file(tmp_path, broken):
    table().save(tmp_path / "embeddings.safetensors")
    (tmp_path / broken).write_bytes(b"{]")
    with pytest.raises(VectorFileError, match=r"embeddings\.safetensors: not a (table|safetensors file)"):
        EmbeddingTable.load(tmp_path / "embeddings.safetensors")


def test_name_of_version_0_1_0_is_an_alias():
    assert EmbeddingTable.mapped is EmbeddingTable.transformed
