"""Weights under the names of Hugging Face; layers that equal those of Llama."""

import tempfile
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRotaryEmbedding, apply_rotary_pos_emb

from transformer.export.names import to_bert, to_gpt2
from transformer.layers.feedforward import FeedForward
from transformer.layers.positions import RotaryPositions
from transformer.pretrained.body import load_stack, read_body

SHAPES = st.fixed_dictionaries({
    "heads": st.integers(1, 4), "d_head": st.integers(1, 6), "layers": st.integers(1, 12), "inner": st.integers(1, 20),
    "words": st.integers(6, 40), "seed": st.integers(0, 99),
})


def bert(shape):
    return transformers.BertModel(transformers.BertConfig(
        vocab_size=shape["words"], hidden_size=shape["heads"] * shape["d_head"], num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"], intermediate_size=shape["inner"], max_position_embeddings=12,
        initializer_range=0.3,
    ), add_pooling_layer=False).eval()


def gpt2(shape):
    return transformers.GPT2Model(transformers.GPT2Config(
        vocab_size=shape["words"], n_embd=shape["heads"] * shape["d_head"], n_layer=shape["layers"],
        n_head=shape["heads"], n_inner=shape["inner"], n_positions=12, initializer_range=0.3,
    )).eval()


@pytest.mark.parametrize(("make", "to_theirs"), [(bert, to_bert), (gpt2, to_gpt2)])
@settings(max_examples=30)
@given(shape=SHAPES)
def test_weights_get_the_names_that_they_were_read_from(make, to_theirs, shape):
    torch.manual_seed(shape["seed"])
    theirs = make(shape)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        stack = load_stack(read_body(Path(folder)))
    ids = torch.randint(1, shape["words"], (2, 7))
    torch.testing.assert_close(stack(ids).hidden, theirs(ids).last_hidden_state, atol=1e-5, rtol=1e-5)
    named, expected = to_theirs(dict(stack.named_parameters())), dict(theirs.named_parameters())
    assert named.keys() == expected.keys()
    assert all(torch.equal(weight, expected[name]) for name, weight in named.items())


@given(st.integers(1, 4), st.integers(1, 8), st.integers(1, 9), st.integers(0, 50))
def test_rotary_positions_equal_llama(heads, half, length, start):
    d_head = 2 * half
    config = transformers.LlamaConfig(hidden_size=heads * d_head, num_attention_heads=heads, head_dim=d_head,
                                      rope_theta=10_000.0)
    positions = torch.arange(start, start + length)[None]
    q, k = torch.randn(2, 1, heads, length, d_head)
    cos, sin = LlamaRotaryEmbedding(config)(q, positions)
    rotary = RotaryPositions(d_head=d_head)(positions, positions)
    expected_pair = apply_rotary_pos_emb(q, k, cos, sin)
    for rotated, expected in zip((rotary.rotate(q), rotary.rotate(k)), expected_pair, strict=True):
        torch.testing.assert_close(rotated, expected, atol=2e-5, rtol=0)


def test_swiglu_equals_llama():
    theirs = LlamaMLP(transformers.LlamaConfig(hidden_size=12, num_attention_heads=3, intermediate_size=20,
                                                mlp_bias=True))
    ours = FeedForward(d_model=12, d_ff=20, activation="swiglu")
    for mine, other in ((ours.inner, theirs.up_proj), (ours.gate, theirs.gate_proj), (ours.output, theirs.down_proj)):
        mine.load_state_dict(other.state_dict())
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(ours(x), theirs(x))
