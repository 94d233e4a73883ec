"""The compiled convolutions compute the same as PyTorch."""

import copy
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import assert_threads_change_only_the_order_of_sums, classifier, needs_code, perturbed
from torch import nn

from transformer.kernels import native_convolution, use
from transformer.kernels.native_convolution import convolved
from transformer.kernels.packing import Packing
from transformer.kernels.precision import autocast
from transformer.layers.convolution import Convolutions
from transformer.layers.dropout import n_dropped

CPU = torch.device("cpu")


def convolutions(d, widths, dropout=0.0):
    torch.manual_seed(d)
    made = Convolutions(d_model=d, widths=widths, dropout=dropout)
    for weight in made.parameters():
        nn.init.normal_(weight, std=d**-0.5)
    return made


def batch(lengths, d, before=0):
    """Texts of these lengths, with padding after them, and ``before`` them as well."""
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    mask = nn.functional.pad(mask, (before, 0))
    return torch.randn(*mask.shape, d), mask


def outcome(made, x, mask, dtype, *, by_torch=False):
    """Rows of the output, and gradients of the input and of every weight."""
    packing = Packing(mask)
    rows = packing.pack(x).requires_grad_()
    with autocast(CPU, str(dtype).removeprefix("torch.")):
        if by_torch:
            out = packing.pack(made(packing.unpack(rows), padding_mask=mask))
        else:
            out = convolved(rows, made, packing, dtype)
    (out * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum().backward()
    return {"out": out.detach(), "x": rows.grad, **{name: weight.grad for name, weight in made.named_parameters()}}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=5), st.sampled_from([16, 48, 64, 128]),
       st.lists(st.sampled_from([1, 3, 5, 9]), min_size=1, max_size=3), st.integers(0, 2), st.integers(0, 2**31))
def test_convolutions_of_any_size_equal_torch(dtype, lengths, d, widths, before, seed):
    made = convolutions(d, widths)
    torch.manual_seed(seed)
    x, mask = batch(lengths, d, before)
    exact, usual = (outcome(copy.deepcopy(made), x, mask, other, by_torch=True)
                    for other in (torch.float32, torch.bfloat16))
    ours, again = (outcome(copy.deepcopy(made), x, mask, dtype) for _ in "ab")
    for name, expected in exact.items():
        assert torch.equal(ours[name], again[name])
        away, others = ((one[name] - expected).norm() / max(1.0, expected.norm()) for one in (ours, usual))
        assert away < (5e-5 if dtype == torch.float32 else max(0.03, 1.2 * others)), (name, away, others)


def test_number_of_threads_changes_only_the_order_of_sums(dtype):
    made = convolutions(64, [3, 5], dropout=0.3).train()
    x, mask = batch([50, 20, 3], 64)
    assert_threads_change_only_the_order_of_sums(lambda: outcome(copy.deepcopy(made), x, mask, dtype))


def test_dropout_scales_the_branch_by_one_factor_for_each_activation(dtype):
    made = convolutions(32, [3], dropout=0.4).train()
    x, mask = batch([40, 25], 32)
    packing = Packing(mask)
    rows = packing.pack(x)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(convolved(rows, made, packing, dtype).detach() - rows)
    branch = convolved(rows, made.eval(), packing, dtype).detach() - rows
    scale = 256 / (256 - n_dropped(0.4))
    kept = drawn[0].abs() > 1e-7
    torch.testing.assert_close(drawn[0], torch.where(kept, scale * branch, 0.0), atol=1e-5, rtol=1e-4)
    assert kept.float().mean() == pytest.approx(1 / scale, abs=0.05)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_gradients_with_dropout_are_those_of_the_same_mask(dtype):
    """For a linear function of the output, the gradient of the bias is the sum of the factors that were used."""
    made = convolutions(32, [3], dropout=0.4).train()
    x, mask = batch([40, 25], 32)
    packing = Packing(mask)
    rows = packing.pack(x)
    made.output.weight.data.zero_()
    made.output.bias.data.fill_(1.0)
    out = convolved(rows, made, packing, dtype)
    out.sum().backward()
    torch.testing.assert_close(made.output.bias.grad, (out - rows).sum(0).detach(), atol=1e-3, rtol=1e-2)


@needs_code
def test_a_model_with_convolutions_runs_compiled_and_equals_torch(monkeypatch):
    model = perturbed(classifier(convolutions=(3, 5), n_heads=1)).eval()
    ids = torch.tensor([[5, 6, 7, 8, 9], [0, 10, 11, 0, 0], [12, 0, 0, 0, 0]])
    counted = mock.Mock(wraps=native_convolution._forward)
    monkeypatch.setattr(native_convolution, "_forward", counted)
    with torch.no_grad():
        found = model(ids)
        with use("torch"):
            torch.testing.assert_close(found, model(ids), atol=1e-5, rtol=1e-5)
    assert counted.call_count == 1


@needs_code
def test_hooks_of_a_convolution_are_called():
    model = perturbed(classifier(convolutions=(3,), n_heads=1)).eval()
    ids, seen = torch.tensor([[5, 6, 7], [8, 9, 0]]), []
    expected = model(ids)
    handle = model.encoder.convolutions.filters[0].register_forward_hook(lambda *given: seen.append(given[2].shape))
    torch.testing.assert_close(model(ids), expected, atol=1e-5, rtol=1e-5)
    handle.remove()
    assert seen == [(2, 16, 3)]
