"""Pooled features computed by one call equal those of separate layers and of PyTorch."""

import copy
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import assert_threads_change_only_the_order_of_sums, encoder, needs_code, perturbed

from transformer.kernels import native, native_engine, native_features, use
from transformer.kernels.engine import modules_fixed
from transformer.kernels.native_features import can_compute_features
from transformer.kernels.precision import autocast

CPU = torch.device("cpu")
NORMS = pytest.mark.parametrize("norm", ["pre", "post"])


def ids_of(lengths, n_ids):
    ids = torch.randint(5, n_ids, (len(lengths), max(lengths)))
    return ids * (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None])


def outcome(stack, ids, *, engine="native", low="float32", seed=1):
    """Pooled features, and gradients of all weights."""
    stack = copy.deepcopy(stack)
    torch.manual_seed(seed)
    with use(engine), autocast(CPU, low):
        found = stack(ids, needs="features").features
    (found * torch.linspace(-1, 1, found.numel()).view(found.shape)).sum().backward()
    return {"features": found.detach(), **{name: weight.grad for name, weight in stack.named_parameters()}}


def layer_by_layer(stack, ids, **options):
    with mock.patch.object(native_engine, "can_compute_features", return_value=False):
        return outcome(stack, ids, **options)


def assert_close(found, expected, relative):
    assert found.keys() == expected.keys()
    for name, one in expected.items():
        if not name.endswith("key.bias"):  # does not affect the attention weights: its gradient is only rounding error
            assert (found[name] - one).norm() <= relative * max(1.0, one.norm()), name


@needs_code
@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=5), st.integers(1, 3), st.sampled_from([16, 48, 64]),
       st.sampled_from(["pre", "post"]), st.integers(0, 2**31))
def test_features_of_texts_of_any_length_equal_torch(lengths, n_layers, width, norm, seed):
    torch.manual_seed(seed)
    stack = perturbed(encoder(dim=width, d_model=width, d_ff=2 * width, n_heads=1, n_layers=n_layers, norm=norm))
    ids = ids_of(lengths, len(stack.embedding.weight))
    assert_close(outcome(stack.eval(), ids), outcome(stack, ids, engine="torch"), 1e-4)


@NORMS
@needs_code
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("low", ["float32", pytest.param("bfloat16", marks=pytest.mark.skipif(
    not native.available(torch.bfloat16), reason="not supported here"))])
def test_one_call_equals_a_call_for_each_layer(low, dropout, norm):
    """The same random numbers as well; in bfloat16, a norm that is rounded otherwise may change a last bit."""
    stack = perturbed(encoder(dim=32, d_model=32, n_heads=2, n_layers=3, dropout=dropout, norm=norm)).train()
    ids = ids_of([60, 45, 1, 17], len(stack.embedding.weight))
    found, expected = outcome(stack, ids, low=low), layer_by_layer(stack, ids, low=low)
    if norm == "post":  # no norm after the layers
        assert all(torch.equal(found[name], one) for name, one in expected.items())
    assert_close(found, expected, 1e-5 if low == "float32" else 2e-3)


@NORMS
@needs_code
def test_number_of_threads_changes_only_the_order_of_sums(norm):
    stack = perturbed(encoder(dim=64, d_model=64, n_heads=4, n_layers=2, dropout=0.3, norm=norm)).train()
    ids = ids_of([50, 20, 3], len(stack.embedding.weight))

    def compute():
        found = outcome(stack, ids)
        return {"out": found.pop("features"), "x": found.pop("embedding.weight"), **found}

    assert_threads_change_only_the_order_of_sums(compute)


@needs_code
def test_two_forward_passes_before_a_backward_pass():
    stack = perturbed(encoder(n_heads=1, n_layers=2)).train()
    texts = [ids_of(lengths, len(stack.embedding.weight)) for lengths in ([9, 4], [30])]
    separate = [outcome(stack, ids) for ids in texts]
    with use("native"):
        both = [stack(ids, needs="features").features for ids in texts]
    sum((one * torch.linspace(-1, 1, one.numel()).view(one.shape)).sum() for one in both).backward()
    weight = "layers.1.feedforward.inner.weight"
    torch.testing.assert_close(stack.get_parameter(weight).grad, separate[0][weight] + separate[1][weight])


@needs_code
def test_memory_is_used_again_after_the_backward_pass_and_not_before(monkeypatch):
    stack, taken = encoder(n_heads=1), []

    class Recorded(native_features.Lease):
        def __init__(self, free, size):
            super().__init__(free, size)
            taken.append(self.memory.data_ptr())

    monkeypatch.setattr(native_features, "Lease", Recorded)
    texts = [ids_of(lengths, len(stack.embedding.weight)) for lengths in ([40, 9], [8, 4], [80], [80])]
    with use("native"), modules_fixed():
        for ids in texts:
            stack(ids, needs="features").features.sum().backward()
        assert taken[0] == taken[1]  # the second is smaller
        assert taken[2] == taken[3]
        kept = [stack(ids, needs="features").features for ids in texts[:2]]
        assert taken[-1] != taken[-2]
        kept[0].sum().backward(retain_graph=True)
        stack(texts[2], needs="features")
        assert taken[-1] not in taken[-3:-1]
        before = [weight.grad.clone() for weight in stack.layers.parameters()]
        kept[0].sum().backward()
    added = [weight.grad - one for weight, one in zip(stack.layers.parameters(), before, strict=True)]
    stack.zero_grad()
    with use("native"):
        stack(texts[0], needs="features").features.sum().backward()
    for one, weight in zip(added, stack.layers.parameters(), strict=True):
        torch.testing.assert_close(one, weight.grad, atol=1e-4, rtol=1e-4)


@needs_code
def test_training_computes_features_by_one_call_and_evaluation_does_not(monkeypatch):
    stack, counted = encoder(n_heads=1), mock.Mock(wraps=native_engine.features)
    monkeypatch.setattr(native_engine, "features", counted)
    ids = ids_of([3, 2], len(stack.embedding.weight))
    with use("native"):
        for needs in ("features", "tokens", "cls"):
            stack(ids, needs=needs)
        with torch.no_grad():
            stack(ids, needs="features")
    assert counted.call_count == 1


def test_layers_must_be_alike_and_the_norm_without_hooks():
    assert can_compute_features(encoder())
    assert can_compute_features(encoder(norm="post"))
    hooked = encoder()
    hooked.norm.register_forward_hook(lambda *_: None)
    other_dropout, other_epsilon, other_width = encoder(n_layers=2), encoder(), encoder(n_layers=2)
    other_dropout.layers[1].dropout.p = 0.5
    other_epsilon.norm.eps = 0.1
    inner = other_width.layers[0].feedforward.inner
    assert inner.out_features != 48
    other_width.layers[0].feedforward.inner = torch.nn.Linear(inner.in_features, 48)
    assert not any(map(can_compute_features, (hooked, other_dropout, other_epsilon, other_width)))
