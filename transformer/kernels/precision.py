"""Precision of computation: float32, bfloat16 where that is faster, or int8 for predictions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

import torch
from torch import nn

from transformer.errors import TransformerError
from transformer.kernels import native

BFLOAT16_FEATURES = ("avx512_bf16", "amx_bf16")  # CPU features for matrix products in bfloat16


def autocast(device: torch.device, name: str) -> AbstractContextManager[object]:
    """Compute in a precision inside the block; weights, gradients and losses remain float32.

    Args:
        device: device of the model.
        name: ``float32``, ``bfloat16``, ``auto`` or ``int8``. ``auto`` is bfloat16 where the device has fast matrix
            products for it, and otherwise float32. ``int8`` is for predictions by encoders on a CPU: the layers that
            support it compute in int8, everything else in float32.

    Raises:
        TransformerError: if int8 is not supported on this machine.
    """
    if name == "int8":
        if device.type != "cpu" or not native.available(torch.int8):
            raise TransformerError(
                "precision int8 needs a processor with AVX2 or AVX-512, and a C++ compiler at installation time; one "
                "of them is missing. Use precision float32")
        return _int8()
    if choose_precision(device, name) == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)  # cached casts become stale


_INT8_ENABLED: ContextVar[bool] = ContextVar("int8_enabled", default=False)


@contextmanager
def _int8() -> Iterator[None]:
    token = _INT8_ENABLED.set(True)
    try:
        yield
    finally:
        _INT8_ENABLED.reset(token)


def low_dtype(device: torch.device) -> torch.dtype:
    """Return the current dtype of the layers' matrix products: float32, bfloat16 or int8."""
    if device.type == "cpu" and _INT8_ENABLED.get():
        return torch.int8
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else torch.float32


def in_float32(device: torch.device) -> AbstractContextManager[object]:
    """Compute in float32 inside the block, regardless of the surrounding autocast."""
    return torch.autocast(device.type, enabled=False) if torch.is_autocast_enabled(device.type) else nullcontext()


def choose_precision(device: torch.device, name: str) -> str:
    """Resolve ``auto`` for a device; return other names unchanged."""
    if name != "auto":
        return name
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        fast = device.type == "cpu" and any(capabilities.get(feature) for feature in BFLOAT16_FEATURES)
    return "bfloat16" if fast else "float32"


def training_precision(model: nn.Module, name: str) -> str:
    """Resolve ``auto`` for training a model on its device; return other names unchanged.

    On a CPU, a decoder with cross-attention is computed by PyTorch, which compiles products in bfloat16 again for each
    shape of a batch. ``auto`` is float32 there, which takes less time.
    """
    device = next(model.parameters()).device
    crosses = any(getattr(module, "cross_attention", None) is not None for module in model.modules())
    if name == "auto" and device.type == "cpu" and crosses:
        return "float32"
    return choose_precision(device, name)
