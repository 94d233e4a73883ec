"""Dropout, with a random byte for each activation."""

import pytest
import torch

from transformer.layers.dropout import Dropout, SharedMasks, dropout_mask, shared_masks


@pytest.mark.parametrize("p", [0.002, 0.1, 0.5, 0.999])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_probability_and_mean(p, dtype):
    torch.manual_seed(0)
    factor = dropout_mask(1001 * 333, p, dtype).view(1001, 333)
    assert factor.dtype == dtype
    dropped = min(max(1, round(256 * p)), 255) / 256
    assert factor.eq(0).float().mean() == pytest.approx(dropped, abs=0.002)
    assert factor.unique().tolist() == [0, torch.tensor(1 / (1 - dropped), dtype=dtype)]
    rows = factor.ne(0).float()
    assert torch.cov(rows[:, :20].T).fill_diagonal_(0).abs().max() < 0.04  # neighbours are independent


def test_dropout_is_off_in_evaluation_and_determined_by_the_seed():
    layer, x = Dropout(0.3), torch.randn(5, 7, requires_grad=True)
    assert layer.eval()(x) is x
    layer.train()
    torch.manual_seed(3)
    first = layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    first.sum().backward()
    assert torch.equal(x.grad * x, first)
    assert Dropout(0.0)(x) is x or torch.equal(Dropout(0.0)(x), x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shared_masks_are_independent_between_layers(dtype):
    layers, x = [Dropout(0.4) for _ in range(6)], torch.ones(100, 64, dtype=dtype)
    torch.manual_seed(1)
    with shared_masks():
        made = [layer(x) for layer in layers]
    for i in range(6):
        assert made[i].ne(0).float().mean() == pytest.approx(0.6, abs=0.03)
        for j in range(i):
            same = (made[i].ne(0) == made[j].ne(0)).float().mean()
            assert same == pytest.approx(0.6**2 + 0.4**2, abs=0.03)
    torch.manual_seed(1)
    with shared_masks():
        again = [layer(x) for layer in layers]
    assert all(torch.equal(a, b) for a, b in zip(made, again, strict=True))


def test_windows_of_any_size():
    torch.manual_seed(0)
    shared = SharedMasks()
    for n in (1, 1000, 10, 5000, 4999):
        assert len(shared.window(n, 0.1, torch.float32)) == n
