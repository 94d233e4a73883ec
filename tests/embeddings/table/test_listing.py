"""Lists in messages are of bounded length."""

from hypothesis import given
from hypothesis import strategies as st

from embeddings.table.listing import MAX_LENGTH, MAX_NAMES, listed, shortened


def test_a_short_list_is_joined():
    assert listed([]) == ""
    assert listed(["a", "b"]) == "a, b"
    assert listed(("a", "b"), form=repr) == "'a', 'b'"
    assert listed({"a": 1, "b": 2}, separator=" ") == "a b"
    assert listed(iter(range(MAX_NAMES))) == ", ".join(map(str, range(MAX_NAMES)))


def test_of_a_long_list_the_first_ones_and_the_number_of_the_others():
    assert listed(range(1_003), limit=3) == "0, 1, 2 and 1,000 more"
    assert listed(iter(range(4)), limit=3) == "0, 1, 2 and 1 more"


def test_long_names_lose_their_middle():
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 10) == "abcde…hijk"
    assert listed(["x" * 1000], form=repr) == repr("x" * 50 + "…" + "x" * 49)


@given(st.lists(st.text(max_size=300), max_size=60))
def test_the_length_is_bounded(names):
    assert len(listed(names)) <= MAX_NAMES * (MAX_LENGTH + 2) + 20


@given(st.text(max_size=300), st.integers(2, 200))
def test_a_shortened_text_has_at_most_the_length(text, length):
    assert len(shortened(text, length)) == min(len(text), length)
