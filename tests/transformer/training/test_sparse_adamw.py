"""Sparse optimizer of a table equal PyTorch's dense AdamW, for any sequence of batches."""

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import classifier, encoder_decoder, language_model, masked_language_model, needs_code
from torch import nn
from torch.optim import AdamW, SparseAdam

from transformer import TokenEmbedding, TrainingConfig
from transformer.kernels import native
from transformer.training.optimizer import Optimizer, lookup_tables
from transformer.training.sparse_adamw import SparseAdamW

N_ROWS, DIM = 12, 3


def table():
    return torch.from_numpy(np.random.default_rng(1).normal(size=(N_ROWS, DIM)).astype(np.float32))


def gradient(rows, seed, size=1.0):
    """Make a sparse gradient of these rows; rows may repeat."""
    values = np.random.default_rng(seed).normal(size=(len(rows), DIM))
    values = size * np.copysign(np.maximum(np.abs(values), 0.05), values).astype(np.float32)  # far from Adam's epsilon
    return torch.sparse_coo_tensor(torch.tensor([rows]), torch.from_numpy(values), (N_ROWS, DIM), check_invariants=True)


def sparsely(steps, rates, decays, size=1.0):
    weight, average = nn.Parameter(table()), table()
    optimizer = SparseAdamW(weight, average, lr=0.0, ema=max(decays))
    for number, (rows, rate, decay) in enumerate(zip(steps, rates, decays, strict=True)):
        weight.grad = None
        if rows:
            optimizer.flush_rows(torch.tensor(rows))
            weight.grad = gradient(rows, number, size)
            optimizer.gradient()
        optimizer.lr = rate
        optimizer.step(decay)
    return weight, average, optimizer


def densely(steps, rates, decays, size=1.0):
    weight, average = nn.Parameter(table()), table()
    dense = AdamW([weight], lr=1.0, weight_decay=0.0)
    for number, (rows, rate, decay) in enumerate(zip(steps, rates, decays, strict=True)):
        weight.grad = gradient(rows, number, size).to_dense() if rows else None
        dense.param_groups[0]["lr"] = rate
        dense.step()
        average.lerp_(weight.detach(), 1 - decay)
    return weight, average


batches = st.lists(st.lists(st.integers(0, N_ROWS - 1), max_size=5), min_size=1, max_size=40)


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_code), False])
@settings(deadline=None, max_examples=60)
@given(batches, st.sampled_from([0.0, 0.5, 0.99]), st.sampled_from([(1.0, 2e-6), (1e-3, 2e-6), (1e-5, 2e-3)]))
def test_rows_and_averages_equal_dense_updates(compiled, steps, ema, size_and_tolerance):
    # Some gradients of size 1e-5 are near 1e-7, where epsilon matters: an error of a fifth of a step is allowed.
    size, tolerance = size_and_tolerance
    rates = [1e-2 * (1 - i / len(steps)) for i in range(len(steps))]
    decays = [min(ema, (i + 1) / (i + 10)) for i in range(len(steps))]
    with mock.patch.object(native, "available", lambda *_: compiled):
        weight, average, optimizer = sparsely(steps, rates, decays, size)
        optimizer.flush()
    dense_weight, dense_average = densely(steps, rates, decays, size)
    torch.testing.assert_close(weight, dense_weight, atol=tolerance, rtol=1e-5)
    torch.testing.assert_close(average, dense_average, atol=tolerance, rtol=1e-5)


def test_row_is_updated_again_after_thousands_of_steps():
    steps = [[1, 2]] + [[3]] * 4000 + [[1]]
    rates, decays = [1e-3] * len(steps), [0.99] * len(steps)
    weight, average, optimizer = sparsely(steps, rates, decays)
    optimizer.flush()
    for ours, expected in zip((weight, average), densely(steps, rates, decays), strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


@needs_code
@pytest.mark.parametrize("dim", [1, 16, 19, 50])
def test_compiled_code_equals_torch(dim, monkeypatch):
    """With several threads, and widths that are not multiples of 16."""
    results, before = [], torch.get_num_threads()
    for threads in (0, 1, 3):
        monkeypatch.setattr(native, "available", lambda *_, threads=threads: threads > 0)
        torch.set_num_threads(max(1, threads))
        random = np.random.default_rng(1)
        weight = nn.Parameter(torch.from_numpy(random.normal(size=(40, dim)).astype(np.float32)))
        average = weight.detach().clone()
        optimizer = SparseAdamW(weight, average, lr=1e-2, ema=0.9)
        for _ in range(12):
            ids = torch.from_numpy(random.integers(0, 40, (3, 5)))
            optimizer.flush_rows(ids)
            values = torch.from_numpy(random.normal(size=(15, dim)).astype(np.float32))
            weight.grad = torch.sparse_coo_tensor(ids.view(1, -1), values, weight.shape, check_invariants=True)
            optimizer.gradient()
            optimizer.step(0.8)
        optimizer.flush()
        results.append((weight.detach(), average, optimizer.state()["exp_avg_sq"]))
    torch.set_num_threads(before)
    for other in results[1:]:
        for ours, expected in zip(results[0], other, strict=True):
            torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)
    assert all(map(torch.equal, results[1], results[2]))


def test_rows_updated_in_every_step_equal_sparse_adam():
    steps, rates = [[0, 4, 7]] * 30, [1e-2] * 30
    weight, *_ = sparsely(steps, rates, [0.0] * 30)
    other = nn.Parameter(table())
    optimizer = SparseAdam([other], lr=1e-2)
    for number, rows in enumerate(steps):
        other.grad = gradient(rows, number)
        optimizer.step()
    torch.testing.assert_close(weight, other, atol=1e-6, rtol=1e-6)


def test_rows_without_gradient_do_not_change():
    weight, average, optimizer = sparsely([[2, 5], [5]], [0.1, 0.1], [0.9, 0.9])
    others = [i for i in range(N_ROWS) if i not in (2, 5)]
    optimizer.flush()
    assert torch.equal(weight[others], table()[others])
    assert torch.equal(average[others], table()[others])
    assert not optimizer.state()["exp_avg"][others].any()


@pytest.mark.parametrize("stop", [1, 7, 19])
@pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_code), False])
def test_resumed_optimizer_computes_the_same_bits(compiled, stop, monkeypatch):
    monkeypatch.setattr(native, "available", lambda *_: compiled)
    random = np.random.default_rng(3)
    steps = [random.integers(0, N_ROWS, 4).tolist() for _ in range(20)]
    rates, decays = [1e-2] * 20, [0.9] * 20
    weight, average, _ = sparsely(steps, rates, decays)
    resumed, resumed_average, first = sparsely(steps[:stop], rates[:stop], decays[:stop])
    second = SparseAdamW(resumed, resumed_average, lr=1e-2, ema=0.9)
    second.load(first.state())
    for number in range(stop, 20):
        second.flush_rows(torch.tensor(steps[number]))
        resumed.grad = gradient(steps[number], number)
        second.gradient()
        second.step(0.9)
    assert torch.equal(resumed, weight)
    assert torch.equal(resumed_average, average)


@pytest.mark.parametrize(("make", "expected"), [
    (classifier, {"encoder.embedding"}), (masked_language_model, set()), (language_model, set()),
    (encoder_decoder, {"encoder.embedding"}),
])
def test_table_tied_to_the_output_has_dense_updates(make, expected):
    model = make()
    names = {name for name, module in model.named_modules() if isinstance(module, TokenEmbedding)
             and module.weight in lookup_tables(model)}
    assert names == expected
    optimizer = Optimizer(model, TrainingConfig())
    assert {name for name, module in model.named_modules() if getattr(module, "sparse", False)} == expected
    optimizer.close()
    assert not any(getattr(module, "sparse", False) for module in model.modules())
