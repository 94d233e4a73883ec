"""Tensors of a checkpoint's folder: safetensors or, if they are trusted, pickles; single or sharded; read on access."""

from __future__ import annotations

import math
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from embeddings.table.arguments import flag
from embeddings.table.safetensors import open_tensors, shard_files
from transformer.errors import CheckpointError
from transformer.pretrained.part import Part

SAFETENSORS, PICKLE = "model.safetensors", "pytorch_model.bin"
BLOCK = 2**25      # bytes that are read from a memory map before it is closed
ROW_BLOCK = 2**20  # bytes that are converted at once


class TensorFile(ABC):
    """A memory-mapped file of tensors.

    Pages of a memory map that were read count as memory of the process. The map is therefore closed after every
    :data:`BLOCK` bytes, and opened again when it is needed.

    Args:
        path: the file.

    Attributes:
        shapes: shape of each tensor, by name.
        floats: names of the tensors of floats.
    """

    shapes: dict[str, tuple[int, ...]]
    floats: set[str]
    is_mapped = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._n_read = 0
        self._opened: Any = self.open()

    def rows(self, name: str, rows: slice) -> NDArray[np.float32]:
        """Return rows of a tensor, float32: a view of the map until the next call, or a copy."""
        if self._opened is None or (self._n_read >= BLOCK and self.is_mapped):
            self._opened, self._n_read = None, 0  # the old map is closed first
            self._opened = self.open()
        found = self.read(self._opened, name, rows)
        self._n_read += found.nbytes
        return found

    @abstractmethod
    def open(self) -> Any:
        """Open the file and set :attr:`shapes` and :attr:`floats`; raises ValueError if it is damaged."""

    @abstractmethod
    def read(self, opened: Any, name: str, rows: slice) -> NDArray[np.float32]:
        """Return rows of the opened file, float32."""


class SafetensorsFile(TensorFile):
    """A file in safetensors format."""

    def open(self) -> Any:
        """Map the file."""
        opened = open_tensors(self.path)
        self.shapes = {name: opened.shape(name) for name in opened}
        self.floats = {name for name in opened if opened.is_float(name)}
        return opened

    def read(self, opened: Any, name: str, rows: slice) -> NDArray[np.float32]:
        """Return rows."""
        found: NDArray[np.float32] = opened.rows(name, rows)
        return found


class PickleFile(TensorFile):
    """A file that ``torch.save`` wrote. Only tensors and plain data are unpickled (``weights_only``).

    A file that is not a ZIP archive, from before PyTorch 1.6, cannot be mapped: it is read at once.
    """

    def open(self) -> Any:
        """Map the file."""
        self.is_mapped = zipfile.is_zipfile(self.path)
        try:
            loaded = torch.load(self.path, map_location="cpu", weights_only=True, mmap=self.is_mapped)
            opened = {name: tensor for name, tensor in loaded.items() if isinstance(tensor, Tensor)}
        except Exception as error:  # of many classes: the file may have any content
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise ValueError(f"{self.path}: not a pickle of tensors, or truncated ({reason}); download it again"
                             ) from error
        self.shapes = {name: tuple(tensor.shape) for name, tensor in opened.items()}
        self.floats = {name for name, tensor in opened.items() if tensor.is_floating_point()}
        return opened

    def read(self, opened: Any, name: str, rows: slice) -> NDArray[np.float32]:
        """Return rows."""
        found: NDArray[np.float32] = opened[name][rows].float().numpy()
        return found


class CheckpointTensors:
    """Tensors of a checkpoint.

    Args:
        files: the files of the checkpoint.
    """

    def __init__(self, files: Iterable[TensorFile]) -> None:
        self._files = {name: file for file in files for name in file.shapes}

    def names(self) -> list[str]:
        """Return the names of all tensors."""
        return list(self._files)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape without reading it."""
        return self._files[name].shapes[name]

    def is_float(self, name: str) -> bool:
        """Whether a tensor has floats, of any width."""
        return name in self._files[name].floats

    def read(self, part: Part) -> Tensor:
        """Read a weight to a new tensor: float32, contiguous, independent of the file.

        Only a few rows are in memory twice: large temporary tensors would leave gaps between those that are kept.
        """
        file, shape = self._files[part.name], self.shape(part.name)
        rows, *columns = part.place(shape)
        n_rows, row_bytes = rows.stop - rows.start, 4 * math.prod(shape[1:])
        sizes = [n_rows, *(place.stop - place.start for place in columns)]
        out = torch.empty(sizes[::-1] if part.is_transposed else sizes, dtype=torch.float32)
        own = (out.mT if part.is_transposed else out).numpy()
        step = max(1, ROW_BLOCK // max(1, row_bytes))
        for start in range(0, n_rows, step):
            stop = min(start + step, n_rows)
            block = file.rows(part.name, slice(rows.start + start, rows.start + stop))
            np.copyto(own[start:stop], block[(slice(None), *columns)])
        return out if part.factor == 1.0 else out.mul_(part.factor)


def open_checkpoint(folder: Path, *, trust_pickle: bool = False) -> CheckpointTensors:
    """Open the weights of a folder: ``model.safetensors`` or ``pytorch_model.bin``, or the index of their shards.

    Args:
        folder: folder of the checkpoint.
        trust_pickle: allow pickle files, which can execute arbitrary code.

    Raises:
        CheckpointError: if there are no weights, they are damaged, or they are pickles that are not trusted.
    """
    try:
        if paths := _files(folder, SAFETENSORS):
            return CheckpointTensors(map(SafetensorsFile, paths))
        paths = _files(folder, PICKLE)
        if paths and trust_pickle:
            return CheckpointTensors(map(PickleFile, paths))
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    if paths:
        raise CheckpointError(f"{paths[0]}: a pickle. Unpickling can execute arbitrary code: if you trust the origin "
                              f"of the file, add {flag('trust_pickle')}")
    raise CheckpointError(f"{folder}: not a checkpoint, because {SAFETENSORS} is missing; name another folder")


def _files(folder: Path, name: str) -> list[Path]:
    """Return the shards that an index names, or the single file, if there is one."""
    index = folder / f"{name}.index.json"
    if index.is_file():
        return shard_files(index)
    return [folder / name] if (folder / name).is_file() else []
