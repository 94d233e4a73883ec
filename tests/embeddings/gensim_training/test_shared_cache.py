import shutil

import numpy as np
import pytest

from embeddings.gensim_training.shared_cache import train_once
from embeddings.request import VectorRequest
from embeddings.table import EmbeddingTable
from embeddings.tokenization.tokenizer import WordTokenizer


@pytest.fixture
def train(tmp_path):
    """Train once in a shared folder; ``train.count`` counts the trainings."""

    def call(seed=1):
        def made():
            call.count += 1
            return EmbeddingTable.known(["a", "b"], np.array([[seed, 2], [3, 4]], np.float32), "trained")

        request = VectorRequest(texts=["a b"], tokenizer=WordTokenizer(), seed=seed, shared=tmp_path / "shared")
        return train_once({"dim": 2}, request, made).vectors.tolist()

    call.count = 0
    return call


def entries(tmp_path):
    return sorted(path for path in (tmp_path / "shared").iterdir() if path.is_dir())


def test_vectors_are_trained_once(train, tmp_path):
    assert train() == train() == [[1, 2], [3, 4]]
    assert train.count == 1
    assert [sorted(file.name for file in entry.iterdir()) for entry in entries(tmp_path)] == [
        ["checksums.json", "table.json", "table.safetensors"]]


@pytest.mark.parametrize("name", ["checksums.json", "table.json", "table.safetensors"])
@pytest.mark.parametrize("damage", ["zeros", "flip", "cut", "gone", "nested"])
def test_a_damaged_entry_is_trained_again_with_a_warning(train, tmp_path, name, damage, caplog):
    train()
    (entry,) = entries(tmp_path)
    content = bytearray((entry / name).read_bytes())
    if damage == "zeros":
        content[-8:] = bytes(8)
    elif damage == "flip":
        content[len(content) // 2] ^= 1
    elif damage == "cut":
        del content[-1]
    elif damage == "nested":
        content = b"[" * 100_000
    (entry / name).unlink()
    if damage != "gone":
        (entry / name).write_bytes(content)
    assert train() == [[1, 2], [3, 4]]
    assert train.count == 2
    assert f"{entry}: these shared vectors are damaged" in caplog.text
    caplog.clear()
    assert train() == [[1, 2], [3, 4]]
    assert train.count == 2
    assert not caplog.text


def test_vectors_of_another_request_are_not_used(train, tmp_path):
    train(seed=1)
    (first,) = entries(tmp_path)
    train(seed=2)
    second = next(entry for entry in entries(tmp_path) if entry != first)
    shutil.rmtree(first)
    shutil.copytree(second, first)
    assert train(seed=1) == [[1, 2], [3, 4]]
    assert train.count == 3
