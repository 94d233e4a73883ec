"""Attention and dropout in their quick forms are what they are in torch's."""

import pytest
import torch
import torch.nn.functional as F

from transformer.kernels.engine import LONGEST_WRITTEN_OUT, attend
from transformer.kernels.packing import WORTH, Packing, rounded_up
from transformer.layers.dropout import Drawn, Dropout, kept, shared_masks


def qkv(length, n_keys, dtype, seed=0):
    random = torch.Generator().manual_seed(seed)
    sizes = ((2, 3, length, 8), (2, 3, n_keys, 8), (2, 3, n_keys, 8))
    return [torch.randn(size, generator=random).to(dtype).requires_grad_() for size in sizes]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("length", "n_keys"), [(7, 7), (1, 9), (64, 64), (3, LONGEST_WRITTEN_OUT + 1)])
def test_attention_written_out_is_the_fused_one(length, n_keys, masked):
    """In bfloat16 as near to float32 as torch's own bfloat16 is; gradients, too."""
    mask = None
    if masked:
        mask = torch.rand(2, 1, length, n_keys, generator=torch.Generator().manual_seed(1)) > 0.4
        mask[..., 0] = True
    exact = qkv(length, n_keys, torch.bfloat16)
    wide = [x.detach().float().requires_grad_() for x in exact]
    ours, reference = attend(*exact, mask), F.scaled_dot_product_attention(*wide, attn_mask=mask)
    torch.testing.assert_close(ours.float(), reference, atol=3e-2, rtol=3e-2)
    ours.float().square().sum().backward()
    reference.square().sum().backward()
    for one, other in zip(exact, wide, strict=True):
        assert (one.grad.float() - other.grad).norm() < 0.02 * other.grad.norm()


@pytest.mark.parametrize("p", [0.002, 0.1, 0.5, 0.999])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_drops_its_share_and_keeps_the_mean(p, dtype):
    torch.manual_seed(0)
    factor = kept(1001 * 333, p, dtype).view(1001, 333)
    assert factor.dtype == dtype
    dropped = min(max(1, round(256 * p)), 255) / 256
    assert factor.eq(0).float().mean() == pytest.approx(dropped, abs=0.002)
    assert factor.unique().tolist() == [0, torch.tensor(1 / (1 - dropped), dtype=dtype)]
    rows = factor.ne(0).float()
    assert torch.cov(rows[:, :20].T).fill_diagonal_(0).abs().max() < 0.04  # neighbours know nothing of each other


def test_dropout_is_off_in_evaluation_and_repeats_with_the_seed():
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


def test_packing_there_and_back():
    mask = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 1]]).bool()
    packing = Packing.of(mask)
    x = torch.randn(3, 4, 5)
    packed = packing.pack(x)
    assert packed.shape == (8, 5)
    assert torch.equal(packed[:6], x[mask])
    assert not packed[6:].any()
    assert torch.equal(packing.unpack(packed + 1), (x + 1) * mask[..., None])
    assert Packing.of(torch.ones(3, 4).bool()) is None
    assert WORTH < 1


def test_packed_sizes_are_few():
    sizes = [rounded_up(n) for n in range(5000)]
    assert all(n <= size < 1.07 * n + 8 for n, size in enumerate(sizes))
    assert len({size for size in sizes if size >= 256}) <= 16 * 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layers_of_one_pass_share_what_is_drawn_but_not_its_place(dtype):
    layers, x = [Dropout(0.4) for _ in range(6)], torch.ones(100, 64, dtype=dtype)
    torch.manual_seed(1)
    with shared_masks():
        made = [layer(x) for layer in layers]
    for i in range(6):
        assert made[i].ne(0).float().mean() == pytest.approx(0.6, abs=0.03)
        for j in range(i):
            same = (made[i].ne(0) == made[j].ne(0)).float().mean()
            assert same == pytest.approx(0.6**2 + 0.4**2, abs=0.03)  # as if they were independent
    torch.manual_seed(1)
    with shared_masks():
        again = [layer(x) for layer in layers]
    assert all(torch.equal(a, b) for a, b in zip(made, again, strict=True))


def test_a_window_fits_whatever_was_drawn_before():
    torch.manual_seed(0)
    drawn = Drawn()
    for n in (1, 1000, 10, 5000, 4999):
        assert len(drawn.window(n, 0.1, torch.float32)) == n
