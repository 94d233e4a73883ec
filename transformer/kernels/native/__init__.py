"""What a training step spends its time on, as compiled code: in bfloat16 by AVX-512, and in float32 by AVX2.

It is built where the package is installed, if there is a compiler for it, from the same sources for both; where it is
missing, or the processor is of another kind, torch computes the same. Here are its functions and what they take.
"""

from __future__ import annotations

import ctypes
import sysconfig
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LANES = 16  # widths and heads must be multiples of it
FILES = {dtype: Path(__file__).with_name(f"_{name}{sysconfig.get_config_var('EXT_SUFFIX')}")
         for dtype, name in ((torch.float32, "float32"), (torch.bfloat16, "bfloat16"))}

_ADDRESS, _INT, _DOUBLE = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


class Part(ctypes.Structure):
    """Addresses of a linear map's or a norm's weight and bias, float32."""

    _fields_ = [("weight", _ADDRESS), ("bias", _ADDRESS)]


class Layer(ctypes.Structure):
    """A call of a layer: what ``struct Layer`` in ``layer.h`` says, in its order; shapes are there."""

    __slots__ = ()  # a name that is none of these is refused
    _fields_ = [
        *((name, _INT) for name in (
            "n_rows", "n_texts", "d", "f", "n_heads", "n_threads", "causal", "post", "dropped")),
        ("seed", ctypes.c_uint64), ("eps", _DOUBLE), ("starts", _ADDRESS), ("parts", Part * 8),
        *((name, _ADDRESS) for name in (
            "x", "middle", "path", "sum", "out", "moments", "log_sums", "looking", "asked", "mixed", "thinking", "bent",
            "slope", "bits", "panels", "grad", "of_x", "of_mixed", "of_asked", "grads")),
    ]


class FirstWord(ctypes.Structure):
    """A call of a layer for first words alone: ``struct FirstWord`` in ``first_token.cpp``."""

    __slots__ = ()
    _fields_ = [
        ("layer", Layer), ("n_rows", _INT),
        *((name, _ADDRESS) for name in (
            "x", "looked", "moments", "begin", "query", "asked", "pattern", "seen", "of_x")),
    ]

    @property
    def n_threads(self) -> int:
        """Those of the layer."""
        return int(self.layer.n_threads)

    @n_threads.setter
    def n_threads(self, n: int) -> None:
        self.layer.n_threads = n


class Reading(ctypes.Structure):
    """A call of layers in eight bits a number: ``struct Reading`` in ``int8_encoder.cpp``."""

    __slots__ = ()
    _fields_ = [
        *((name, _INT) for name in ("n_texts", "d", "f", "n_heads", "n_layers", "n_threads", "post")), ("eps", _DOUBLE),
        *((name, _ADDRESS) for name in ("starts", "layers", "x", "ids", "table", "positions")),
        ("start", Part), ("norm", Part),
        *((name, _ADDRESS) for name in ("out", "embedded", "pooled", "first", "panels", "scales")),
    ]


class Views(ctypes.Structure):
    """A call of the pooling of texts: ``struct Views`` in ``pooling.cpp``."""

    __slots__ = ()
    _fields_ = [
        *((name, _INT) for name in ("n_texts", "width", "n_threads")),
        *((name, _ADDRESS) for name in (
            "starts", "hidden", "embedded", "pooled", "highest", "grad", "of_hidden", "of_embedded")),
    ]


class Table(ctypes.Structure):
    """A call of the updates of a word table: ``struct Table`` in ``sparse_adamw.cpp``."""

    __slots__ = ()
    _fields_ = [
        *((name, _INT) for name in ("n_rows", "width", "n_threads")),
        *((name, _ADDRESS) for name in ("rows", "weight", "first", "second", "average", "met")),
        ("now", _INT), ("grad", _ADDRESS),
        *((name, _DOUBLE) for name in ("beta1", "beta2", "eps", "rate", "correction", "kept")),
        *((name, _ADDRESS) for name in ("moved", "way", "mean_way", "old")),
    ]


FUNCTIONS = {"layer": Layer, "layer_backward": Layer, "first_word": FirstWord, "first_word_backward": FirstWord,
             "read": Reading, "views": Views, "views_backward": Views,
             "table_step": Table, "table_catch_up": Table}


def available(dtype: torch.dtype | None = None) -> bool:
    """Whether there is compiled code here that the processor can run; if a ``dtype`` is given, of layers in it."""
    return _library(dtype) is not None


def run(
    function: str, call: ctypes.Structure, dtype: torch.dtype | None = None, **arrays: Tensor | NDArray[np.generic]
) -> None:
    """Call a function of the compiled code, on as many threads as torch has.

    Args:
        function: one of :data:`FUNCTIONS`.
        call: what it is called with.
        dtype: of a layer's activations, float32, bfloat16, or int8.
        arrays: by the names of the addresses that are set to them; contiguous, and kept by the caller.
    """
    library = _library(dtype)
    assert library is not None, "whoever calls this has asked whether it is available"
    point(call, **arrays)
    call.n_threads = call.n_threads or torch.get_num_threads()
    getattr(library, f"vecformer_{function}")(ctypes.byref(call))


def point(call: ctypes.Structure, **arrays: Tensor | NDArray[np.generic]) -> None:
    """Set the addresses that a function is called with, as :func:`run` does."""
    for name, array in arrays.items():
        setattr(call, name, array.data_ptr() if isinstance(array, Tensor) else array.ctypes.data)


@cache
def _library(dtype: torch.dtype | None) -> ctypes.CDLL | None:
    """The code for layers in a dtype; what is in both files is quicker in that for bfloat16."""
    if dtype not in FILES:
        return _library(torch.bfloat16) or _library(torch.float32)
    if not FILES[dtype].exists():
        return None
    library = ctypes.CDLL(str(FILES[dtype]))
    if not library.vecformer_supported():
        return None
    for name, structure in FUNCTIONS.items():
        function = getattr(library, f"vecformer_{name}")
        function.argtypes, function.restype = [ctypes.POINTER(structure)], None
    if fork := _fork():
        library.vecformer_threads.argtypes = [_ADDRESS]
        library.vecformer_threads(fork)
    return library


def _fork() -> int | None:
    """The address of what starts torch's threads, if that is GNU's OpenMP; without it one thread does everything."""
    try:
        torch_itself = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return ctypes.cast(torch_itself.GOMP_parallel, _ADDRESS).value
    except (OSError, AttributeError):
        return None
