"""The embedding layer: scales, projection, extension, padding and frozen tables."""

import copy
import pickle

import numpy as np
import pytest
import torch

from embeddings import EmbeddingTable
from transformer import EmbeddingConfig, TokenEmbedding
from transformer.errors import TransformerError


def table(n_words=200, dim=6, spread=0.4):
    vectors = np.random.default_rng(0).normal(0.1, spread, (n_words, dim)).astype(np.float32)
    return EmbeddingTable.known([f"w{i}" for i in range(n_words)], vectors, "here")


def layer(given=None, d_model=6, **config):
    vectors = table() if given is None else given
    return TokenEmbedding.from_table(vectors, d_model=d_model, config=EmbeddingConfig(**config))


def test_rows_are_the_table_after_the_special_tokens():
    embedding = layer()
    assert (embedding.weight[5:].detach().numpy() == table().vectors).all()
    assert (embedding.weight[0] == 0).all()
    np.testing.assert_allclose(embedding.weight[1].detach(), table().vectors.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize(("scale", "spread"), [("unit", 1.0), ("match=0.1", 0.1), ("xavier", (2 / 206) ** 0.5)])
def test_scales_change_the_standard_deviation(scale, spread):
    rows = layer(scale=scale).weight[5:].detach()
    assert rows.std(correction=0).item() == pytest.approx(spread, rel=1e-4)
    torch.testing.assert_close(rows / rows[0, 0], torch.tensor(table().vectors) / table().vectors[0, 0].item())


def test_without_scale_the_vectors_are_identical():
    assert layer(scale="none").weight[5:].detach().numpy().tobytes() == table().vectors.tobytes()


@pytest.mark.parametrize("flat", [np.ones((3, 2)), np.zeros((0, 2))])
def test_constant_table_cannot_be_scaled(flat):
    constant = EmbeddingTable.known([f"w{i}" for i in range(len(flat))], flat.astype(np.float32), "flat.txt")
    with pytest.raises(TransformerError, match=r"flat\.txt: constant vectors"):
        layer(constant, d_model=2, scale="unit")


@pytest.mark.parametrize("d_model", [4, 6, 16])
def test_projection_to_any_width_keeps_the_standard_deviation(d_model):
    torch.manual_seed(0)
    embedding = layer(d_model=d_model, scale="unit")
    out = embedding(torch.arange(5, 205)[None])
    assert out.shape == (1, 200, d_model)
    assert out.std().item() == pytest.approx(1.0, rel=0.15)
    assert isinstance(embedding.projection, torch.nn.Identity) == (d_model == 6)


def test_extension_is_scaled_like_the_table():
    embedding = layer(scale="unit").eval()
    extension = EmbeddingTable.known(["x", "y"], np.array([[1.0] * 6, [2.0] * 6], np.float32), "here")
    embedding.extend(extension)
    factor = 1 / table().vectors.std()
    rows = embedding(torch.tensor([[205, 206, 5]]))[0]
    np.testing.assert_allclose(rows[:2].detach(), factor * extension.vectors, rtol=1e-5)
    assert torch.equal(rows[2], embedding.weight[5])


def test_scale_is_saved_with_the_weights():
    saved = layer(scale="unit").state_dict()
    fresh = TokenEmbedding(n_words=200, dim=6, d_model=6)
    fresh.load_state_dict(saved)
    assert fresh.table_scale.item() == pytest.approx(1 / table().vectors.std(), rel=1e-5)


def test_padding_has_no_gradient_from_a_tied_output():
    embedding = layer()
    embedding.scores(torch.randn(4, 6)).square().sum().backward()
    assert (embedding.weight.grad[0] == 0).all()
    assert (embedding.weight.grad[1:] != 0).any(dim=1).all()


def test_padding_has_no_sparse_gradient():
    embedding = layer()
    embedding.sparse = True
    for ids in ([[5, 0], [0, 5], [6, 0]], [[7, 8]]):
        embedding(torch.tensor(ids)).pow(2).sum().backward()
    gradient = embedding.weight.grad.coalesce()
    expected = torch.zeros_like(embedding.weight)
    expected[[5, 6, 7, 8]] = embedding.weight.detach()[[5, 6, 7, 8]] * torch.tensor([4, 2, 2, 2])[:, None]
    torch.testing.assert_close(gradient.to_dense(), expected)


@pytest.mark.parametrize("dim", [6, 3])
def test_padding_remains_zero_in_training(dim):
    embedding = layer(table(dim=dim))
    before = embedding.weight.detach().clone()
    optimizer = torch.optim.AdamW(embedding.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (embedding(torch.tensor([[0, 0, 7, 1]])) - 3).pow(2).sum().backward()
        optimizer.step()
    assert (embedding.weight[0] == 0).all()
    assert (embedding.weight[7] != before[7]).all()


def test_frozen_table_with_trained_projection():
    embedding = layer(d_model=8, freeze=True)
    before = embedding.weight.detach().clone(), embedding.projection.weight.detach().clone()
    optimizer = torch.optim.AdamW([p for p in embedding.parameters() if p.requires_grad], lr=0.1)
    embedding(torch.tensor([[3, 4]])).sum().backward()
    optimizer.step()
    assert torch.equal(embedding.weight, before[0])
    assert not torch.equal(embedding.projection.weight, before[1])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_keep_the_padding_row_without_gradient(duplicate):
    layer = TokenEmbedding(n_words=3, dim=4, d_model=4)
    torch.nn.init.normal_(layer.weight)
    copied = duplicate(layer)
    copied.scores(torch.ones(1, 4)).sum().backward()
    assert not copied.weight.grad[0].any()
    assert copied.weight.grad[1:].any()
