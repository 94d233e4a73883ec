"""The numbers that a model computes with: float32, bfloat16 where that is faster, or int8 for predictions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

import torch

from transformer.errors import TransformerError
from transformer.kernels import native

FAST = ("avx512_bf16", "amx_bf16")  # what processors call matrix products of bfloat16


def autocast(device: torch.device, name: str) -> AbstractContextManager[object]:
    """Compute in a precision within the block; weights, their gradients and losses stay float32.

    Args:
        device: where the model is.
        name: ``float32``, ``bfloat16``, or ``auto``: bfloat16 where the device multiplies it faster, else float32. Or
            ``int8``, for predictions by encoders on a CPU: layers that have such a form compute in it, everything else
            in float32.

    Raises:
        TransformerError: if there is no code for int8 here.
    """
    if name == "int8":
        if device.type != "cpu" or not native.available(torch.int8):
            raise TransformerError(
                "precision int8 needs a processor with AVX2 or AVX-512, and a C++ compiler at the installation; one of "
                "them is missing here. Use precision float32")
        return _bytes()
    if choose_precision(device, name) == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)  # a kept cache goes stale at a step


_BYTES: ContextVar[bool] = ContextVar("bytes", default=False)


@contextmanager
def _bytes() -> Iterator[None]:
    token = _BYTES.set(True)
    try:
        yield
    finally:
        _BYTES.reset(token)


def low_dtype(device: torch.device) -> torch.dtype:
    """What the matrix products of layers are in now: float32, bfloat16 or int8."""
    if device.type == "cpu" and _BYTES.get():
        return torch.int8
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32


def in_float32(device: torch.device) -> AbstractContextManager[object]:
    """Compute in float32 within the block, whatever goes on around it."""
    return torch.autocast(device.type, enabled=False) if torch.is_autocast_enabled(device.type) else nullcontext()


def choose_precision(device: torch.device, name: str) -> str:
    """What ``auto`` means on a device; another name means itself."""
    if name != "auto":
        return name
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        fast = device.type == "cpu" and any(found.get(name) for name in FAST)
    return "bfloat16" if fast else "float32"
