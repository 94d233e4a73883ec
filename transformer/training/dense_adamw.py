"""AdamW with a moving average for whole weights, and gradient clipping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.adamw import adamw

from transformer.kernels import native

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


class DenseAdamW:
    """AdamW (Loshchilov & Hutter 2019) for whole weights, and their moving average.

    On a CPU, one compiled call updates all weights in one pass over memory. Elsewhere PyTorch's fused function is
    called, not its class: creating an instance of ``torch.optim.AdamW`` imports PyTorch's compiler, which takes longer
    than a short training run.

    Args:
        groups: parameter groups (:func:`transformer.training.schedule.parameter_groups`).
        averages: moving average of each weight of the groups, updated in place.

    Attributes:
        weights: all weights of the groups.
        lr_factor: learning rates as a fraction of the peak rates.
    """

    def __init__(self, groups: Sequence[Mapping[str, Any]], averages: Mapping[nn.Parameter, Tensor]) -> None:
        self.weights: list[nn.Parameter] = [weight for group in groups for weight in group["params"]]
        self.lr_factor = 1.0
        self._groups, self._averages = groups, averages
        self._state: dict[nn.Parameter, dict[str, Tensor]] = {}
        self._compiled = can_compile(self.weights)
        self._addressed: list[int] = []  # where the weights are that have an entry in _addresses
        self._addresses = (native.DenseWeight * 0)()

    @torch.no_grad()
    def step(self, ema_decay: float) -> None:
        """Update the weights that have a gradient, and the averages of all trained weights."""
        updated = []
        for weight in self.weights:
            if weight.grad is not None:
                # Neither the compiled code nor PyTorch's supports a gradient of another layout than its weight.
                weight.grad = weight.grad.contiguous()
                updated.append(weight)
                if weight not in self._state:
                    self._state[weight] = {"exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight),
                                           "step": torch.zeros((), device=weight.device)}
        if self._compiled:
            self._step_compiled(updated, ema_decay)
        else:
            self._step_in_pytorch()
        averaged = [weight for weight in self.weights
                    if weight.requires_grad and (weight.grad is None or not self._compiled)]
        if averaged:
            torch._foreach_lerp_([self._averages[weight] for weight in averaged], [*averaged], 1 - ema_decay)

    def state(self) -> Mapping[nn.Parameter, dict[str, Tensor]]:
        """Return the state of the weights that have had a gradient: both moments, and the number of steps."""
        return self._state

    def load(self, state: Mapping[nn.Parameter, Mapping[str, Tensor]]) -> None:
        """Restore the state from :meth:`state`."""
        self._state = {weight: {key: tensor.to(weight.device) for key, tensor in tensors.items()}
                       for weight, tensors in state.items()}
        self._addressed = []

    def _step_compiled(self, weights: Sequence[nn.Parameter], ema_decay: float) -> None:
        grads = [grad for weight in weights if (grad := weight.grad) is not None]
        if self._addressed != [weight.data_ptr() for weight in weights]:
            self._address(weights)
        for address, grad in zip(self._addresses, grads, strict=True):
            address.grad = grad.data_ptr()
        native.run("dense_adamw_step", native.DenseAdamW(
            n_weights=len(weights), weights=self._addresses, lr_factor=self.lr_factor, beta1=BETA1, beta2=BETA2,
            eps=EPS, ema_decay=ema_decay))

    def _address(self, weights: Sequence[nn.Parameter]) -> None:
        """Fill in the addresses of these weights and of their state, which stay the same between steps."""
        groups = {weight: group for group in self._groups for weight in group["params"]}
        self._addresses = (native.DenseWeight * len(weights))()
        for address, weight in zip(self._addresses, weights, strict=True):
            native.set_pointers(address, weight=weight.detach(), average=self._averages[weight], **self._state[weight])
            address.size = weight.numel()
            address.lr, address.weight_decay = groups[weight]["peak_lr"], groups[weight]["weight_decay"]
        self._addressed = [weight.data_ptr() for weight in weights]

    def _step_in_pytorch(self) -> None:
        for group in self._groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                grads = [grad for weight in weights if (grad := weight.grad) is not None]
                exp_avgs, exp_avg_sqs, steps = ([self._state[weight][key] for weight in weights]
                                                for key in ("exp_avg", "exp_avg_sq", "step"))
                adamw([*weights], grads, exp_avgs, exp_avg_sqs, [], steps, fused=True, amsgrad=False, beta1=BETA1,
                      beta2=BETA2, lr=group["peak_lr"] * self.lr_factor, weight_decay=group["weight_decay"], eps=EPS,
                      maximize=False)


def clip_gradients(gradients: Sequence[Tensor], max_norm: float) -> Tensor:
    """Scale gradients in place so that their norm is at most ``max_norm`` (Pascanu et al. 2013, arXiv 1211.5063).

    Returns:
        The norm of all gradients together, before. *Shape:* scalar.
    """
    if can_compile(gradients):
        spans = np.array([(grad.numel(), grad.data_ptr()) for grad in gradients], dtype=np.int64)
        call = native.Clipping(n_grads=len(gradients), max_norm=max_norm)
        native.run("clip", call, grads=spans)
        return torch.tensor(call.norm, dtype=torch.float32)
    norm = get_total_norm(gradients, foreach=True)
    torch._foreach_mul_([*gradients], (max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm


def can_compile(tensors: Sequence[Tensor]) -> bool:
    """Return whether compiled code can update tensors like these: contiguous, in float32, on a CPU."""
    return native.available() and all(
        tensor.is_cpu and tensor.dtype == torch.float32 and tensor.is_contiguous() for tensor in tensors)
