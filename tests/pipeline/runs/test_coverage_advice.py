"""The likely reason of low coverage: the language, the case, accents, punctuation, pieces; and none for sound data."""

from collections import Counter

import numpy as np
import pytest

from embeddings import EmbeddingTable, WordTokenizer
from embeddings.request import VectorRequest
from embeddings.specification import sources
from embeddings.table.oov_policy import parse_policy
from pipeline.config import RunConfig
from pipeline.data.readers.labelled import LabelledReader
from pipeline.data.readers.tagged import TaggedReader
from pipeline.runs import coverage_advice as coverage_advice_module
from pipeline.runs.coverage_advice import coverage_advice, guess_language

ENGLISH = [f"the {noun} of the old house was painted by a friend of my brother in {month} and it looks very good now"
           for noun in ("door", "roof", "wall", "window", "kitchen", "garden") for month in ("May", "June", "July")]
GERMAN = [f"die {noun} des alten Hauses wurde im {month} von einem Freund meines Bruders gestrichen und sieht gut aus"
          for noun in ("Tür", "Wand", "Decke", "Küche", "Fassade", "Treppe") for month in ("Mai", "Juni", "Juli")]
MORE_ENGLISH = ("people should know there would have been enough work for everyone because these things often happen "
                "although nobody thought about which answer might help them through another difficult evening")
MORE_GERMAN = ("Menschen sollten wissen dass es genug Arbeit für jeden gegeben hätte weil diese Dinge häufig geschehen "
               "obwohl niemand darüber nachdachte welche Antwort ihnen durch einen weiteren schwierigen Abend hilft")


def advise(texts, words, *, unknown=(), source="file:x", lowercase=True, corpus=()):
    tokenizer = WordTokenizer(lowercase=lowercase)
    config = RunConfig.from_mapping({"source": source, "corpus": list(corpus),
                                     **({"unknown": list(unknown)} if unknown else {})})
    counts = tokenizer.count(texts)
    table = EmbeddingTable.known(list(dict.fromkeys(words)), np.ones((len(set(words)), 2), np.float32), "file")
    return coverage_advice(config, table, table.lookup(counts, parse_policy(config.unknown)), counts, texts)


def words_of(texts, lowercase=True):
    return list(WordTokenizer(lowercase=lowercase).count(texts))


def test_another_language_is_named():
    message = advise(GERMAN, words_of([*ENGLISH, MORE_ENGLISH]))
    assert message.startswith("the vectors of file:x cover 0% of the tokens of the training texts. ")
    assert "The vectors are probably English, and the texts German." in message
    assert "--source word2vec" in message
    assert "The vectors are probably German, and the texts English." in advise(
        ENGLISH, words_of([*GERMAN, MORE_GERMAN]))


def test_no_language_of_the_vectors_is_claimed_without_enough_words():
    assert "probably" not in advise(GERMAN, words_of(ENGLISH))


def test_no_language_is_claimed_without_enough_text():
    assert guess_language(["die Tür"]) == ""
    assert guess_language(["1 2 3 !"] * 100) == ""
    assert guess_language([]) == ""
    assert guess_language([*ENGLISH, *GERMAN]) == ""
    assert guess_language(ENGLISH) == guess_language([text.upper() for text in ENGLISH]) == "en"


def test_the_sample_is_from_all_texts():
    assert guess_language(ENGLISH * 20) == "en"
    assert guess_language([*ENGLISH * 20, *GERMAN * 20]) == ""


def test_the_language_of_the_same_texts_is_guessed_once(monkeypatch):
    texts = [f"{text} {number}" for number, text in enumerate(ENGLISH)]
    guess_language(texts)
    monkeypatch.setattr(coverage_advice_module, "_identifier", None)
    assert guess_language([*texts]) == "en"


@pytest.mark.parametrize(("texts", "words", "options", "advice"), [
    (ENGLISH, [word.upper() for word in words_of(ENGLISH)], {"unknown": ["random"]}, "another case; add the step case"),
    (["Él está aquí después del café también según mamá"] * 20,
     ["el", "esta", "aqui", "despues", "cafe", "tambien", "segun", "mama"], {}, "without accents; add --set data."),
    ([["the-door", "of-the", "old_house", "is"]] * 20, ["the", "door", "of", "old", "house", "is"], {},
     "several words with vectors, joined by punctuation"),
    (ENGLISH, ["\u2581" + word for word in words_of(ENGLISH)], {}, "subword pieces, such as \u2581the"),
    (ENGLISH, ["##" + word for word in words_of(ENGLISH)], {}, "subword pieces, such as ##the"),
    (ENGLISH, ["\ufeffthe"], {}, "byte-order mark"),
    ([["q1", "q2", "q3", "q4"]] * 20, ["a", "b"], {}, "Frequent words without a vector: q1, q2, q3, q4."),
])
def test_other_reasons(texts, words, options, advice):
    texts = [tuple(text) if isinstance(text, list) else text for text in texts]
    assert advice in advise(texts, words, **options)


def test_sound_vectors_and_vectors_trained_on_the_texts_need_no_advice():
    assert advise(ENGLISH, words_of(ENGLISH)) == ""
    assert advise(ENGLISH, words_of(ENGLISH)[:3], source="word2vec") == ""
    assert advise(ENGLISH, words_of(ENGLISH)[:3], source="word2vec", corpus=["x"])
    assert advise(["a b"], ["c"]) == ""  # too few tokens


def test_random_vectors_need_no_advice():
    tokenizer = WordTokenizer()
    counts = tokenizer.count(GERMAN)
    request = VectorRequest(vocabulary=tuple(counts), extra_words=(), n_frequent=0, texts=GERMAN, tokenizer=tokenizer,
                            seed=1, dim=4, unknown=parse_policy(RunConfig().unknown))
    table = sources.load("random", request)
    config = RunConfig.from_mapping({"source": "random"})
    assert coverage_advice(config, table, table.lookup(counts, request.unknown), counts, GERMAN) == ""


@pytest.mark.datasets
@pytest.mark.parametrize(("name", "language"), [
    ("sst2", ""), ("mr", ""), ("trec6", ""), ("ag_news", ""), ("sick", ""), ("wnut17_ner", ""),
    ("germeval2018_de", "German"), ("masakhanews_yor", "Yoruba"), ("afrisenti_swa", "Swahili"),
])
def test_real_data_and_glove(datasets, name, language):
    reader = TaggedReader() if name == "wnut17_ner" else LabelledReader()
    config = RunConfig.from_mapping({"source": "glove", "data": {"path": str(datasets / name)}})
    texts = reader.texts(reader.read(config.data, seed=1).train)
    tokenizer = WordTokenizer()
    counts: Counter[str] = tokenizer.count(texts)
    policy = parse_policy(config.unknown)
    request = VectorRequest(vocabulary=tuple(counts), extra_words=(), n_frequent=5000, texts=texts, tokenizer=tokenizer,
                            seed=1, dim=50, unknown=policy)
    table = sources.load("glove", request)
    message = coverage_advice(config, table, table.lookup(counts, policy), counts, texts)
    assert bool(message) == bool(language)
    assert not language or f"probably English, and the texts {language}." in message
