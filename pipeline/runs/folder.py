"""A run's folder: which files it has, and how it comes to be whole or not at all."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.errors import EmbeddingError
from pipeline.errors import PipelineError, RunFolderError
from transformer.errors import TransformerError

log = logging.getLogger("vecformer")


@dataclass(frozen=True)
class RunFolder:
    """The files of a run, by name.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The configuration, fully resolved."""
        return self.path / "config.toml"

    @property
    def tokenizers(self) -> tuple[Path, Path]:
        """Text to ids; the vocabulary is the words that were trained on. The second is of a translation's target."""
        return self.path / "tokenizer.json", self.path / "target_tokenizer.json"

    @property
    def tables(self) -> tuple[Path, Path]:
        """The word vectors that training started from, and those of words it did not meet; a .json beside says more.

        The second is of a translation's target.
        """
        return self.path / "embeddings.safetensors", self.path / "target_embeddings.safetensors"

    @property
    def start(self) -> Path:
        """The weights before the first step, but for the tables, which are the vectors above at the model's scale."""
        return self.path / "start.safetensors"

    @property
    def model(self) -> Path:
        """The trained weights."""
        return self.path / "model.safetensors"

    @property
    def history(self) -> Path:
        """A JSON line an evaluation."""
        return self.path / "history.jsonl"

    @property
    def predictions(self) -> Path:
        """A JSON line a test example."""
        return self.path / "predictions.jsonl"

    @property
    def metrics(self) -> Path:
        """The run's measures."""
        return self.path / "metrics.json"

    @property
    def sampling_error(self) -> Path:
        """The standard error of each measure that is due to the test set's being a sample."""
        return self.path / "sampling_error.json"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    @property
    def checkpoints(self) -> tuple[Path, Path]:
        """What pretraining and training need to go on after a stop; only in an unfinished run."""
        return self.path / "pretraining.checkpoint", self.path / "training.checkpoint"

    @property
    def stage_one(self) -> Path:
        """Says that the vectors are all there, and of which data; only in an unfinished run."""
        return self.path / "stage_one.json"

    @property
    def manifest(self) -> Path:
        """Versions, seed and hashes; written last, so that a folder without it is an unfinished run."""
        return self.path / "manifest.json"

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Take a finished run.

        Raises:
            RunFolderError: if there is none.
        """
        folder = cls(path)
        if not path.is_dir() and unfinished(path).is_dir():
            raise RunFolderError(f"{path}: not finished; `vecformer run --resume {path}` goes on with it")
        if not path.is_dir():
            raise RunFolderError(f"{path}: no such run; `vecformer run --out {path}` makes one")
        if not folder.manifest.is_file():
            raise RunFolderError(f"{path}: not a finished run, since it has no manifest.json")
        return folder

    def write_manifest(self, facts: Mapping[str, Any]) -> None:
        """Write the manifest: the facts, and the SHA-256 of every file in the folder."""
        files = {file.name: sha256(file) for file in sorted(self.path.iterdir())}
        write_json(self.manifest, {**facts, "files": files})


def unfinished(target: Path) -> Path:
    """Where a run is made, before it is moved to its name."""
    return target.with_name(target.name + ".unfinished")


def configuration_of_unfinished(target: Path) -> Path:
    """The configuration of a run that was stopped.

    Raises:
        RunFolderError: if there is none to go on with.
    """
    config = RunFolder(unfinished(target)).config
    if config.is_file():
        return config
    if (target / "manifest.json").is_file():
        raise RunFolderError(f"{target}: finished already; there is nothing to resume")
    raise RunFolderError(f"{unfinished(target)}: no run that was stopped, so nothing to resume; start it again")


@contextmanager
def unfinished_folder(target: Path, *, overwrite: bool = False, resume: bool = False) -> Iterator[Path]:
    """Make ``TARGET.unfinished`` and move it to ``target`` when the block ends well.

    If the block is stopped when stage one is over, the folder stays, to go on from; if it is stopped earlier, or the
    input is at fault, nothing is left. A folder that was to be overwritten is there until the new one is whole.

    Args:
        target: the folder to make.
        overwrite: replace ``target``, and forget an unfinished run of that name.
        resume: go on in the unfinished folder.

    Raises:
        RunFolderError: if ``target`` is taken, an unfinished run of that name is there and none of the two options says
            what to do with it, or there is none to go on with.
    """
    folder = unfinished(target)
    check_free(target, overwrite=overwrite or resume)
    if not resume:
        _forget(folder, target, overwrite=overwrite)
    elif not folder.is_dir():
        raise RunFolderError(f"{folder}: no such folder, so there is nothing to resume")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
        _move(folder, target)
    except BaseException as error:
        mistake = isinstance(error, PipelineError | TransformerError | EmbeddingError) and not resume
        if mistake or not RunFolder(folder).stage_one.exists():
            shutil.rmtree(folder, ignore_errors=True)
        elif isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"go on with: vecformer run --resume {target}") from error
        else:
            log.warning("stopped; go on with: vecformer run --resume %s", target)
        raise


@contextmanager
def new_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Make a folder under a temporary name beside ``target`` and move it into place when the block ends well.

    If the block does not end well, whatever the reason, nothing is left under either name, and a folder that was to be
    overwritten is still there.

    Raises:
        RunFolderError: if ``target`` exists and ``overwrite`` is not set, or it cannot be written.
    """
    check_free(target, overwrite=overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-unfinished-", dir=target.parent))
    temporary.chmod(0o755)
    try:
        yield temporary
        _move(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_free(target: Path, *, overwrite: bool) -> None:
    """Refuse a target that must not be replaced, before any work is done for it.

    Raises:
        RunFolderError: if it exists and ``overwrite`` is not set, or it is something that this program did not make, or
            nothing can be written there.
    """
    ancestor = next(folder for folder in target.absolute().parents if folder.exists())
    if not ancestor.is_dir() or not os.access(ancestor, os.W_OK):
        raise RunFolderError(f"{target}: cannot write in {ancestor}; choose another --out")
    if not target.exists():
        return
    if not overwrite:
        raise RunFolderError(f"{target}: exists already; choose another --out, or replace it with --overwrite")
    if target.is_dir() and (not any(target.iterdir()) or (target / "manifest.json").is_file()):
        return
    raise RunFolderError(f"{target}: not a run's folder, so --overwrite leaves it; remove it or choose another --out")


def _forget(folder: Path, target: Path, *, overwrite: bool) -> None:
    """Remove what a stopped run left, if that is what it is and the user wants it so."""
    if not folder.exists():
        return
    begun = RunFolder(folder).config.exists()
    if not folder.is_dir() or (not begun and any(folder.iterdir())):
        raise RunFolderError(f"{folder}: not a run that was stopped, and where {target} would be made; remove it or "
                             "choose another --out")
    if begun and not overwrite:
        raise RunFolderError(f"{folder}: a run that was stopped; go on with it by --resume {target}, or start over "
                             "with --overwrite")
    shutil.rmtree(folder)


def _move(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
    target.rename(old / target.name)
    temporary.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def free_name(folder: Path) -> Path:
    """The folder itself if nothing is there, else with the first free number behind its name."""
    number, candidate = 1, folder
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def write_json(path: Path, value: Any) -> None:
    """Write readable JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read what :func:`write_json` wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_lines(path: Path, values: Iterator[Mapping[str, Any]]) -> None:
    """Write JSON lines."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
