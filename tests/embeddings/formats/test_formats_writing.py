import gzip
from decimal import Decimal

import numpy as np
import pytest
from gensim.models import FastText, KeyedVectors
from gensim.models.fasttext import load_facebook_model, load_facebook_vectors
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embeddings.errors import EmbeddingError
from embeddings.formats.detect import detect_format, formats, read_vectors
from embeddings.formats.writing import write_vectors
from embeddings.gensim_training.to_file import train_vectors
from embeddings.table import EmbeddingTable, atomic_files
from embeddings.table.oov_composers import NgramVectors

PLAIN = EmbeddingTable.known(["a"], np.ones((1, 2), np.float32), "test")
SUFFIXES = {suffix: one.name for one in formats() if one.can_write(PLAIN) for suffix in one.suffixes}
WORD = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=8)
TABLES = st.tuples(
    st.lists(WORD, min_size=1, max_size=8, unique=True),
    arrays(np.float32, (8, 3), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
).map(lambda drawn: EmbeddingTable.known(drawn[0], drawn[1][: len(drawn[0])], "test"))


@given(TABLES, st.sampled_from(sorted(SUFFIXES)))
def test_written_vectors_are_read_back(tmp_path_factory, table, suffix):
    path = tmp_path_factory.mktemp("v") / f"v{suffix}"
    write_vectors(table, path)
    read = read_vectors(path)
    assert detect_format(path).name == SUFFIXES[suffix]
    assert tuple(read.words) == table.words
    assert read.vectors.tobytes() == table.vectors.tobytes()


@given(st.lists(st.lists(st.tuples(st.sampled_from(["", "-"]), st.integers(0, 9), st.integers(4, 6), st.integers(0)),
                         min_size=4, max_size=4), min_size=1, max_size=5))
def test_text_to_safetensors_to_text_is_exact_to_the_printed_digits(tmp_path_factory, drawn):
    """Numbers with up to six significant digits, as in GloVe files, are preserved; 0.50000 may become 0.5."""
    printed = [[f"{sign}{whole}.{digits % 10**places:0{places}d}"[: len(sign) + 7]
                for sign, whole, places, digits in row] for row in drawn]
    folder = tmp_path_factory.mktemp("v")
    lines = [" ".join([f"w{number}", *row]) for number, row in enumerate(printed)]
    (folder / "a.txt").write_text("\n".join(lines) + "\n")
    read = read_vectors(folder / "a.txt")
    write_vectors(EmbeddingTable.known(read.words, read.vectors, "a.txt"), folder / "b.safetensors")
    write_vectors(EmbeddingTable.load(folder / "b.safetensors"), folder / "c.txt")
    for line, row in zip((folder / "c.txt").read_text().splitlines(), printed, strict=True):
        for ours, theirs in zip(line.split()[1:], row, strict=True):
            assert Decimal(ours).as_tuple().sign == Decimal(theirs).as_tuple().sign
            assert Decimal(ours) == Decimal(theirs)


def test_gensim_reads_what_is_written(tmp_path):
    random = np.random.default_rng(0)
    table = EmbeddingTable.known([f"w{i}" for i in range(50)], random.normal(size=(50, 7)).astype(np.float32), "test")
    for name in ("v.vec", "v.vec.gz", "v.bin"):
        write_vectors(table, tmp_path / name)
        theirs = KeyedVectors.load_word2vec_format(tmp_path / name, binary=name.endswith("bin"))
        assert theirs.vectors.tobytes() == table.vectors.tobytes()
    write_vectors(table, tmp_path / "v.txt")
    theirs = KeyedVectors.load_word2vec_format(tmp_path / "v.txt", no_header=True)
    assert tuple(theirs.index_to_key) == table.words


def test_gensim_reads_a_written_fasttext_model(tmp_path):
    sentences = [[f"word{i}" for i in range(start, start + 20)] for start in range(300)] + [["sät", "日本語", "a"]] * 9
    wv = FastText(sentences, vector_size=30, bucket=900, min_count=1, epochs=2, seed=1, workers=1).wv
    composer = NgramVectors(wv.vectors_ngrams, min_n=3, max_n=6)
    words = tuple(wv.index_to_key)
    table = EmbeddingTable(words, wv.vectors, ("exact",) * len(words), "test", composer=composer)
    write_vectors(table, tmp_path / "m.bin")
    theirs = load_facebook_vectors(str(tmp_path / "m.bin"))
    assert detect_format(tmp_path / "m.bin").name == "fastText model"
    assert tuple(theirs.index_to_key) == words
    assert theirs.vectors.tobytes() == wv.vectors.tobytes()
    assert theirs["wordier"].tobytes() == wv["wordier"].tobytes()
    assert load_facebook_model(str(tmp_path / "m.bin")).wv.vector_size == 30


def test_lost_ngrams_are_logged(tmp_path, caplog):
    composer = NgramVectors(np.ones((5, 2), np.float32), min_n=3, max_n=6)
    table = EmbeddingTable(("a",), np.ones((1, 2), np.float32), ("exact",), "test", composer=composer)
    write_vectors(table, tmp_path / "v.safetensors")
    assert not caplog.text
    write_vectors(table, tmp_path / "v.txt")
    assert "does not store n-gram vectors" in caplog.text


@pytest.mark.parametrize(
    ("word", "refused"),
    [
        ("new york", {"vec", "bin"}),
        ("a  b", {"vec", "bin"}),
        (" a", {"txt", "vec", "bin"}),
        ("a\tb", {"txt", "vec"}),
        ("a\nb", {"txt", "vec", "npy"}),
        ("\nb", {"txt", "vec", "npy", "bin"}),
        ("a\r", {"npy"}),
        ("\ud800", {"txt", "vec", "npy", "bin", "safetensors"}),
        ("\u00a0", set()),
        ("\x85", set()),
    ],
)
def test_word_that_a_format_cannot_store_is_refused_before_writing(tmp_path, word, refused):
    table = EmbeddingTable.known(["ok", word], np.eye(2, dtype=np.float32), "test")
    for ending in ("txt", "vec", "bin", "npy", "safetensors"):
        path = tmp_path / f"v.{ending}"
        if ending in refused:
            with pytest.raises(EmbeddingError, match=r"a \.\w+ file cannot store the word"):
                write_vectors(table, path)
            assert not path.exists()
        else:
            write_vectors(table, path)
            assert read_vectors(path).words == ["ok", word]


def test_number_that_would_be_read_as_header_is_refused(tmp_path):
    table = EmbeddingTable.known(["5"], np.full((1, 1), 3, np.float32), "test")
    with pytest.raises(EmbeddingError, match="cannot store the word '5'"):
        write_vectors(table, tmp_path / "v.txt")


def test_invalid_suffix_or_folder_leaves_no_file(tmp_path):
    table = EmbeddingTable.known(["a"], np.ones((1, 2), np.float32), "test")
    with pytest.raises(EmbeddingError, match=r"no format has the suffix '\.xls'; choose one of \.bin"):
        write_vectors(table, tmp_path / "v.xls")
    with pytest.raises(EmbeddingError, match="cannot be written"):
        write_vectors(table, tmp_path / "none" / "v.txt")
    (tmp_path / "v.txt").mkdir()
    with pytest.raises(EmbeddingError, match="cannot be written"):
        write_vectors(table, tmp_path / "v.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["v.txt"]


@pytest.mark.parametrize(("name", "companion"), [("v.safetensors", "v.json"), ("v.npy", "v.words.txt")])
def test_a_companion_replaces_no_file_of_the_user(tmp_path, name, companion):
    table = EmbeddingTable.known(["a"], np.ones((1, 2), np.float32), "test")
    (tmp_path / companion).write_text("years of work")
    with pytest.raises(EmbeddingError, match=f"{companion}: exists already"):
        write_vectors(table, tmp_path / name)
    with pytest.raises(EmbeddingError, match=f"{companion}: exists already"):  # before the training
        train_vectors("word2vec,dim=2", ["a b"], tmp_path / name)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(companion, "years of work")]
    (tmp_path / companion).unlink()
    for _ in range(2):
        write_vectors(table, tmp_path / name)


def test_temporary_folders_that_could_not_be_deleted_are_no_companions(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(atomic_files.shutil, "rmtree", lambda *_, **__: None)
        write_vectors(PLAIN, tmp_path / "v.safetensors")
    assert {path.name for path in tmp_path.glob("v.*")} == {"v.safetensors", "v.json"}
    write_vectors(PLAIN, tmp_path / "v.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"v.safetensors", "v.json"}


def test_same_table_gives_the_same_bytes(tmp_path):
    table = EmbeddingTable.known(["a"], np.ones((1, 2), np.float32), "test")
    for name in ("a.txt.gz", "b.txt.gz"):
        write_vectors(table, tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.txt.gz", "b.txt.gz"))
    assert gzip.decompress(first) == gzip.decompress(second) == b"a 1 1\n"
