"""The run folder: its files, and how it is created completely or not at all."""

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
    """The files of a run.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The configuration as requested, with all defaults."""
        return self.path / "config.toml"

    @property
    def resolved(self) -> Path:
        """What the run found in its data, such as the labels; runs of earlier versions do not have it."""
        return self.path / "resolved.json"

    @property
    def tokenizers(self) -> tuple[Path, Path]:
        """The tokenizers of the input and, for translation, of the output; their vocabulary is that of training."""
        return self.path / "tokenizer.json", self.path / "target_tokenizer.json"

    @property
    def tables(self) -> tuple[Path, Path]:
        """The initial word vectors and those of words not seen in training, each with a .json of metadata.

        The second file is that of the output of a translation.
        """
        return self.path / "embeddings.safetensors", self.path / "target_embeddings.safetensors"

    @property
    def start(self) -> Path:
        """The initial weights without the embedding tables, which follow from the vectors and the configuration."""
        return self.path / "start.safetensors"

    @property
    def model(self) -> Path:
        """The trained weights."""
        return self.path / "model.safetensors"

    @property
    def history(self) -> Path:
        """One line of JSON per epoch."""
        return self.path / "history.jsonl"

    @property
    def predictions(self) -> Path:
        """One line of JSON per test example."""
        return self.path / "predictions.jsonl"

    @property
    def metrics(self) -> Path:
        """The measures of the run."""
        return self.path / "metrics.json"

    @property
    def sampling_error(self) -> Path:
        """The standard error of each measure due to the sampling of the test set."""
        return self.path / "sampling_error.json"

    @property
    def calibration(self) -> Path:
        """Scores of the dev set for prediction sets; only runs of classification with a dev set have it."""
        return self.path / "calibration.json"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    @property
    def checkpoints(self) -> tuple[Path, Path]:
        """Checkpoints of pretraining and training; in unfinished runs only."""
        return self.path / "pretraining.checkpoint", self.path / "training.checkpoint"

    @property
    def stage_one(self) -> Path:
        """Marks stage one as complete and has the hash of its data; in unfinished runs only."""
        return self.path / "stage_one.json"

    @property
    def manifest(self) -> Path:
        """Versions, seed and hashes; written last, so that a folder without it is unfinished."""
        return self.path / "manifest.json"

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a finished run.

        Raises:
            RunFolderError: if there is none.
        """
        folder = cls(path)
        if not path.is_dir() and unfinished(path).is_dir():
            raise RunFolderError(f"{path}: not finished; resume it with: vecformer run --resume {path}")
        if not path.is_dir():
            raise RunFolderError(f"{path}: no such run; create one with: vecformer run --data FILE --out {path}")
        if not folder.manifest.is_file():
            raise RunFolderError(f"{path}: not a finished run (no manifest.json)")
        return folder

    def write_manifest(self, facts: Mapping[str, Any]) -> None:
        """Write the manifest: the given facts, and the SHA-256 of every file in the folder."""
        files = {file.name: sha256(file) for file in sorted(self.path.iterdir())}
        write_json(self.manifest, {**facts, "files": files})


def unfinished(target: Path) -> Path:
    """Return the folder in which a run is created before it is renamed to ``target``."""
    return target.with_name(target.name + ".unfinished")


def configuration_of_unfinished(target: Path) -> Path:
    """Return the configuration file of an interrupted run.

    Raises:
        RunFolderError: if there is none to resume.
    """
    config = RunFolder(unfinished(target)).config
    if config.is_file():
        return config
    if (target / "manifest.json").is_file():
        raise RunFolderError(f"{target}: already finished; there is nothing to resume")
    raise RunFolderError(f"{unfinished(target)}: no interrupted run to resume; start one with `vecformer run`")


@contextmanager
def unfinished_folder(target: Path, *, overwrite: bool = False, resume: bool = False) -> Iterator[Path]:
    """Create ``TARGET.unfinished`` and rename it to ``target`` when the block succeeds.

    If the block is interrupted after stage one, the folder is kept and can be resumed; if it is interrupted earlier, or
    the input is invalid, nothing is left. A folder to be overwritten exists until the new one is complete.

    Args:
        target: the folder to create.
        overwrite: replace ``target``, and delete an unfinished run of that name.
        resume: continue in the unfinished folder.

    Raises:
        RunFolderError: if ``target`` exists, an unfinished run exists and neither option is set, or there is no run to
            resume.
    """
    folder = unfinished(target)
    check_free(target, overwrite=overwrite or resume)
    if not resume:
        _delete_unfinished(folder, target, overwrite=overwrite)
    elif not folder.is_dir():
        raise RunFolderError(f"{folder}: no such folder; there is nothing to resume")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
        _move(folder, target)
    except BaseException as error:
        invalid = isinstance(error, PipelineError | TransformerError | EmbeddingError) and not resume
        if invalid or not RunFolder(folder).stage_one.exists():
            shutil.rmtree(folder, ignore_errors=True)
        elif isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"resume with: vecformer run --resume {target}") from error
        else:
            log.warning("interrupted; resume with: vecformer run --resume %s", target)
        raise


@contextmanager
def new_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Create a folder under a temporary name and rename it to ``target`` when the block succeeds.

    If the block fails, nothing is left under either name, and a folder to be overwritten is unchanged.

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
    """Check that a folder can be created, before any work is done.

    Raises:
        RunFolderError: if it exists and ``overwrite`` is not set, it was not created by this program, or its parent is
            not writable.
    """
    ancestor = next(folder for folder in target.absolute().parents if folder.exists())
    if not ancestor.is_dir() or not os.access(ancestor, os.W_OK):
        raise RunFolderError(f"{target}: cannot write in {ancestor}; choose another --out")
    if not target.exists():
        return
    if not overwrite:
        raise RunFolderError(f"{target}: already exists; choose another --out, or replace it with --overwrite")
    if target.is_dir() and (not any(target.iterdir()) or (target / "manifest.json").is_file()):
        return
    raise RunFolderError(f"{target}: not a run folder, so --overwrite does not replace it; remove it or choose "
                         "another --out")


def _delete_unfinished(folder: Path, target: Path, *, overwrite: bool) -> None:
    """Delete an unfinished run, if it is one and ``overwrite`` is set."""
    if not folder.exists():
        return
    is_run = RunFolder(folder).config.exists()
    if not folder.is_dir() or (not is_run and any(folder.iterdir())):
        raise RunFolderError(f"{folder}: not an interrupted run, but {target} would be created there; remove it or "
                             "choose another --out")
    if is_run and not overwrite:
        raise RunFolderError(f"{folder}: an interrupted run; resume it with --resume {target}, or start again "
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
    """Return the folder if it does not exist, otherwise with the first free number appended to its name."""
    number, candidate = 1, folder
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_lines(path: Path, values: Iterator[Mapping[str, Any]]) -> None:
    """Write one line of JSON per value."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
