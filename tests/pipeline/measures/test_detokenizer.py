"""Words joined one by one give the text of all words together."""

from hypothesis import given
from hypothesis import strategies as st

from embeddings.special_tokens import END
from pipeline.commands.generate import Continuation
from pipeline.measures.detokenization import Detokenizer, detokenize

WORDS = st.sampled_from(["a", "I", "dogs", "girl", "'", '"', "„", "”", "-", "und", ",", ".", "20", "th", "n't", "(",
                         ")", "/", "&", ":", "U", "'s", "你", "好", "«", "$"])


@given(st.lists(WORDS, max_size=14))
def test_parts_are_certain_and_their_sum_is_the_whole(words):
    detokenizer = Detokenizer()
    parts = []
    for n, word in enumerate(words, start=1):
        parts.append(detokenizer.add(word))
        for following in ([], ["'"], ["-", "und"], ["a", "'", "."]):
            assert detokenize([*words[:n], *following]).startswith("".join(parts))
    assert "".join([*parts, detokenizer.finish()]) == detokenize(words)


def whole(prompt, before, words):
    """The text as it was composed before it was composed in parts."""
    lines = [[]]
    for word in words:
        if word == END:
            lines.append([])
        else:
            lines[-1].append(word)
    known, text = detokenize(before), detokenize([*before, *lines[0]])
    first = text.removeprefix(known) if text.startswith(known) else f" {detokenize(lines[0])}"
    if prompt[-1:].isspace() or not before:
        first = first.lstrip(" ")
    return prompt + "\n".join([first, *map(detokenize, lines[1:])])


@given(st.lists(WORDS, max_size=6), st.lists(st.one_of(WORDS, st.just(END)), max_size=12), st.booleans())
def test_a_continuation_in_parts_is_the_continuation(before, words, space):
    prompt = " ".join(before) + " " * space
    continuation = Continuation(prompt, before)
    assert "".join([prompt, *map(continuation.add, words), continuation.finish()]) == whole(prompt, before, words)


def test_a_word_is_certain_after_two_more():
    detokenizer = Detokenizer()
    assert [detokenizer.add(word) for word in ["one", "two", "three", "four"]] == ["", "", "one", " two"]
