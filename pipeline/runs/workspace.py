"""Creation of a folder completely or not at all, by one process at a time.

Long work is done in ``OUT.unfinished``, which is renamed to ``OUT`` when it is complete. A folder that is replaced is
first renamed to a hidden name, ``.OUT.vecformer-replaced``, and deleted at the end; the next command on ``OUT`` undoes
or completes a replacement whose process was killed. Nothing else is ever deleted.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from embeddings.errors import InUseError
from embeddings.table.arguments import argument, flag
from embeddings.table.atomic_files import LOCK, NEW, OLD, hidden, locked, scratch_folder, sync, write_atomically
from embeddings.table.listing import listed
from pipeline.errors import RunFolderError
from pipeline.runs.folder import MANIFEST, RunFolder, unfinished
from pipeline.runs.place import (
    N_NAMED,
    REPLACES,
    is_temporary,
    own_entries,
    require_free,
    require_place,
    require_writable,
)

log = logging.getLogger("vecformer")

REPLACED = ".vecformer-replaced"

_IN_WORK: dict[Path, int] = {}  # folders of the running calls of this process
_STATE = threading.Lock()


@contextmanager
def unfinished_folder(
    target: Path, *, command: str, keep: Callable[[Path], bool] = lambda folder: RunFolder(folder).has_vectors,
    overwrite: bool = False, resume: bool = False,
) -> Iterator[Path]:
    """Create ``TARGET.unfinished`` and rename it to ``target`` when the block succeeds.

    If the block fails, the folder is kept if it was there before or is worth keeping; otherwise what the block wrote
    is deleted.

    Args:
        target: the folder to create.
        command: the command that resumes the work, for messages.
        keep: whether the work in a folder is worth keeping after an error; by default if it has the word vectors.
        overwrite: replace ``target`` at the end, and start again if there is an unfinished folder.
        resume: continue in the unfinished folder.

    Raises:
        RunFolderError: if another process works on ``target``; ``target`` or the unfinished folder exists and no option
            allows it; there is nothing to resume; or something else appeared at ``target`` meanwhile.
    """
    with owned(target) as real:
        folder = unfinished(real)
        if resume:
            if not folder.is_dir():
                raise RunFolderError(f"{folder}: no such folder; there is nothing to resume")
            _require_unchanged(real, _replaces(real))
            _remove_leftovers(folder)
        else:
            require_free(real, overwrite=overwrite)
            _require_no_unfinished(folder, target, overwrite=overwrite, command=command)
            _remove(folder)
            _remember(real)
        is_begun = resume
        try:
            if not resume:
                folder.mkdir()
                is_begun = True
            yield folder
            _remove_leftovers(folder)
            _publish(folder, real, _replaces(real))
        except BaseException as error:
            is_complete = is_begun and not folder.exists()
            is_kept = not is_complete and (resume or keep(folder))
            if not is_complete and not is_kept:
                _remove(folder)
                hidden(real, REPLACES).unlink(missing_ok=True)
            _explain(error, is_kept=is_kept, remains=(
                f"{target} is complete" if is_complete else f"what is done is kept; resume with: {command}" if is_kept
                else "nothing was kept: the word vectors were not finished"))
            raise


@contextmanager
def new_folder(target: Path, *, require_replaceable: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Create a folder under a hidden name and rename it to ``target`` when the block succeeds.

    If the block fails, nothing is left, and an earlier folder is unchanged.

    Args:
        target: the folder to create.
        require_replaceable: raises an error if the folder at ``target`` must not be replaced; by default none may be.

    Raises:
        RunFolderError: as :func:`unfinished_folder`.
    """
    with owned(target) as real:
        replaceable = require_replaceable if os.path.lexists(real) else None
        if replaceable is None:
            require_free(real, overwrite=False)
        else:
            replaceable(real)
        with scratch_folder(real) as scratch:
            folder = scratch / real.name
            folder.mkdir()
            yield folder
            if replaceable is None:
                _publish(folder, real, None)
            else:
                replaceable(real)
                _remember(real)
                _put_in_place(folder, real, replace=True)


@contextmanager
def owned(target: Path) -> Iterator[Path]:
    """Check the place of a folder, hold its lock, and remove or complete what a killed process left.

    Raises:
        RunFolderError: if there cannot be a folder, or another process works on it.
    """
    real = require_place(target)
    with ExitStack() as stack:
        try:
            real.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_alone(real))
            stack.enter_context(locked(real))
            require_writable(real)
        except InUseError as error:
            raise RunFolderError(f"{target}: another process is working on it; wait until it has finished, or choose "
                                 f"another {argument('out')}") from error
        except OSError as error:
            raise RunFolderError(f"{target}: cannot write in {real.parent} ({error.strerror or error}); choose another "
                                 f"{argument('out')}") from error
        _settle(real)
        yield real


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Refuse a folder that another thread of this process works on, which the lock of the process does not."""
    thread = threading.get_ident()
    with _STATE:
        outer = _IN_WORK.get(target)
        if outer not in (None, thread):
            raise RunFolderError(f"{target}: another thread of this process is working on it; wait until it has "
                                 f"finished, or choose another {argument('out')}")
        _IN_WORK[target] = thread
    try:
        yield
    finally:
        if outer is None:
            del _IN_WORK[target]


def _settle(target: Path) -> None:
    """Undo or complete a replacement whose process was killed.

    Raises:
        RunFolderError: if there is a folder that did not replace the earlier one, which then may be the only copy.
    """
    old, record = hidden(target, REPLACED), hidden(target, REPLACES)
    if old.exists() and not target.exists():
        old.rename(target)
    elif old.exists():
        if unfinished(target).exists() or not record.exists():
            raise RunFolderError(f"{target}: appeared while a command that replaces the run there was interrupted; the "
                                 f"earlier run is {old}. Move one of the two elsewhere")
        shutil.rmtree(old)
    if not unfinished(target).exists():
        record.unlink(missing_ok=True)


def _require_no_unfinished(folder: Path, target: Path, *, overwrite: bool, command: str) -> None:
    """Check that there is no unfinished folder, or that it may be deleted."""
    if not folder.is_symlink() and not folder.exists():
        return
    others = [] if folder.is_symlink() or not folder.is_dir() else own_entries(folder).others
    if folder.is_symlink() or not folder.is_dir() or others:
        has = f" ({listed(others, limit=N_NAMED)})" if others else ""
        raise RunFolderError(f"{folder}: not an interrupted run{has}, but {target} would be created there; remove it "
                             f"or choose another {argument('out')}")
    if any(folder.iterdir()) and not overwrite:
        raise RunFolderError(f"{folder}: an interrupted run; resume it with: {command}, or start again with "
                             f"{flag('overwrite')}")


def _remove(folder: Path) -> None:
    """Delete what this program writes into an unfinished folder, and the folder if nothing else is in it."""
    if not folder.is_dir():
        return
    for entry in own_entries(folder).own:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _remove_leftovers(folder: Path) -> None:
    """Delete the hidden files of processes that were killed while they wrote into a folder."""
    for leftover in folder.iterdir():
        if is_temporary(leftover, (NEW, OLD)):
            shutil.rmtree(leftover, ignore_errors=True)
        elif is_temporary(leftover, (LOCK, REPLACES)):
            leftover.unlink(missing_ok=True)


def _identity(target: Path) -> str | None:
    """Identify a folder by the SHA-256 of its manifest; "" without one, None if there is no folder."""
    if not target.exists():
        return None
    manifest = target / MANIFEST
    return hashlib.sha256(manifest.read_bytes()).hexdigest() if manifest.is_file() else ""


def _remember(target: Path) -> None:
    """Record which folder will be replaced, for a process that resumes the work."""
    record = hidden(target, REPLACES)
    if target.exists():
        write_atomically(record, str(_identity(target)))
    else:
        record.unlink(missing_ok=True)


def _replaces(target: Path) -> str | None:
    """Return the identity of the folder that is to be replaced, or None."""
    with suppress(FileNotFoundError):
        return hidden(target, REPLACES).read_text(encoding="utf-8", errors="replace")
    return None


def _require_unchanged(target: Path, replaces: str | None) -> None:
    """Check that there is the folder to replace, or none, as when the work began."""
    if _identity(target) != replaces:
        raise RunFolderError(f"{target}: was created or changed while this command was running, and is left unchanged; "
                             "move it elsewhere")
    require_free(target, overwrite=replaces is not None)


def _publish(folder: Path, target: Path, replaces: str | None) -> None:
    """Rename a complete folder to its final name; ``replaces`` identifies the folder that may be there."""
    _require_unchanged(target, replaces)
    _put_in_place(folder, target, replace=replaces is not None)


def _put_in_place(folder: Path, target: Path, *, replace: bool) -> None:
    """Rename a complete folder to its final name, after its content is on the disk."""
    old = hidden(target, REPLACED)
    for path in (*folder.rglob("*"), folder):
        if path.is_dir() or path.is_file():  # and not a broken link or a device of the user
            sync(path)
    try:
        if replace:
            target.rename(old)
        folder.rename(target)
    except BaseException as error:
        if old.exists() and not target.exists():
            old.rename(target)
        if isinstance(error, OSError):
            raise RunFolderError(f"{target}: cannot be replaced ({error.strerror or error})") from error
        raise
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)
    if not old.exists():
        hidden(target, REPLACES).unlink(missing_ok=True)


def _explain(error: BaseException, *, is_kept: bool, remains: str) -> None:
    """Report what remains after an error; an interrupt carries it as its message."""
    if isinstance(error, KeyboardInterrupt):
        raise KeyboardInterrupt(remains) from error
    if is_kept or isinstance(error, SystemExit):
        log.error("%s", remains)
