"""AdamW of whole weights and gradient clipping equal PyTorch's, compiled and not."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import needs_code, with_threads
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW

from transformer.kernels import native
from transformer.training import dense_adamw
from transformer.training.dense_adamw import DenseAdamW, clip_gradients

SHAPES = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=5)
LARGE = [(300, 123), (7,)]  # more than one chunk


@pytest.fixture(params=["compiled", "PyTorch"])
def way(request, monkeypatch):
    if request.param == "PyTorch":
        monkeypatch.setattr(dense_adamw, "can_compile", lambda tensors: False)
    elif not native.available():
        pytest.skip("no compiled code")
    return request.param


def arrays(shapes, seed):
    generator = np.random.default_rng(seed)
    return [torch.from_numpy(generator.normal(size=shape).astype(np.float32)) for shape in shapes]


def groups_of(weights):
    """Put the weights into two groups in turns."""
    return [{"params": weights[::2], "peak_lr": 0.1, "weight_decay": 0.0},
            {"params": weights[1::2], "peak_lr": 0.01, "weight_decay": 0.3}]


def train(shapes, n_steps=6, without=()):
    """Train with our optimizer and with PyTorch's; return weights and averages of both.

    Args:
        without: (step, weight) pairs in which the weight has no gradient.
    """
    weights, expected = ([nn.Parameter(array) for array in arrays(shapes, 1)] for _ in range(2))
    averages, expected_averages = (arrays(shapes, 1) for _ in range(2))
    ours = DenseAdamW(groups_of(weights), dict(zip(weights, averages, strict=True)))
    theirs = AdamW([{**group, "lr": group["peak_lr"]} for group in groups_of(expected)])
    for step in range(n_steps):
        for number, gradient in enumerate(arrays(shapes, 10 + step)):
            has = (step, number) not in without
            weights[number].grad, expected[number].grad = (gradient.clone() if has else None for _ in range(2))
        factor, decay = 1 - step / n_steps, step / 10
        ours.lr_factor = factor
        ours.step(decay)
        for group in theirs.param_groups:
            group["lr"] = group["peak_lr"] * factor
        theirs.step()
        for average, weight in zip(expected_averages, expected, strict=True):
            average.lerp_(weight.detach(), 1 - decay)
    return ours, (weights, averages), (expected, expected_averages)


def assert_equal(found, expected):
    for tensors, others in zip(found, expected, strict=True):
        for tensor, other in zip(tensors, others, strict=True):
            torch.testing.assert_close(tensor, other, atol=2e-6, rtol=2e-5)


@settings(deadline=None, max_examples=20)
@given(SHAPES)
def test_any_weights_equal_pytorch(shapes):
    _, found, expected = train(shapes)
    assert_equal(found, expected)


def test_large_weights_equal_pytorch(way):
    _, found, expected = train(LARGE)
    assert_equal(found, expected)


def test_weight_without_a_gradient_keeps_its_value_and_its_steps(way):
    shapes = [(4, 3), (5,), (2, 2)]
    ours, found, expected = train(shapes, without={(0, 0), (2, 1), (3, 0), (3, 1), (3, 2)})
    assert_equal(found, expected)
    assert [int(ours.state()[weight]["step"]) for weight in found[0]] == [4, 4, 5]


def test_state_can_be_loaded(way):
    ours, (weights, averages), _ = train(LARGE)
    copies = [nn.Parameter(weight.detach().clone()) for weight in weights]
    copied_averages = [average.clone() for average in averages]
    other = DenseAdamW(groups_of(copies), dict(zip(copies, copied_averages, strict=True)))
    state = {copy: {key: tensor.clone() for key, tensor in ours.state()[weight].items()}
             for weight, copy in zip(weights, copies, strict=True)}
    other.step(0.5)  # without any gradient
    other.load(state)
    for optimizer, trained in ((ours, weights), (other, copies)):
        for weight, gradient in zip(trained, arrays(LARGE, 99), strict=True):
            weight.grad = gradient
        optimizer.lr_factor = 0.5
        optimizer.step(0.9)
    assert all(map(torch.equal, weights, copies))
    assert [int(tensors["step"]) for tensors in other.state().values()] == [7, 7]


def test_gradient_that_is_not_contiguous(way):
    weight, expected = (nn.Parameter(arrays([(6, 5)], 1)[0]) for _ in range(2))
    ours = DenseAdamW([{"params": [weight], "peak_lr": 0.1, "weight_decay": 0.0}], {weight: weight.detach().clone()})
    weight.grad = expected.grad = arrays([(5, 6)], 2)[0].T
    ours.step(0.0)
    AdamW([expected], lr=0.1, weight_decay=0.0).step()
    torch.testing.assert_close(weight, expected)


def test_weights_whose_memory_is_replaced_between_steps(way):
    weight, average = nn.Parameter(torch.zeros(3)), torch.zeros(3)
    ours = DenseAdamW([{"params": [weight], "peak_lr": 0.1, "weight_decay": 0.0}], {weight: average})
    for _ in range(2):
        weight.data = torch.zeros(3)
        weight.grad = torch.ones(3)
        ours.step(0.0)
        torch.testing.assert_close(weight, torch.full((3,), -0.1))


@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 1e9])
@pytest.mark.parametrize("shapes", [LARGE, [(1,)], [(3, 5), (17,), (2, 16)]])
def test_clipping_equals_pytorch(shapes, max_norm, way):
    found, weights = arrays(shapes, 3), [nn.Parameter(array) for array in arrays(shapes, 4)]
    for weight, gradient in zip(weights, found, strict=True):
        weight.grad = gradient.clone()
    norm = clip_gradients(found, max_norm)
    torch.testing.assert_close(norm, clip_grad_norm_(weights, max_norm))
    for gradient, weight in zip(found, weights, strict=True):
        torch.testing.assert_close(gradient, weight.grad)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_norm_of_a_gradient_that_is_not_finite(value, way):
    gradients = arrays(LARGE, 3)
    gradients[1][2] = value
    assert not math.isfinite(clip_gradients(gradients, 1.0))


@needs_code
def test_same_bits_with_any_number_of_threads():
    def run():
        gradients = arrays(LARGE, 3)
        clip_gradients(gradients, 1.0)
        _, (weights, averages), _ = train(LARGE)
        return [*gradients, *weights, *averages]

    assert all(map(torch.equal, *with_threads((1, 4), run)))
