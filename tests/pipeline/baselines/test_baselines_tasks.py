import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embeddings import WordTokenizer
from pipeline.baselines import question_answering, tagging, translation
from pipeline.measures.detokenization import detokenize
from pipeline.measures.question_answering import answer_measures
from pipeline.measures.translation import translation_measures

WORDS = [["Anna", "likes", "Rome"], ["Rome", "likes", "rain"], ["Mr", "Paul", "Anna"]]
TAGS = [["B-person", "O", "B-place"], ["B-place", "O", "O"], ["O", "B-person", "I-person"]]
TAGGERS = [tagging.most_frequent_tag, tagging.logistic_regression]


def test_each_word_gets_its_most_frequent_tag():
    test = [["Rome", "likes", "unseen"], [], ["Mr", "Paul"]]
    assert tagging.most_frequent_tag(WORDS, TAGS, test) == [["B-place", "O", "O"], [], ["O", "B-person"]]


def test_the_linear_tagger_sees_neighbours_and_shapes():
    words = [["Mr", "Ab", "of", "Ij"], ["Mr", "Cd", "of", "Kl"], ["Mr", "Ef", "of", "Mn"]]
    tags = [["O", "B-person", "O", "B-place"]] * 3
    guessed = tagging.logistic_regression(words * 3, tags * 3, [["Mr", "Xy", "of", "Zz"], ["of", "Xy"]])
    assert guessed == [["O", "B-person", "O", "B-place"], ["O", "B-place"]]


@pytest.mark.parametrize("tagger", TAGGERS)
def test_predicted_tags_are_valid_and_as_many_as_words(tagger):
    tags = [["B-a", "I-a", "I-a"], ["O", "O", "I-a"], ["I-a", "O", "O"]]
    found = tagger(WORDS, tags, [*WORDS, ["Rome"], []])
    assert [len(one) for one in found] == [3, 3, 3, 1, 0]
    for one in found:
        assert all(before != "O" for before, tag in zip(["O", *one], one, strict=False) if tag == "I-a")


@pytest.mark.parametrize(
    ("word", "shape"),
    [("McDonald's", "AaAa'a"), ("B-52", "A-0"), ("1,000", "0,0"), ("...", "."), ("Übung", "Aa"), ("", "")],
)
def test_shapes(word, shape):
    assert tagging.shape(word) == shape


CONTEXT = 'The tower stands in Paris. It was built in 1889!  "Who built it?" An engineer did'


def test_sentences():
    assert question_answering.sentences(CONTEXT) == [
        "The tower stands in Paris.", "It was built in 1889!", '"Who built it?"', "An engineer did",
    ]
    assert question_answering.sentences("Pi is 3.14 at most.") == ["Pi is 3.14 at most."]
    assert question_answering.sentences(" \n") == [""]


@given(st.text(max_size=40) | st.text("ab.!? \n\")", max_size=40))
def test_sentences_are_spans_that_leave_only_space(text):
    start = 0
    for sentence in question_answering.sentences(text):
        place = text.index(sentence, start)
        assert not text[start:place].strip()
        start = place + len(sentence)
    assert not text[start:].strip()


def test_the_sentence_with_most_of_the_questions_words():
    assert question_answering.first_sentence(CONTEXT) == "The tower stands in Paris."
    assert question_answering.most_overlap("When was it BUILT?", CONTEXT) == "It was built in 1889!"
    assert question_answering.most_overlap("Nothing alike", CONTEXT) == "The tower stands in Paris."


def test_the_nearest_sentences_translation():
    sources, targets = ["a red house", "a green tree", "two dogs"], ["ein rotes Haus", "ein grüner Baum", "zwei Hunde"]
    assert translation.nearest(sources, targets, ["the green tree !", "three dogs", "a red house"]) == [
        "ein grüner Baum", "zwei Hunde", "ein rotes Haus",
    ]
    assert translation.nearest(sources, targets, [f"{n} dogs" for n in range(250)]) == ["zwei Hunde"] * 250


SENTENCES = [("the house", "das Haus"), ("the book", "das Buch"), ("a book", "ein Buch")]


def cut(pairs):
    return [source.split() for source, _ in pairs], [target.split() for _, target in pairs]


def test_word_for_word_on_the_textbooks_example():
    """Koehn 2010, figure 4.4."""
    model = translation.WordForWord().fit(*cut(SENTENCES))
    assert model.translate(["a", "house", "the", "book", "unseen"]) == ["ein", "Haus", "das", "Buch", "unseen"]


def test_expectation_and_maximisation_equal_the_definition():
    pairs = [([translation.NULL, *source], target) for source, target in zip(*cut(SENTENCES), strict=True)]
    likely = {(s, t): 1.0 for source, target in pairs for s in source for t in target}
    for _ in range(3):
        counts = dict.fromkeys(likely, 0.0)
        for source, target in pairs:
            for t in target:
                for s in source:
                    counts[s, t] += likely[s, t] / sum(likely[other, t] for other in source)
        likely = {(s, t): c / sum(x for (other, _), x in counts.items() if other == s) for (s, t), c in counts.items()}
    best = {s: max((p, t) for (other, t), p in likely.items() if other == s) for s, _ in likely}
    model = translation.WordForWord(rounds=3).fit(*cut(SENTENCES))
    for word, (probability, expected) in best.items():
        assert model.table[word] == expected or likely[word, model.table[word]] == pytest.approx(probability)


def test_texts_without_words_have_no_effect():
    model = translation.WordForWord().fit([[], ["dog"], ["dog"]], [["Hund"], [], ["Hund"]])
    assert model.translate(["dog", "cat"]) == ["Hund", "cat"]
    assert translation.WordForWord().fit([[]], [[]]).translate(["dog"]) == ["dog"]


@pytest.mark.datasets
def test_squads_first_sentence(datasets):
    content = json.loads((datasets / "squad_v1_devsplit" / "test.json").read_text(encoding="utf-8"))
    asked = [(paragraph["context"], question["question"], [answer["text"] for answer in question["answers"]])
             for article in content["data"] for paragraph in article["paragraphs"] for question in paragraph["qas"]]
    references = [texts for _, _, texts in asked]
    first = answer_measures(references, [question_answering.first_sentence(context) for context, _, _ in asked])
    overlap = answer_measures(references, [question_answering.most_overlap(q, context) for context, q, _ in asked])
    assert first["f1"] == pytest.approx(0.080, abs=0.001)
    assert overlap["f1"] == pytest.approx(0.166, abs=0.001)


@pytest.mark.datasets
def test_captions_word_for_word(datasets):
    def lines(name):
        return (datasets / "multi30k_en_de" / name).read_text(encoding="utf-8").splitlines()

    words = WordTokenizer(lowercase=False).words
    model = translation.WordForWord().fit(list(map(words, lines("train.en"))), list(map(words, lines("train.de"))))
    guesses = [detokenize(model.translate(words(line))) for line in lines("test.en")]
    assert translation_measures(lines("test.de"), guesses)["bleu"] == pytest.approx(16.0, abs=0.5)
