"""Settings of the training process's memory: malloc keeps freed memory, garbage collection skips existing objects."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

MIB = 2**20
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h
RETAINED = {M_MMAP_THRESHOLD: 32 * MIB, M_TRIM_THRESHOLD: 1024 * MIB, M_TOP_PAD: 64 * MIB}
RETURNED = {M_MMAP_THRESHOLD: MIB, M_TRIM_THRESHOLD: 2 * MIB, M_TOP_PAD: MIB}


def retain_heap() -> None:
    """Keep freed memory in this process instead of returning it to the operating system (glibc only).

    A training step frees memory that the next step allocates again. By default glibc returns it to the system, which
    fills it with zeros for every allocation; this takes a tenth of the time of a step.
    """
    _set_thresholds(RETAINED)


def return_free_memory() -> None:
    """Return freed memory to the operating system, now and when it is freed, until :func:`retain_heap` (glibc only).

    An array that grows beyond 1 MiB then has memory of its own, and leaves no gap in the heap.
    """
    _set_thresholds(RETURNED)
    if (trim := _malloc_function("malloc_trim")) is not None:
        trim(0)


def _set_thresholds(sizes: Mapping[int, int]) -> None:
    """Set options of malloc, in bytes (``man 3 mallopt``)."""
    if (mallopt := _malloc_function("mallopt")) is not None:
        for option, size in sizes.items():
            mallopt(option, size)


def _malloc_function(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


@contextmanager
def frozen_gc() -> Iterator[None]:
    """Exclude existing objects from garbage collection inside the block.

    Otherwise every full collection traverses all words of a large vocabulary.
    """
    if gc.get_freeze_count():  # already frozen by the caller
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
