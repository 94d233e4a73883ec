"""A layer as one operation is the layer written out, in what it gives and in every gradient."""

import copy

import pytest
import torch
from small_models import encoder, language_model, stirred

from transformer.config import ModelConfig
from transformer.kernels import fused_layer as module
from transformer.kernels.engine import padded_length
from transformer.kernels.packing import Packing
from transformer.kernels.precision import autocast
from transformer.layers.dropout import shared_masks
from transformer.layers.transformer_layer import TransformerLayer
from transformer.models.stack import attention_mask

CPU = torch.device("cpu")


def layer(dropout=0.0, **options):
    torch.manual_seed(0)
    made = TransformerLayer(ModelConfig(d_model=32, n_heads=4, d_ff=48, dropout=dropout, **options))
    for name, weight in made.named_parameters():
        with torch.no_grad():
            weight.add_(0.2 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(name))))
    return made


def batch(padded, causal):
    lengths = torch.tensor([16, 9, 3] if padded else [16, 16, 16])
    mask = torch.arange(16)[None] < lengths[:, None]
    x = torch.randn(3, 16, 32, generator=torch.Generator().manual_seed(2))
    return x, attention_mask(mask, n_past=0, causal=causal), Packing.of(mask)


def outcome(made, x, mask, packing, precision):
    """Output and gradients, of input and weights."""
    x = (packing.pack(x) if packing else x).detach().requires_grad_()
    with autocast(CPU, precision):
        out = made(x, mask=mask, packing=packing)
    (out * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum().backward()
    return {"out": out.detach(), "x": x.grad, **{name: weight.grad for name, weight in made.named_parameters()}}


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_it_is_the_layer_written_out(padded, causal, monkeypatch):
    calls = []
    monkeypatch.setattr(module.Layer, "apply", lambda *args, real=module.Layer.apply: calls.append(1) or real(*args))
    made, given = layer(), batch(padded, causal)
    exact = outcome(copy.deepcopy(made), *given, "float32")
    assert not calls
    low = outcome(copy.deepcopy(made), *given, "bfloat16")
    assert calls == [1]
    made.register_forward_pre_hook(lambda *_: None)  # watched: gone through part by part
    parts = outcome(made, *given, "bfloat16")
    assert calls == [1]
    for name, expected in exact.items():
        if not name.endswith("key.bias"):  # moves no attention
            away, usual = ((one[name] - expected).norm() / expected.norm() for one in (low, parts))
            assert away < max(0.015, 1.5 * usual), (name, away, usual)


def test_dropout_drops_where_it_does_in_the_parts():
    """As many activations, at the ends of both branches and inside the feed-forward, and none in evaluation."""
    made, (x, mask, _) = layer(dropout=0.5), batch(False, False)
    with torch.no_grad(), autocast(CPU, "bfloat16"):
        made.eval()
        still = made(x, mask=mask)
        assert torch.equal(made(x, mask=mask), still)
        made.train()
        torch.manual_seed(4)
        with shared_masks():
            moved = made(x, mask=mask)
        torch.manual_seed(4)
        with shared_masks():
            assert torch.equal(made(x, mask=mask), moved)
        made.feedforward.output.weight.zero_()
        made.feedforward.output.bias.zero_()
        made.attention.output.weight.zero_()
        made.attention.output.bias.fill_(1.0)
        unchanged = (made(x, mask=mask) - x).abs() < 1e-6
    assert unchanged.float().mean() == pytest.approx(0.5, abs=0.05)
    assert not torch.equal(moved, still)


@pytest.mark.parametrize("options", [{"norm": "post"}, {"activation": "relu"}, {"positions": "rotary"}])
def test_other_layers_are_gone_through_part_by_part(options, monkeypatch):
    monkeypatch.setattr(module.Layer, "apply", None)
    with autocast(CPU, "bfloat16"):
        encoder(**options)(torch.tensor([[5, 6, 7]]))


@pytest.mark.parametrize("make", [encoder, language_model])
def test_texts_are_filled_up_and_cut_again(make):
    """In bfloat16 on a CPU lengths are multiples of 16 inside; nobody outside sees it."""
    model = stirred(make()).eval()
    ids = torch.randint(5, 30, (3, 11), generator=torch.Generator().manual_seed(1))
    ids[1, 4:] = 0
    exact = model(ids)
    with autocast(CPU, "bfloat16"):
        assert padded_length(11, CPU) == 16
        low = model(ids)
    assert padded_length(11, CPU) == 11
    for one, other in ((exact, low),) if torch.is_tensor(exact) else (
            (exact.hidden, low.hidden), (exact.embedded, low.embedded)):
        assert one.shape == other.shape
        torch.testing.assert_close(other[ids != 0].float(), one[ids != 0].float(), atol=0.15, rtol=0.05)
