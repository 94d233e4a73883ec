import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings import WordTokenizer
from pipeline.measures.detokenization import detokenize
from pipeline.measures.translation import translation_measures

TOKENIZER = WordTokenizer(lowercase=False)


def test_bleu_by_hand():
    """Of the words 4/5 are right, of the pairs 3/4, then 2/3 and 1/2: the geometric mean; e^(1 - 6/5) if too short."""
    measures = translation_measures(["a b c d f"], ["a b c d e"])
    assert measures["bleu"] == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4))
    assert translation_measures(["a b c d f g"], ["a b c d e"])["bleu"] == pytest.approx(
        measures["bleu"] * math.exp(1 - 6 / 5)
    )


def test_chrf_by_hand():
    """Of the characters, without spaces, 3/4 are right, of the pairs 2/3, then 1/2 and 0; there is nothing longer."""
    measures = translation_measures(["abcd"], ["ab ce"])
    assert measures["chrf"] == pytest.approx(100 * np.mean([3 / 4, 2 / 3, 1 / 2, 0]))


def test_the_signatures_describe_the_measures():
    measures = translation_measures(["A dog.", "Two dogs."], ["A dog.", "Two."])
    assert measures["n"] == 2
    assert measures["bleu_signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert measures["chrf_signature"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")


def test_the_same_text_is_perfect_and_another_script_is_nothing():
    text = ["Ein Mann steht vor einem Haus.", "Zwei Hunde."]
    assert translation_measures(text, text)["bleu"] == pytest.approx(100)
    assert translation_measures(text, text)["chrf"] == pytest.approx(100)
    assert translation_measures(text, ["猫", "犬"])["chrf"] == 0


@pytest.mark.parametrize(
    "text",
    [
        "Don't shout \"fire\", please.",
        "A man's hat; the girls' hats (all of them) cost $5.99, or 50% off!",
        "The sign says \"a\" and \"b\".",
        "It's eight o'clock in the U.S. now.",
        "A 'Grand Opening' sign.",
        "The 20th six-pack, back-to-back, at 5:30 and/or 9:15...",
        "Rock & Roll at a Q&A",
        "Vor- und Nachname, Mützen und -hüte in den 80er Jahren.",
        "Ein „slow“-Schild mit der Aufschrift „Hallo!“",
        "He said “so” and «no».",
        "两只狗。",
        "ประเทศไทย",
        "",
    ],
)
def test_text_is_restored(text):
    assert detokenize(TOKENIZER.words(text)) == text


@given(st.text(max_size=30) | st.text("ab1 .,'\"-&(): und", max_size=30))
def test_no_word_is_lost(text):
    words = TOKENIZER.words(text)
    assert detokenize(words).replace(" ", "") == "".join(words)


@pytest.mark.datasets
@pytest.mark.parametrize("language", ["en", "de"])
def test_captions_are_restored(datasets, language):
    text = (datasets / "multi30k_en_de" / f"train.{language}").read_text(encoding="utf-8").splitlines()[:5000]
    back = [detokenize(TOKENIZER.words(line)) for line in text]
    assert sum(map(str.__eq__, text, back)) / len(text) > 0.99
    assert translation_measures(text, back)["bleu"] > 99.9
