"""Memory-mapped safetensors files: a JSON header with type, shape and offsets of each tensor, then their bytes.

Format: https://huggingface.co/docs/safetensors#format. The library ``safetensors`` copies a tensor before rows can be
selected, and does not support bfloat16 with numpy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import VectorFileError
from embeddings.table.memmap import release_pages, row_blocks

LENGTH_BYTES = 8
MAX_HEADER = 100_000_000  # the limit of the library
DTYPES = {  # in the order in which the library writes tensors
    "U64": "<u8", "I64": "<i8", "F64": "<f8", "F32": "<f4", "U32": "<u4", "I32": "<i4", "BF16": "<u2", "F16": "<f2",
    "U16": "<u2", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?",
}
FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class _Place:
    kind: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Tensors(Mapping[str, NDArray[Any]]):
    """The tensors of one file by name: floats of any width as float32, others unchanged.

    A float32 tensor is a read-only view of the file. Other floats are converted on access; :meth:`rows` converts the
    requested rows only.
    """

    def __init__(self, data: NDArray[np.uint8], places: Mapping[str, _Place]) -> None:
        self._data, self._places = data, places

    def __getitem__(self, name: str) -> NDArray[Any]:
        return _converted(self.stored(name), self._places[name].kind)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape without reading it."""
        return self._places[name].shape

    def is_float(self, name: str) -> bool:
        """Whether a tensor has floats, of any width."""
        return self._places[name].kind in FLOATS

    def rows(self, name: str, rows: Sequence[int] | NDArray[np.integer[Any]] | slice) -> NDArray[Any]:
        """Gather and convert rows of a tensor, in the given order."""
        return _converted(self.stored(name)[rows], self._places[name].kind)

    def release(self) -> None:
        """Release the pages that were read from the memory of the process."""
        release_pages(self._data)

    def kind(self, name: str) -> str:
        """Return the type of a tensor in the file, such as ``F32`` or ``BF16``."""
        return self._places[name].kind

    def stored(self, name: str) -> NDArray[Any]:
        """Return a tensor as it is stored: bfloat16 as uint16."""
        place = self._places[name]
        return self._data[place.begin : place.end].view(DTYPES[place.kind]).reshape(place.shape)


def open_tensors(path: Path) -> Tensors:
    """Memory-map a safetensors file; only its header is read.

    Raises:
        VectorFileError: if the file is missing, or its header is broken or points outside the file.
    """
    try:
        size = path.stat().st_size
        if size < LENGTH_BYTES:
            raise VectorFileError(f"{path}: not a safetensors file: it is {size} bytes long")
        mapped = np.memmap(path, dtype=np.uint8, mode="r")
    except OSError as error:
        raise VectorFileError(f"{path}: cannot be read ({error.strerror})") from error
    length = int.from_bytes(mapped[:LENGTH_BYTES].tobytes(), "little")
    start = LENGTH_BYTES + length
    if length > MAX_HEADER or start > size:
        raise VectorFileError(f"{path}: not a safetensors file, or truncated: its header would have {length} bytes")
    try:
        header = json.loads(mapped[LENGTH_BYTES:start].tobytes())
        places = {name: _place(entry) for name, entry in header.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VectorFileError(f"{path}: not a safetensors file: its header is broken ({error})") from error
    data = mapped[start:]
    for name, place in places.items():
        _check(path, name, place, len(data))
    return Tensors(data, places)


def shard_files(index: Path) -> list[Path]:
    """Return the files that an index of shards (``model.safetensors.index.json``) names, all in its folder.

    Raises:
        VectorFileError: if the index is broken, or a file is missing.
    """
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        if not names or any(Path(name).name != name for name in names):
            raise ValueError("a shard must be a file of the same folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VectorFileError(f"{index}: not an index of shards ({error}); download it again") from error
    for name in names:
        if not (index.parent / name).is_file():
            raise VectorFileError(f"{index}: its shard {name} is missing; download the checkpoint again")
    return [index.parent / name for name in names]


def write_tensors(
    path: Path, tensors: Mapping[str, NDArray[Any]], kinds: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write arrays with the same bytes as the library, but memory-mapped arrays block by block, without a copy.

    Args:
        path: the file.
        tensors: arrays by name, of any dtype that can be read.
        kinds: types in the file of some of them, which do not follow from the dtype: ``BF16`` of uint16.
        metadata: metadata of the file; by default it has none.
    """
    by_dtype = {np.dtype(dtype): kind for kind, dtype in DTYPES.items() if kind != "BF16"}
    found = {name: by_dtype[array.dtype] for name, array in tensors.items()} | dict(kinds or {})
    order = sorted(tensors, key=lambda name: (list(DTYPES).index(found[name]), name))
    places: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    begin = 0
    for name in order:
        array, end = tensors[name], begin + tensors[name].nbytes
        places[name] = {"dtype": found[name], "shape": array.shape, "data_offsets": (begin, end)}
        begin = end
    header = json.dumps(places, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % LENGTH_BYTES)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(LENGTH_BYTES, "little") + header)
        for name in order:
            file.writelines(block.tobytes() for _, (block,) in row_blocks(np.atleast_1d(tensors[name])))


def _place(entry: Mapping[str, Any]) -> _Place:
    kind, shape, (begin, end) = str(entry["dtype"]), tuple(entry["shape"]), entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError("shapes and offsets must be non-negative integers")
    return _Place(kind, shape, begin, end)


def _check(path: Path, name: str, place: _Place, n_bytes: int) -> None:
    if place.kind not in DTYPES:
        raise VectorFileError(f"{path}: tensor {name!r} is of type {place.kind!r}, which cannot be read")
    if place.end > n_bytes:
        raise VectorFileError(f"{path}: tensor {name!r} ends at byte {place.end}, but the file has {n_bytes}: "
                              "truncated; download or write it again")
    needed = math.prod(place.shape) * np.dtype(DTYPES[place.kind]).itemsize
    if place.end - place.begin != needed:
        raise VectorFileError(f"{path}: tensor {name!r} of shape {list(place.shape)} needs {needed} bytes, "
                              f"but has {place.end - place.begin} in the header")


def to_stored(rows: NDArray[np.float32], kind: str) -> NDArray[Any]:
    """Convert float32 to the dtype in which a tensor is stored; bfloat16 is rounded to the nearest, ties to even."""
    if kind != "BF16":
        return rows.astype(DTYPES[kind])
    bits = np.ascontiguousarray(rows).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def _converted(stored: NDArray[Any], kind: str) -> NDArray[Any]:
    if kind == "BF16":  # the upper half of a float32
        return (stored.astype("<u4") << 16).view(np.float32)
    with np.errstate(over="ignore"):  # a float64 outside float32 becomes infinite; the table reports it
        return stored.astype(np.float32, copy=False) if kind in FLOATS else stored
