"""Memory-mapped tables equal tables in memory, and use little memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from embeddings import EmbeddingTable, load_vectors
from embeddings.errors import EmbeddingError, VectorFileError
from embeddings.formats.detect import read_vectors
from embeddings.formats.writing import write_vectors
from embeddings.table import memmap
from embeddings.table.memmap import concatenate_rows, is_memmap, map_rows, row_batches, row_blocks, take_rows
from embeddings.table.oov_policy import DEFAULT_POLICY, MISSING
from embeddings.table.safetensors import write_tensors

FULL = Path("/dev/full")  # a device that is always full
N_WORDS, DIM, FEW = 6000, 12, 100
WORDS = tuple(a + b + c for a in "abcdefghijklmno" for b in "abcdefghijklmnopqrst" for c in "abcdefghijklmnopqrst")


def table(seed=0, words=WORDS):
    vectors = np.random.default_rng(seed).normal(size=(len(words), DIM)).astype(np.float32)
    return EmbeddingTable.known(words, vectors, "made up")


@pytest.fixture
def few_in_memory(monkeypatch):
    monkeypatch.setattr(memmap, "MAX_IN_MEMORY", 4 * DIM * FEW)
    monkeypatch.setattr(memmap, "ROWS_PER_BATCH", 7)


@pytest.fixture
def saved(tmp_path):
    return table().save(tmp_path / "saved.safetensors")


@pytest.mark.parametrize(("n_rows", "in_a_file"), [(0, False), (FEW, False), (FEW + 1, True), (N_WORDS, True)])
@pytest.mark.parametrize("n_at_once", [1, 37, N_WORDS])
def test_few_rows_are_in_memory_and_many_in_a_file(few_in_memory, n_rows, n_at_once, in_a_file):
    rows = table().vectors[:n_rows]
    made = concatenate_rows(rows[start : start + n_at_once] for start in range(0, max(1, n_rows), n_at_once))
    assert is_memmap(made) == in_a_file
    assert made.shape == (n_rows, DIM)
    assert made.tobytes() == rows.tobytes()


def test_copy_of_a_memmap_is_not_a_memmap(saved):
    assert is_memmap(saved.vectors)
    assert is_memmap(saved.vectors[5:])
    for copy in (saved.vectors.copy(), saved.vectors[[1, 2]], saved.vectors * 2, np.array(saved.vectors)):
        assert not is_memmap(copy)


def test_blocks_and_batches_are_the_rows(saved, few_in_memory):
    rows = table().vectors
    assert len(list(row_blocks(rows))) == 1
    assert len(list(row_blocks(saved.vectors))) > 1
    for place, (left, right) in row_blocks(saved.vectors, rows):
        assert (left == rows[place]).all()
        assert (right == rows[place]).all()
    some = np.random.default_rng(1).integers(0, N_WORDS, 500)
    for matrix in (rows, saved.vectors, saved.vectors[3:], rows.astype(np.float64)):
        assert (take_rows(matrix[-5990:], some % 5990) == matrix[-5990:][some % 5990]).all()
        assert np.concatenate(list(row_batches(matrix, some[:0]))).shape == (0, DIM)
    assert is_memmap(take_rows(saved.vectors, some))
    assert not is_memmap(take_rows(saved.vectors, some[:FEW]))


def test_product_by_blocks_is_bit_identical(saved):
    matrix = np.random.default_rng(2).normal(size=(DIM, 5)).astype(np.float32)
    by_blocks = map_rows(saved.vectors, lambda _place, rows: rows @ matrix)
    assert by_blocks.tobytes() == (table().vectors @ matrix).tobytes()


# BLAS rounds the last rows of a product differently on some processors if there are more rows.
MATRIX_PRODUCTS = ("all-but-the-top", "pca", "sif")


@pytest.mark.parametrize("transforms", [(), ("standardize",), ("all-but-the-top:2", "unit"), ("pca:5",), ("sif",)])
@pytest.mark.parametrize("source", ["file:{0}", "file:{0}+file:{1}", "average(file:{0},file:{1})", "file:{2}"])
def test_memmap_values_equal_a_table_in_memory(tmp_path, monkeypatch, source, transforms):
    paths = [tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "c.bin"]
    for seed, (path, words) in enumerate(zip(paths, (WORDS, (*WORDS[1000:], "zebra"), WORDS), strict=True)):
        write_vectors(table(seed, words), path)
    source = source.format(*paths)

    def load(vocabulary=None):
        return load_vectors(source, vocabulary, transforms=transforms)

    wanted = ["zebra", "Aab", "nowhere", *WORDS[::50]]
    expected, expected_few = load(), load(wanted)
    monkeypatch.setattr(memmap, "MAX_IN_MEMORY", 4 * DIM * FEW)
    found, found_few = load(), load(wanted)
    assert is_memmap(found.vectors)
    assert not is_memmap(expected.vectors)
    for one, other in ((found, expected), (found_few, expected_few)):
        assert (one.words, one.provenance, one.transforms) == (other.words, other.provenance, other.transforms)
        if any(transform.startswith(MATRIX_PRODUCTS) for transform in transforms):
            np.testing.assert_allclose(one.vectors, other.vectors, rtol=0, atol=4 * np.finfo(np.float32).eps)
        else:
            assert one.vectors.tobytes() == other.vectors.tobytes()


def test_lookup_by_scan_equals_lookup_by_index(saved, few_in_memory):
    words = ["ccc", "Abc", "nowhere", "ttt", "ABA"]
    expected = table().lookup(words, DEFAULT_POLICY)
    assert expected.provenance == ("exact", "folded", MISSING, MISSING, "folded")
    for number in range(30):  # more often than MAX_SCANS
        found = saved.lookup(words, DEFAULT_POLICY)
        assert (found.words, found.provenance) == (expected.words, expected.provenance), number
        assert found.vectors.tobytes() == expected.vectors.tobytes()
    assert "rows" in vars(saved.words)


def test_index_is_built_for_many_words_and_shared():
    made = table()
    made.lookup(WORDS[:10])
    assert "rows" not in vars(made.words)
    made.lookup(WORDS[::2])
    assert made.scaled(2).words.rows is made.words.rows
    assert made.words.rows["aac"] == 2


def test_saved_table_is_memory_mapped(tmp_path, saved):
    assert saved.vectors.tobytes() == table().vectors.tobytes()
    assert not saved.vectors.flags.writeable
    again = saved.scaled(2).save(tmp_path / "saved.safetensors")  # replaces the memory-mapped file
    assert (again.vectors == 2 * table().vectors).all()
    assert saved.vectors.tobytes() == table().vectors.tobytes()


def test_nonfinite_value_of_a_memmap_is_found_on_lookup(tmp_path, saved):
    path = tmp_path / "saved.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-N_WORDS - 4 : -N_WORDS] = np.float32("nan").tobytes()  # the last vector; the provenance codes follow
    path.write_bytes(raw)
    broken = EmbeddingTable.load(path)
    assert len(broken.lookup(WORDS[:-1])) == N_WORDS - 1
    with pytest.raises(EmbeddingError, match=f"vector of {WORDS[-1]!r} is not finite"):
        broken.lookup(WORDS[-2:])
    with pytest.raises(VectorFileError, match=f"vector of {WORDS[-1]!r} is not finite"):
        load_vectors(path)


def test_written_tensors_equal_the_library(tmp_path, saved):
    numbers = np.arange(24)
    kinds = ("u8", "i8", "f8", "f4", "u4", "i4", "f2", "u2", "i2", "i1", "u1", "?")
    tensors = {f"{'b' * (n % 3)}{kind} é\"": numbers.astype(kind).reshape(4, 6) for n, kind in enumerate(kinds)}
    tensors |= {"turned": numbers.reshape(4, 6).T.astype("f4"), "empty": np.zeros((0, 4), "f4"),
                "vectors": saved.vectors}
    write_tensors(tmp_path / "ours", tensors)
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, tmp_path / "theirs")
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell how much memory was taken")
def test_memory_use_is_a_fraction_of_the_vectors(tmp_path):
    """48 MB of vectors are read, transformed, joined, written, loaded and looked up, all of them."""
    n_words = 40_000
    code = f"""
import sys, numpy as np
from pathlib import Path
from embeddings import EmbeddingTable
from embeddings.table import memmap
from embeddings.formats.detect import read_vectors
from embeddings.formats.writing import write_vectors
from embeddings.transforms import apply_transforms
from pipeline.telemetry.resources import measured, peak_memory_mb

memmap.MAX_IN_MEMORY = 2**20
folder, words = Path(sys.argv[1]), [f"w{{i}}" for i in range({n_words})]

def rows():
    for seed in range({n_words} // 1000):
        yield np.random.default_rng(seed).normal(size=(1000, 300)).astype(np.float32)

EmbeddingTable.known(words, memmap.concatenate_rows(rows()), "made up").save(folder / "made.safetensors")
write_vectors(EmbeddingTable.load(folder / "made.safetensors"), folder / "made.txt")
apply_transforms(EmbeddingTable.known(["a", "b"], np.eye(2, dtype=np.float32), "small"), ["unit"])
with measured():
    before = peak_memory_mb()
with measured() as cost:
    known = EmbeddingTable.known(words, read_vectors(folder / "made.txt").vectors, "read")
    scaled = known.scaled(2.0)
    joined = scaled.lookup(words[-10:]).followed_by(scaled)
    joined.save(folder / "joined.safetensors")
    found = EmbeddingTable.load(folder / "joined.safetensors").lookup(words[::-1])
assert found.vectors[0].tobytes() == (2 * known.vectors[-1]).tobytes()
print(cost.peak_memory_mb - before)
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 25  # each of five tables has 46 MB of vectors


def test_a_full_temporary_folder_is_named(monkeypatch):
    monkeypatch.setattr(memmap, "MAX_IN_MEMORY", 8)
    monkeypatch.setenv("TMPDIR", "/full")
    monkeypatch.setattr(memmap.tempfile, "TemporaryFile", lambda: FULL.open("wb", buffering=0))
    with pytest.raises(EmbeddingError, match=r"/full: temporary files cannot .* \(No space left .*TMPDIR"):
        memmap.RowBuffer().add(bytes(16))


def test_reading_vectors_with_a_full_temporary_folder_does_not_blame_the_file(tmp_path, monkeypatch):
    (tmp_path / "v.txt").write_text("".join(f"w{i} 1 2 3\n" for i in range(99)))
    monkeypatch.setattr(memmap, "MAX_IN_MEMORY", 8)
    monkeypatch.setattr(memmap.tempfile, "TemporaryFile", lambda: FULL.open("wb", buffering=0))
    with pytest.raises(EmbeddingError, match=r"^(?!.*v\.txt).*temporary files cannot be written there"):
        read_vectors(tmp_path / "v.txt")
