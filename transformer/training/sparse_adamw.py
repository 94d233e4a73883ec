"""AdamW with a moving average for embedding tables; a step costs time for the rows of its batch only.

Dense AdamW updates the whole table in every step. A row without a gradient still moves by its momentum, its moments
decay, and its average follows. These changes depend only on the row and on the number of the step. They are therefore
deferred and applied together when the row is next looked up. Unlike the "lazy" variants of Adam this is not biased: the
row reaches the value that dense updates would have given it. From step ``s``, in which it was last updated, to step
``t``,

    m_t = b1^(t-s) m_s,    v_t = b2^(t-s) v_s,    w_t = w_s - G(s, t) u,    with    u = m_s / (sqrt(v_s) + eps c_s),

where ``G`` is the sum over the steps ``k`` between of ``lr_k c_k / (1 - b1^k) (b1 / sqrt(b2))^(k-s)``, with
``c_k = sqrt(1 - b2^k)``. The average ``a_k = q_k a_(k-1) + (1 - q_k) w_k`` becomes ``P a_s + (1 - P) w_s - H u``,
where ``P`` is the product of the ``q_k`` and ``H`` is the average of ``G``. There is one approximation: ``eps c`` is
scaled like ``sqrt(v)`` over the deferred steps. The difference is measurable for gradients of about 1e-7 (``eps`` is
1e-8).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from transformer.kernels import native
from transformer.training.dense_adamw import BETA1, BETA2, EPS

NEGLIGIBLE = 1e-12  # a smaller fraction of the momentum or of the earlier average is ignored
FLUSH_ROWS = 8192   # rows updated together by flush(), which limits the temporary memory
NEVER = -1          # last step of a row without any gradient: its moments are 0, and it equals its average

CHECKPOINT_KEYS = {"adamw_steps": "moved", "momentum": "push", "displacement": "way",
                   "average_displacement": "mean_way", "average_decay": "old"}
"""The arrays of :class:`DeferredSteps`, and their keys in a checkpoint."""


class DeferredSteps:
    """Coefficients of the deferred updates of a row, indexed by the step in which the row was last updated.

    The indices run from 0 (before the first step) to :attr:`step`.

    Args:
        max_decay: largest decay of the moving average in any step.

    Attributes:
        step: number of steps so far.
        n_adamw_steps: number of these with an AdamW update.
    """

    def __init__(self, max_decay: float) -> None:
        ranges = [math.log(NEGLIGIBLE) / math.log(decay) for decay in (BETA1 / math.sqrt(BETA2), max_decay) if decay]
        self._range = math.ceil(max(ranges))  # coefficients of earlier steps no longer change
        self.step, self.n_adamw_steps = 0, 0
        self._adamw_steps = np.zeros(1, dtype=np.int64)   # AdamW updates up to this step
        self._momentum = np.ones(1)                       # (b1 / sqrt(b2)) ^ (AdamW updates since this step)
        self._displacement = np.zeros(1)                  # G
        self._average_displacement = np.zeros(1)          # H
        self._average_decay = np.ones(1)                  # P

    def append(self, lr: float, ema_decay: float, *, adamw: bool) -> None:
        """Append a step.

        Args:
            lr: learning rate.
            ema_decay: decay of the moving average.
            adamw: whether the step has an AdamW update; otherwise only the average changes.
        """
        recent = slice(max(0, self.step - self._range), self.step + 1)
        displacement, average_displacement = self._displacement[recent], self._average_displacement[recent]
        if adamw:
            self.n_adamw_steps += 1
            size = lr * math.sqrt(1 - BETA2**self.n_adamw_steps) / (1 - BETA1**self.n_adamw_steps)
            self._momentum[recent] *= BETA1 / math.sqrt(BETA2)
            displacement += size * self._momentum[recent]
        average_displacement += (1 - ema_decay) * (displacement - average_displacement)
        self._average_decay[recent] *= ema_decay
        self.step += 1
        if self.step == len(self._adamw_steps):
            self._grow(2 * self.step)
        self._adamw_steps[self.step] = self.n_adamw_steps

    def coefficients(self, last_step: Tensor) -> tuple[Tensor, ...]:
        """Compute the coefficients of rows: the decay of ``m`` and ``v``, ``eps c``, ``G``, ``H`` and ``P``.

        Args:
            last_step: step in which each row was last updated. *Shape:* ``(n,)``, int64.

        Returns:
            float32. *Shape:* ``(n, 1)`` each.
        """
        steps = last_step.numpy()
        before = self._adamw_steps[steps]
        deferred = self.n_adamw_steps - before
        columns = (BETA1**deferred, BETA2**deferred, EPS * np.sqrt(1 - BETA2**before), self._displacement[steps],
                   self._average_displacement[steps], self._average_decay[steps])
        return tuple(torch.from_numpy(column.astype(np.float32))[:, None] for column in columns)

    def state(self) -> dict[str, Tensor]:
        """Copy the arrays for a checkpoint. *Shape:* ``(step + 1,)`` each."""
        return {CHECKPOINT_KEYS[name]: torch.from_numpy(array[: self.step + 1].copy())
                for name, array in self.arrays().items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore the arrays from :meth:`state`."""
        for name, key in CHECKPOINT_KEYS.items():
            setattr(self, f"_{name}", state[key].numpy().copy())
        self.step = len(self._adamw_steps) - 1
        self.n_adamw_steps = int(self._adamw_steps[-1])

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays by name. *Shape:* ``(capacity,)`` each, of which ``step + 1`` entries are used."""
        return {name: getattr(self, f"_{name}") for name in CHECKPOINT_KEYS}

    def _grow(self, size: int) -> None:
        initial = {"adamw_steps": 0, "momentum": 1.0, "displacement": 0.0, "average_displacement": 0.0,
                   "average_decay": 1.0}
        for name, array in self.arrays().items():
            new = np.full(size - len(array), initial[name], dtype=array.dtype)
            setattr(self, f"_{name}", np.concatenate([array, new]))


class SparseAdamW:
    """AdamW for the rows of one embedding table, and the moving average of the rows.

    Call :meth:`flush_rows` before rows are read, and :meth:`flush` before the whole table is read.

    Args:
        weight: the table; its gradient is sparse. *Shape:* ``(n_rows, dim)``, float32, on the CPU.
        average: moving average of the table, updated in place. *Shape:* as ``weight``.
        lr: peak learning rate.
        ema: largest decay of the moving average in any step.
    """

    def __init__(self, weight: nn.Parameter, average: Tensor, *, lr: float, ema: float) -> None:
        self.weight, self.average, self.peak_lr, self.lr = weight, average, lr, lr
        self._exp_avg, self._exp_avg_sq = (torch.from_numpy(np.zeros(weight.shape, dtype=np.float32)) for _ in "mv")
        self._last_step = torch.full((len(weight),), NEVER)  # step in which each row was last updated
        self._deferred = DeferredSteps(ema)

    def gradient(self) -> Tensor | None:
        """Coalesce the gradient and return its rows, which may be modified in place. *Shape:* ``(n, dim)``."""
        if self.weight.grad is None:
            return None
        self.weight.grad = self.weight.grad.coalesce()
        return self.weight.grad.values()

    @torch.no_grad()
    def step(self, ema_decay: float) -> None:
        """Update the rows that have a gradient with AdamW, and their moving average with this decay."""
        if not self.weight.requires_grad:
            return
        grad = self.weight.grad
        self._deferred.append(self.lr, ema_decay, adamw=grad is not None)
        if grad is None:
            return
        rows, values = grad.indices()[0], grad.values()
        if native.available():
            self._run("sparse_adamw_step", rows, {"lr": self.lr, "ema_decay": ema_decay}, grad=values,
                      adamw_steps=self._deferred.arrays()["adamw_steps"])
            return
        step = self._deferred.n_adamw_steps
        exp_avg = self._exp_avg[rows].lerp_(values, 1 - BETA1)                                      # (n, dim)
        exp_avg_sq = self._exp_avg_sq[rows].mul_(BETA2).addcmul_(values, values, value=1 - BETA2)   # (n, dim)
        denominator = (exp_avg_sq.sqrt() / math.sqrt(1 - BETA2**step)).add_(EPS)
        weight = self.weight[rows].addcdiv_(exp_avg, denominator, value=-self.lr / (1 - BETA1**step))
        self._store(rows, exp_avg, exp_avg_sq, weight, self.average[rows].lerp_(weight, 1 - ema_decay))

    @torch.no_grad()
    def flush_rows(self, ids: Tensor) -> None:
        """Apply the deferred updates of these rows. *Shape:* any, integers; ids may repeat."""
        if native.available():
            arrays = self._deferred.arrays()
            del arrays["momentum"]
            self._run("sparse_adamw_flush_rows", ids.flatten().long(), {}, **arrays)
            return
        rows = torch.unique(ids)
        last_step = self._last_step[rows]
        rows = rows[(last_step != NEVER) & (last_step < self._deferred.step)]
        if not len(rows):
            return
        decay1, decay2, eps, displacement, average_displacement, average_decay = self._deferred.coefficients(
            self._last_step[rows])
        exp_avg, exp_avg_sq, weight = self._exp_avg[rows], self._exp_avg_sq[rows], self.weight[rows]    # (n, dim)
        direction = exp_avg / exp_avg_sq.sqrt().add_(eps)
        average = weight.lerp(self.average[rows], average_decay).addcmul_(direction, average_displacement, value=-1)
        weight.addcmul_(direction, displacement, value=-1)
        self._store(rows, exp_avg.mul_(decay1), exp_avg_sq.mul_(decay2), weight, average)

    def flush(self) -> None:
        """Apply the deferred updates of all rows."""
        for rows in torch.split(torch.arange(len(self.weight)), FLUSH_ROWS):
            self.flush_rows(rows)

    def state(self) -> dict[str, Tensor]:
        """Return the state for a checkpoint, without weight and average.

        Deferred updates are not applied, so that a resumed run computes the same bits.
        """
        return {"exp_avg": self._exp_avg, "exp_avg_sq": self._exp_avg_sq, "met": self._last_step,
                **self._deferred.state()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state from :meth:`state`."""
        for tensor, key in ((self._exp_avg, "exp_avg"), (self._exp_avg_sq, "exp_avg_sq"), (self._last_step, "met")):
            tensor.copy_(state[key])
        self._deferred.load(state)

    def _run(self, function: str, rows: Tensor, factors: Mapping[str, float], **arrays: Any) -> None:
        """Call a compiled function for some rows. *Shape:* ``(n,)``, int64."""
        call = native.SparseAdamW(n_rows=len(rows), width=self.weight.shape[1], step=self._deferred.step, beta1=BETA1,
                                  beta2=BETA2, eps=EPS, **factors)
        native.run(function, call, rows=rows, weight=self.weight.detach(), exp_avg=self._exp_avg,
                   exp_avg_sq=self._exp_avg_sq, average=self.average, last_step=self._last_step, **arrays)

    def _store(self, rows: Tensor, exp_avg: Tensor, exp_avg_sq: Tensor, weight: Tensor, average: Tensor) -> None:
        for table, new in ((self._exp_avg, exp_avg), (self._exp_avg_sq, exp_avg_sq), (self.weight, weight),
                           (self.average, average)):
            table.detach().index_copy_(0, rows, new)
        self._last_step[rows] = self._deferred.step
