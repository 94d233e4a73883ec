"""Every reader returns vectors or one message that names the file, for truncated, corrupted and mixed files."""

import bz2
import gzip
import io
import lzma
import pickle
import resource
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zstandard
from gensim.models import FastText
from gensim.models.fasttext import save_facebook_model
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from embeddings.errors import EmbeddingError
from embeddings.formats.detect import detect_format, read_vectors
from embeddings.formats.fasttext_supervised import SupervisedModel, read_supervised
from embeddings.formats.interface import Format, RowSelection
from embeddings.table import EmbeddingTable
from embeddings.tokenization.corpus import CorpusFiles

CHANGES = ("cut", "spoil", "repeat", "shuffle", "mix", "flip")
BEGINNINGS = (b"", b"\x80\x04", b"\x93NUMPY", b"\xba\x16\x4f\x2f\x0c\0\0\0", b"3 2\n", b"PK\x03\x04", b"\x1f\x8b\x08",
              b"\x09\0\0\0\0\0\0\0{", b'{"l2NormIndex":1,"wordIndex":2,"dimensions":1,"vectors":{',
              b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"BZh91AY&SY", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd",
              b"\x50\x2a\x4d\x18\x04\0\0\0")
FASTTEXT = Path(__file__).parents[2] / "fixtures" / "fasttext"
PACKERS = (gzip.compress, bz2.compress, lzma.compress, zstandard.compress)
MAX_SECONDS = 5
MAX_MEMORY = 2**20  # kB beyond that of the start
SENTENCES = [["the", "cat", "sät", "日本語"], ["a", "dog", "x", "y"]] * 9


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A small file of each format, as bytes."""
    folder = tmp_path_factory.mktemp("samples")
    wv = FastText(SENTENCES, vector_size=3, bucket=9, min_count=1, epochs=1, workers=1, seed=1)
    save_facebook_model(wv, str(folder / "fasttext"))
    for protocol in (2, 5):
        wv.wv.save(str(folder / f"gensim{protocol}"), pickle_protocol=protocol)
    wv.wv.save_word2vec_format(folder / "word2vec", binary=True)
    wv.wv.save_word2vec_format(folder / "header", binary=False)
    (folder / "text").write_bytes("the 1 -0.5\ncat 1e-3 2\nnew york .5 +1\n日本 0 1\n".encode())
    EmbeddingTable.known(["a", "b"], np.eye(2, dtype=np.float32), "x").save(folder / "table")
    (folder / "table.json").unlink()
    np.save(folder / "numpy.npy", np.eye(3, dtype=np.float32))
    (folder / "pickle").write_bytes(pickle.dumps({"a": [1.0, 2.0]}))
    (folder / "foreign").write_bytes(save({"a": np.eye(3, dtype=np.float16)}))
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        (folder / encoding).write_bytes("3 2\n\nthe 1 -0.5\n日本 1e-3 2\n\nnew york .5 +1\n".encode(encoding))
    (folder / "corpus").write_bytes("ein Satz\nüber Bären\n".encode("cp1252") * 9)
    (folder / "wink").write_text('{"l2NormIndex":2,"wordIndex":3,"dimensions":2,"words":["a","\u00e4"],"vectors":'
                                 '{"a":[1,0.5,1.1,0],"\u00e4":[-1e-3,2,2,1]},"unkVector":[0,0,0,0]}')
    spaced = b"".join(word + b" " + np.ones(2, "<f4").tobytes() for word in (b"new york", b"the", b"a b c"))
    (folder / "spaced").write_bytes(b"3 2\n" + spaced)
    made = [file.read_bytes() for file in [*sorted(folder.iterdir()), *sorted(FASTTEXT.glob("*.bin"))]]
    plain = (folder / "text").read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("v.txt", plain)
    return [*made, packed.getvalue(), *(pack(content) for pack in PACKERS for content in made)]


def corrupted(data, samples):
    """A corrupted sample."""
    content = bytearray(data.draw(st.sampled_from(samples)))
    for change in data.draw(st.lists(st.sampled_from(CHANGES), max_size=3)):
        first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        if change == "cut":
            del content[first:second]
        elif change == "spoil":
            content[first:first] = data.draw(st.binary(max_size=12))
        elif change == "repeat":
            content[second:second] = content[first:second]
        elif change == "shuffle":
            content = content[second:] + content[first:second] + content[:first]
        elif change == "mix":
            content[first:second] = data.draw(st.sampled_from(samples))
        elif content:
            content[first % len(content)] = data.draw(st.integers(0, 255))
    return bytes(content)


def read_or_refuse(content, folder, selection):
    path = folder / "vectors"
    path.write_bytes(content)
    (folder / "vectors.words.txt").write_text("a\nb\nc\n")
    actions = (lambda: read_vectors(path, selection), lambda: detect_format(path), lambda: read_supervised(path),
               lambda: list(CorpusFiles((path,))))
    start = time.process_time()
    for action in actions:
        try:
            found = action()
        except EmbeddingError as error:
            assert str(path) in str(error)
            assert len(str(error)) < 2000
        else:
            assert isinstance(found, Format | SupervisedModel | list) or (
                len(found.words) == len(set(found.words)) == len(found.vectors)
                and found.vectors.ndim == 2 and found.vectors.dtype == np.float32 and np.isfinite(found.vectors).all()
            )
    assert time.process_time() - start < MAX_SECONDS


@pytest.fixture(autouse=True)
def bounded_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_MEMORY


SELECTIONS = st.builds(RowSelection, st.none() | st.just(frozenset({"the", "cat", "new york"})), st.integers(0, 3),
                   st.none() | st.integers(1, 5))


@settings(max_examples=400)
@given(st.data(), SELECTIONS)
def test_corrupted_files_are_vectors_or_one_message(samples, tmp_path_factory, data, selection):
    read_or_refuse(corrupted(data, samples), tmp_path_factory.getbasetemp(), selection)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(st.data(), SELECTIONS)
def test_many_corrupted_files_are_vectors_or_one_message(samples, tmp_path_factory, data, selection):
    read_or_refuse(corrupted(data, samples), tmp_path_factory.getbasetemp(), selection)


@settings(max_examples=300)
@given(st.binary(max_size=300), SELECTIONS, st.sampled_from(BEGINNINGS))
def test_random_bytes_after_any_signature(tmp_path_factory, content, selection, beginning):
    read_or_refuse(beginning + content, tmp_path_factory.getbasetemp(), selection)


def test_reading_writes_no_files(samples, tmp_path):
    for content in samples:
        read_or_refuse(content, tmp_path, RowSelection())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["vectors", "vectors.words.txt"]
