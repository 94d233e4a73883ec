"""Weights and checkpoints in folders and files whose names are not UTF-8."""

import os
import sys

import pytest
import torch

from transformer.checkpoint import read_checkpoint, read_weights, save_tensors, write_checkpoint
from transformer.errors import CheckpointError

BYTES = os.fsdecode(b"caf\xe9")
TENSORS = {"a": torch.arange(3)}


@pytest.fixture(params=[f"plain/{BYTES}.safetensors", f"{BYTES}/x.safetensors", f"{BYTES}/{BYTES}"])
def path(request, tmp_path):
    if sys.platform != "linux":
        pytest.skip("other systems refuse such names")
    made = tmp_path / request.param
    made.parent.mkdir()
    return made


def test_weights(path):
    save_tensors(TENSORS, path)
    assert torch.equal(read_weights(path)["a"], TENSORS["a"])
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(CheckpointError, match=f"{BYTES}.*: cannot read the weights"):
        read_weights(path)
    path.unlink()
    with pytest.raises(CheckpointError, match=f"{BYTES}.*: cannot read the weights .*No such file"):
        read_weights(path)


def test_checkpoints(path):
    write_checkpoint(path, TENSORS, {"step": 1})
    tensors, facts = read_checkpoint(path)
    assert torch.equal(tensors["a"], TENSORS["a"])
    assert facts == {"step": 1}
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="the checkpoint is damaged"):
        read_checkpoint(path)
