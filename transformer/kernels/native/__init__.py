"""Compiled kernels: embedding, convolutions, layers, pooling, clipping, and AdamW.

Layers are in float32 (AVX2, AVX-512), bfloat16 (AVX-512, AMX) or int8. The libraries are built from the same C++
sources when the package is installed and a compiler is available. Where a library is missing or was built from other
sources, or the processor lacks its instructions, PyTorch computes the same.
"""

from __future__ import annotations

import ctypes
import logging
import sysconfig
from collections.abc import Sequence
from functools import cache
from itertools import count, takewhile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

log = logging.getLogger("vecformer")

LANES = 16  # d_model, d_ff and d_head must be multiples of it
FILES = {dtype: {instructions: Path(__file__).with_name(f"_{name}{sysconfig.get_config_var('EXT_SUFFIX')}")
                 for instructions, name in libraries.items()}
         for dtype, libraries in ((torch.float32, {"AVX-512": "float32_avx512", "AVX2": "float32"}),
                                  (torch.bfloat16, {"AVX-512": "bfloat16"}))}
"""Files of the libraries by the dtype of their layers and by their instructions, the fastest first."""

ABI_VERSION = 6  # that of calls.h

_POINTER, _INT, _DOUBLE = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


class Affine(ctypes.Structure):
    """Pointers to weight and bias of a linear map or a norm, float32."""

    __slots__ = ()  # assignment to an undeclared field raises AttributeError; so in all classes below
    _fields_ = [("weight", _POINTER), ("bias", _POINTER)]

    def point_to(self, weight: Tensor, bias: Tensor) -> None:
        """Set both pointers; the caller keeps the tensors alive."""
        self.weight, self.bias = weight.data_ptr(), bias.data_ptr()


class LayerWeights(ctypes.Structure):
    """Weights of a layer: ``struct LayerWeights`` in ``calls.h``."""

    __slots__ = ()
    _fields_ = [("norms", Affine * 2), ("linears", Affine * 6)]

    def point_to(self, weights: Sequence[Tensor]) -> None:
        """Set all pointers to contiguous float32 tensors: weight and bias of each norm and linear map, in order."""
        for affine, weight, bias in zip((*self.norms, *self.linears), weights[::2], weights[1::2], strict=True):
            affine.point_to(weight, bias)


class Layer(ctypes.Structure):
    """Arguments of a layer: ``struct Layer`` in ``calls.h``, which documents the shapes."""

    __slots__ = ()
    _fields_ = [
        *((name, _INT) for name in (
            "n_rows", "n_seqs", "d_model", "d_ff", "n_heads", "n_threads", "causal", "post", "dropout_threshold")),
        ("seed", ctypes.c_uint64), ("eps", _DOUBLE), ("cu_seqlens", _POINTER), ("weights", LayerWeights),
        *((name, _POINTER) for name in (
            "x", "resid_mid", "ffn_resid", "resid_out", "out", "norm_stats", "lse", "ln1_out", "qkv", "attn_out",
            "ln2_out", "activated", "activation_grad", "dropout_mask", "packed_weights", "dout", "dx", "d_attn_out",
            "d_qkv", "d_weights")),
    ]


class FirstToken(ctypes.Structure):
    """Arguments of a layer that computes first tokens only: ``struct FirstToken`` in ``calls.h``."""

    __slots__ = ()
    _fields_ = [
        ("layer", Layer), ("n_rows", _INT),
        *((name, _POINTER) for name in (
            "x", "ln1_out", "norm_stats", "first_rows", "q", "q_wk", "pattern", "context", "dx")),
    ]

    @property
    def n_threads(self) -> int:
        """Number of threads of the layer."""
        return int(self.layer.n_threads)

    @n_threads.setter
    def n_threads(self, n: int) -> None:
        self.layer.n_threads = n


class Embedding(ctypes.Structure):
    """Arguments of positions and dropout: ``struct Embedding`` in ``calls.h``."""

    __slots__ = ()
    _fields_ = [
        *((name, _INT) for name in ("n_rows", "n_seqs", "width", "n_threads", "dropout_threshold")),
        ("seed", ctypes.c_uint64),
        *((name, _POINTER) for name in (
            "cu_seqlens", "embedded", "positions", "x", "dropout_mask", "dx", "d_embedded")),
    ]


class Convolution(ctypes.Structure):
    """Arguments of convolutions over tokens: ``struct Convolution`` in ``calls.h``, which documents the shapes."""

    __slots__ = ()
    _fields_ = [
        *((name, _INT) for name in (
            "n_rows", "n_seqs", "d_model", "n_filters", "half", "n_threads", "dropout_threshold")),
        ("seed", ctypes.c_uint64), ("eps", _DOUBLE), ("cu_seqlens", _POINTER), ("widths", _POINTER),
        ("norm", Affine), ("output", Affine), ("filters", ctypes.POINTER(Affine)), ("flipped", ctypes.POINTER(Affine)),
        *((name, _POINTER) for name in (
            "x", "out", "padded", "norm_stats", "normed", "activated", "activation_grad", "dropout_mask",
            "packed_weights", "dout", "dx", "d_filters", "d_weights")),
    ]


class Int8Call(ctypes.Structure):
    """Arguments of an encoder in int8: ``struct Int8Call`` in ``calls.h``."""

    __slots__ = ()
    _fields_ = [
        *((name, _INT) for name in ("n_seqs", "d_model", "d_ff", "n_heads", "n_layers", "n_threads", "post")),
        ("eps", _DOUBLE),
        *((name, _POINTER) for name in (
            "cu_seqlens", "layers", "x", "token_ids", "embedding", "position_embedding")),
        ("embedding_norm", Affine), ("final_norm", Affine),
        *((name, _POINTER) for name in ("out", "embedded", "pooled", "first_token", "packed_weights", "weight_scales")),
    ]


class Pooling(ctypes.Structure):
    """Arguments of the pooling of sequences: ``struct Pooling`` in ``calls.h``."""

    __slots__ = ()
    _fields_ = [
        *((name, _INT) for name in ("n_seqs", "width", "n_threads")),
        *((name, _POINTER) for name in (
            "cu_seqlens", "hidden", "embedded", "pooled", "argmax", "d_pooled", "d_hidden", "d_embedded")),
    ]


class Features(ctypes.Structure):
    """Arguments of an encoder's layers with pooling: ``struct Features`` in ``calls.h``."""

    __slots__ = ()
    _fields_ = [
        ("layer", Layer), ("weights", ctypes.POINTER(LayerWeights)), ("seeds", _POINTER), ("n_layers", _INT),
        ("norm", Affine), ("embedded", _POINTER), ("pooled", _POINTER), ("memory", _POINTER), ("memory_size", _INT),
        *((name, _POINTER) for name in ("d_pooled", "d_embedded", "d_weights")),
    ]

    @property
    def n_threads(self) -> int:
        """Number of threads of each layer."""
        return int(self.layer.n_threads)

    @n_threads.setter
    def n_threads(self, n: int) -> None:
        self.layer.n_threads = n


class Clipping(ctypes.Structure):
    """Arguments of clipping: ``struct Clipping`` in ``calls.h``."""

    __slots__ = ()
    _fields_ = [("n_grads", _INT), ("n_threads", _INT), ("grads", _POINTER), ("max_norm", _DOUBLE),
                ("norm", _DOUBLE)]


class DenseWeight(ctypes.Structure):
    """A weight with its gradient, moments and average: ``struct DenseWeight`` in ``calls.h``."""

    __slots__ = ()
    _fields_ = [
        ("size", _INT),
        *((name, _POINTER) for name in ("grad", "weight", "exp_avg", "exp_avg_sq", "average", "step")),
        ("lr", _DOUBLE), ("weight_decay", _DOUBLE),
    ]


class DenseAdamW(ctypes.Structure):
    """Arguments of AdamW for whole weights: ``struct DenseAdamW`` in ``calls.h``."""

    __slots__ = ()
    _fields_ = [("n_weights", _INT), ("n_threads", _INT), ("weights", ctypes.POINTER(DenseWeight)),
                *((name, _DOUBLE) for name in ("lr_factor", "beta1", "beta2", "eps", "ema_decay"))]


class SparseAdamW(ctypes.Structure):
    """Arguments of row-wise AdamW: ``struct SparseAdamW`` in ``calls.h``."""

    __slots__ = ()
    _fields_ = [
        *((name, _INT) for name in ("n_rows", "width", "n_threads")),
        *((name, _POINTER) for name in ("rows", "weight", "exp_avg", "exp_avg_sq", "average", "last_step")),
        ("step", _INT), ("grad", _POINTER),
        *((name, _DOUBLE) for name in ("beta1", "beta2", "eps", "lr", "ema_decay")),
        *((name, _POINTER) for name in ("adamw_steps", "displacement", "average_displacement", "average_decay")),
    ]


# In the order of calls.h.
STRUCTURES = (Affine, LayerWeights, Layer, FirstToken, Embedding, Convolution, Int8Call, Pooling, Features, Clipping,
              DenseWeight, DenseAdamW, SparseAdamW)
FUNCTIONS = {"layer": Layer, "layer_backward": Layer, "first_token": FirstToken, "first_token_backward": FirstToken,
             "embedding": Embedding, "embedding_backward": Embedding, "convolution": Convolution,
             "convolution_backward": Convolution, "int8_encoder": Int8Call, "pooling": Pooling,
             "pooling_backward": Pooling, "features_size": Features, "features": Features,
             "features_backward": Features, "clip": Clipping, "dense_adamw_step": DenseAdamW,
             "sparse_adamw_step": SparseAdamW, "sparse_adamw_flush_rows": SparseAdamW}


def available(dtype: torch.dtype | None = None) -> bool:
    """Return whether a library can be used on this machine; with ``dtype``, whether one has layers in that dtype."""
    return _library(dtype) is not None


def uses_matrix_units() -> bool:
    """Return whether products in bfloat16 are computed on matrix units (AMX)."""
    library = _library(torch.bfloat16)
    return library is not None and bool(library.vecformer_uses_matrix_units())


def use_matrix_units(wanted: bool) -> None:
    """Use matrix units from now on, or not; by default they are used if the processor has some.

    Args:
        wanted: use them, if there are some and the system lets this process use them.
    """
    if library := _library(torch.bfloat16):
        library.vecformer_use_matrix_units(wanted)


def run(
    function: str, call: ctypes.Structure, dtype: torch.dtype | None = None, **arrays: Tensor | NDArray[np.generic]
) -> None:
    """Call a compiled function on as many threads as PyTorch uses, unless ``call.n_threads`` is set.

    Args:
        function: one of :data:`FUNCTIONS`.
        call: its arguments.
        dtype: dtype of a layer's activations: float32, bfloat16 or int8.
        arrays: contiguous arrays by the name of the pointer to set; the caller keeps them alive.
    """
    library = _library(dtype)
    assert library is not None, "available() must be checked first"
    set_pointers(call, **arrays)
    call.n_threads = call.n_threads or torch.get_num_threads()
    getattr(library, f"vecformer_{function}")(ctypes.byref(call))


def set_pointers(call: ctypes.Structure, **arrays: Tensor | NDArray[np.generic]) -> None:
    """Set pointers of a call to arrays, as :func:`run` does."""
    for name, array in arrays.items():
        setattr(call, name, array.data_ptr() if isinstance(array, Tensor) else array.ctypes.data)


def instructions(dtype: torch.dtype) -> str:
    """Return the instructions that compute the layers of a dtype: ``AVX2``, ``AVX-512`` or ``AMX``; "" for none."""
    if dtype == torch.bfloat16 and uses_matrix_units():
        return "AMX"
    return next((name for name, file in FILES[dtype].items() if _load(file)), "")


@cache
def _library(dtype: torch.dtype | None) -> ctypes.CDLL | None:
    """Return the library for a dtype; functions in all are preferred in the one for bfloat16."""
    if dtype not in FILES:
        return _library(torch.bfloat16) or _library(torch.float32)
    return next((library for file in FILES[dtype].values() if (library := _load(file))), None)


def forget_libraries() -> None:
    """Load the libraries again when they are next needed, for tests."""
    _library.cache_clear()
    _load.cache_clear()


@cache
def _load(file: Path) -> ctypes.CDLL | None:
    """Load a library, unless it does not exist, was built from other sources, or is not for this processor."""
    if not file.exists():
        return None
    library = ctypes.CDLL(str(file))
    if _abi(library) != [ABI_VERSION, *map(ctypes.sizeof, STRUCTURES)]:
        log.warning("%s was built from other sources and is not used: run `pip install -e .` again", file)
        return None
    if not library.vecformer_supported():
        return None
    for name, structure in FUNCTIONS.items():
        function = getattr(library, f"vecformer_{name}")
        function.argtypes, function.restype = [ctypes.POINTER(structure)], None
    library.vecformer_use_matrix_units(True)
    if address := omp_parallel():
        library.vecformer_set_omp_parallel.argtypes = [_POINTER]
        library.vecformer_set_omp_parallel(address)
    return library


def _abi(library: ctypes.CDLL) -> list[int]:
    """Return the ABI version and the structure sizes that a library was compiled with; [] if it does not have any."""
    try:
        function = library.vecformer_abi
    except AttributeError:
        return []
    function.restype = ctypes.POINTER(_INT)
    numbers = function()
    return list(takewhile(bool, (numbers[i] for i in count())))


@cache
def omp_parallel() -> int | None:
    """Return the address of PyTorch's ``GOMP_parallel``, or None (one thread) if it has another OpenMP runtime."""
    try:
        libtorch = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return ctypes.cast(libtorch.GOMP_parallel, _POINTER).value
    except (OSError, AttributeError):
        return None
