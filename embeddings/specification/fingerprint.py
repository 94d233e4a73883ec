"""Hashes of the files that a source and its transforms read: what decides vectors besides the specification."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from embeddings.compressed_files import split_location
from embeddings.errors import EmbeddingError
from embeddings.formats.cache import content_hash
from embeddings.request import Source
from embeddings.specification import sources
from embeddings.specification.transforms import Transform, parse_transform
from embeddings.table.paths import written


def content_hashes(source: str, transforms: Iterable[str] = (), further: Iterable[Path] = ()) -> dict[str, str]:
    """Hash every file that a source and its transforms read.

    Args:
        source: a source specification.
        transforms: specifications of transforms.
        further: other files and folders to hash.

    Returns:
        Path and content hash of each file, sorted by path.

    Raises:
        SpecificationError: if a specification is invalid.
        EmbeddingError: if a file does not exist.
    """
    readers: list[Source | Transform] = [sources.parse(source), *map(parse_transform, transforms)]
    paths = [*(path for reader in readers for path in reader.files()), *further]
    return {written(path): _hash(path, path.stat().st_size, path.stat().st_mtime_ns)
            for path in sorted({file for path in paths for file in _files(path)})}


def _files(path: Path) -> list[Path]:
    file = split_location(path)[0]
    if file.is_dir():
        return [inner for inner in file.iterdir() if inner.is_file()]
    if not file.exists():
        raise EmbeddingError(f"{path}: no such file; the source reads it, so check the path")
    return [file]


@cache
def _hash(path: Path, size: int, modified_ns: int) -> str:
    """Hash a file; its size and modification time are part of the key of the cache."""
    return content_hash(path)
