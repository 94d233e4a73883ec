import gzip
import os
import pickle
import struct

import numpy as np
import pytest
from gensim.models import FastText, KeyedVectors, Word2Vec
from gensim.models.fasttext import load_facebook_vectors, save_facebook_model
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import save_file

from embeddings.errors import VectorFileError
from embeddings.formats.detect import detect_format, read_vectors
from embeddings.formats.interface import RowSelection
from embeddings.formats.pickles import CallRecord, GlobalName, UnreadablePickleError, parse_pickle
from embeddings.table import EmbeddingTable
from embeddings.table.safetensors import open_tensors

SENTENCES = [["the", "cat", "sät", "日本語", "x"], ["a", "dog", "</s>", "new_york", "naïve"]] * 20


@pytest.fixture(scope="module")
def fasttext():
    return FastText(SENTENCES, vector_size=9, bucket=60, min_count=1, epochs=2, seed=1, workers=1)


@pytest.fixture(scope="module")
def word2vec():
    return Word2Vec(SENTENCES, vector_size=9, min_count=1, epochs=2, seed=1, workers=1)


def packed(path):
    zipped = path.with_name(path.name + ".gz")
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    return zipped


@pytest.mark.reference("format", "word2vec binary")
def test_word2vec_binary_equals_gensim_bit_for_bit(tmp_path, word2vec):
    path = tmp_path / "v.bin"
    word2vec.wv.save_word2vec_format(path, binary=True)
    theirs = KeyedVectors.load_word2vec_format(path, binary=True)
    without_line_ends = tmp_path / "w.bin"
    rows = zip(theirs.index_to_key, theirs.vectors, strict=True)
    without_line_ends.write_bytes(b"10 9\n" + b"".join(word.encode() + b" " + row.tobytes() for word, row in rows))
    for one in (path, packed(path), without_line_ends):
        ours = read_vectors(one)
        assert detect_format(one).name == "word2vec binary"
        assert ours.words == theirs.index_to_key
        assert ours.vectors.tobytes() == theirs.vectors.tobytes()
    some = read_vectors(path, RowSelection(frozenset({"naïve", "cat"}), n_frequent=1, limit=9))
    assert set(some.words) == {theirs.index_to_key[0], *({"naïve", "cat"} & set(theirs.index_to_key[:9]))}
    assert some.vectors.tobytes() == theirs[some.words].tobytes()


@given(arrays(np.uint32, (5, 3)), st.integers(1, 200))
def test_word2vec_binary_with_arbitrary_bits(tmp_path_factory, bits, cut):
    """Bytes of numbers may equal spaces and line breaks; the file may be truncated anywhere."""
    vectors = bits.view(np.float32)
    vectors = np.where(np.isfinite(vectors), vectors, np.float32(0.5))
    content = b"5 3\n" + b"".join(b"w%d " % row + numbers.tobytes() + b"\n" for row, numbers in enumerate(vectors))
    path = tmp_path_factory.mktemp("v") / "v.bin"
    path.write_bytes(content)
    if detect_format(path).name == "word2vec binary":  # a few such files are also valid text
        assert read_vectors(path).vectors.tobytes() == vectors.tobytes()
    path.write_bytes(content[:cut])
    try:
        assert len(read_vectors(path).words) <= 5
    except VectorFileError as error:
        assert str(path) in str(error)


@pytest.mark.reference("format", "fastText model")
def test_fasttext_binary_equals_gensim_bit_for_bit(tmp_path, fasttext):
    path = tmp_path / "model.bin"
    save_facebook_model(fasttext, str(path))
    theirs = load_facebook_vectors(str(path))
    for one in (path, packed(path)):
        ours = read_vectors(one)
        assert detect_format(one).name == "fastText model"
        assert ours.words == theirs.index_to_key
        assert ours.vectors.tobytes() == theirs.vectors.tobytes()
        for word in ("catdog", "sätt", "qq", "日本"):
            np.testing.assert_allclose(ours.composer.compose([word]).vectors[0], theirs[word], atol=1e-6)
        some = read_vectors(one, RowSelection(frozenset({"dog", "x"}), limit=9))
        assert some.vectors.tobytes() == theirs[some.words].tobytes()
        assert len(some.words) >= 1


def test_fasttext_classifier_and_models_without_vectors(tmp_path, fasttext):
    path = tmp_path / "model.bin"
    save_facebook_model(fasttext, str(path))
    content = path.read_bytes()
    theirs = load_facebook_vectors(str(path))
    n_words = len(theirs.index_to_key)

    labelled = bytearray(content)
    struct.pack_into("<2i", labelled, 64, n_words + 1, n_words)
    end = content.index(theirs.index_to_key[-1].encode() + b"\0") + len(theirs.index_to_key[-1].encode()) + 10
    path.write_bytes(bytes(labelled[:end]) + b"__label__a\0" + struct.pack("<qb", 3, 1) + bytes(labelled[end:]))
    assert read_vectors(path).vectors.tobytes() == theirs.vectors.tobytes()

    pruned = bytearray(content)
    struct.pack_into("<q", pruned, 84, 5)
    quantised = bytearray(content)
    quantised[end] = 1
    for wrong, message in (
        (pruned, "a pruned model"),
        (quantised, "a quantised model"),
        (content[: end + 99], "truncated"),
        (content[:200], "truncated"),
        (content[:30], "truncated"),
        (content[:4] + b"\7" + content[5:], "version 11 or 12"),
    ):
        path.write_bytes(bytes(wrong))
        with pytest.raises(VectorFileError, match=message):
            read_vectors(path)


@pytest.mark.reference("format", "pickle")
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("sep_limit", [0, 10 * 2**20])
@pytest.mark.parametrize("whole", [False, True])
def test_gensim_files_are_read_without_unpickling(
    tmp_path, monkeypatch, fasttext, word2vec, protocol, sep_limit, whole
):
    for model in (fasttext, word2vec):
        path = tmp_path / type(model).__name__
        (model if whole else model.wv).save(str(path), sep_limit=sep_limit, pickle_protocol=protocol)
        with monkeypatch.context() as patch:
            for name in ("load", "loads", "Unpickler"):
                patch.delattr(pickle, name)
            ours = read_vectors(path)
        assert ours.words == model.wv.index_to_key
        assert ours.vectors.tobytes() == model.wv.vectors.tobytes()
    assert ours.composer is None
    composer = read_vectors(tmp_path / "FastText").composer
    np.testing.assert_allclose(composer.compose(["catdog"]).vectors[0], fasttext.wv["catdog"], atol=1e-6)


def test_error_names_a_missing_array(tmp_path, word2vec):
    word2vec.wv.save(str(tmp_path / "v"), sep_limit=0)
    (tmp_path / "v.vectors.npy").unlink()
    with pytest.raises(VectorFileError, match=r"its array .*v\.vectors\.npy is missing"):
        read_vectors(tmp_path / "v")


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_untrusted_pickle_executes_nothing(tmp_path, protocol):
    path, made = tmp_path / "evil", tmp_path / "made"
    path.write_bytes(pickle.dumps(Malicious(made), protocol))
    with pytest.raises(VectorFileError, match=r"evil: a pickle of \w+\.mkdir.*--trust-pickle"):
        read_vectors(path)
    assert not made.exists()
    with pytest.raises(VectorFileError, match="a pickle of a NoneType; expected a dict"):
        read_vectors(path, RowSelection(trust_pickle=True))
    assert made.exists()


def test_trusted_pickled_dict_is_read(tmp_path):
    path = tmp_path / "d.pkl"
    path.write_bytes(pickle.dumps({"a": [1, 2], "b": np.array([3, 4])}))
    with pytest.raises(VectorFileError, match=r"a pickle of a dict.*--trust-pickle"):
        read_vectors(path)
    assert read_vectors(path, RowSelection(trust_pickle=True)).vectors.tolist() == [[1, 2], [3, 4]]
    for wrong in ({"a": [1, 2], "b": [3]}, {"a": "x"}, {1: [2]}, {}, [1]):
        path.write_bytes(pickle.dumps(wrong))
        with pytest.raises(VectorFileError):
            read_vectors(path, RowSelection(trust_pickle=True))


DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.lists(inner).map(tuple),
)


@given(DATA, st.integers(2, 5))
def test_plain_data_in_a_pickle_are_unchanged(value, protocol):
    def plain(read):
        if isinstance(read, CallRecord):
            assert isinstance(read.what, GlobalName)
            return read.arguments[0].encode("latin-1") if read.arguments else b""  # bytes in protocol 2
        if isinstance(read, dict):
            return {key: plain(one) for key, one in read.items()}
        return type(read)(map(plain, read)) if isinstance(read, list | tuple) else read

    assert plain(parse_pickle(pickle.dumps(value, protocol))) == value


@given(DATA, st.integers(2, 5), st.integers(0, 200), st.integers(0, 255))
def test_corrupted_pickle_is_data_or_one_error(value, protocol, place, byte):
    content = bytearray(pickle.dumps(value, protocol))
    content[place % len(content)] = byte
    try:
        parse_pickle(bytes(content))
    except UnreadablePickleError as error:
        assert "pickle" in str(error)


@pytest.mark.reference("format", "numpy array", "safetensors")
def test_numpy_and_safetensors_with_word_lists(tmp_path):
    vectors = np.arange(6).reshape(3, 2)
    for kind in ("f2", "f4", "f8"):
        np.save(tmp_path / "v.npy", vectors.astype(kind))
        (tmp_path / "v.words.txt").write_bytes("a\r\nnew york\né".encode())
        ours = read_vectors(tmp_path / "v.npy", RowSelection(frozenset({"é", "new york"})))
        assert ours.words == ["new york", "é"]
        assert (ours.vectors.dtype, ours.vectors.tolist()) == (np.float32, [[2, 3], [4, 5]])
        save_file({"embeddings": vectors.astype(kind), "mean": np.ones(2)}, tmp_path / "v.safetensors")
        assert read_vectors(tmp_path / "v.safetensors").vectors.tolist() == vectors.tolist()
    (tmp_path / "v.words.txt").write_text("a\nb\n")
    with pytest.raises(VectorFileError, match=r"v\.words\.txt: 2 words, but v\.npy has 3 rows"):
        read_vectors(tmp_path / "v.npy")
    (tmp_path / "v.words.txt").unlink()
    with pytest.raises(VectorFileError, match=r"its word list is missing; write the words, one per line, to v\.words"):
        read_vectors(tmp_path / "v.npy")
    np.save(tmp_path / "v.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(VectorFileError, match="not a readable numpy array of numbers"):
        read_vectors(tmp_path / "v.npy")
    save_file({"a": vectors, "b": vectors}, tmp_path / "v.safetensors")
    with pytest.raises(VectorFileError, match=r"2 two-dimensional tensors.*hf:FOLDER"):
        read_vectors(tmp_path / "v.safetensors")


@pytest.mark.reference("format", "vecformer table")
def test_own_table_and_run_folder(tmp_path):
    table = EmbeddingTable(("a", "b"), np.eye(2, dtype=np.float32), ("exact", "random"), "x", ("unit",))
    table.save(tmp_path / "embeddings.safetensors")
    for location in (tmp_path, tmp_path / "embeddings.safetensors"):
        ours = read_vectors(location, RowSelection(frozenset({"b"})))
        assert detect_format(location).name == "vecformer table"
        assert (ours.words, ours.provenance, ours.transforms) == (["b"], ("random",), ("unit",))
    (tmp_path / "embeddings.json").write_text('{"source": "x"}')
    with pytest.raises(VectorFileError, match="not a table saved by vecformer"):
        read_vectors(tmp_path)


def test_safetensors_of_every_type_equal_torch(tmp_path):
    import torch
    from safetensors.torch import save_file as save_torch

    torch.manual_seed(0)
    kinds = (torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int32)
    tensors = {str(kind): (100 * torch.randn(4, 3)).to(kind) for kind in kinds} | {"none": torch.zeros(0, 3)}
    save_torch(tensors, tmp_path / "t.safetensors")
    ours = open_tensors(tmp_path / "t.safetensors")
    assert set(ours) == set(tensors)
    for name, tensor in tensors.items():
        expected = tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()
        assert ours[name].tobytes() == expected.tobytes()
        assert ours.shape(name) == tuple(tensor.shape)
        if len(expected):
            assert (ours.rows(name, [2, 0]) == expected[[2, 0]]).all()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}', "ends at byte 36, but the file has 8"),
        (b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}', "needs 12 bytes, but has 8 in the header"),
        (b'{"a":{"dtype":"F8","shape":[8],"data_offsets":[0,8]}}', "of type 'F8', which cannot be read"),
        (b'{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}', "non-negative integers"),
        (b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}', "needs 8 bytes"),
        (b'{"a":{"dtype":"F32","shape":[true,2],"data_offsets":[0,8]}}', "non-negative integers"),
        (b'{"a":[]}', "header is broken"),
        (b"[" * 10_000, "header is broken"),
    ],
)
def test_broken_safetensors_header(tmp_path, header, message):
    path = tmp_path / "t.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    with pytest.raises(VectorFileError, match=message):
        open_tensors(path)
    path.write_bytes(struct.pack("<Q", 2**40) + header)
    with pytest.raises(VectorFileError, match="header would have"):
        open_tensors(path)
    with pytest.raises(VectorFileError, match="cannot be read"):
        open_tensors(tmp_path / "none")


def test_formats_with_several_files_cannot_be_compressed(tmp_path):
    np.save(tmp_path / "v.npy", np.eye(2))
    with pytest.raises(VectorFileError, match="numpy array file cannot be read from an archive; unpack it first"):
        read_vectors(packed(tmp_path / "v.npy"))


def test_error_names_the_word_of_a_nonfinite_vector(tmp_path):
    (tmp_path / "v.bin").write_bytes(b"2 1\na " + struct.pack("<f", 1e-9) + b"b " + struct.pack("<f", float("nan")))
    with pytest.raises(VectorFileError, match=r"v\.bin: the vector of 'b' is not finite"):
        read_vectors(tmp_path / "v.bin")


@pytest.mark.parametrize("content", [
    "\ufeffa\nb\nc\n".encode(), "a\r\nb\r\nc\r\n".encode("utf-16"), b"a\n\nb\n\nc\n\n\n", b"\na\nb\nc",
], ids=["byte-order mark", "UTF-16", "blank lines", "leading blank line"])
def test_word_lists_with_marks_and_blank_lines(tmp_path, content):
    np.save(tmp_path / "v.npy", np.eye(3, dtype=np.float32))
    (tmp_path / "v.words.txt").write_bytes(content)
    assert read_vectors(tmp_path / "v.npy").words == ["a", "b", "c"]
    (tmp_path / "v.words.txt").write_bytes(b"a\n\nb\n")
    np.save(tmp_path / "v.npy", np.eye(3, dtype=np.float32))
    assert read_vectors(tmp_path / "v.npy").words == ["a", "", "b"]  # as many lines as rows
