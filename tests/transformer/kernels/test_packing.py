"""Packing of padded batches."""

import pytest
import torch

from transformer.kernels.packing import Packing


@pytest.mark.parametrize("mask", [[[1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 1]], [[1, 1], [1, 1]]])
def test_packing_and_unpacking(mask):
    mask = torch.tensor(mask).bool()
    packing, x = Packing(mask), torch.randn(*mask.shape, 5)
    packed = packing.pack(x)
    assert torch.equal(packed, x[mask])
    assert torch.equal(packing.unpack(packed + 1), (x + 1) * mask[..., None])
    assert packing.starts.diff().tolist() == mask.sum(dim=1).tolist()
    assert packing.positions.tolist() == [i for n in mask.sum(dim=1) for i in range(n)]
