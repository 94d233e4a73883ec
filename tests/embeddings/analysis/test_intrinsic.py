"""Similarity and analogy scores: equal to gensim's, and readers that name the line that is to blame."""

import json
import subprocess
import sys

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings import EmbeddingTable, load_vectors
from embeddings.analysis.gold_standards import (
    SHIPPED_PAIRS,
    SHIPPED_QUESTIONS,
    Pair,
    Question,
    files_of,
    read_pairs,
    read_questions,
    shipped,
)
from embeddings.analysis.intrinsic import AnalogyScore, IntrinsicEvaluation, evaluate_files, total
from embeddings.errors import EmbeddingError
from embeddings.tokenization.corpus import CorpusFiles

# gensim ranks cosines rounded to float32, ours are float64, so that two pairs of near 1e-7 may change places: among n
# pairs that moves the correlation by 12 / n² at most, which is this for a thousand.
RANKS = 1e-5


@pytest.fixture(scope="module")
def glove():
    return load_vectors("glove")


def keyed(table):
    made = KeyedVectors(table.dim)
    made.add_vectors(list(table.words), table.vectors)
    return made


def assert_same_similarity(judge, peer, path, restrict=300_000):
    ours = judge.similarity(read_pairs(path))
    _, spearman, out_of_vocabulary = peer.evaluate_word_pairs(str(path), restrict_vocab=restrict)
    assert ours.spearman == pytest.approx(spearman.statistic, abs=RANKS)
    assert 100 * (1 - ours.found) == pytest.approx(out_of_vocabulary)


def assert_same_analogies(judge, peer, path, restrict=300_000):
    ours = judge.analogies(read_questions(path))
    score, sections = peer.evaluate_word_analogies(str(path), restrict_vocab=restrict)
    theirs = {one["section"]: (len(one["correct"]), len(one["incorrect"])) for one in sections}
    overall = theirs.pop("Total accuracy")
    assert {name: (one.n_correct, one.n_found - one.n_correct) for name, one in ours.items()} == theirs
    assert (total(ours.values()).n_correct, total(ours.values()).n_found) == (overall[0], sum(overall))
    assert (total(ours.values()).accuracy or 0.0) == pytest.approx(score)


def every(step, path, target):
    """Write every so-many-th question of each section to another file."""
    sections = read_questions(path)
    target.write_text("".join(
        f": {name}\n" + "".join(" ".join(question) + "\n" for question in questions[::step])
        for name, questions in sections.items()
    ))
    return target


def test_what_gensim_ships_equals_gensim_on_glove(glove, tmp_path):
    judge, peer = IntrinsicEvaluation(glove), keyed(glove)
    for path in shipped(SHIPPED_PAIRS):
        assert_same_similarity(judge, peer, path)
    assert_same_analogies(judge, peer, every(60, *shipped(SHIPPED_QUESTIONS), tmp_path / "some.txt"))


@pytest.mark.datasets
def test_every_set_equals_gensim_on_glove(glove, datasets, tmp_path):
    judge, peer = IntrinsicEvaluation(glove), keyed(glove)
    pairs, questions = files_of([datasets / "word_similarity"]), files_of([datasets / "word_analogies"])
    assert (len(pairs), len(questions)) == (12, 2)
    for path in pairs:
        assert_same_similarity(judge, peer, path)
    for path in questions:
        assert_same_analogies(judge, peer, every(40, path, tmp_path / path.name))


@pytest.mark.slow
@pytest.mark.datasets
@pytest.mark.parametrize("source", ["glove", "word2vec,dim=50,epochs=2,min_count=5,workers=1"])
def test_every_question_equals_gensim(source, datasets):
    corpus = CorpusFiles((datasets / "corpus_en" / "wikipedia_en_00.txt.gz",))
    table = load_vectors(source, texts=corpus)
    judge, peer = IntrinsicEvaluation(table), keyed(table)
    for path in files_of([datasets / "word_similarity"]):
        assert_same_similarity(judge, peer, path)
    for path in files_of([datasets / "word_analogies"]):
        assert_same_analogies(judge, peer, path)


@st.composite
def cased_tables(draw):
    """Words of which some stand in two cases, random vectors, and pairs and questions that know some of them."""
    stems = draw(st.lists(st.text("abcßéд", min_size=1, max_size=3), min_size=4, max_size=9, unique_by=str.upper))
    words = [*stems, *(stem.upper() for stem in stems if stem.upper() != stem and draw(st.booleans()))]
    words = draw(st.permutations(words))
    vectors = np.random.default_rng(draw(st.integers(0, 9999))).standard_normal((len(words), 5)).astype(np.float32)
    asked = [*stems, *(stem.capitalize() for stem in stems), "unheard", "of"]
    rows = st.lists(st.tuples(*[st.sampled_from(asked)] * 4, st.integers(0, 9)), min_size=6, max_size=20)
    restrict = draw(st.integers(3, len(words) + 2))
    return EmbeddingTable.known(words, vectors, "drawn"), draw(rows), restrict


@given(cased_tables())
@settings(max_examples=50)
def test_case_gaps_and_restriction_equal_gensim(tmp_path_factory, drawn):
    table, rows, restrict = drawn
    folder = tmp_path_factory.mktemp("sets")
    pairs, questions = folder / "pairs.tsv", folder / "questions.txt"
    # A word beside itself has cosine 1 here, and 1 to seven digits in gensim, so that two such pairs are no tie there.
    pairs.write_text("".join(f"{a}\t{b}\t{score}\n" for a, b, _, _, score in rows if a.upper() != b.upper()) or
                     "none\tnone\t1\n", encoding="utf-8")
    # A question whose answer is among its own words counts as wrong here, and by chance in gensim.
    fair = [row for row in rows if row[3].upper() not in {word.upper() for word in row[:3]}]
    judge, peer = IntrinsicEvaluation(table, n_words=restrict), keyed(table)
    ours = judge.similarity(read_pairs(pairs))
    if ours.spearman is not None:
        assert_same_similarity(judge, peer, pairs, restrict)
    if fair:
        questions.write_text(": some\n" + "".join(f"{' '.join(row[:4])}\n" for row in fair), encoding="utf-8")
        assert_same_analogies(judge, peer, questions, restrict)


def test_words_asked_with_are_no_answers_in_any_case():
    table = EmbeddingTable.known(["a", "A", "b", "B", "c", "C", "d"], np.eye(7, 3, dtype=np.float32) + 0.1, "drawn")
    questions = [Question("a", "b", "c", "D"), Question("A", "b", "C", "a")]
    score = IntrinsicEvaluation(table).analogies({"one": questions})["one"]
    assert score == AnalogyScore(n_questions=2, n_found=2, n_correct=1)  # d is all that is left


def test_scores_that_cannot_be_computed_are_none():
    table = EmbeddingTable.known(["a", "b"], np.eye(2, dtype=np.float32), "drawn")
    judge = IntrinsicEvaluation(table)
    assert judge.similarity([Pair("a", "b", 1.0)]).spearman is None                        # a single pair
    assert judge.similarity([Pair("a", "b", 1.0), Pair("b", "a", 2.0)]).spearman is None   # cosines all the same
    assert judge.similarity([Pair("a", "x", 1.0)] * 2).n_found == 0
    assert judge.analogies({"s": [Question("a", "b", "x", "y")], "empty": []})["s"].accuracy is None


@pytest.mark.parametrize("content", [
    "a\tb\t1\nc\td\t2.5\n", "word1\tword2\tscore\na\tb\t1\nc\td\t2.5\n", "# said by people\n\na b 1\nc d 2.5\n",
    "\ufeffa,b,1\r\nc,d,2.5\r\n", "a, b, 1\n# between\nc, d, 2.5", "a\tb\t1e0\nc\td\t+2.5",
])
def test_pairs_in_every_layout(tmp_path, content):
    path = tmp_path / "pairs"
    path.write_text(content, encoding="utf-8", newline="")
    assert read_pairs(path) == [Pair("a", "b", 1.0), Pair("c", "d", 2.5)]


WRONG_PAIRS = {
    b"a\tb\t1\na\tb\n": "pairs:2: expected 'word1 word2 score', found 'a\\tb'",
    b"a\tb\t1\nc\td\tmuch\n": "pairs:2: expected",
    b"a\tb\t1\n\nc\td\tnan\n": "pairs:3: expected",
    b"a\tb\tnoun\t1\n": "pairs:1: expected",
    b"a\tb\t1\n\tb\t1\n": "pairs:2: expected",
    b"a\tb\t1\n\xff\tb\t1\n": "pairs:2: not UTF-8",
    b"word1\tword2\tscore\n": "pairs: holds no pair",
    b"": "pairs: holds no pair",
}
WRONG_QUESTIONS = {
    b"a b c d\n": "questions:1: a question before the first section",
    b": one\na b c\n": "questions:2: expected four words",
    b": one\n\na b c d e\n": "questions:3: expected four words",
    b": one\na b c \xff\n": "questions:2: not UTF-8",
    b": one\n: two\n": "questions: holds no analogy question",
}


@pytest.mark.parametrize("content", WRONG_PAIRS)
def test_broken_pairs_name_their_line(tmp_path, content):
    (tmp_path / "pairs").write_bytes(content)
    with pytest.raises(EmbeddingError) as caught:
        read_pairs(tmp_path / "pairs")
    assert WRONG_PAIRS[content] in str(caught.value)


@pytest.mark.parametrize("content", WRONG_QUESTIONS)
def test_broken_questions_name_their_line(tmp_path, content):
    (tmp_path / "questions").write_bytes(content)
    with pytest.raises(EmbeddingError) as caught:
        read_questions(tmp_path / "questions")
    assert WRONG_QUESTIONS[content] in str(caught.value)


@given(st.one_of(st.binary(max_size=80), st.text("a1.,\t :#\n-", max_size=60).map(str.encode)))
def test_any_bytes_are_a_set_or_one_message(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "set"
    path.write_bytes(content)
    for read in (read_pairs, read_questions):
        try:
            assert read(path)
        except EmbeddingError as error:
            assert str(path) in str(error)


def test_files_and_folders_of_them(tmp_path):
    for name in ("b.tsv", "a.csv", "CARD.md"):
        (tmp_path / name).write_text("a b 1\n")
    assert [path.name for path in files_of([tmp_path, tmp_path / "CARD.md"])] == ["a.csv", "b.tsv", "CARD.md"]
    (tmp_path / "empty").mkdir()
    for missing, message in (("none.tsv", "none.tsv: no such file"), ("empty", "the folder holds no .tsv")):
        with pytest.raises(EmbeddingError, match=message):
            files_of([tmp_path / missing])
    with pytest.raises(EmbeddingError, match="Is a directory"):
        read_pairs(tmp_path)


def test_sets_of_one_name_are_told_apart(tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "set.tsv").write_text("x y 1\ny z 2\n")
    table = EmbeddingTable.known(["x", "y", "z"], np.eye(3, dtype=np.float32) + 0.1, "drawn")
    scores = evaluate_files(table, [tmp_path / "a", tmp_path / "b" / "set.tsv"])
    assert list(scores.similarity) == [str(tmp_path / folder / "set.tsv") for folder in "ab"]


def test_the_usual_sets_are_found_without_importing_gensim():
    code = ("import json, sys, embeddings.analysis.intrinsic; "
            "from embeddings.analysis.gold_standards import SHIPPED_PAIRS, shipped; "
            "print(json.dumps([[str(p) for p in shipped(SHIPPED_PAIRS)], 'gensim' in sys.modules]))")
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    paths, imported = json.loads(printed)
    assert not imported
    assert [path.rpartition("/")[2] for path in paths] == list(SHIPPED_PAIRS)
