"""Training and continued training equal gensim's, bit for bit."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from gensim.models import FastText, Word2Vec

from embeddings import WordTokenizer, load_vectors
from embeddings.errors import CorpusError, EmbeddingError, SpecificationError, VectorFileError
from embeddings.gensim_training import to_file
from embeddings.gensim_training.resume import state_path
from embeddings.gensim_training.to_file import train_vectors
from embeddings.request import VectorRequest
from embeddings.specification import sources
from embeddings.table import EmbeddingTable
from embeddings.table.atomic_files import LOCK, NEW, hidden

random = np.random.default_rng(0)
WORDS = [f"word{i}" for i in range(60)]
FIRST = [" ".join(random.choice(WORDS[:50], 12, p=(w := 1 / np.arange(1, 51)) / w.sum())) for _ in range(300)]
SECOND = [" ".join(random.choice(WORDS[10:], 12)) for _ in range(200)]

MODELS = {"word2vec": Word2Vec, "fasttext": FastText}
COMMON = {"vector_size": 16, "epochs": 3, "min_count": 1, "workers": 1, "seed": 7, "sg": 1, "sample": 1e-3}
WRITTEN = "dim=16,epochs=3,min_count=1"
OF_FASTTEXT = {
    "word2vec": ("", {}), "fasttext": (",buckets=300,min_n=2,max_n=4", {"bucket": 300, "min_n": 2, "max_n": 4}),
}


def written(texts, folder, name="words.txt"):
    path = folder / name
    path.write_text("".join(" ".join(WordTokenizer().words(text)) + "\n" for text in texts))
    return str(path)


def trained(name, path, **settings):
    return MODELS[name](corpus_file=path, **COMMON | OF_FASTTEXT[name][1] | settings)


@pytest.mark.reference("source", "word2vec", "fasttext")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("options", "settings"), [
    ("", {}),
    ("sg=0", {"sg": 0}),
    ("sg=0,cbow_mean=0,shrink_windows=false,window=2", {"sg": 0, "cbow_mean": 0, "shrink_windows": False, "window": 2}),
    ("hs=1,negative=0", {"hs": 1, "negative": 0}),
    ("negative=3,ns_exponent=0.5,sample=0.01", {"negative": 3, "ns_exponent": 0.5, "sample": 0.01}),
    ("alpha=0.05,min_alpha=0.001,min_count=60", {"alpha": 0.05, "min_alpha": 0.001, "min_count": 60}),
    ("max_vocab=20", {"max_final_vocab": 20}),
])
def test_training_equals_gensim(name, options, settings, tmp_path):
    theirs = trained(name, written(FIRST, tmp_path), **settings)
    table = load_vectors(f"{name},{WRITTEN}{OF_FASTTEXT[name][0]}" + f",{options}" * bool(options), texts=FIRST, seed=7)
    assert list(table.words) == theirs.wv.index_to_key
    assert table.vectors.tobytes() == theirs.wv.vectors.tobytes()
    if name == "fasttext":
        assert table.composer.vectors.tobytes() == theirs.wv.vectors_ngrams.tobytes()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("options", "settings"), [
    ("", {}), (",sg=0,min_count=9", {"sg": 0, "min_count": 9}), (",hs=1,negative=0", {"hs": 1, "negative": 0}),
])
def test_continued_training_equals_gensim(name, options, settings, tmp_path):
    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    specification = f"{name},{WRITTEN}{OF_FASTTEXT[name][0]}{options}"
    train_vectors(specification, FIRST, old, deterministic=True, seed=7)
    went_on = train_vectors(f"{specification},start={old}", SECOND, new, deterministic=True, seed=7).table

    model = trained(name, written(FIRST, tmp_path), **settings)
    model.save(str(tmp_path / "model"))
    model = MODELS[name].load(str(tmp_path / "model"))
    more = written(SECOND, tmp_path, "more.txt")
    model.build_vocab(corpus_file=more, update=True)
    model.train(corpus_file=more, total_examples=model.corpus_count, total_words=model.corpus_total_words, epochs=3)

    assert list(went_on.words) == model.wv.index_to_key
    assert went_on.vectors.tobytes() == model.wv.vectors.tobytes()
    assert set(load_vectors(old).words) | set(WORDS[10:]) >= set(went_on.words) >= set(load_vectors(old).words)

    third = load_vectors(f"{specification},start={new}", texts=FIRST, seed=7)
    again = written(FIRST, tmp_path, "again.txt")
    model.build_vocab(corpus_file=again, update=True)
    model.train(corpus_file=again, total_examples=model.corpus_count, total_words=model.corpus_total_words, epochs=3)
    assert third.vectors.tobytes() == model.wv.vectors.tobytes()


@pytest.mark.parametrize("ending", [".txt", ".safetensors"])
def test_continuing_from_plain_vectors_starts_contexts_at_zero_with_a_warning(ending, tmp_path, caplog):
    start = tmp_path / f"old{ending}"
    train_vectors(f"word2vec,{WRITTEN}", FIRST, start, deterministic=True)
    state_path(start).unlink(missing_ok=True)
    old = load_vectors(start)
    with caplog.at_level(logging.WARNING, "vecformer"):
        table = load_vectors(f"word2vec,{WRITTEN},start={start}", texts=SECOND)
    assert "start at zero" in caplog.text
    assert table.words[: len(old)] == old.words
    assert set(table.words) == {*old.words, *WORDS[10:]}
    untouched = [word for word in WORDS[:10] if word in old]
    assert untouched
    assert (table.lookup(untouched).vectors == old.lookup(untouched).vectors).all()
    moved = [word for word in WORDS[10:40] if word in old]
    assert (table.lookup(moved).vectors != old.lookup(moved).vectors).any(axis=1).all()


def test_fasttext_continues_from_ngrams_without_state(tmp_path):
    start = tmp_path / "old.safetensors"
    specification = f"fasttext,{WRITTEN}{OF_FASTTEXT['fasttext'][0]}"
    old = train_vectors(specification, FIRST, start, deterministic=True).table
    state_path(start).unlink()
    table = load_vectors(f"{specification},start={start},alpha=1e-9,min_alpha=1e-9", texts=SECOND)
    np.testing.assert_allclose(table.lookup(old.words).vectors, old.vectors, atol=1e-6)
    np.testing.assert_allclose(table.composer.vectors, old.composer.vectors, atol=1e-6)


def test_other_seed_continues_differently(tmp_path):
    start = tmp_path / "old.safetensors"
    train_vectors(f"word2vec,{WRITTEN}", FIRST, start, deterministic=True)
    one, two = (load_vectors(f"word2vec,{WRITTEN},start={start}", texts=SECOND, seed=seed) for seed in (1, 2))
    assert one.vectors.tobytes() != two.vectors.tobytes()


def test_changed_settings_are_logged(tmp_path, caplog):
    start = tmp_path / "old.safetensors"
    train_vectors(f"word2vec,{WRITTEN},sg=0", FIRST, start, deterministic=True)
    with caplog.at_level(logging.WARNING, "vecformer"):
        load_vectors(f"word2vec,{WRITTEN},start={start},window=3,hs=1", texts=SECOND)
    assert "window=3 (before: 5), sg=1 (before: 0), hs=1 (before: 0)" in caplog.text


def test_invalid_start_files(tmp_path):
    words, ngrams = tmp_path / "w.safetensors", tmp_path / "f.safetensors"
    train_vectors(f"word2vec,{WRITTEN}", FIRST, words, deterministic=True)
    train_vectors(f"fasttext,{WRITTEN},buckets=100", FIRST, ngrams, deterministic=True)

    def message(specification, error=EmbeddingError):
        with pytest.raises(error) as caught:
            load_vectors(specification, texts=SECOND)
        return str(caught.value)

    assert "dim=20, but the vectors of" in message(f"word2vec,dim=20,start={words}")
    assert "have dimension 16: write dim=16" in message(f"word2vec,dim=20,start={words}")
    assert "was trained by fasttext: write fasttext,start=" in message(f"word2vec,dim=16,start={ngrams}")
    assert "buckets=100, not min_n=2,max_n=6,buckets=9" in message(f"fasttext,dim=16,start={ngrams},min_n=2,buckets=9")
    assert "no such vector file" in message("word2vec,start=nowhere.txt")
    state_path(ngrams).unlink()
    (tmp_path / "plain.txt").write_text("a 1 2\nb 3 4\n")
    assert "has no n-gram vectors" in message(f"fasttext,dim=2,start={tmp_path / 'plain.txt'}")
    load_vectors(words).scaled(2).save(words)
    assert "belongs to other vectors" in message(f"word2vec,dim=16,start={words}", VectorFileError)
    content = bytearray(state_path(words).read_bytes())
    content[-30] ^= 4
    state_path(words).write_bytes(content)
    assert "does not match its checksum" in message(f"word2vec,dim=16,start={words}", VectorFileError)
    state_path(words).write_bytes(b"no such thing")
    assert "not a training state" in message(f"word2vec,dim=16,start={words}", VectorFileError)


@pytest.mark.parametrize("name", MODELS)
def test_path_option_reads_a_file(name, tmp_path):
    (tmp_path / "v.txt").write_text("a 1 2\nb 3 4\nc 5 6\n")
    table = load_vectors(f"{name}:{tmp_path / 'v.txt'},limit=2")
    assert (table.words, table.dim) == (("a", "b"), 2)


@pytest.mark.parametrize(("wrong", "message"), [
    ("word2vec:v.txt,dim=50,epochs=2", "dim=, epochs= applies to training, but v.txt is read without training"),
    ("fasttext:v.bin,buckets=5", "buckets= applies to training"),
    ("word2vec,limit=5", "limit= needs a file: write word2vec:FILE,limit=5"),
    ("word2vec,negative=0", "negative=0 without hs=1 leaves no training objective: add hs=1"),
    ("word2vec,alpha=0.01,min_alpha=0.02", "min_alpha=0.02 is greater than alpha=0.01"),
    ("word2vec,sg=2", "option sg=2"),
    ("word2vec,ns_exponent=nan", "option ns_exponent=nan"),
    ("word2vec,shrink_windows=perhaps", "option shrink_windows=perhaps"),
])
def test_wrong_options(wrong, message):
    with pytest.raises(SpecificationError) as caught:
        sources.parse(wrong)
    assert message in str(caught.value)


@pytest.mark.parametrize("more", ["", ",hs=1,negative=0", ",max_vocab=1"])
@pytest.mark.parametrize("name", MODELS)
def test_text_without_frequent_words_is_an_error(name, more):
    with pytest.raises(CorpusError, match=r"no word occurs \d times"):
        load_vectors(f"{name},min_count=2,dim=4{more}", texts=["a few words"])
    with pytest.raises(CorpusError, match=r"no word occurs \d times"):
        load_vectors(f"{name},min_count=2,dim=4,max_vocab=1", texts=["a few a few"])


def test_written_vectors_and_state(tmp_path):
    told = []
    table = train_vectors(f"fasttext,{WRITTEN},buckets=50", FIRST, tmp_path / "new" / "v.safetensors",
                          deterministic=True, progress=lambda what, share: told.append((what, share))).table
    assert {file.name for file in (tmp_path / "new").iterdir()} == {"v.safetensors", "v.json", "v.training.safetensors"}
    read = EmbeddingTable.load(tmp_path / "new" / "v.safetensors")
    assert read.source == f"fasttext,{WRITTEN},buckets=50"
    assert read.vectors.tobytes() == table.vectors.tobytes()
    assert told[0] == ("reading text for fasttext", 0.0)
    assert told[-1] == ("training fasttext", 1.0)
    train_vectors("word2vec,dim=4", FIRST, tmp_path / "v.txt", workers=2)
    assert set(load_vectors(tmp_path / "v.txt").words) == set(" ".join(FIRST).split())


def test_unwritable_target_is_refused_before_training(tmp_path):
    def never():
        raise AssertionError("the corpus was read")
        yield

    (tmp_path / "there.txt").write_text("mine")
    for to, message in ((tmp_path / "there.txt", "exists already"), (tmp_path / "x.pdf", r"\.pdf"),
                        (tmp_path / "there.txt" / "v.txt", "cannot be written")):
        with pytest.raises(EmbeddingError, match=message):
            train_vectors("word2vec", never(), to)
    for specification, message in (("glove", "is not trained on text"), ("word2vec:x.txt", "is not trained on text")):
        with pytest.raises(SpecificationError, match=message):
            train_vectors(specification, never(), tmp_path / "v.txt")
    with pytest.raises(EmbeddingError, match="seed must be from 0"):
        train_vectors("word2vec", never(), tmp_path / "v.txt", seed=-1)
    assert (tmp_path / "there.txt").read_text() == "mine"
    assert [file.name for file in tmp_path.iterdir()] == ["there.txt"]
    train_vectors("word2vec,dim=2", FIRST, tmp_path / "there.txt", overwrite=True)
    assert load_vectors(tmp_path / "there.txt").dim == 2


def test_temporary_files_that_could_not_be_deleted_are_not_in_the_way(monkeypatch, tmp_path):
    write_vectors = to_file.write_vectors

    def leaves_temporary_files(table, path):
        write_vectors(table, path)
        hidden(path, LOCK).touch()
        hidden(path, NEW).mkdir()

    monkeypatch.setattr(to_file, "write_vectors", leaves_temporary_files)
    train_vectors("word2vec,dim=2", FIRST, tmp_path / "v.txt", deterministic=True)
    assert load_vectors(tmp_path / "v.txt").dim == 2


def test_workers_default_to_all_cores(monkeypatch, tmp_path):
    asked = []
    source = type(sources.parse("word2vec"))
    monkeypatch.setattr(source, "train", lambda self, request: asked.append(self.workers) or 1 / 0)
    for options, keywords in (("", {}), (",workers=3", {}), (",workers=3", {"workers": 5}),
                              (",workers=3", {"deterministic": True})):
        with pytest.raises(ZeroDivisionError):
            train_vectors(f"word2vec{options}", FIRST, tmp_path / "v.txt", **keywords)
    assert asked == [os.cpu_count(), 3, 5, 1]
    assert sources.parse("word2vec").settings()["workers"] == 1


def test_interruption_stops_training_and_leaves_no_file(tmp_path):
    code = (
        "from embeddings import load_vectors\n"
        "def tell(what, share):\n    print(f'{what} {share:.6f}', flush=True)\n"
        "load_vectors('word2vec,dim=50,epochs=100000', texts=['a b c d e f g h'] * 5000, progress=tell)\n"
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          cwd=Path(__file__).parents[3], env={**os.environ, "TMPDIR": str(temporary)}) as process:
        for line in process.stdout:
            if line.startswith("training word2vec 0.00001"):
                break
        assert [file.name for file in temporary.rglob("*.txt")] == ["words.txt"]
        process.send_signal(signal.SIGINT)
        since = time.monotonic()
        errors = process.communicate(timeout=20)[1]
    assert time.monotonic() - since < 5
    assert "KeyboardInterrupt" in errors
    assert not list(temporary.iterdir())


def test_trained_vocabulary_equals_corpus_words():
    request = VectorRequest(texts=["The CAFÉ, the cafe"], tokenizer=WordTokenizer(strip_accents=True))
    assert set(sources.load("word2vec,dim=2,min_count=1", request).words) == {"the", "cafe", ","}
