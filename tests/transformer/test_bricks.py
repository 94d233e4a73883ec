"""Attention, positions, layers and head, against torch's own and against hand computations."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from embeddings import EmbeddingTable
from transformer import ClassificationHead, EmbeddingConfig, Encoder, ModelConfig, TransformerModel, WordEmbedding
from transformer.attention import MultiHeadAttention
from transformer.heads import masked_mean
from transformer.layers import EncoderLayer
from transformer.positions import SinusoidalPositions, sinusoids

MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()


def copy_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    parts = (ours.query, ours.key, ours.value)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        theirs.out_proj.weight.copy_(ours.output.weight)
        theirs.out_proj.bias.copy_(ours.output.bias)


def test_attention_equals_torch():
    torch.manual_seed(0)
    ours, theirs = MultiHeadAttention(d_model=12, n_heads=3), nn.MultiheadAttention(12, 3, batch_first=True)
    copy_attention(ours, theirs)
    x, y = (torch.randn(2, 5, 12).requires_grad_() for _ in range(2))
    y.data.copy_(x.data)
    mixed = ours(x, padding_mask=MASK)
    expected, _ = theirs(y, y, y, key_padding_mask=~MASK)
    torch.testing.assert_close(mixed, expected, atol=1e-5, rtol=0)
    mixed.pow(2).sum().backward()
    expected.pow(2).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, atol=1e-4, rtol=0)
    query, key, value = theirs.in_proj_weight.grad.chunk(3)
    for ours_grad, theirs_grad in ((ours.query.weight.grad, query), (ours.key.weight.grad, key),
                                   (ours.value.weight.grad, value)):
        torch.testing.assert_close(ours_grad, theirs_grad, atol=1e-4, rtol=0)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="d_model=10 is not a multiple of n_heads=3"):
        MultiHeadAttention(d_model=10, n_heads=3)


def test_layer_equals_torch():
    torch.manual_seed(0)
    ours = EncoderLayer(d_model=12, n_heads=3, d_ff=20, dropout=0.0)
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    theirs = nn.TransformerEncoderLayer(12, 3, 20, 0.0, activation="gelu", batch_first=True, norm_first=True)
    copy_attention(ours.attention, theirs.self_attn)
    pairs = ((ours.attention_norm, theirs.norm1), (ours.feedforward_norm, theirs.norm2),
             (ours.feedforward.inner, theirs.linear1), (ours.feedforward.output, theirs.linear2))
    for mine, other in pairs:
        other.load_state_dict(mine.state_dict())
    x = torch.randn(2, 5, 12)
    expected = theirs(x, src_key_padding_mask=~MASK)
    torch.testing.assert_close(ours(x, padding_mask=MASK)[MASK], expected[MASK], atol=2e-4, rtol=1e-4)


def test_an_untrained_layer_hands_on_what_came():
    x = torch.randn(2, 5, 12)
    assert torch.equal(EncoderLayer(d_model=12, n_heads=3, d_ff=20, dropout=0.5)(x, padding_mask=MASK), x)


def test_sinusoids_number_by_number():
    table = sinusoids(50, 8)
    for position in (0, 1, 17, 49):
        for i in range(4):
            angle = position / 10_000 ** (2 * i / 8)
            assert table[position, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[position, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_positions_are_fixed_and_no_weights():
    positions = SinusoidalPositions(d_model=8, scale=0.5)
    x = torch.zeros(1, 3, 8)
    torch.testing.assert_close(positions(x)[0], 0.5 * sinusoids(3, 8))
    torch.testing.assert_close(positions(torch.zeros(1, 9, 8))[0], 0.5 * sinusoids(9, 8))  # longer than before
    assert list(positions.parameters()) == []
    assert positions.state_dict() == {}


def test_masked_mean_by_hand():
    x = torch.tensor([[[1.0], [3.0], [99.0]], [[5.0], [7.0], [9.0]]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert masked_mean(x, mask).flatten().tolist() == [2.0, 7.0]


def model(dim=16, d_model=16, dropout=0.0, n_words=30, **config):
    torch.manual_seed(0)
    vectors = np.random.default_rng(0).normal(0, 0.5, (n_words, dim)).astype(np.float32)
    table = EmbeddingTable.known([f"w{i}" for i in range(n_words)], vectors, "here")
    shape = ModelConfig(d_model=d_model, n_heads=4, n_layers=2, d_ff=32, dropout=dropout)
    embedding = WordEmbedding.from_table(table, d_model=d_model, config=EmbeddingConfig(**config))
    made = TransformerModel(
        encoder=Encoder(config=shape, embedding=embedding), head=ClassificationHead(d_model=d_model, n_classes=3)
    )
    for layer in made.encoder.layers:  # away from the zeros that they begin with
        nn.init.normal_(layer.attention.output.weight, std=0.3)
        nn.init.normal_(layer.feedforward.output.weight, std=0.3)
    return made.eval(), table


IDS = st.lists(st.lists(st.integers(1, 31), min_size=1, max_size=12), min_size=1, max_size=5)


def padded(texts, extra=0):
    width = max(map(len, texts)) + extra
    return torch.tensor([text + [0] * (width - len(text)) for text in texts])


@settings(max_examples=40)
@given(IDS, st.integers(1, 7))
def test_padding_and_company_change_nothing(texts, extra):
    network, _ = model()
    with torch.inference_mode():
        together = network(padded(texts))
        torch.testing.assert_close(network(padded(texts, extra)), together, atol=1e-5, rtol=0)
        alone = torch.cat([network(padded([text])) for text in texts])
        torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)
        torch.testing.assert_close(network(padded(texts[::-1])).flip(0), together, atol=1e-5, rtol=0)


def test_word_order_matters_only_through_positions():
    network, _ = model()
    forward, backward = torch.tensor([[2, 3, 4, 5]]), torch.tensor([[5, 4, 3, 2]])
    assert (network(forward) - network(backward)).abs().max() > 1e-3
    network.encoder.positions.scale = 0.0
    network.encoder.positions.encoding = network.encoder.positions.encoding[:0]
    torch.testing.assert_close(network(forward), network(backward), atol=1e-5, rtol=0)


def test_a_text_without_words_has_finite_scores():
    network, _ = model()
    assert network(torch.zeros(2, 3, dtype=torch.long)).isfinite().all()


def test_every_weight_gets_a_gradient():
    network, _ = model(dim=10)
    F.cross_entropy(network(torch.tensor([[2, 3, 4], [5, 6, 0]])), torch.tensor([0, 1])).backward()
    for name, parameter in network.named_parameters():
        if not name.endswith("key.bias"):  # it shifts all scores of a query alike, so softmax takes it away
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name
