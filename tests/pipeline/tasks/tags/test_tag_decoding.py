from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.measures.tagging import repair
from pipeline.tasks.tags.decoding import best_sequence, iob2_transitions

TAGS = ("O", "B-person", "I-person", "B-place", "I-place")
SCORE = st.integers(-50, 50).map(lambda n: n / 8)


def is_valid(tags):
    return repair(tags) == list(tags)


def test_only_an_entity_of_the_same_type_is_continued():
    transitions = iob2_transitions(TAGS)
    assert transitions.first.tolist() == [True, True, False, True, False]
    followers = {tag: {after for after, allowed in zip(TAGS, row, strict=True) if allowed}
                 for tag, row in zip(TAGS, transitions.next, strict=True)}
    begin = {"O", "B-person", "B-place"}
    assert followers == {"O": begin, "B-person": begin | {"I-person"}, "I-person": begin | {"I-person"},
                         "B-place": begin | {"I-place"}, "I-place": begin | {"I-place"}}


def test_a_type_without_a_first_tag_can_begin_with_the_inner_one():
    transitions = iob2_transitions(("O", "I-person", "B-place", "I-place"))
    assert transitions.first.tolist() == [True, True, True, False]
    assert transitions.next[0].tolist() == [True, True, True, False]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_sequence_is_the_best_of_all_valid_ones(data):
    n_words = data.draw(st.integers(1, 4))
    scores = np.array(data.draw(st.lists(st.lists(SCORE, min_size=5, max_size=5), min_size=n_words, max_size=n_words)),
                      dtype=np.float32)
    found = best_sequence(scores, iob2_transitions(TAGS))
    valid = [numbers for numbers in product(range(5), repeat=n_words) if is_valid([TAGS[i] for i in numbers])]
    rows = range(n_words)
    assert is_valid([TAGS[i] for i in found])
    assert float(scores[rows, found].sum()) == max(float(scores[rows, numbers].sum()) for numbers in valid)


def test_an_end_decides_on_the_beginning():
    # each word alone: O, I-person; the valid sequences with I-person begin with B-person
    scores = np.log(np.array([[0.5, 0.4, 0.04, 0.03, 0.03], [0.05, 0.05, 0.8, 0.05, 0.05]], dtype=np.float32))
    assert [TAGS[i] for i in best_sequence(scores, iob2_transitions(TAGS))] == ["B-person", "I-person"]


@pytest.mark.parametrize("n_words", [0, 1])
def test_short_sentences(n_words):
    scores = np.zeros((n_words, 5), dtype=np.float32)
    assert best_sequence(scores, iob2_transitions(TAGS)).tolist() == [0] * n_words


def test_scores_that_are_valid_already_are_only_maximised():
    scores = np.random.default_rng(1).normal(size=(200, 5)).astype(np.float32)
    scores[:, [2, 4]] -= 100
    np.testing.assert_array_equal(best_sequence(scores, iob2_transitions(TAGS)), scores.argmax(axis=1))
