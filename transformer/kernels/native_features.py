"""The layers of an encoder, the norm after them and the pooling as one call of compiled code, forward and backward.

With a few hundred tokens in a batch, PyTorch's bookkeeping between the layers takes as long as the layers.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch._utils import _unflatten_dense_tensors
from torch.autograd.function import once_differentiable

from transformer.kernels import native
from transformer.kernels.engine import has_hooks
from transformer.kernels.layer_spec import FEEDFORWARD_INNER, spec_of, weights_of
from transformer.kernels.native_layer import LayerCall, without_int8
from transformer.kernels.packing import Packing
from transformer.layers.dropout import n_dropped

if TYPE_CHECKING:
    from transformer.models.stack import Stack

N_LAYER_WEIGHTS = 16  # weights and biases of a layer


def can_compute_features(stack: Stack) -> bool:
    """Whether one call can compute all layers of a stack whose layers compiled code can compute.

    They must have the same shape, and the epsilon of the last norm; the norm must not have a hook.
    """
    layers = stack.transformer_layers()
    shapes = {(spec_of(layer), layer.dropout.p, layer.feedforward.inner.out_features) for layer in layers}
    norm = stack.norm
    return not stack.causal and len(shapes) == 1 and not has_hooks(norm) and (
        isinstance(norm, nn.Identity) or (norm.eps == layers[0].attention_norm.eps and norm.weight.is_contiguous()))


def features_weights(stack: Stack) -> list[Tensor]:
    """Return the weights of all layers (:func:`weights_of`), then weight and bias of the last norm, if there is one."""
    return [*chain.from_iterable(map(weights_of, stack.transformer_layers())), *stack.norm.parameters()]


class Lease:
    """Memory for one forward and backward pass; it is free again when this object is deleted.

    malloc returns large blocks to the operating system, which fills them with zeros when they are allocated again.

    Args:
        free: free blocks; one that is large enough is taken.
        size: bytes.

    Attributes:
        memory: at least ``size`` bytes.
    """

    def __init__(self, free: list[Tensor], size: int) -> None:
        found = free.pop() if free else torch.empty(0)
        self.memory = found if len(found) >= size else torch.empty(size + size // 8, dtype=torch.uint8)
        self._free = free

    def __del__(self) -> None:
        self._free.append(self.memory)


def free_memory(stack: Stack) -> list[Tensor]:
    """Return an empty list of free blocks, for the calls of a stack."""
    return []


def features(
    x: Tensor, embedded: Tensor, weights: list[Tensor], call: LayerCall, packing: Packing, free: list[Tensor]
) -> Tensor:
    """Compute the pooled features of an encoder's output.

    Args:
        x: input of the first layer. *Shape:* ``(n_rows, d_model)``, float32.
        embedded: token embeddings. *Shape:* as ``x``.
        weights: as :func:`features_weights` returns them, float32.
        call: how to compute each layer.
        packing: the batch of the rows.
        free: blocks of memory that may be used, and to which those of this call are returned.

    Returns:
        float32. *Shape:* ``(batch, 3 d_model)``.
    """
    made: Tensor = NativeFeatures.apply(  # type: ignore[no-untyped-call]
        x.contiguous(), embedded.contiguous(), packing.starts, without_int8(call), free, *weights)
    return made


class NativeFeatures(torch.autograd.Function):
    """Pooled features as a function of the first layer's input, the embeddings and all weights."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, embedded: Tensor, starts: Tensor, given: LayerCall, free: list[Tensor], *weights: Tensor
    ) -> Tensor:
        """Map ``(n_rows, d_model)`` twice, with ``(batch + 1,)`` int64 starts, to ``(batch, 3 d_model)``."""
        (n, d), n_layers = x.shape, len(weights) // N_LAYER_WEIGHTS
        call = native.Features(n_layers=n_layers, layer=native.Layer(
            n_rows=n, n_seqs=len(starts) - 1, d_model=d, d_ff=len(weights[FEEDFORWARD_INNER]), **given.spec._asdict()))
        ctx.layers = (native.LayerWeights * n_layers)()
        for i, layer in enumerate(ctx.layers):
            layer.point_to(weights[i * N_LAYER_WEIGHTS : (i + 1) * N_LAYER_WEIGHTS])
        if norm := weights[n_layers * N_LAYER_WEIGHTS :]:
            call.norm.point_to(*norm)
        call.weights = ctx.layers
        if given.dropout:
            call.layer.dropout_threshold = n_dropped(given.dropout)
            seeds = torch.randint(2**63 - 1, (n_layers,))
        else:
            seeds = torch.zeros(n_layers, dtype=torch.int64)
        native.set_pointers(call.layer, cu_seqlens=starts, x=x)
        native.run("features_size", call, given.low, seeds=seeds, embedded=embedded)
        ctx.lease, pooled = Lease(free, call.memory_size), torch.empty(len(starts) - 1, 3 * d)
        native.run("features", call, given.low, memory=ctx.lease.memory, pooled=pooled)
        ctx.call, ctx.low = call, given.low
        ctx.save_for_backward(x, embedded, starts, seeds, *weights)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients of both inputs and of every weight."""
        x, embedded, _, _, *weights = ctx.saved_tensors
        call, d_pooled, n_threads = ctx.call, gradients[0].contiguous(), torch.get_num_threads()
        layers = [weights[i : i + N_LAYER_WEIGHTS] for i in range(0, len(weights), N_LAYER_WEIGHTS)]
        sizes = [sum(weight.numel() for weight in layer) for layer in layers]
        d_weights = torch.empty(n_threads * sum(sizes))                                     # one partial sum per thread
        dx, d_embedded = torch.empty_like(x), torch.empty_like(embedded)
        call.n_threads = n_threads
        native.set_pointers(call.layer, dx=dx)
        native.run("features_backward", call, ctx.low, d_pooled=d_pooled, d_embedded=d_embedded, d_weights=d_weights)
        parts = torch.split(d_weights, [n_threads * size for size in sizes])                # the totals come first
        d_layers = (_unflatten_dense_tensors(part[:size], layer)  # type: ignore[no-untyped-call]
                    for part, size, layer in zip(parts, sizes, layers, strict=True))
        return dx, d_embedded, None, None, None, *chain.from_iterable(d_layers)
