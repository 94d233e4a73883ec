"""Exchange of tensors between the processes of one machine through memory that they share.

Gloo sends messages over sockets and wakes sleeping threads, which can take longer than a training step. Here each
process writes its tensor to a block of its own, and reads those of the others when their counters show that they are
complete. The counters are plain integers, which requires that stores become visible in program order, as on x86-64.
"""

from __future__ import annotations

import os
import platform
import select
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

FOLDER = Path("/dev/shm")  # a file system in memory
LINE = 8                   # 64-bit integers of a cache line, so that no two counters share one
ROOM = 1.5                 # size of new blocks, relative to what is needed
SPIN_SECONDS = 0.005       # for which a process looks at a counter again and again; then it sleeps between two looks
SLEEP_SECONDS = 0.0002


class SharedMemory:
    """Memory that all processes of a group see: counters, and two blocks for each process, used in turn.

    A process that writes its block of a turn knows that all others have begun the turn before, so that they have read
    the blocks of the turn before that. The memory is freed when the processes end, for whatever reason.

    Args:
        rank: index of this process.
        size: number of processes; all of them must call the same methods in the same order.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self._turn = 0
        self._processes = [os.pidfd_open(process) for process in _gathered(os.getpid(), size)]
        self._counters = self._mapped(LINE * size, torch.int64)
        self._blocks = self._mapped(0, torch.float32)

    def gather(self, tensor: Tensor) -> Tensor | None:
        """Return the tensors of all processes, which have the same shape.

        Args:
            tensor: float32, on the CPU.

        Returns:
            A view of the shared memory, valid until the next but one call. *Shape:* ``(size, *shape of the tensor)``.
            None in all processes if there is no room for the blocks.

        Raises:
            ProcessLookupError: if another process has ended.
        """
        n = tensor.numel()
        if self._blocks is not None and 2 * self.size * n > len(self._blocks):
            self._blocks = self._mapped(2 * self.size * int(ROOM * n), torch.float32)
        if self._counters is None or self._blocks is None:
            return None
        self._turn += 1
        blocks = self._blocks.view(2, self.size, -1)[self._turn % 2, :, :n]                 # (size, n)
        blocks[self.rank] = tensor.detach().flatten()
        seen = self._counters.numpy().data  # read in a tenth of the time of a tensor's element
        seen[LINE * self.rank] = self._turn
        for other in range(self.size):
            self._wait(seen, other)
        return blocks.view(self.size, *tensor.shape)

    def close(self) -> None:
        """End the observation of the other processes."""
        while self._processes:
            os.close(self._processes.pop())

    def _wait(self, seen: memoryview, other: int) -> None:
        """Wait until another process has written its block of this turn."""
        place, begin = LINE * other, 0.0
        while seen[place] < self._turn:
            now = time.monotonic()
            begin = begin or now
            if now - begin > SPIN_SECONDS:
                ended, _, _ = select.select([self._processes[other]], [], [], SLEEP_SECONDS)
                if ended and seen[place] < self._turn:
                    raise ProcessLookupError(f"process {other + 1} of {self.size} has ended")

    def _mapped(self, n: int, dtype: torch.dtype) -> Tensor | None:
        """Map the same new memory in all processes, filled with zeros; None if one of them cannot.

        *Shape:* ``(n,)``.
        """
        if not n:
            return torch.zeros(0, dtype=dtype)
        path = [_new_file(n * dtype.itemsize) if self.rank == 0 else ""]
        dist.broadcast_object_list(path, src=0)
        found: Tensor | None = None
        if path[0]:
            with suppress(RuntimeError):
                found = torch.from_file(path[0], shared=True, size=n, dtype=dtype)
        is_mapped = all(_gathered(found is not None, self.size))
        if self.rank == 0 and path[0]:
            Path(path[0]).unlink()
        return found if is_mapped else None


def is_possible(size: int) -> bool:
    """Whether all processes of this group are on this machine, and its processor and system are suitable."""
    return (os.environ.get("LOCAL_WORLD_SIZE") == str(size) and platform.machine() in ("x86_64", "AMD64")
            and hasattr(os, "pidfd_open") and os.access(FOLDER, os.W_OK))


def _new_file(n_bytes: int) -> str:
    """Create a file of this size in memory; "" if there is no room."""
    descriptor, path = tempfile.mkstemp(prefix="vecformer-", dir=FOLDER)
    try:
        os.posix_fallocate(descriptor, 0, n_bytes)  # a write to memory that does not exist would end the process
    except OSError:
        Path(path).unlink()
        return ""
    finally:
        os.close(descriptor)
    return path


def _gathered(value: int, size: int) -> list[int]:
    """Return the numbers of all processes in the order of their ranks."""
    values = [0] * size
    dist.all_gather_object(values, value)
    return values
