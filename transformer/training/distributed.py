"""Data-parallel training: one process for each device, started by torchrun."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from embeddings.table.arguments import flag
from transformer.errors import TransformerError
from transformer.training.shared_memory import SharedMemory, is_possible

T = TypeVar("T")
CPU = torch.device("cpu")


@dataclass(frozen=True)
class World:
    """The process group that trains one model.

    All processes must call the same methods in the same order. With one process, the methods do not communicate.

    Attributes:
        rank: index of this process; rank 0 writes files and reports progress.
        size: number of processes.
        device: device of this process.
        memory: memory that the processes of one machine share; None for messages over the network.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU
    memory: SharedMemory | None = None

    def share(self, items: Sequence[T]) -> list[T]:
        """Return this process's part of a batch: every ``size``-th item, so that lengths are similar. May be empty."""
        return list(items[self.rank :: self.size])

    def sum(self, *values: float) -> list[float]:
        """Sum each value over all processes."""
        if self.size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        with _reports_lost_processes():
            dist.all_reduce(sums)
        total: list[float] = sums.tolist()
        return total

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes in the order of their ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        with _reports_lost_processes():
            dist.all_gather_object(values, value)
        return values

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Copy the tensors of rank 0 to all processes, in place."""
        if self.size > 1:
            with _reports_lost_processes():
                for tensor in tensors:
                    dist.broadcast(tensor.detach(), src=0)

    def average_gradients(
        self, weights: Sequence[nn.Parameter], tables: Sequence[nn.Parameter], loss: Tensor, numbers: Sequence[float],
    ) -> tuple[Tensor, list[float]]:
        """Average the gradients (in place) and the losses of all processes, and sum other numbers.

        There are two exchanges: an all-reduce of everything but the tables, and for each table a gather of the rows of
        the batch. All processes receive the same bits. A gradient that is None in all processes stays None; one that is
        None in some counts as 0 there.

        Args:
            weights: the parameters with a dense gradient, the same in all processes.
            tables: those with a sparse gradient, the same in all processes. *Shape:* ``(n_rows, dim)`` each, float32,
                with fewer than 2^31 rows.
            loss: *Shape:* scalar.
            numbers: numbers to sum, below 2^24. The first is the weight of this process in the averages.

        Returns:
            The average loss (*shape:* scalar), and the sums of the numbers.
        """
        if self.size == 1:
            return loss, list(numbers)
        parts = [_rows_of(table) for table in tables]
        counts = loss.new_zeros(len(tables), self.size)
        counts[:, self.rank] = loss.new_tensor([len(rows) for rows, _ in parts])
        used = loss.new_tensor([weight.grad is not None for weight in weights])
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        summed = [loss.new_tensor(numbers), counts.flatten(), used]
        averaged = [loss[None], *(gradient.flatten() for gradient in gradients)]
        flat = torch.cat([*summed, *averaged])
        flat[sum(map(len, summed)):] *= numbers[0]
        flat = self._sum_tensor(flat)
        sums, counts, used, loss, *gradients = torch.split(flat, [*map(len, summed), *map(len, averaged)])
        total = float(sums[0]) or 1.0  # without any target, all gradients are 0
        flat[sum(map(len, summed)):] /= total
        for weight, gradient, users in zip(weights, gradients, used.tolist(), strict=True):
            weight.grad = gradient.view_as(weight) if users else None
        for table, (rows, values), each in zip(tables, parts, counts.view(-1, self.size).int().tolist(), strict=True):
            table.grad = self._sum_rows(rows, values * (numbers[0] / total), each, table)
        return loss.squeeze(), sums.tolist()

    def _sum_rows(self, rows: Tensor, values: Tensor, counts: Sequence[int], table: Tensor) -> Tensor | None:
        """Sum the rows of the sparse gradients of all processes, which have these numbers of rows."""
        if not any(counts):
            return None
        sent = values.new_zeros(max(counts), values.shape[1] + 1)                           # (largest n, dim + 1)
        sent[: len(rows), :-1], sent[: len(rows), -1] = values, rows.int().view(torch.float32)
        received = self.gather_tensor(sent)                                                 # (size, largest n, dim + 1)
        parts = [part[:count] for part, count in zip(received, counts, strict=True)]
        values = torch.cat([part[:, :-1] for part in parts])  # contiguous, as PyTorch assumes of a single row too
        indices = torch.cat([part[:, -1] for part in parts]).view(torch.int32).long()       # (n,)
        return torch.sparse_coo_tensor(indices[None], values, table.shape, check_invariants=False).coalesce()

    def gather_tensor(self, tensor: Tensor) -> Tensor:
        """Return the tensors of all processes, which have the same shape. *Shape:* ``(size, *shape of the tensor)``.

        The result is valid until the next but one exchange.
        """
        if self.size == 1:
            return tensor[None]
        gathered = self._shared(tensor)
        if gathered is None:
            parts = [torch.empty_like(tensor) for _ in range(self.size)]
            with _reports_lost_processes():
                dist.all_gather(parts, tensor)
            return torch.stack(parts)
        return gathered

    def _sum_tensor(self, tensor: Tensor) -> Tensor:
        """Sum the tensors of all processes, which have the same shape; the tensor itself may be changed."""
        gathered = self._shared(tensor)
        if gathered is None:
            with _reports_lost_processes():
                dist.all_reduce(tensor)
            return tensor
        total = gathered[0] + gathered[1]  # faster than torch.sum for so few rows
        for part in gathered[2:]:
            total += part
        return total

    def _shared(self, tensor: Tensor) -> Tensor | None:
        """Gather by shared memory, if possible."""
        if self.memory is None:
            return None
        with _reports_lost_processes():
            return self.memory.gather(tensor)

    def barrier(self) -> None:
        """Wait until all processes have reached this call."""
        if self.size > 1:
            with _reports_lost_processes():
                dist.barrier()

    def close(self) -> None:
        """Leave the process group."""
        if self.memory is not None:
            self.memory.close()
        if self.size > 1:
            dist.destroy_process_group()


def world(device: torch.device = CPU) -> World:
    """Join the process group that torchrun started; without torchrun, return a group of one process.

    Args:
        device: type of device; with ``cuda``, each process of a machine gets a different GPU.

    Raises:
        TransformerError: if torchrun started more processes than the machine has GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World(device=device)
    if device.type == "cuda":
        local, n_devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= n_devices:
            raise TransformerError(f"torchrun started process {local + 1} on a machine with {n_devices} GPUs; run "
                                   f"torchrun --nproc-per-node {n_devices}, or set training.device=cpu")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    rank = int(os.environ["RANK"])
    return World(rank, size, device, SharedMemory(rank, size) if device.type == "cpu" and is_possible(size) else None)


@contextmanager
def _reports_lost_processes() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ProcessLookupError) as error:  # gloo has no class of its own for them
        raise TransformerError(f"the connection to another process of this training is lost ({_in_short(error)}). "
                               f"Start all processes again with {flag('resume')}") from error


def _in_short(error: Exception) -> str:
    """Return the first sentence of an error of gloo, without the place in its source."""
    return str(error).partition("\n")[0].rpartition("] ")[2].partition(". ")[0]


def _rows_of(table: nn.Parameter) -> tuple[Tensor, Tensor]:
    """Return the numbers and the values of the rows of a sparse gradient. *Shape:* ``(n,)`` and ``(n, dim)``."""
    if table.grad is None:
        return torch.zeros(0, dtype=torch.int64), table.new_zeros(0, table.shape[1]).detach()
    gradient = table.grad.coalesce()
    return gradient.indices()[0], gradient.values()
