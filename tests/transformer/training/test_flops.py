"""Peak throughput of matrix products; counted operations equal a calculation by hand."""

import time
from itertools import chain, cycle

import pytest
import small_models
import torch

from transformer.training import flops
from transformer.training.flops import count_operations, matrix_product_peak, training_operations

CPU = torch.device("cpu")
D, D_FF, N_LAYERS, N_CLASSES = 16, 32, 2, 3  # as in small_models


class Batch:
    def __init__(self, ids):
        self.ids, self.n_tokens = ids, ids.numel()


def loss(model, batch):
    return model(batch.ids).square().mean()


def by_hand(texts, length, dim=D):
    """Compute the operations of a small classifier's forward pass."""
    word = N_LAYERS * (4 * D * D + 2 * D * D_FF) + (dim * D if dim != D else 0)  # W_Q W_K W_V W_O, feed-forward
    pair = N_LAYERS * 2 * D                                                      # q k^T, and the weights times v
    return 2 * texts * (length * word + length * length * pair + 3 * D * N_CLASSES)


def test_peak_is_the_fastest_product(monkeypatch):
    rates = chain([9e99], cycle([1e9, 4e9, 2e9]))  # the first is the warm-up and is ignored
    monkeypatch.setattr(flops, "SECONDS", 0.03)
    monkeypatch.setattr(flops, "SHAPES", ((10, 10, 10),))
    monkeypatch.setattr(flops, "_seconds", lambda _work, _device: 2 * 10**3 / next(rates))
    assert matrix_product_peak(CPU, torch.float32) == pytest.approx(4e9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_peak_is_close_to_a_measured_product(dtype):
    left, right = (torch.randn(512, 512, dtype=torch.float64).to(dtype) for _ in range(2))
    start = time.perf_counter()
    peak = matrix_product_peak(CPU, dtype)
    assert time.perf_counter() - start < 5
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - start)
    assert 0.3 < peak / (2 * 512**3 / min(seconds)) < 30


def test_slow_products_are_skipped(monkeypatch):
    tried = []
    monkeypatch.setattr(flops, "_product", lambda *shape: tried.append(shape[:3]))
    monkeypatch.setattr(flops, "_seconds", lambda _work, _device: time.sleep(0.01) or 100.0)
    monkeypatch.setattr(flops, "SECONDS", 0.05)
    assert matrix_product_peak(CPU, torch.bfloat16) == pytest.approx(2 * 512**3 / 100)
    assert tried == [(512, 512, 512)]


@pytest.mark.parametrize(("texts", "length", "dim"), [(3, 6, D), (1, 9, D), (2, 5, 8)])
def test_operations_equal_the_calculation_by_hand(texts, length, dim):
    model = small_models.classifier(dim=dim)
    ids = small_models.ids(length, texts)
    assert count_operations(lambda: model(ids)) == by_hand(texts, length, dim)


def test_causal_attention_counts_all_scores():
    model = small_models.language_model(tied=True)
    words, rows = 5, small_models.N_ROWS
    expected = by_hand(1, words) - 2 * 3 * D * N_CLASSES + 2 * words * (D * D + D * rows)  # another output layer
    assert count_operations(lambda: model(small_models.ids(words, 1))) == expected


def test_training_counts_three_forward_passes_per_token():
    batches = [Batch(small_models.ids(6, 3)), Batch(small_models.ids(9, 1))]
    model = small_models.classifier(dropout=0.5).eval()
    before, state = {name: w.clone() for name, w in model.state_dict().items()}, torch.get_rng_state()
    expected = 3 * (by_hand(3, 6) + by_hand(1, 9)) / (3 * 6 + 9)
    assert training_operations(model, loss, batches) == pytest.approx(expected)
    assert not model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(w, before[name]) for name, w in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def test_failing_loss_leaves_the_model_unchanged():
    model = small_models.classifier().eval()
    with pytest.raises(ZeroDivisionError):
        training_operations(model, lambda *_: 1 / 0, [Batch(small_models.ids())])
    assert not model.training
