"""The numbers that a model computes with: float32, or bfloat16 where that is faster."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

FAST = ("avx512_bf16", "amx_bf16")  # what processors call matrix products of bfloat16


def autocast(device: torch.device, name: str) -> AbstractContextManager[object]:
    """Compute in a precision within the block; weights, their gradients and losses stay float32.

    Args:
        device: where the model is.
        name: ``float32``, ``bfloat16``, or ``auto``: bfloat16 where the device multiplies it faster, else float32.
    """
    if choose_precision(device, name) == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)  # a kept cache goes stale at a step


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
