"""Which files stand behind a specification, and hashes of what they hold: what decides vectors beside their name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from embeddings.compressed_files import split_location
from embeddings.errors import EmbeddingError
from embeddings.formats.cache import content_hash
from embeddings.specification import sources
from embeddings.specification.transforms import parse_transform


def content_hashes(source: str, transforms: Iterable[str] = (), further: Iterable[Path] = ()) -> dict[str, str]:
    """Hash every file that a source and its transforms read.

    Args:
        source: a specification.
        transforms: likewise.
        further: files and folders to hash as well.

    Returns:
        The files' paths and hashes of their contents, in the order of the paths.

    Raises:
        SpecificationError: if a specification is wrong.
        EmbeddingError: if a file is not there.
    """
    behind = [*files_behind(sources.parse(source)), *further]
    for name in transforms:
        behind += files_behind(parse_transform(name))
    return {str(path): _hash(path, path.stat().st_size, path.stat().st_mtime_ns)
            for path in sorted({file for path in behind for file in _files(path)})}


def files_behind(made: Any) -> Iterator[Path]:
    """The files and folders that a source or a transform reads: what its ``files`` says, and its options' paths."""
    if hasattr(made, "files"):
        yield from made.files()
    for item in fields(made):
        value = getattr(made, item.name)
        if isinstance(value, Path):
            yield value
        for part in value if isinstance(value, tuple) else ():
            if is_dataclass(part):
                yield from files_behind(part)


def _files(path: Path) -> list[Path]:
    file = split_location(path)[0]
    if file.is_dir():
        return [inner for inner in file.iterdir() if inner.is_file()]
    if not file.exists():
        raise EmbeddingError(f"{path}: no such file; the source reads it")
    return [file]


@cache
def _hash(path: Path, size: int, time: int) -> str:
    return content_hash(path)
