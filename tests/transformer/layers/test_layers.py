"""Attention, positions and layers equal those of PyTorch or a calculation by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from transformer import ModelConfig
from transformer.errors import TransformerError
from transformer.layers.attention import MAX_KEYS, KeyValueCache, Memory, MultiHeadAttention, attend
from transformer.layers.positions import (
    AlibiPositions,
    LearnedPositions,
    RotaryPositions,
    SinusoidalPositions,
    alibi_slopes,
    make_positions,
    make_score_positions,
    sinusoids,
)
from transformer.layers.transformer_layer import TransformerLayer, make_layer
from transformer.models.outputs import masked_mean

MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
CAUSAL = torch.ones(5, 5).tril().bool()


def copy_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    parts = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        theirs.out_proj.weight.copy_(ours.output.weight)
        theirs.out_proj.bias.copy_(ours.output.bias)


@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_equals_torch(cross, padded, causal):
    torch.manual_seed(0)
    ours, theirs = MultiHeadAttention(d_model=12, n_heads=3), nn.MultiheadAttention(12, 3, batch_first=True)
    copy_attention(ours, theirs)
    x, memory = torch.randn(2, 5, 12), torch.randn(2, 5, 12) if cross else None
    mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
    mask = (MASK if padded else torch.ones_like(MASK))[:, None, None, :]
    mask = mask & CAUSAL if causal else mask
    attended = ours(mine, mask=mask, memory=None if memory is None else Memory(memory, mask))
    keys = other if memory is None else memory
    expected, _ = theirs(other, keys, keys, key_padding_mask=~MASK if padded else None,
                         attn_mask=~CAUSAL if causal else None)
    torch.testing.assert_close(attended, expected, atol=1e-5, rtol=0)
    attended.pow(2).sum().backward()
    expected.pow(2).sum().backward()
    torch.testing.assert_close(mine.grad, other.grad, atol=1e-4, rtol=0)
    parts = zip((ours.query, ours.key, ours.value), theirs.in_proj_weight.grad.chunk(3),
                theirs.in_proj_bias.grad.chunk(3), strict=True)
    for part, weight, bias in parts:
        torch.testing.assert_close(part.weight.grad, weight, atol=1e-4, rtol=0)
        torch.testing.assert_close(part.bias.grad, bias, atol=1e-4, rtol=0)


def test_without_a_mask_all_keys_are_attended_to():
    attention, x = MultiHeadAttention(d_model=12, n_heads=3), torch.randn(2, 5, 12)
    torch.testing.assert_close(attention(x, mask=None), attention(x, mask=torch.ones(2, 1, 1, 5).bool()))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("length", "n_keys"), [(7, 7), (1, 9), (64, 64), (3, MAX_KEYS + 1)])
@pytest.mark.parametrize("biased", [False, True])
def test_bfloat16_attention_is_close_to_float32(length, n_keys, masked, biased):
    random = torch.Generator().manual_seed(0)
    low = [torch.randn(2, 3, n, 8, generator=random).bfloat16().requires_grad_() for n in (length, n_keys, n_keys)]
    wide = [x.detach().float().requires_grad_() for x in low]
    mask = torch.rand(2, 1, length, n_keys, generator=random) > 0.4 if masked else None
    if masked:
        mask[..., 0] = True
    bias = torch.randn(1, 3, length, n_keys, generator=random) if biased else None
    ours, exact = attend(*low, mask=mask, bias=bias), attend(*wide, mask=mask, bias=bias)
    assert (ours.float() - exact).norm() < 0.02 * exact.norm()
    ours.float().square().sum().backward()
    exact.square().sum().backward()
    for one, other in zip(low, wide, strict=True):
        assert (one.grad.float() - other.grad).norm() < 0.03 * other.grad.norm()


def test_width_must_be_a_multiple_of_the_heads():
    with pytest.raises(ValueError, match="d_model=10 is not a multiple of n_heads=3"):
        MultiHeadAttention(d_model=10, n_heads=3)


def test_cache_is_appended_to_and_reordered():
    attention, cache, x = MultiHeadAttention(d_model=12, n_heads=3), KeyValueCache(), torch.randn(2, 5, 12)
    whole = attention(x, mask=CAUSAL)
    parts = [attention(x[:, i : i + 1], mask=None, cache=cache) for i in range(5)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-6, rtol=0)
    keys = cache.keys.clone()
    cache.select(torch.tensor([1, 1, 0]))
    assert torch.equal(cache.keys, keys[[1, 1, 0]])
    assert cache.values.shape == (3, 3, 5, 4)


def test_keys_of_the_memory_are_computed_once():
    attention, cache = MultiHeadAttention(d_model=12, n_heads=3), KeyValueCache()
    x, memory = torch.randn(2, 1, 12), torch.randn(2, 4, 12)
    mask = torch.ones(2, 1, 1, 4).bool()
    first = attention(x, memory=Memory(memory, mask), cache=cache)
    again = attention(x, memory=Memory(torch.full_like(memory, float("nan")), mask), cache=cache)
    assert torch.equal(first, again)


def copy_layer(ours: TransformerLayer, theirs: nn.Module, cross: bool) -> None:
    copy_attention(ours.attention, theirs.self_attn)
    pairs = [(ours.attention_norm, theirs.norm1), (ours.feedforward.inner, theirs.linear1),
             (ours.feedforward.output, theirs.linear2),
             (ours.feedforward_norm, theirs.norm3 if cross else theirs.norm2)]
    if cross:
        copy_attention(ours.cross_attention, theirs.multihead_attn)
        pairs.append((ours.cross_norm, theirs.norm2))
    for mine, other in pairs:
        other.load_state_dict(mine.state_dict())


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("cross", [False, True])
def test_layer_equals_torch(norm, activation, cross):
    torch.manual_seed(0)
    config = ModelConfig(d_model=12, n_heads=3, d_ff=20, dropout=0.0, norm=norm, activation=activation)
    ours = make_layer(config, cross=cross)
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.5)
    make = nn.TransformerDecoderLayer if cross else nn.TransformerEncoderLayer
    theirs = make(12, 3, 20, 0.0, activation=activation, batch_first=True, norm_first=norm == "pre")
    copy_layer(ours, theirs, cross)
    x, memory = torch.randn(2, 5, 12), torch.randn(2, 5, 12)
    if cross:
        expected = theirs(x, memory, tgt_mask=~CAUSAL, memory_key_padding_mask=~MASK)
        out = ours(x, mask=CAUSAL, memory=Memory(memory, MASK[:, None, None, :]))
    else:
        expected = theirs(x, src_key_padding_mask=~MASK)[MASK]
        out = ours(x, mask=MASK[:, None, None, :])[MASK]
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)


def test_untrained_layer_is_the_identity():
    x = torch.randn(2, 5, 12)
    layer = TransformerLayer(ModelConfig(d_model=12, n_heads=3, d_ff=20, dropout=0.5))
    assert torch.equal(layer(x, mask=None), x)


def test_untrained_cross_attention_depends_on_the_memory():
    x = torch.randn(2, 5, 12)
    layer = TransformerLayer(ModelConfig(d_model=12, n_heads=3, d_ff=20, dropout=0.0), cross=True)
    first, second = (layer(x, mask=None, memory=Memory(y, MASK[:, None, None, :])) for y in (x, -x))
    assert (first - second).abs().max() > 0.1


@given(st.integers(1, 60), st.integers(1, 12))
def test_sinusoids_equal_the_formula(length, half):
    table = sinusoids(length, 2 * half)
    assert table.shape == (length, 2 * half)
    for position in {0, length // 2, length - 1}:
        for i in range(half):
            angle = position / 10_000 ** (2 * i / (2 * half))
            assert table[position, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[position, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_fixed_positions_have_no_parameters():
    positions = SinusoidalPositions(d_model=8, scale=0.5)
    indices = torch.tensor([[0, 1, 2], [2, 0, 1]])
    torch.testing.assert_close(positions(torch.ones(2, 3, 8), indices), 1 + 0.5 * sinusoids(3, 8)[indices])
    later = torch.tensor([[8]])
    torch.testing.assert_close(positions(torch.zeros(1, 1, 8), later)[0, 0], 0.5 * sinusoids(9, 8)[8])
    for name in ("sinusoidal", "rotary", "alibi", "none"):
        config = ModelConfig(d_model=8, positions=name)
        for made in (make_positions(config), make_score_positions(config)):
            assert made is None or (list(made.parameters()) == [] and made.state_dict() == {})


def test_too_long_text_for_learned_positions_raises():
    positions = LearnedPositions(d_model=8, max_positions=3)
    x = torch.zeros(1, 3, 8)
    assert torch.equal(positions(x, torch.tensor([[2, 0, 1]]))[0], positions.weight[[2, 0, 1]])
    with pytest.raises(TransformerError, match=r"a text has 4 tokens, but only 3 positions were learned: .*max_length"):
        positions(torch.zeros(1, 4, 8), torch.arange(4)[None])


@settings(max_examples=20)
@given(st.integers(0, 40))
def test_rotary_scores_depend_only_on_the_distance(shift):
    torch.manual_seed(shift)
    q, k = torch.randn(2, 1, 1, 6, 8)
    rotary, positions = RotaryPositions(d_head=8), torch.arange(6)[None]
    original, shifted = (rotary(each, each) for each in (positions, positions + shift))
    torch.testing.assert_close(original.rotate(q) @ original.rotate(k).mT, shifted.rotate(q) @ shifted.rotate(k).mT,
                               atol=1e-5, rtol=0)


def test_alibi_slopes_equal_the_paper():
    assert alibi_slopes(8) == [2**-i for i in range(1, 9)]
    assert alibi_slopes(12)[:8] == alibi_slopes(8)
    assert alibi_slopes(12)[8:] == [2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5]


@pytest.mark.parametrize("causal", [False, True])
def test_alibi_equals_calculation_by_hand(causal):
    torch.manual_seed(0)
    attention, alibi = MultiHeadAttention(d_model=12, n_heads=3), AlibiPositions(n_heads=3)
    x, positions = torch.randn(1, 5, 12), torch.arange(5)[None]
    out = attention(x, mask=CAUSAL if causal else None, positions=alibi(positions, positions))
    q, k, v = attention.project(x)
    rows = []
    for i in range(5):
        attended = torch.zeros(3, 4)
        for head, slope in enumerate(alibi_slopes(3)):
            keys = range(i + 1) if causal else range(5)
            scores = torch.stack([q[0, head, i] @ k[0, head, j] / 2 - slope * abs(i - j) for j in keys])
            attended[head] = scores.softmax(0) @ v[0, head, : len(scores)]
        rows.append(attention.output(attended.flatten()))
    torch.testing.assert_close(out[0], torch.stack(rows))


def test_masked_mean_equals_calculation_by_hand():
    x = torch.tensor([[[1.0], [3.0], [99.0]], [[5.0], [7.0], [9.0]]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert masked_mean(x, mask).flatten().tolist() == [2.0, 7.0]
