import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tasks.tags.features import hashed_features, pattern, word_features


def test_features_of_a_word():
    first, second, third = (set(features) for features in word_features(["Dr.", "McCoy", "left"]))
    assert {"word=McCoy", "lower=mccoy", "shape=AaAa", "pattern=AaAaa", "prefix1=m", "prefix4=mcco", "suffix1=y",
            "suffix4=ccoy", "lower-1=dr.", "lower-2=<s>", "lower+1=left", "lower+2=</s>", "shape-1=Aa.", "shape+1=a",
            "pair-1=dr. mccoy", "pair+1=mccoy left", "shapes=Aa. AaAa a"} <= second
    assert "lower-1=<s>" in first and "lower+1=</s>" in third
    assert not any(feature.startswith("prefix4") for feature in first)  # it has three characters


def test_the_case_of_a_word_is_kept():
    assert pattern("iPhone7") == "aAaaaa0"
    (written,), (folded,) = word_features(["Apple"]), word_features(["apple"])
    assert set(written) - set(folded) == {"word=Apple", "shape=Aa", "pattern=Aaaaa", "shapes=<s> Aa </s>"}


def test_rows_are_the_words_of_all_sentences_in_order():
    together = hashed_features([["A", "b"], [], ["c"]], 2**14)
    alone = hashed_features([["c"]], 2**14)
    assert together.shape == (3, 2**14)
    np.testing.assert_array_equal(together[2].toarray(), alone.toarray())
    n_features = [len(features) for words in (["A", "b"], ["c"]) for features in word_features(words)]
    assert together.sum(axis=1).ravel().tolist()[0] == n_features


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1), max_size=5))
def test_any_text_has_features(words):
    assert hashed_features([words], 2**10).shape == (len(words), 2**10)


def test_no_words_have_no_rows():
    assert hashed_features([], 2**10).shape == hashed_features([[], []], 2**10).shape == (0, 2**10)


def test_lone_surrogates_have_features():
    assert hashed_features([["a\ud800"]], 2**10).sum() > 0
