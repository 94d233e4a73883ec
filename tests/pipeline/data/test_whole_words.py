"""Words of a text and the tokens of each: property tests for every kind of subwords."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings import WordTokenizer
from embeddings.tokenization.interface import Span
from pipeline.data.examples import Answer
from pipeline.data.features.whole_words import each_token, whole_words
from pipeline.data.features.windows import windows
from pipeline.tasks.span_scores import SpanScores
from tests.embeddings.tokenization.subword_samples import made


@pytest.fixture(scope="module", params=["wordpiece", "bpe", "unigram"])
def tokenizer(request):
    return made(request.param)


texts = st.text(st.sampled_from("abehlstTE ẹ́ì.,'-<0\n\t\u200d😀"), max_size=40)


@settings(max_examples=80, deadline=None)
@given(text=texts)
def test_every_token_belongs_to_one_word_that_contains_it(tokenizer, text):
    tokens = tokenizer.spans(text)
    spans, bounds = whole_words(text, tokens, tokenizer)
    assert bounds[0] == 0
    assert bounds[-1] == len(tokens)
    assert (np.diff(bounds) > 0).all() or not tokens
    assert len(bounds) == len(spans) + 1
    assert all(one.end <= other.start for one, other in pairwise(spans))
    for span, first, last in zip(spans, bounds, bounds[1:], strict=False):
        assert span.word == text[span.start:span.end]
        assert all(span.start <= one.start and one.end <= span.end for one in tokens[first:last] if one.end > one.start)


@settings(max_examples=80, deadline=None)
@given(words=st.lists(st.text(st.sampled_from("abehlst"), min_size=1, max_size=9), min_size=1, max_size=8))
def test_words_of_letters_are_those_between_spaces(tokenizer, words):
    text = " ".join(words)
    assert [span.word for span in whole_words(text, tokenizer.spans(text), tokenizer).spans] == words


def test_words_are_their_own_tokens():
    tokenizer = WordTokenizer(["a", "b"])
    tokens = tokenizer.spans("a b, a")
    assert whole_words("a b, a", tokens, tokenizer).spans == tokens
    assert whole_words("a b, a", tokens, tokenizer).bounds.tolist() == [0, 1, 2, 3, 4]


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.text(st.sampled_from("abehlst"), min_size=1, max_size=9), min_size=1, max_size=12),
       room=st.integers(1, 12), overlap=st.integers(0, 6), data=st.data())
def test_answers_are_whole_words(tokenizer, words, room, overlap, data):
    """The best answer is the gold one, if a window contains it, whatever the windows divide."""
    text = " ".join(words)
    tokens = tokenizer.spans(text)
    whole = whole_words(text, tokens, tokenizer)
    number = data.draw(st.integers(0, len(words) - 1))
    gold = whole.spans[number]
    found, contained = SpanScores(text, 3), False
    for window in windows(tokens, n_question=0, max_length=room + 3, overlap=overlap, words=whole):
        scores = np.full((window.offset + window.n_words + 1, 2), -9.0)
        if target := window.target(Answer(gold.word, gold.start)):
            contained = True
            scores[target[0], 0] = scores[target[1], 1] = -0.1
        found.add(window, scores)
    predicted = found.prediction(2, float("inf"))
    starts, ends = {span.start for span in whole.spans}, {span.end for span in whole.spans}
    assert predicted["start"] in starts
    assert predicted["end"] in ends
    if contained:
        assert predicted["answer"] == gold.word


def test_a_window_without_words_has_no_answer():
    spans = [Span("a", 0, 1)]
    assert each_token(spans).bounds.tolist() == [0, 1]
    (window,) = windows([], n_question=2, max_length=9, overlap=0)
    scores = SpanScores("", 3)
    scores.add(window, np.zeros((5, 2)))
    assert scores.prediction(2, float("inf"))["answer"] == ""
