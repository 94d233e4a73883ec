"""Training on several devices: one process each, started by torchrun, all with the same weights."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from transformer.errors import TransformerError

T = TypeVar("T")
CPU = torch.device("cpu")


@dataclass(frozen=True)
class World:
    """The processes that train one model together; alone, every method does nothing or gives back what it was given.

    All processes call the same methods in the same order.

    Attributes:
        rank: this process's number, from 0; the first one writes files and reports.
        size: number of processes.
        device: this process's own.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    def share(self, items: Sequence[T]) -> list[T]:
        """What this process has of a batch: every ``size``-th, so that lengths are alike. Perhaps none."""
        return list(items[self.rank :: self.size])

    def sum(self, *values: float) -> list[float]:
        """Each value's sum over the processes."""
        if self.size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(sums)
        total: list[float] = sums.tolist()
        return total

    def gather(self, value: T) -> list[T]:
        """Each process's value, in the order of their numbers."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's tensors, in place."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def sum_gradients(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        """Add up gradients, in place, and losses over the processes, all in one message.

        A weight without a gradient in every process is left without; without one in some, they count as 0.

        Args:
            parameters: the same ones in every process.
            loss: *Shape:* scalar.

        Returns:
            The sum of the losses. *Shape:* scalar.
        """
        if self.size == 1:
            return loss
        used = loss.new_tensor([parameter.grad is not None for parameter in parameters])
        flat = torch.cat([loss[None], used, *(_gradient(parameter).flatten() for parameter in parameters)])
        dist.all_reduce(flat)
        total, used, *gradients = torch.split(flat, [1, len(parameters), *(weight.numel() for weight in parameters)])
        for parameter, gradient, users in zip(parameters, gradients, used.tolist(), strict=True):
            parameter.grad = gradient.view_as(parameter) if users else None
        return total.squeeze()

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()

    def close(self) -> None:
        """Take leave of the others."""
        if self.size > 1:
            dist.destroy_process_group()


def world(device: torch.device = CPU) -> World:
    """The processes that torchrun started, or this one alone.

    Args:
        device: the kind of device; each process of a machine gets a GPU of its own.

    Raises:
        TransformerError: if torchrun started more processes than there are GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World(device=device)
    if device.type == "cuda":
        local, n_devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= n_devices:
            raise TransformerError(f"torchrun started process {local + 1} of this machine, which has {n_devices} GPUs: "
                                   f"give it --nproc-per-node {n_devices}, or set training.device=cpu")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    return World(int(os.environ["RANK"]), size, device)


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
