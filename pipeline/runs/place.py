"""Preconditions of creating a folder: its place is writable, can be renamed onto, is free, and has space."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from embeddings.table.arguments import argument, flag
from embeddings.table.atomic_files import LOCK, NEW, OLD, scratch_folder
from embeddings.table.listing import listed
from embeddings.table.paths import written
from pipeline.errors import RunFolderError
from pipeline.runs.folder import CARD, CONFIG, MANIFEST, RUN_FILES, UNFINISHED, resume_command, unfinished

REPLACES = ".vecformer-replaces"
"""Suffix of the hidden file that identifies the folder which an unfinished one will replace."""
DESKTOP_FILES = {".DS_Store", "Thumbs.db", "desktop.ini"}  # written by file managers
MOUNTS = Path("/proc/self/mountinfo")
N_NAMED = 3  # files named in a message
DEMO_SOURCES, DEMO_RECIPE = ("random", "glove", "glove+word2vec"), "recipe"
"""Names of the runs within the folder of a demonstration: sources of the vectors in the plain recipe, and the recipe
that is chosen from the data."""
DEMO_RUNS = (*DEMO_SOURCES, DEMO_RECIPE)


def require_place(target: Path) -> Path:
    """Check that a folder may be created or replaced at a path, and return the path without symbolic links.

    Raises:
        RunFolderError: if the path is empty, a dangling link or a mount point, inside a file, or has a name that is
            reserved for unfinished folders.
    """
    if not target.name or target.name == "..":
        raise RunFolderError(f"{argument('out')} {str(target)!r}: not a name for a new folder; write, for instance, "
                             f"{argument('out', 'runs/first')}")
    if target.name.endswith(UNFINISHED):
        finished = target.with_name(target.name.removesuffix(UNFINISHED))
        raise RunFolderError(f"{target}: a name that ends in {UNFINISHED} is that of an interrupted run; choose "
                             f"another {argument('out')}, or resume the run with: {resume_command(finished)}")
    if target.is_symlink() and not target.exists():
        raise RunFolderError(f"{target}: a link to {target.readlink()}, which does not exist; remove the link, or "
                             f"choose another {argument('out')}")
    real = Path(os.path.realpath(target))
    for folder in (real, unfinished(real)):
        if is_mount_point(folder):
            raise RunFolderError(f"{folder}: a mount point, which a finished run cannot replace; choose a folder in "
                                 f"it, such as {argument('out', written(target / 'run'))}")
    ancestor = next(folder for folder in real.parents if folder.exists())
    if not ancestor.is_dir():
        raise RunFolderError(f"{target}: cannot write in {ancestor}, which is a file; choose another {argument('out')}")
    return real


def require_writable(target: Path) -> None:
    """Check that folders can be created and renamed beside a path, by trying; the caller holds its lock.

    Raises:
        OSError: if they cannot.
    """
    with scratch_folder(target) as folder:
        (folder / "new").mkdir()
        (folder / "new" / "file").write_bytes(b"trial")
        (folder / "new").rename(folder / "renamed")


def is_mount_point(path: Path) -> bool:
    """Whether a path is a mount point, bind mounts included."""
    if not path.exists():
        return False
    if os.path.ismount(path):
        return True
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    mounted = (re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split(" ")[4]) for line in lines)
    return str(path) in mounted


def require_free(target: Path, *, overwrite: bool) -> None:
    """Check that a folder does not exist, or may be replaced.

    Raises:
        RunFolderError: if it exists and ``overwrite`` is not set, or it contains anything that is not part of a run.
    """
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise RunFolderError(f"{target}: already exists; choose another {argument('out')}, or replace it with "
                             f"{flag('overwrite')}")
    if not target.is_dir() or (any(target.iterdir()) and not has_manifest(target)):
        raise RunFolderError(f"{target}: not a run folder, so {flag('overwrite')} does not replace it; remove it or "
                             f"choose another {argument('out')}")
    if others := own_entries(target).others:
        raise RunFolderError(f"{target}: contains files that are not part of the run ({listed(others, limit=N_NAMED)});"
                             f" {flag('overwrite')} does not replace it; move them, or choose another "
                             f"{argument('out')}")


def require_inputs_elsewhere(target: Path, inputs: Iterable[str]) -> None:
    """Check that no file or folder that is read is inside the folder that is replaced at the end.

    Raises:
        RunFolderError: if one is, or is the folder itself.
    """
    real = os.path.realpath(target)
    for name in inputs:
        found = os.path.realpath(name)
        if os.path.lexists(name) and os.path.commonpath((real, found)) == real:
            raise RunFolderError(f"{name}: is in {target}, which {flag('overwrite')} replaces at the end; choose "
                                 f"another {argument('out')}, or copy the data elsewhere")


class Entries(NamedTuple):
    """The entries of a folder that this program wrote, and the names of all others."""

    own: list[Path]
    others: list[str]


def own_entries(folder: Path) -> Entries:
    """Divide the entries of a run folder, finished or not, into those of this program and others.

    Its own are the files that a run has, those that the manifest lists, and hidden temporary ones; in the folder of a
    demonstration also its runs. Files of the desktop count as its own. Any other run within the folder does not: it is
    the work of another command.
    """
    runs = () if (folder / CONFIG).exists() else (*DEMO_RUNS, *(unfinished(Path(name)).name for name in DEMO_RUNS))
    known = {*RUN_FILES, *DESKTOP_FILES, *_listed(folder)}
    if _manifest(folder) is not None and CARD not in _listed(folder):  # a run of version 0.1.0: the user's own file
        known.remove(CARD)
    entries = Entries([], [])
    for entry in sorted(folder.iterdir()):
        if entry.name in known or is_temporary(entry):
            entries.own.append(entry)
        elif entry.name in runs and entry.is_dir() and not entry.is_symlink():
            within = own_entries(entry).others
            entries.others.extend(f"{entry.name}/{name}" for name in within)
            if not within:
                entries.own.append(entry)
        else:
            entries.others.append(entry.name)
    return entries


def is_temporary(path: Path, suffixes: tuple[str, ...] = (NEW, OLD, LOCK, REPLACES)) -> bool:
    """Whether a name is that of a hidden file or folder which exists while another one is written."""
    return path.name.startswith(".") and path.name.endswith(suffixes)


def has_manifest(folder: Path) -> bool:
    """Whether a folder has the manifest of a run or demonstration, or a damaged one beside a configuration.

    Many programs write a file of that name.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return False
    manifest = _manifest(folder)
    if manifest is None:
        return (folder / CONFIG).is_file()
    return "seed" in manifest or manifest.keys() == {"title", "rows"}


def _manifest(folder: Path) -> dict[str, Any] | None:
    """Return the content of a manifest; None if it is damaged."""
    with suppress(OSError, ValueError, RecursionError):
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return manifest if isinstance(manifest, dict) else None
    return None


def _listed(folder: Path) -> list[str]:
    """Return the names of the files in the manifest of a run, which lists them with hashes and has versions."""
    manifest = _manifest(folder) or {}
    files = manifest.get("files")
    return list(files) if isinstance(files, dict) and "versions" in manifest else []


def require_space(folder: Path, n_bytes: int, *, purpose: str) -> None:
    """Check that a disk has space.

    Args:
        folder: a folder on the disk.
        n_bytes: bytes that will be written.
        purpose: what they are for, for the message.

    Raises:
        RunFolderError: if there is less.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise RunFolderError(f"{folder}: {purpose} need about {_megabytes(n_bytes)}, but the disk has only "
                             f"{_megabytes(free)} free; free some, or choose another {argument('out')}")


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"
