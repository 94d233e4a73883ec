"""Peak matrix-product throughput of a machine, and floating-point operations of a training run."""

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

SHAPES = ((512, 512, 512), (4096, 512, 2048), (2048, 2048, 2048))  # rows, inner, columns; smallest first
GPU_SHAPES = (*SHAPES, (8192, 8192, 8192))                         # smaller products do not reach the peak of a GPU
SECONDS = 1.0             # duration of the measurement, over all shapes
TRAINING_PER_FORWARD = 3  # backward computes two products of the same size: the gradients of input and weights

B = TypeVar("B", bound=Batch)


def matrix_product_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the peak throughput of matrix products, in about one second.

    The result holds for the threads of this process under the current load of the machine.

    Args:
        device: device to measure.
        dtype: data type of the matrices.

    Returns:
        Floating-point operations per second; a multiply-add counts as two.
    """
    shapes = GPU_SHAPES if device.type == "cuda" else SHAPES
    best = 0.0
    for rows, inner, columns in shapes:
        n_operations = 2 * rows * inner * columns
        if n_operations > best * SECONDS > 0:  # a dtype that the processor emulates: one product would exceed the time
            break
        multiply = _product(rows, inner, columns, device, dtype)
        _seconds(multiply, device)  # warm-up
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


def _seconds(function: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def count_operations(function: Callable[[], object]) -> int:
    """Count the floating-point operations of the matrix products and convolutions in a call, without backward passes.

    Padding is included where it is multiplied, and so are all scores of causal attention. The call runs in plain
    PyTorch with the math form of attention, because PyTorch's counter ignores fused attention on a CPU and compiled
    code.

    Returns:
        Number of operations; a multiply-add counts as two.
    """
    with torch.no_grad(), use(TORCH), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(
            display=False) as counter:
        function()
    n_operations: int = counter.get_total_flops()
    return n_operations


def training_operations(model: nn.Module, loss: Callable[[nn.Module, B], Tensor], batches: Sequence[B]) -> float:
    """Count the floating-point operations of training per token: three times those of the forward pass.

    Operations of the optimizer are not included. Weights and the random state of PyTorch do not change.

    Args:
        model: the model.
        loss: computes the loss of the model on a batch.
        batches: batches to measure, on the model's device.

    Returns:
        Mean over all tokens of the batches, padding excluded; counted as by :func:`count_operations`.
    """
    was_training = model.training
    model.train()  # engines may skip operations in evaluation mode
    try:
        with torch.random.fork_rng():
            n_operations = sum(count_operations(partial(loss, model, batch)) for batch in batches)
    finally:
        model.train(was_training)
    return TRAINING_PER_FORWARD * n_operations / sum(batch.n_tokens for batch in batches)
