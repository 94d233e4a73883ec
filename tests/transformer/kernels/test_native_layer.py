"""The compiled layers, pooling and sparse AdamW compute the same as PyTorch."""

import copy
import shutil
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import assert_threads_change_only_the_order_of_sums, perturbed

from transformer import kernels
from transformer.config import ModelConfig
from transformer.kernels import native, native_layer
from transformer.kernels.cls_layer import cls_layer
from transformer.kernels.layer_spec import spec_of, weights_of
from transformer.kernels.native_engine import call_of
from transformer.kernels.native_layer import LayerCall, compiled, compiled_cls
from transformer.kernels.packed_output import PackedEncoded
from transformer.kernels.packing import Packing
from transformer.kernels.precision import autocast
from transformer.layers import dropout
from transformer.layers.embedding import TokenEmbedding
from transformer.layers.transformer_layer import make_layer
from transformer.models.heads import ClsHead
from transformer.models.models import TransformerModel
from transformer.models.outputs import pooled_features
from transformer.models.stack import Encoder, attention_mask

CPU = torch.device("cpu")


def test_library_is_built_if_there_is_a_compiler():
    """The installation ignores a failed build; the tests do not."""
    found = torch.cpu.get_capabilities()
    if shutil.which("g++"):
        assert native.available(torch.float32) or not found.get("avx2")
        assert native.available(torch.bfloat16) or not (found.get("avx512_bf16") and found.get("avx512_vnni"))


NORMS = pytest.mark.parametrize("norm", ["pre", "post"])


def layer(d, f, heads, dropout=0.0, norm="pre"):
    torch.manual_seed(d + f)
    made = make_layer(ModelConfig(d_model=d, n_heads=heads, d_ff=f, dropout=dropout, norm=norm))
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(torch.randn(weight.shape) / d**0.5)
    return made


def batch(lengths, d):
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    return torch.randn(*mask.shape, d), mask


def outcome(made, x, mask, causal, dtype, *, by_torch=False):
    """Output, and gradients of the input and of every weight."""
    x = x.clone().requires_grad_()
    with autocast(CPU, str(dtype).removeprefix("torch.")):
        if by_torch:
            out = made(x, mask=attention_mask(mask, n_queries=mask.shape[1], causal=causal))
        else:
            packing = Packing(mask, causal=causal)
            out = packing.unpack(compiled(packing.pack(x), weights_of(made), call_of(made), packing))
    out = out * mask[..., None]
    (out * torch.linspace(-1, 1, out.numel()).view(out.shape)).sum().backward()
    return {"out": out.detach(), "x": x.grad * mask[..., None],
            **{name: weight.grad for name, weight in made.named_parameters()}}


def assert_equal_up_to_rounding(made, x, mask, causal, dtype, most):
    """Check that the compiled layer is deterministic and close to PyTorch's float32.

    In bfloat16 the allowed relative error is ``most``, or 1.2 times the error of PyTorch's own bfloat16.
    """
    exact, usual = (outcome(copy.deepcopy(made), x, mask, causal, other, by_torch=True)
                    for other in (torch.float32, torch.bfloat16))
    ours, again = (outcome(copy.deepcopy(made), x, mask, causal, dtype) for _ in "ab")
    for name, expected in exact.items():
        assert torch.equal(ours[name], again[name])
        if not name.endswith("key.bias"):  # does not affect the attention weights: its gradient is only rounding error
            away, others = ((one[name] - expected).norm() / max(1.0, expected.norm()) for one in (ours, usual))
            allowed = 5e-5 if dtype == torch.float32 else max(most, 1.2 * others)
            assert away < allowed, (name, away, others)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=5), st.sampled_from([16, 32, 48, 64, 80]),
       st.sampled_from([16, 48, 96]), st.booleans(), st.sampled_from(["pre", "post"]), st.integers(0, 2**31))
def test_layer_of_any_size_equals_torch(dtype, lengths, d, f, causal, norm, seed):
    heads = d // 16 if d != 64 else 2
    made = layer(d, f, heads, norm=norm)
    torch.manual_seed(seed)
    x, mask = batch(lengths, d)
    assert_equal_up_to_rounding(made, x, mask, causal, dtype, most=0.08)  # few tokens: errors do not average out


@NORMS
@pytest.mark.parametrize(("lengths", "d", "f", "heads"), [
    ([256, 256, 200], 128, 256, 4), ([600, 1], 64, 64, 4), ([300], 256, 512, 8), ([5], 512, 1024, 4)])
def test_layer_of_common_sizes_equals_torch(dtype, lengths, d, f, heads, norm):
    made = layer(d, f, heads, norm=norm)
    x, mask = batch(lengths, d)
    assert_equal_up_to_rounding(made, x, mask, False, dtype, most=0.012)


@NORMS
def test_number_of_threads_changes_only_the_order_of_sums(dtype, norm):
    made = layer(64, 128, 4, dropout=0.3, norm=norm).train()
    x, mask = batch([50, 20, 3], 64)
    assert_threads_change_only_the_order_of_sums(lambda: outcome(copy.deepcopy(made), x, mask, False, dtype))


def test_other_processes_do_not_change_the_results(dtype):
    """Sums do not depend on which thread is delayed."""
    made = layer(64, 128, 4).train()
    x, mask = batch([50, 20, 3] * 4, 64)
    idle = outcome(copy.deepcopy(made), x, mask, False, dtype)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        for _ in range(20):
            found = outcome(copy.deepcopy(made), x, mask, False, dtype)
            assert all(torch.equal(found[name], expected) for name, expected in idle.items())
    finally:
        for process in busy:
            process.kill()
            process.wait()


@NORMS
def test_dropout_equals_torch_with_the_same_mask(dtype, norm, monkeypatch):
    """The mask of the compiled layer, used as factors by the PyTorch layer, gives the same results up to rounding."""
    made, p = layer(64, 96, 2, dropout=0.4, norm=norm).train(), 0.4
    x, mask = batch([40, 40], 64)
    packing = Packing(mask)
    rows, n = packing.pack(x), 80
    torch.manual_seed(5)
    how = LayerCall(spec_of(made), p, dtype)
    _, kept = native_layer.forward(rows, packing, how, weights_of(made), saving=True)
    bits = [one for one in kept if one.dtype == torch.int64][-1]
    drawn = torch.from_numpy(np.unpackbits(bits.numpy().view(np.uint8), bitorder="little").astype(np.float32))
    assert drawn[: n * 224].mean() == pytest.approx(1 - p, abs=0.02)
    factors = iter((drawn[: n * 224] * (256 / (256 - round(256 * p)))).split([n * 64, n * 96, n * 64]))
    torch.manual_seed(5)
    ours = outcome(copy.deepcopy(made), x, mask, False, dtype)
    monkeypatch.setattr(dropout, "dropout_factors", lambda *_: next(factors))
    theirs = outcome(made, x, mask, False, torch.float32, by_torch=True)
    assert next(factors, None) is None
    for name, expected in theirs.items():
        if not name.endswith("key.bias"):
            away = (ours[name] - expected).norm() / expected.norm()
            assert away < (5e-5 if dtype == torch.float32 else 0.015), name


def first_tokens(model, ids, grad):
    """Scores of texts, and the gradients of all weights."""
    weights = [weight for name, weight in model.named_parameters() if not name.endswith("key.bias")]
    scores = model(ids)
    return [scores.detach(), *torch.autograd.grad(scores, weights, grad)]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=9), st.sampled_from([(16, 1), (64, 2), (80, 5)]),
       st.sampled_from([{}, {"norm": "post", "embedding_norm": True}, {"n_layers": 1}]), st.integers(0, 2**31))
def test_first_token_layer_equals_full_layer(dtype, lengths, widths, options, seed):
    d, heads = widths
    torch.manual_seed(seed)
    config = ModelConfig(**{"d_model": d, "n_heads": heads, "d_ff": 32, "dropout": 0.0, **options})
    model = perturbed(TransformerModel(
        encoder=Encoder(config=config, embedding=TokenEmbedding(n_words=25, dim=d, d_model=d)),
        head=ClsHead(d_model=d, n_classes=3)))
    torch.nn.init.normal_(model.encoder.embedding.weight)
    ids = torch.randint(5, 30, (len(lengths), max(lengths)))
    ids[torch.arange(max(lengths)) >= torch.tensor(lengths)[:, None]] = 0
    ids = torch.nn.functional.pad(ids, (seed % 3, 0))  # padding on the left as well
    grad = torch.randn(len(lengths), 3)
    with autocast(CPU, str(dtype).removeprefix("torch.")):
        ours, again = (first_tokens(model, ids, grad) for _ in "ab")
        with torch.no_grad():
            assert torch.equal(model(ids), ours[0])
        with mock.patch.object(ClsHead, "needs", "tokens"):
            usual = first_tokens(model, ids, grad)
    with kernels.use("torch"):
        exact = first_tokens(model, ids, grad)
    for one, other, more, expected in zip(ours, usual, again, exact, strict=True):
        assert torch.equal(one, more)
        away, others = ((each - expected).norm() / max(1.0, expected.norm()) for each in (one, other))
        assert away < (1e-4 if dtype == torch.float32 else max(0.03, 1.3 * others))


@NORMS
def test_dropout_of_first_token_layer_equals_torch_with_the_same_mask(dtype, norm, monkeypatch):
    made, p = layer(64, 96, 2, dropout=0.4, norm=norm).train(), 0.4
    x, mask = batch([40, 25, 33], 64)
    packing = Packing(mask)
    torch.manual_seed(5)
    given = LayerCall(spec_of(made), p, dtype)
    _, kept = native_layer.forward_cls(packing.pack(x), packing, given, weights_of(made), saving=True)
    bits = next(one for one in kept if one.dtype == torch.int64 and len(one) == 11)
    drawn = torch.from_numpy(np.unpackbits(bits.numpy().view(np.uint8), bitorder="little").astype(np.float32))
    factors = iter((drawn[: 3 * 224] * (256 / (256 - round(256 * p)))).split([3 * 64, 3 * 96, 3 * 64]))
    torch.manual_seed(5)
    with autocast(CPU, str(dtype).removeprefix("torch.")):
        ours = compiled_cls(packing.pack(x), weights_of(made), call_of(made), packing)
    monkeypatch.setattr(dropout, "dropout_factors", lambda *_: next(factors))
    theirs = cls_layer(made, x, mask[:, None, None, :])
    grad = torch.randn(3, 64)
    weights = [weight for name, weight in made.named_parameters() if not name.endswith("key.bias")]
    for one, other in zip([ours, *torch.autograd.grad(ours, weights, grad)],
                          [theirs, *torch.autograd.grad(theirs, weights, grad)], strict=True):
        assert (one - other).norm() / other.norm() < (5e-5 if dtype == torch.float32 else 0.02)


@pytest.mark.parametrize("threads", [1, 3])
def test_first_token_layer_is_the_same_with_any_number_of_threads(dtype, threads):
    made = layer(64, 96, 2)
    x, mask = batch([40, 1, 33, 7], 64)
    packing, before, found = Packing(mask), torch.get_num_threads(), []
    try:
        for n in (2, threads):
            torch.set_num_threads(n)
            given = packing.pack(x).requires_grad_()
            with autocast(CPU, str(dtype).removeprefix("torch.")):
                out = compiled_cls(given, weights_of(made), call_of(made), packing)
            torch.set_num_threads(before)  # a different number in the backward pass
            found.append([out.detach(), *torch.autograd.grad(out.square().sum(), [given, *made.parameters()])])
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_seed_determines_the_dropout_mask(dtype):
    made = layer(32, 32, 2, dropout=0.5).train()
    x, mask = batch([30], 32)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(outcome(copy.deepcopy(made), x, mask, False, dtype)["out"])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    made.eval()
    assert torch.equal(*(outcome(copy.deepcopy(made), x, mask, False, dtype)["out"] for _ in "ab"))


@pytest.mark.skipif(not native.available(), reason="not built")
@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.sampled_from([16, 48]))
def test_pooling_equals_torch(lengths, d):
    (hidden, mask), (embedded, _) = batch(lengths, d), batch(lengths, d)
    packing = Packing(mask)
    grad, found = torch.randn(len(lengths), 3 * d), []
    for packed in (True, False):
        given = [packing.pack(x).detach().requires_grad_() for x in (hidden, embedded)]
        rows = given if packed else [packing.unpack(x) for x in given]
        pooled = PackedEncoded(*rows, packing).features if packed else pooled_features(*rows, mask)
        found.append([pooled.detach(), *torch.autograd.grad(pooled, given, grad)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_nan_propagates_within_its_text_only(dtype):
    made = layer(16, 16, 1)
    x, mask = batch([5, 4], 16)
    x[0, 2, 3] = torch.nan
    out = outcome(made, x, mask, False, dtype)["out"]
    assert out[0].isnan().any()
    assert not out[1].isnan().any()
