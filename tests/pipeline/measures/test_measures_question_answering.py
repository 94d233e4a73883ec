import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measures.question_answering import (
    answer_measures,
    best_threshold,
    exact_match,
    f1,
    normalize,
)

WORDS = st.lists(st.sampled_from(["the", "a", "An", "cat", "Cat,", "dog's", "another", "U.S.", "é", "-"]), max_size=5)
TEXT = WORDS.map(" ".join) | st.text("aAtThHeE .,-'é1\t", max_size=8) | st.text(max_size=6)
QUESTIONS = st.lists(st.tuples(st.lists(TEXT, max_size=3), TEXT, st.integers(0, 5)), min_size=1, max_size=8)


def plain(text):
    """SQuAD's normalisation, letter by letter."""
    kept = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
    return [word for word in re.sub(r"\b(a|an|the)\b", " ", kept).split() if word]


def plain_f1(guess, reference):
    left, shared = list(reference), 0
    for word in guess:
        if word in left:
            left.remove(word)
            shared += 1
    if not guess or not reference:
        return float(guess == reference)
    precision, recall = shared / len(guess), shared / len(reference)
    return 2 * precision * recall / (precision + recall) if shared else 0.0


@given(TEXT, st.lists(TEXT, max_size=3))
def test_equal_to_the_definition(guess, references):
    known = [plain(text) for text in references if plain(text)] or [[]]
    assert normalize(guess).split() == plain(guess)
    assert exact_match(guess, references) == float(plain(guess) in known)
    assert f1(guess, references) == pytest.approx(max(plain_f1(plain(guess), text) for text in known))


@pytest.mark.parametrize(
    ("guess", "references", "exact", "overlap"),
    [
        ("The Eiffel Tower!", ["eiffel tower"], 1, 1),
        ("in Paris, France", ["Paris"], 0, 1 / 2),
        ("Paris France", ["London", "Paris"], 0, 2 / 3),
        ("dog dog", ["dog"], 0, 2 / 3),                   # a word counts as often as it stands
        ("U.S.", ["US"], 1, 1),
        ("another", ["other"], 0, 0),                     # "an" within a word is no article
        ("cafe", ["café"], 0, 0),
        ("", [], 1, 1),                                   # no answer, rightly
        ("Paris", [], 0, 0),
        ("", ["Paris"], 0, 0),
        ("", ["the", "Paris"], 0, 0),                     # a reference of nothing but articles does not count
        ("the", ["a"], 1, 1),                             # unless there is no other
    ],
)
def test_by_hand(guess, references, exact, overlap):
    assert exact_match(guess, references) == exact
    assert f1(guess, references) == pytest.approx(overlap)


def test_answerable_and_unanswerable_questions_have_separate_measures():
    assert answer_measures([["Paris"], ["a red fox"]], ["paris", "fox"]) == {
        "exact_match": 0.5, "f1": pytest.approx((1 + 2 / 3) / 2), "n": 2,
    }
    assert answer_measures([["Paris"], [], []], ["London", "", "Rome"]) == {
        "exact_match": pytest.approx(1 / 3), "f1": pytest.approx(1 / 3), "n": 3,
        "answerable_exact_match": 0, "answerable_f1": 0, "answerable_n": 1,
        "unanswerable_exact_match": 0.5, "unanswerable_f1": 0.5, "unanswerable_n": 2,
    }
    assert set(answer_measures([[]], [""])) == {"exact_match", "f1", "n", "unanswerable_exact_match",
                                                "unanswerable_f1", "unanswerable_n"}


@given(QUESTIONS, st.sampled_from([f1, exact_match]))
def test_the_best_threshold_is_the_best_of_all(questions, measure):
    references, guesses, no_answer = zip(*questions, strict=True)

    def mean(threshold):
        answered = ["" if score > threshold else guess for guess, score in zip(guesses, no_answer, strict=True)]
        return sum(map(measure, answered, references)) / len(questions)

    best = best_threshold(references, guesses, no_answer, measure)
    assert best.score == pytest.approx(mean(best.value))
    assert best.score == pytest.approx(max(mean(threshold) for threshold in range(-1, 6)))


def test_the_best_threshold_by_hand():
    references, guesses = [["a cat"], [], ["dog"]], ["cat", "cat", "dog"]
    assert best_threshold(references, guesses, [0.1, 0.9, 0.3]) == (0.3, 1.0)
    value, score = best_threshold([[], []], ["x", "y"], [0.5, 0.2])
    assert (value < 0.2, score) == (True, 1.0)
