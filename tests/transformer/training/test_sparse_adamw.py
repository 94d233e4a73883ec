"""Row-wise updates of a table against torch's dense ones, whatever the order in which words are met."""

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
from transformer.training.optimizer import Optimizer, looked_up_only
from transformer.training.sparse_adamw import SparseAdamW

N_ROWS, DIM = 12, 3


def table():
    return torch.from_numpy(np.random.default_rng(1).normal(size=(N_ROWS, DIM)).astype(np.float32))


def gradient(rows, seed, size=1.0):
    """A gradient of these rows, sparse; one of them may be there twice, as a word may."""
    values = np.random.default_rng(seed).normal(size=(len(rows), DIM))
    values = size * np.copysign(np.maximum(np.abs(values), 0.05), values).astype(np.float32)  # far from Adam's epsilon
    return torch.sparse_coo_tensor(torch.tensor([rows]), torch.from_numpy(values), (N_ROWS, DIM), check_invariants=True)


def by_row(steps, rates, kept, size=1.0):
    weight, average = nn.Parameter(table()), table()
    updates = SparseAdamW(weight, average, lr=0.0, ema=max(kept))
    for number, (rows, rate, share) in enumerate(zip(steps, rates, kept, strict=True)):
        weight.grad = None
        if rows:
            updates.flush_rows(torch.tensor(rows))
            weight.grad = gradient(rows, number, size)
            updates.gradient()
        updates.lr = rate
        updates.step(share)
    return weight, average, updates


def densely(steps, rates, kept, size=1.0):
    weight, average = nn.Parameter(table()), table()
    optimizer = AdamW([weight], lr=1.0, weight_decay=0.0)
    for number, (rows, rate, share) in enumerate(zip(steps, rates, kept, strict=True)):
        weight.grad = gradient(rows, number, size).to_dense() if rows else None
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        average.lerp_(weight.detach(), 1 - share)
    return weight, average


batches = st.lists(st.lists(st.integers(0, N_ROWS - 1), max_size=5), min_size=1, max_size=40)


@pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_code), False])
@settings(deadline=None, max_examples=60)
@given(batches, st.sampled_from([0.0, 0.5, 0.99]), st.sampled_from([(1.0, 2e-6), (1e-3, 2e-6), (1e-5, 2e-3)]))
def test_every_row_and_its_average_end_where_dense_updates_take_them(compiled, steps, ema, size_and_tolerance):
    # Of gradients of 1e-5 some are near 1e-7 and feel Adam's epsilon: a fifth of one of their steps is allowed.
    size, tolerance = size_and_tolerance
    rates = [1e-2 * (1 - i / len(steps)) for i in range(len(steps))]
    kept = [min(ema, (i + 1) / (i + 10)) for i in range(len(steps))]
    with mock.patch.object(native, "available", lambda *_: compiled):
        weight, average, updates = by_row(steps, rates, kept, size)
        updates.flush()
    dense_weight, dense_average = densely(steps, rates, kept, size)
    torch.testing.assert_close(weight, dense_weight, atol=tolerance, rtol=1e-5)
    torch.testing.assert_close(average, dense_average, atol=tolerance, rtol=1e-5)


def test_a_word_that_is_met_after_thousands_of_steps():
    steps = [[1, 2]] + [[3]] * 4000 + [[1]]
    rates, kept = [1e-3] * len(steps), [0.99] * len(steps)
    weight, average, updates = by_row(steps, rates, kept)
    updates.flush()
    for one, other in zip((weight, average), densely(steps, rates, kept), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@needs_code
@pytest.mark.parametrize("dim", [1, 16, 19, 50])
def test_compiled_code_and_torch_update_alike(dim, monkeypatch):
    """On several threads, and with a width that sixteen does not divide."""
    found, before = [], torch.get_num_threads()
    for threads in (0, 1, 3):
        monkeypatch.setattr(native, "available", lambda *_, threads=threads: threads > 0)
        torch.set_num_threads(max(1, threads))
        random = np.random.default_rng(1)
        weight = nn.Parameter(torch.from_numpy(random.normal(size=(40, dim)).astype(np.float32)))
        average = weight.detach().clone()
        updates = SparseAdamW(weight, average, lr=1e-2, ema=0.9)
        for _ in range(12):
            ids = torch.from_numpy(random.integers(0, 40, (3, 5)))
            updates.flush_rows(ids)
            values = torch.from_numpy(random.normal(size=(15, dim)).astype(np.float32))
            weight.grad = torch.sparse_coo_tensor(ids.view(1, -1), values, weight.shape, check_invariants=True)
            updates.gradient()
            updates.step(0.8)
        updates.flush()
        found.append((weight.detach(), average, updates.state()["exp_avg_sq"]))
    torch.set_num_threads(before)
    for other in found[1:]:
        for mine, theirs in zip(found[0], other, strict=True):
            torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-5)
    assert all(map(torch.equal, found[1], found[2]))


def test_rows_touched_in_every_step_are_those_of_sparse_adam():
    steps, rates = [[0, 4, 7]] * 30, [1e-2] * 30
    weight, *_ = by_row(steps, rates, [0.0] * 30)
    other = nn.Parameter(table())
    optimizer = SparseAdam([other], lr=1e-2)
    for number, rows in enumerate(steps):
        other.grad = gradient(rows, number)
        optimizer.step()
    torch.testing.assert_close(weight, other, atol=1e-6, rtol=1e-6)


def test_rows_that_no_batch_has_are_not_visited():
    weight, average, updates = by_row([[2, 5], [5]], [0.1, 0.1], [0.9, 0.9])
    others = [i for i in range(N_ROWS) if i not in (2, 5)]
    updates.flush()
    assert torch.equal(weight[others], table()[others])
    assert torch.equal(average[others], table()[others])
    assert not updates.state()["exp_avg"][others].any()


@pytest.mark.parametrize("stop", [1, 7, 19])
@pytest.mark.parametrize("compiled", [pytest.param(True, marks=needs_code), False])
def test_what_goes_on_from_its_state_ends_in_the_same_bits(compiled, stop, monkeypatch):
    monkeypatch.setattr(native, "available", lambda *_: compiled)
    random = np.random.default_rng(3)
    steps = [random.integers(0, N_ROWS, 4).tolist() for _ in range(20)]
    rates, kept = [1e-2] * 20, [0.9] * 20
    weight, average, _ = by_row(steps, rates, kept)
    one, its_average, first = by_row(steps[:stop], rates[:stop], kept[:stop])
    second = SparseAdamW(one, its_average, lr=1e-2, ema=0.9)
    second.load(first.state())
    for number in range(stop, 20):
        second.flush_rows(torch.tensor(steps[number]))
        one.grad = gradient(steps[number], number)
        second.gradient()
        second.step(0.9)
    assert torch.equal(one, weight)
    assert torch.equal(its_average, average)


@pytest.mark.parametrize(("make", "expected"), [
    (classifier, {"encoder.embedding"}), (masked_language_model, set()), (language_model, set()),
    (encoder_decoder, {"encoder.embedding"}),
])
def test_a_table_that_is_the_output_too_is_updated_densely(make, expected):
    model = make()
    names = {name for name, module in model.named_modules() if isinstance(module, TokenEmbedding)
             and module.weight in looked_up_only(model)}
    assert names == expected
    updates = Optimizer(model, TrainingConfig())
    assert {name for name, module in model.named_modules() if getattr(module, "sparse", False)} == expected
    updates.close()
    assert not any(getattr(module, "sparse", False) for module in model.modules())


def test_with_other_processes_all_is_dense():
    model = classifier()
    updates = Optimizer(model, TrainingConfig(), alone=False)
    assert not model.encoder.embedding.sparse
    assert sum(len(group["params"]) for group in updates.groups) == len(list(model.parameters()))
