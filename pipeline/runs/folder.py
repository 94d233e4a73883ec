"""The files of a run folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from os.path import samestat
from pathlib import Path
from typing import Any, TypeVar

from embeddings.formats.checksums import hash_once
from embeddings.table.arguments import either
from embeddings.table.atomic_files import replacing, write_atomically
from embeddings.table.listing import listed
from embeddings.table.paths import written
from pipeline.errors import RunFolderError
from pipeline.runs import other_runs
from pipeline.runs.seals import sealed

T = TypeVar("T")


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
    def descriptions(self) -> tuple[Path, Path]:
        """The words, sources and provenance of the tables."""
        return self.path / "embeddings.json", self.path / "target_embeddings.json"

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
    def card(self) -> Path:
        """The model card; runs of earlier versions do not have it."""
        return self.path / "README.md"

    @property
    def checkpoints(self) -> tuple[Path, Path]:
        """Checkpoints of pretraining and training; in unfinished runs only."""
        return self.path / "pretraining.checkpoint", self.path / "training.checkpoint"

    @property
    def stage_one(self) -> Path:
        """Marks stage one as complete and has the hash of its data; in unfinished runs only."""
        return self.path / "stage_one.json"

    @property
    def scratch(self) -> tuple[Path, ...]:
        """The files that only an unfinished run has."""
        return (*self.checkpoints, self.stage_one)

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
            raise RunFolderError(f"{path}: not finished; resume it with: {resume_command(path)}")
        if not path.is_dir():
            hint = other_runs.advice(path) or "; create one with: " + either(
                f"vecformer run --data FILE --out {written(path)}", f"vecformer.run(config, {str(path)!r})")
            raise RunFolderError(f"{path}: no such run{hint}")
        if not folder.manifest.is_file():
            raise RunFolderError(f"{path}: not a finished run (no manifest.json){other_runs.advice(path / 'x')}")
        return folder

    def write_manifest(self, facts: Mapping[str, Any]) -> None:
        """Write the manifest: the given facts, and the SHA-256 of every file in the folder."""
        permanent = set(RUN_FILES) - {path.name for path in (*self.scratch, self.manifest)}
        files = {file.name: hash_once(file) for file in sorted(self.path.iterdir()) if file.name in permanent}
        write_json(self.manifest, sealed({**facts, "files": files}))

    @property
    def has_vectors(self) -> bool:
        """Whether the word vectors are written, whether or not stage one is marked as complete."""
        return self.tables[0].exists() or self.stage_one.exists() or self.manifest.exists()

    def remove_scratch(self) -> None:
        """Delete the files that only an unfinished run has."""
        for path in self.scratch:
            path.unlink(missing_ok=True)


def resume_command(target: Path) -> str:
    """Return the command, or the call from Python, that resumes an interrupted run."""
    return either(f"vecformer run --resume {written(target)}", f"vecformer.run(config, {str(target)!r}, resume=True)")


def _names() -> frozenset[str]:
    """Return the names of all files that a run can have: the paths that :class:`RunFolder` declares."""
    folder = RunFolder(Path())
    declared = [getattr(folder, name) for name, member in vars(RunFolder).items() if isinstance(member, property)]
    paths = [path for one in declared for path in (one if isinstance(one, tuple) else (one,))]
    return frozenset(path.name for path in paths if isinstance(path, Path))


RUN_FILES = _names()
UNFINISHED = ".unfinished"
ESCAPED = "backslashreplace"  # of lone surrogates, by escapes of JSON
CONFIG, MANIFEST = RunFolder(Path()).config.name, RunFolder(Path()).manifest.name
CARD = RunFolder(Path()).card.name


def unfinished(target: Path) -> Path:
    """Return the folder in which a run is created before it is renamed to ``target``, or to the target of a link."""
    if target.is_symlink():
        target = Path(os.path.realpath(target))
    return target.with_name(target.name + UNFINISHED)


def read_unreplaced(path: Path, read: Callable[[RunFolder], T]) -> T:
    """Open a finished run and read files of it; once more if another process replaces the folder meanwhile.

    Raises:
        RunFolderError: if there is no finished run.
    """
    folder = RunFolder.open(path)
    before = path.stat()
    try:
        found = read(folder)
    except Exception:
        if path.exists() and not samestat(before, path.stat()):
            return read(RunFolder.open(path))
        raise
    return found if path.exists() and samestat(before, path.stat()) else read(RunFolder.open(path))


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
    if target.name.endswith(UNFINISHED) and target.is_dir():
        raise RunFolderError(f"{target}: write the name of the run without {UNFINISHED}: "
                             + resume_command(target.with_name(target.name.removesuffix(UNFINISHED))))
    others = sorted(written(path.with_name(path.name.removesuffix(UNFINISHED)))
                    for path in target.parent.glob(f"*{UNFINISHED}"))
    what = (f"interrupted runs: {listed(others, limit=other_runs.MAX_NAMED)}" if others
            else "start one with `vecformer run`")
    raise RunFolderError(f"{unfinished(target)}: no interrupted run to resume; {what}")


def free_name(folder: Path) -> Path:
    """Return the folder if it does not exist, otherwise with the first free number appended to its name."""
    number, candidate = 1, folder
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, completely or not at all."""
    content = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    write_atomically(path, content.encode(errors=ESCAPED))


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RunFolderError: if it is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # RecursionError: deeply nested
        raise RunFolderError(f"{path}: damaged or missing ({error}); restore it from a copy, or train again") from error


def write_lines(path: Path, values: Iterator[Mapping[str, Any]]) -> None:
    """Write one line of JSON per value, completely or not at all."""
    with replacing(path) as new, new.open("w", encoding="utf-8", errors=ESCAPED) as file:
        file.writelines(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
