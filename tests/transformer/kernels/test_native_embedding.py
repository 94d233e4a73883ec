"""Compiled positions and dropout compute the same as PyTorch."""

from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import encoder, needs_code, perturbed, with_threads
from torch import nn

from transformer.kernels import native_engine, use
from transformer.kernels.native_embedding import can_embed, embed
from transformer.kernels.packing import Packing
from transformer.layers.dropout import n_dropped

IDS = torch.tensor([[5, 6, 7, 8, 9], [0, 10, 11, 0, 0], [12, 0, 0, 0, 0], [0, 0, 0, 0, 0]])


def packed(lengths, before=0):
    """Texts of these lengths, with padding after them, and ``before`` them as well."""
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    return Packing(nn.functional.pad(mask, (before, 0)))


@needs_code
@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=5), st.sampled_from([16, 48, 128]),
       st.sampled_from(["sinusoidal", "none"]), st.integers(0, 2))
def test_positions_of_texts_of_any_length_equal_torch(lengths, width, positions, before):
    stack, packing = encoder(dim=width, d_model=width, positions=positions).eval(), packed(lengths, before)
    rows = torch.randn(packing.n_rows, width, requires_grad=True)
    found, expected = embed(rows, stack, packing), stack.embed(rows, packing.positions, None)
    assert torch.equal(found, expected)
    gradient = torch.randn_like(found)
    assert torch.equal(*(torch.autograd.grad(out, rows, gradient)[0] for out in (found, expected)))


@needs_code
def test_dropout_has_one_factor_for_each_activation_forward_and_backward():
    stack, packing = encoder(dim=32, d_model=32, dropout=0.4).train(), packed([60, 45, 1])
    rows = torch.randn(packing.n_rows, 32, requires_grad=True)
    whole = stack.eval().embed(rows, packing.positions, None)
    stack.train()
    seeds = iter((1, 1, 2))

    def seeded():
        torch.manual_seed(next(seeds))
        return embed(rows, stack, packing)

    drawn = with_threads((1, 3, 2), seeded)
    scale = 256 / (256 - n_dropped(0.4))
    factors = torch.where(drawn[0] == 0, 0.0, scale)
    torch.testing.assert_close(drawn[0], factors * whole)
    assert (factors > 0).float().mean() == pytest.approx(1 / scale, abs=0.03)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    gradient = torch.randn_like(whole)
    torch.testing.assert_close(torch.autograd.grad(drawn[0], rows, gradient)[0], factors * gradient)


@pytest.mark.parametrize(("options", "expected"), [
    ({}, True), ({"positions": "none"}, True), ({"positions": "learned"}, False), ({"token_types": 2}, False),
    ({"embedding_norm": True}, False), ({"d_embedding": 32}, False),
])
def test_what_is_compiled(options, expected):
    assert can_embed(encoder(**options)) == expected


@needs_code
@pytest.mark.parametrize("module", [None, "positions", "dropout"])
def test_a_model_equals_torch_with_hooks_and_without(module, monkeypatch):
    model, seen = perturbed(encoder(n_heads=1)).eval(), []
    counted = mock.Mock(wraps=embed)
    monkeypatch.setattr(native_engine, "embed", counted)
    if module:
        getattr(model, module).register_forward_hook(lambda *given: seen.append(given[2].shape))
    with use("native"):
        found = model(IDS).hidden[IDS != 0]
    assert (counted.call_count, len(seen)) == ((0, 1) if module else (1, 0))
    with use("torch"):
        torch.testing.assert_close(found, model(IDS).hidden[IDS != 0], atol=1e-5, rtol=1e-5)
