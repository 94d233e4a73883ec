"""Weights are written where they were read: every architecture, every width of floats, copies of tied weights."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoints import MODELS, N_TOKENS, tiny_model

from transformer.errors import CheckpointError
from transformer.pretrained.body import TABLE, read_body
from transformer.pretrained.writing import write_weights


@pytest.fixture(params=MODELS)
def folder(request, tmp_path):
    tiny_model(request.param).save_pretrained(tmp_path)
    return tmp_path


def test_unchanged_weights_give_the_same_tensors(folder):
    before = load_file(folder / "model.safetensors")
    body = read_body(folder)
    write_weights(body, dict(body.stack), dict(body.head))
    after = load_file(folder / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_new_weights_are_read_again(folder):
    body = read_body(folder)
    torch.manual_seed(0)
    stack, head = ({name: torch.randn_like(weight) for name, weight in part.items()}
                   for part in (body.stack, body.head))
    write_weights(body, stack, head)
    again = read_body(folder)
    assert all(torch.equal(again.stack[name], weight) for name, weight in stack.items())
    assert all(torch.allclose(again.head[name], weight) for name, weight in head.items())


def test_other_tensors_keep_their_bytes_and_floats_their_width(tmp_path):
    tiny_model("bert").to(torch.bfloat16).save_pretrained(tmp_path)
    before = load_file(tmp_path / "model.safetensors")
    body = read_body(tmp_path)
    write_weights(body, {TABLE: torch.ones(N_TOKENS, 16)}, {})
    after = load_file(tmp_path / "model.safetensors")
    (changed,) = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == "bert.embeddings.word_embeddings.weight"
    assert after[changed].dtype == torch.bfloat16


def test_a_second_copy_of_a_tied_table_is_written_too(tmp_path):
    tiny_model("gpt2").save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    save_file({**tensors, "lm_head.weight": tensors["transformer.wte.weight"].clone()}, tmp_path / "model.safetensors")
    write_weights(read_body(tmp_path), {TABLE: torch.ones(N_TOKENS, 16)}, {})
    after = load_file(tmp_path / "model.safetensors")
    assert torch.equal(after["lm_head.weight"], torch.ones(N_TOKENS, 16))


def test_sharded_weights_are_refused(tmp_path):
    tiny_model("bert").save_pretrained(tmp_path, max_shard_size="10KB")
    with pytest.raises(CheckpointError, match="not the single file"):
        write_weights(read_body(tmp_path), {}, {})
