import json

import numpy as np
import pytest

from embeddings.errors import VectorFileError
from embeddings.table import EmbeddingTable
from embeddings.table.oov_composers import NgramVectors
from embeddings.table.safetensors import open_tensors, write_tensors


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "table.safetensors"
    ngrams = NgramVectors(np.ones((4, 2), np.float32), min_n=2, max_n=3)
    EmbeddingTable(("a", "b"), np.eye(2, dtype=np.float32), ("exact", "exact"), "test", composer=ngrams).save(path)
    return path


def refused(path):
    with pytest.raises(VectorFileError) as error:
        EmbeddingTable.load(path)
    assert str(error.value).startswith(f"{path}: ")
    return str(error.value)


@pytest.mark.parametrize("change", [
    {"words": "ab"}, {"words": [1, 2]}, {"words": ["a"]}, {"words": ["a", "a"]}, {"provenance": "exact"},
    {"provenance": []}, {"provenance": [["exact"]]}, {"source": 3}, {"transforms": [1]}, {"transforms": "unit"},
    {"composer": []}, {"composer": {"kind": "ngrams", "min_n": 2, "max_n": 10**9}},
    {"composer": {"kind": "ngrams", "min_n": "2", "max_n": 3}}, {"composer": {"kind": "ngrams"}},
    {"composer": {"kind": "concatenated", "widths": [5], "parts": [None]}},
    {"composer": {"kind": "subwords", "pool": "mean", "tokenizer": {"model": {"vocab": {"a": 2**31}}}}},
])
def test_other_descriptions_are_one_message(path, change):
    description = path.with_suffix(".json")
    description.write_text(json.dumps({**json.loads(description.read_text()), **change}))
    refused(path)


@pytest.mark.parametrize("content", ["", "[]", "3", "[" * 100_000, '{"words":' * 5000, "\x00"])
def test_other_json_is_one_message(path, content):
    path.with_suffix(".json").write_text(content)
    assert "table.json" in refused(path)


def test_a_composer_of_another_dimension_is_one_message(path):
    tensors = dict(open_tensors(path))
    write_tensors(path.with_name("new"), {**tensors, "composer.vectors": np.ones((4, 3), np.float32)})
    path.with_name("new").replace(path)
    assert "composer" in refused(path)


@pytest.mark.parametrize("wrong", [
    {"vectors": np.zeros((2, 2), np.int32)}, {"vectors": np.zeros(2, np.float32)},
    {"provenance": np.zeros((2, 1), np.uint8)}, {"provenance": np.zeros(2, bool)},
    {"provenance": np.full(2, 7, np.uint8)}, {"vectors": np.zeros((3, 2), np.float32)},
])
def test_other_arrays_are_one_message(path, wrong):
    write_tensors(path.with_name("new"), {**dict(open_tensors(path)), **wrong})
    path.with_name("new").replace(path)
    refused(path)


@pytest.mark.parametrize("shape", [[2**62, 2**62], [2**40], [-1, 2], [1e3], "x", [[2]], [10**400]])
def test_shapes_that_are_too_large_take_no_memory(path, shape):
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["vectors"]["shape"] = shape
    new = json.dumps(header).encode()
    path.write_bytes(len(new).to_bytes(8, "little") + new + content[8 + length :])
    refused(path)
