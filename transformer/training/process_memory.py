"""What the training process does with its memory: freed blocks are kept, old objects are not collected."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

MIB = 2**20
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # glibc's malloc.h


def retain_heap() -> None:
    """Let this process keep memory that is freed, where the C library is glibc; elsewhere nothing happens.

    A training step frees what the next one needs again. glibc would hand it to the system and ask for it anew, and the
    system fills it with zeros each time: a tenth of a step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, size in ((M_MMAP_THRESHOLD, 32 * MIB), (M_TRIM_THRESHOLD, 1024 * MIB), (M_TOP_PAD, 64 * MIB)):
            mallopt(option, size)


@contextmanager
def frozen_gc() -> Iterator[None]:
    """Let the garbage collector pass over what there is already within the block.

    It would go through every word of a large vocabulary again and again.
    """
    if gc.get_freeze_count():  # somebody else does so
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
