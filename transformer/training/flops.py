"""How fast a machine multiplies matrices at best, and how many operations a model's training asks of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from transformer.kernels.engine import TORCH, use
from transformer.training.trainer import Batch

SHAPES = ((512, 512, 512), (4096, 512, 2048), (2048, 2048, 2048))  # rows, inner, columns; the cheapest first
GPU_SHAPES = (*SHAPES, (8192, 8192, 8192))                         # smaller ones end before a GPU is under way
SECONDS = 1.0             # of measuring, over all shapes
TRAINING_PER_FORWARD = 3  # a product's backward is two of the same size: for its input and for its weights

B = TypeVar("B", bound=Batch)


def matrix_product_peak(device: torch.device, dtype: torch.dtype) -> float:
    """The most floating-point operations a second of several matrix products, each repeated, within about a second.

    It is what this process has now: of its threads, beside whatever else the machine does.

    Args:
        device: where to multiply.
        dtype: of the matrices.

    Returns:
        Operations a second; a multiplication and its addition are two.
    """
    shapes = GPU_SHAPES if device.type == "cuda" else SHAPES
    best = 0.0
    for rows, inner, columns in shapes:
        n_operations = 2 * rows * inner * columns
        if n_operations > best * SECONDS > 0:  # one would take all the time: dtypes that the processor only emulates
            break
        multiply = _product(rows, inner, columns, device, dtype)
        _seconds(multiply, device)  # the first one sets up
        end = time.perf_counter() + SECONDS / len(shapes)
        while time.perf_counter() < end:
            best = max(best, n_operations / _seconds(multiply, device))
    return best


def _product(
    rows: int, inner: int, columns: int, device: torch.device, dtype: torch.dtype
) -> Callable[[], object]:
    random = torch.Generator(device).manual_seed(0)
    left = torch.randn(rows, inner, generator=random, device=device).to(dtype)
    right = torch.randn(inner, columns, generator=random, device=device).to(dtype)
    out = torch.empty(rows, columns, device=device, dtype=dtype)
    return lambda: torch.mm(left, right, out=out)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def count_operations(work: Callable[[], object]) -> int:
    """The floating-point operations of the matrix products and convolutions in a call, forward ones alone.

    Counted as the machine computes them: padding too, where it is multiplied, and all scores of a causal attention.
    Attention is written out for the count and layers are torch's, since it counts neither its fused form on a CPU nor
    compiled code.

    Returns:
        Operations; a multiplication and its addition are two.
    """
    with torch.no_grad(), use(TORCH), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(
            display=False) as counter:
        work()
    n_operations: int = counter.get_total_flops()
    return n_operations


def training_operations(model: nn.Module, loss: Callable[[nn.Module, B], Tensor], batches: Sequence[B]) -> float:
    """The floating-point operations that training takes for a token: three times forward's, without the optimizer's.

    Args:
        model: neither its weights nor torch's random numbers are changed.
        loss: of the model on a batch.
        batches: to count with, on the model's device.

    Returns:
        The mean over all tokens of the batches, padding not being a token; counted as :func:`count_operations` does.
    """
    was_training = model.training
    model.train()  # as training does it, whatever it leaves out elsewhere
    try:
        with torch.random.fork_rng():
            n_operations = sum(count_operations(partial(loss, model, batch)) for batch in batches)
    finally:
        model.train(was_training)
    return TRAINING_PER_FORWARD * n_operations / sum(batch.n_tokens for batch in batches)
