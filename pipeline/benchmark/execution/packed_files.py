"""Files and folders, packed for a machine that does not have them."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import PipelineError

MAX_GB = 2.0  # a larger archive would fill the memory of every machine that receives it


def pack(paths: Iterable[Path], max_gb: float = MAX_GB) -> bytes:
    """Pack files and folders, named by relative paths; links are replaced by what they refer to.

    Sockets, pipes and devices are left out.

    Args:
        paths: the files and folders.
        max_gb: largest total size, in GB.

    Raises:
        PipelineError: if the files are larger.
    """
    packed, n_bytes = io.BytesIO(), 0

    def regular(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        nonlocal n_bytes
        n_bytes += member.size
        if n_bytes > max_gb * 1e9:
            raise PipelineError(f"the files to send to other machines have more than {max_gb:g} GB (until "
                                f"{member.name}). Name a folder with the data alone, or put it on storage that the "
                                "machines share")
        return member if member.isfile() or member.isdir() else None

    with tarfile.open(fileobj=packed, mode="w", dereference=True) as archive:
        for path in paths:
            archive.add(path, arcname=_place(Path.cwd(), path), filter=regular)
    return packed.getvalue()


@contextmanager
def unpacked(packed: bytes, working_directory: Path) -> Iterator[None]:
    """Unpack files into a temporary folder, in which the relative paths of the machine that packed them are valid.

    Args:
        packed: result of :func:`pack`.
        working_directory: that of the machine that packed them.
    """
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="vecformer-inputs-") as root:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(root, filter="data")
        here = Path(root) / _place(working_directory, Path())
        here.mkdir(parents=True, exist_ok=True)
        os.chdir(here)
        try:
            yield
        finally:
            os.chdir(before)


def _place(working_directory: Path, path: Path) -> str:
    """Return the place of a file in an archive: its absolute path, without the first slash."""
    return os.path.normpath(working_directory / path).lstrip("/")
