"""A folder that belongs to an object, and is pickled as its files."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from pipeline.errors import RunFolderError
from pipeline.runs.folder import CONFIG, RUN_FILES
from pipeline.runs.workspace import new_folder

PREFIX = "vecformer-"


class PackedFolder(ABC):
    """The content of a folder, loaded.

    A pickle contains the bytes of the files: safetensors, JSON and TOML, no pickled module of PyTorch. Loading one
    writes them to a temporary folder, which is deleted with the object.

    Args:
        path: the folder.
        is_temporary: delete its parent folder with the object, or at the end of the process.

    Attributes:
        path: the folder.
        lock: held by methods that change the loaded model, such as a prediction with further words.
    """

    def __init__(self, path: Path, *, is_temporary: bool) -> None:
        self.path, self.lock = path.absolute(), threading.Lock()
        if is_temporary:
            weakref.finalize(self, _remove, path.parent, os.getpid())
        self._load()

    @abstractmethod
    def _load(self) -> None:
        """Read the files."""

    @classmethod
    def create(cls, fill: Callable[[Path], Any], out: str | Path | None = None) -> Self:
        """Create the folder and load it.

        Args:
            fill: creates the folder of the given path.
            out: the folder; None for a temporary one.
        """
        if out is not None:
            fill(Path(out))
            return cls(Path(out), is_temporary=False)
        parent = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            fill(parent / "run")
            return cls(parent / "run", is_temporary=True)
        except BaseException:
            shutil.rmtree(parent, ignore_errors=True)
            raise

    def copy_to(self, out: str | Path) -> None:
        """Copy the folder to another place, completely or not at all.

        Raises:
            RunFolderError: if there is a folder already.
        """
        with new_folder(Path(out)) as folder:
            _write(folder, self._files())

    def _files(self) -> dict[str, bytes]:
        """Return the content of the files of a run; others that a user put into the folder are left out."""
        files = {name: (self.path / name).read_bytes() for name in sorted(RUN_FILES) if (self.path / name).is_file()}
        if CONFIG not in files:
            raise RunFolderError(f"{self.path}: the folder of the estimator was deleted; fit it again")
        return files

    def __getstate__(self) -> dict[str, Any]:
        return {"files": self._files()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        parent = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            folder = parent / "run"
            folder.mkdir()
            _write(folder, state["files"])
            PackedFolder.__init__(self, folder, is_temporary=True)
        except BaseException:
            shutil.rmtree(parent, ignore_errors=True)
            raise


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        if name not in RUN_FILES:
            raise RunFolderError(f"{name!r}: not the name of a file in a run folder")
        (folder / name).write_bytes(content)


def _remove(folder: Path, process: int) -> None:
    """Delete the folder, except in a process that was forked and does not own it."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
