"""AdamW and the moving average of a word table at the cost of the words in a batch, not of those in the vocabulary.

Dense AdamW visits the whole table at every step: a row whose word is not in the batch goes on moving by the momentum
that it has, its moments shrink, and its average follows. None of that depends on anything but the row itself and the
step's number, so it is put off and made up for when the word is next met ("lazy moments", but without their bias: the
row ends where dense updates would have taken it). From step ``s``, when it was last met, to step ``t``,

    m_t = b1^(t-s) m_s,    v_t = b2^(t-s) v_s,    w_t = w_s - G(s, t) u,    with    u = m_s / (sqrt(v_s) + eps c_s),

where ``G`` is the sum over the steps ``k`` between of ``lr_k c_k / (1 - b1^k) (b1 / sqrt(b2))^(k-s)``, with
``c_k = sqrt(1 - b2^k)``. The average ``a_k = q_k a_(k-1) + (1 - q_k) w_k`` becomes ``P a_s + (1 - P) w_s - H u``,
where ``P`` is the product of the ``q_k`` and ``H`` is the average of ``G``. The one approximation is that ``eps c``
changes as ``sqrt(v)`` does during the steps put off, which shows with gradients of some 1e-7 (``eps`` is 1e-8).
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

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8  # AdamW's own, which the other weights have
NOTHING = 1e-12                       # a share this small of a row's motion, or of its old average, is none
BLOCK = 8192                          # rows that are brought up to date together: little memory is taken beside
NEVER = -1                            # a row that was not met yet has no moments, and is its own average


class History:
    """What the steps since each earlier one would have done to a row that was last met then.

    The entries of the arrays are the steps at which a row may have been met, 0 (before the first) to :attr:`now`.

    Args:
        ema: largest share of the average that a step keeps.

    Attributes:
        now: steps so far.
        moves: of those, how many AdamW made.
    """

    def __init__(self, ema: float) -> None:
        ranges = [math.log(NOTHING) / math.log(share) for share in (BETA1 / math.sqrt(BETA2), ema) if share]
        self._range = math.ceil(max(ranges))  # older entries do not change any more
        self.now, self.moves = 0, 0
        self._moved = np.zeros(1, dtype=np.int64)        # AdamW's steps until then
        self._push = np.ones(1)                          # (b1 / sqrt(b2)) ^ (AdamW's steps since then)
        self._way, self._mean_way = np.zeros(1), np.zeros(1)   # G and H
        self._old = np.ones(1)                           # P

    def advance(self, rate: float, kept: float, *, moves: bool) -> None:
        """Take in a step.

        Args:
            rate: learning rate.
            kept: share of the average that is kept.
            moves: AdamW makes a step; if not, only the average does.
        """
        recent = slice(max(0, self.now - self._range), self.now + 1)
        if moves:
            self.moves += 1
            size = rate * math.sqrt(1 - BETA2**self.moves) / (1 - BETA1**self.moves)
            self._push[recent] *= BETA1 / math.sqrt(BETA2)
            self._way[recent] += size * self._push[recent]
        self._mean_way[recent] += (1 - kept) * (self._way[recent] - self._mean_way[recent])
        self._old[recent] *= kept
        self.now += 1
        if self.now == len(self._moved):
            self._grow(2 * self.now)
        self._moved[self.now] = self.moves

    def since(self, met: Tensor) -> tuple[Tensor, ...]:
        """Of rows last met at these steps: what ``m`` and ``v`` shrink by, ``eps c``, ``G``, ``H`` and ``P``.

        Args:
            met: *Shape:* ``(n,)``, int64.

        Returns:
            float32. *Shape:* ``(n, 1)`` each.
        """
        steps = met.numpy()
        moved = self._moved[steps]
        passed = self.moves - moved
        found = (BETA1**passed, BETA2**passed, EPS * np.sqrt(1 - BETA2**moved), self._way[steps],
                 self._mean_way[steps], self._old[steps])
        return tuple(torch.from_numpy(numbers.astype(np.float32))[:, None] for numbers in found)

    def state(self) -> dict[str, Tensor]:
        """Everything, to go on from. *Shape:* ``(now + 1,)`` each."""
        return {name: torch.from_numpy(numbers[: self.now + 1].copy()) for name, numbers in self.arrays().items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave."""
        for name in self.arrays():
            setattr(self, f"_{name}", state[name].numpy().copy())
        self.now = len(self._moved) - 1
        self.moves = int(self._moved[-1])

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """An entry for each step. *Shape:* ``(room,)`` each, of which ``now + 1`` are used."""
        return {name: getattr(self, f"_{name}") for name in ("moved", "push", "way", "mean_way", "old")}

    def _grow(self, size: int) -> None:
        new = {"moved": 0, "push": 1.0, "way": 0.0, "mean_way": 0.0, "old": 1.0}
        for name, numbers in self.arrays().items():
            more = np.full(size - len(numbers), new[name], dtype=numbers.dtype)
            setattr(self, f"_{name}", np.concatenate([numbers, more]))


class SparseAdamW:
    """Updates one table, and its average, row by row; to be used like an optimizer.

    Before a row is read it must be brought up to date (:meth:`flush_rows`); before the whole table is, all of them
    (:meth:`flush`).

    Args:
        weight: the table, whose gradient is sparse. *Shape:* ``(n_rows, dim)``, float32, on the CPU.
        average: of the weight's values, kept in place. *Shape:* likewise.
        lr: highest learning rate.
        ema: largest share of the average that a step keeps.
    """

    def __init__(self, weight: nn.Parameter, average: Tensor, *, lr: float, ema: float) -> None:
        self.weight, self.average, self.highest_lr, self.lr = weight, average, lr, lr
        self._first, self._second = (torch.from_numpy(np.zeros(weight.shape, dtype=np.float32)) for _ in "mv")
        self._met = torch.full((len(weight),), NEVER)  # the step at which each row was last brought up to date
        self._history = History(ema)

    def gradient(self) -> Tensor | None:
        """The gradient of the rows in the batch, each once, to be changed in place. *Shape:* ``(n, dim)``."""
        if self.weight.grad is None:
            return None
        self.weight.grad = self.weight.grad.coalesce()
        return self.weight.grad.values()

    @torch.no_grad()
    def step(self, kept: float) -> None:
        """One step of AdamW, and of the average, which keeps this share of itself."""
        if not self.weight.requires_grad:
            return
        grad = self.weight.grad
        self._history.advance(self.lr, kept, moves=grad is not None)
        if grad is None:
            return
        rows, values = grad.indices()[0], grad.values()
        moves = self._history.moves
        if native.available():
            factors = {"step_size": self.lr / (1 - BETA1**moves),
                       "inv_sqrt_bias_correction2": 1 / math.sqrt(1 - BETA2**moves), "ema_decay": kept}
            self._run("sparse_adamw_step", rows, factors, grad=values)
            return
        first = self._first[rows].lerp_(values, 1 - BETA1)                                  # (n, dim)
        second = self._second[rows].mul_(BETA2).addcmul_(values, values, value=1 - BETA2)   # (n, dim)
        spread = (second.sqrt() / math.sqrt(1 - BETA2**moves)).add_(EPS)
        moved = self.weight[rows].addcdiv_(first, spread, value=-self.lr / (1 - BETA1**moves))
        self._put(rows, first, second, moved, self.average[rows].lerp_(moved, 1 - kept))

    @torch.no_grad()
    def flush_rows(self, ids: Tensor) -> None:
        """Bring rows to where dense updates would have them by now. *Shape:* any, integers; ids may repeat."""
        if native.available():
            past = self._history.arrays()
            self._run("sparse_adamw_flush_rows", ids.flatten().long(), {}, adamw_steps=past["moved"],
                      displacement=past["way"], average_displacement=past["mean_way"], average_decay=past["old"])
            return
        rows = torch.unique(ids)
        met = self._met[rows]
        rows = rows[(met != NEVER) & (met < self._history.now)]
        if not len(rows):
            return
        shrink1, shrink2, eps, way, mean_way, old = self._history.since(self._met[rows])
        first, second, weight = self._first[rows], self._second[rows], self.weight[rows]    # (n, dim)
        push = first / second.sqrt().add_(eps)
        average = weight.lerp(self.average[rows], old).addcmul_(push, mean_way, value=-1)
        self._put(rows, first.mul_(shrink1), second.mul_(shrink2), weight.addcmul_(push, way, value=-1), average)

    def flush(self) -> None:
        """Bring all rows up to date."""
        for rows in torch.split(torch.arange(len(self.weight)), BLOCK):
            self.flush_rows(rows)

    def state(self) -> dict[str, Tensor]:
        """What a stopped training needs of it beside weight and average; not brought up to date, so as to be equal."""
        return {"exp_avg": self._first, "exp_avg_sq": self._second, "met": self._met, **self._history.state()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave."""
        for mine, name in ((self._first, "exp_avg"), (self._second, "exp_avg_sq"), (self._met, "met")):
            mine.copy_(state[name])
        self._history.load(state)

    def _run(self, function: str, rows: Tensor, factors: Mapping[str, float], **arrays: Any) -> None:
        """Call a compiled function for some rows. *Shape:* ``(n,)``, int64."""
        call = native.SparseAdamW(n_rows=len(rows), width=self.weight.shape[1], step=self._history.now, beta1=BETA1,
                                  beta2=BETA2, eps=EPS, **factors)
        native.run(function, call, rows=rows, weight=self.weight.detach(), exp_avg=self._first,
                   exp_avg_sq=self._second, average=self.average, last_step=self._met, **arrays)

    def _put(self, rows: Tensor, first: Tensor, second: Tensor, weight: Tensor, average: Tensor) -> None:
        for table, new in ((self._first, first), (self._second, second), (self.weight, weight),
                           (self.average, average)):
            table.detach().index_copy_(0, rows, new)
        self._met[rows] = self._history.now
