"""Convolutions over neighbouring tokens as one call of compiled code, forward and backward, over packed rows.

Matrix products and stored activations have the precision of the layers (:mod:`transformer.kernels.native_layer`); the
residual stream and the norm are float32.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from transformer.kernels import native
from transformer.kernels.engine import has_hooks
from transformer.kernels.packing import Packing
from transformer.layers.convolution import Convolutions
from transformer.layers.dropout import n_dropped


def unfit(convolutions: Convolutions) -> bool:
    """Whether compiled code cannot compute these: a hook, or a weight that is not contiguous float32 on the CPU."""
    return has_hooks(convolutions) or any(
        weight.dtype != torch.float32 or weight.device.type != "cpu" or not weight.is_contiguous()
        for weight in convolutions.parameters())


def convolved(x: Tensor, convolutions: Convolutions, packing: Packing, low: torch.dtype) -> Tensor:
    """Add the output of the convolutions to each token.

    Args:
        x: *Shape:* ``(n_rows, d_model)``; ``d_model`` is a multiple of 16.
        convolutions: the weights, float32.
        packing: the batch of the rows.
        low: dtype of stored activations, float32 or bfloat16.

    Returns:
        float32. *Shape:* that of ``x``.
    """
    x = x.float().contiguous()
    dropout = convolutions.dropout.p if convolutions.training else 0.0
    eps = convolutions.norm.eps
    weights = list(convolutions.parameters())
    if torch.is_grad_enabled():
        out: Tensor = NativeConvolutions.apply(x, packing, low, dropout, eps, *weights)  # type: ignore[no-untyped-call]
        return out
    return _forward(x, packing, low, dropout, eps, weights, saving=False)[1][0]


class NativeConvolutions(torch.autograd.Function):
    """The convolutions as a function of their input and weights: norm, filters, output, each with its bias."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, packing: Packing, low: torch.dtype, dropout: float, eps: float, *weights: Tensor
    ) -> Tensor:
        """Map ``(n_rows, d_model)`` to the same shape."""
        ctx.call, (out, *saved) = _forward(x, packing, low, dropout, eps, weights, saving=True)
        ctx.low, ctx.n_weights = low, len(weights)
        ctx.save_for_backward(x, *weights, *saved)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients of the input and of every weight."""
        x, *saved = ctx.saved_tensors
        weights, call, dout = saved[: ctx.n_weights], ctx.call, gradients[0].contiguous()
        filters = [weight.permute(2, 0, 1).flip(0).contiguous() for weight in weights[2:-2:2]]  # (width, d, d)
        call.flipped = _affines(filters, weights[3:-2:2])
        shapes = [_by_tap(weight).shape for weight in weights]
        sizes = [weight.numel() for weight in weights]
        d_weights = torch.empty(torch.get_num_threads(), sum(sizes))                        # one partial sum per thread
        dx, n_padded = torch.empty_like(x), call.n_rows + (call.n_seqs + 1) * call.half
        d_filters = torch.empty(len(filters), n_padded, call.d_model, dtype=ctx.low)
        call.n_threads = len(d_weights)
        native.run("convolution_backward", call, ctx.low, dout=dout, dx=dx, d_filters=d_filters, d_weights=d_weights)
        grads = [grad.view(shape) for grad, shape in zip(torch.split(d_weights[0], sizes), shapes, strict=True)]
        return dx, None, None, None, None, *(grad.transpose(1, 2) if grad.dim() == 3 else grad for grad in grads)


def _forward(
    x: Tensor, packing: Packing, low: torch.dtype, dropout: float, eps: float, weights: Sequence[Tensor], *,
    saving: bool,
) -> tuple[native.Convolution, list[Tensor]]:
    """Run the forward pass.

    Returns:
        The arguments of the compiled function; the output, followed by the tensors that the backward pass reads.
    """
    (n, d), starts = x.shape, packing.starts
    filters = [_by_tap(weight).contiguous() for weight in weights[2:-2:2]]                  # (d, width, d)
    widths = torch.tensor([weight.shape[1] for weight in filters])
    half = int(widths.max()) // 2
    n_padded = n + len(starts) * half
    call = native.Convolution(n_rows=n, n_seqs=len(starts) - 1, d_model=d, n_filters=len(filters), half=half, eps=eps,
                              filters=_affines(filters, weights[3:-2:2]))
    call.norm.point_to(*weights[:2])
    call.output.point_to(*weights[-2:])
    n_packed = (int(widths.sum()) + len(filters)) * d * d
    tensors = {
        "out": torch.empty(n, d), "cu_seqlens": starts, "widths": widths,
        "padded": torch.empty(n_padded, dtype=torch.int64), "norm_stats": torch.empty(n, 2),
        "normed": torch.empty(n_padded, d, dtype=low), "activated": torch.empty(n_padded, len(filters) * d, dtype=low),
        "packed_weights": torch.empty(n_packed, dtype=low),
    }
    if saving:
        tensors["activation_grad"] = torch.empty_like(tensors["activated"])
    if dropout:
        tensors["dropout_mask"] = torch.empty(-(-n * d // 64), dtype=torch.int64)
        call.dropout_threshold = n_dropped(dropout)
        call.seed = int(torch.randint(2**63 - 1, ()))
    native.run("convolution", call, low, x=x, **tensors)
    return call, [*tensors.values(), *filters]


def _by_tap(weight: Tensor) -> Tensor:
    """View the weight of a filter with its inputs last, ``(d, width, d)``; return other weights unchanged."""
    return weight.transpose(1, 2) if weight.dim() == 3 else weight


def _affines(weights: Sequence[Tensor], biases: Sequence[Tensor]) -> ctypes.Array[native.Affine]:
    affines = (native.Affine * len(weights))()
    for affine, weight, bias in zip(affines, weights, biases, strict=True):
        affine.point_to(weight, bias)
    return affines
