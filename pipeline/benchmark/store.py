"""The folder of a benchmark: one record for each finished run, and the predictions on the test set."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.formats.checksums import sha256
from embeddings.table.arguments import argument
from embeddings.table.atomic_files import NEW, write_atomically
from embeddings.table.listing import listed
from pipeline.benchmark.grid import Grid, read_grid
from pipeline.errors import ConfigError, RunFolderError
from pipeline.runs.folder import ESCAPED, write_lines
from pipeline.runs.place import DESKTOP_FILES
from pipeline.runs.seals import sealed, unsealed

DONE, FAILED = "done", "failed"
OWN = {"grid.toml", "results.jsonl", "predictions", "datasets", "summary.json", "costs.json", "report.html", "plots",
       "work", ".lock", *DESKTOP_FILES}
"""Entries of a benchmark's folder."""
HIDDEN = r"\..+\.vecformer-\w+"
OWN_WORK = re.compile(rf"([0-9a-f]{{20}}(\.output)?|vectors|{HIDDEN})")
"""Entries of its folder ``work``: for each run a folder and a file of messages; the shared vectors; hidden ones."""
PARTS = ("test", "config", "training", "costs")  # objects in the record of a finished run
PREDICTIONS = "predictions_sha256"  # key of a record: hash of the file with the run's predictions


@dataclass(frozen=True)
class BenchmarkFolder:
    """Paths and records of a benchmark's folder.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def grid(self) -> Path:
        """The grid of the latest call; can be passed to ``vecformer benchmark``."""
        return self.path / "grid.toml"

    @property
    def results(self) -> Path:
        """Records in JSON Lines, one for each run; the last record of a key is valid."""
        return self.path / "results.jsonl"

    @property
    def predictions(self) -> Path:
        """Folder with the test-set predictions, one file for each run."""
        return self.path / "predictions"

    @property
    def data_sets(self) -> Path:
        """Folder of a benchmark on several data sets, with a benchmark for each."""
        return self.path / "datasets"

    @property
    def summary(self) -> Path:
        """Scores and comparisons; independent of interruptions, byte by byte."""
        return self.path / "summary.json"

    @property
    def costs(self) -> Path:
        """Time and memory."""
        return self.path / "costs.json"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    @property
    def work(self) -> Path:
        """Checkpoints and shared vectors of unfinished runs; removed when all runs are done."""
        return self.path / "work"

    def require_benchmark(self) -> None:
        """Check that the folder is new, empty or written by a benchmark.

        Raises:
            RunFolderError: if it is a file, or a folder with other contents.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError(f"{self.path} is a file; choose another {argument('out')}")
        if not self.path.is_dir() or self.is_empty():
            return
        if not self.grid.exists():
            raise RunFolderError(f"{self.path} contains other files and no grid.toml of a benchmark; choose another "
                                 f"{argument('out')}")
        others = sorted(path.name for path in self.path.iterdir()
                        if path.name not in OWN and not re.fullmatch(HIDDEN, path.name))
        if others and not self.results.exists():  # with results, they may be notes on the benchmark
            raise RunFolderError(f"{self.path} contains other files ({listed(others, limit=3)}) and no results of a "
                                 f"benchmark; choose another {argument('out')}, such as {self.path / 'benchmark'}")

    def write_grid(self, grid: Grid) -> None:
        """Write the grid; a file with the same one, which may have comments, stays as it is.

        Raises:
            RunFolderError: if there is another grid without results, which may be the user's.
        """
        if self.grid.exists():
            with suppress(ConfigError):
                if read_grid(self.grid, {}) == grid:
                    return
            written = (self.results, self.work, *self.data_sets.glob(f"*/{self.results.name}"))
            if not any(path.exists() for path in written):
                raise RunFolderError(f"{self.grid}: another grid, of which this folder has no results; remove it or "
                                     f"choose another {argument('out')}")
        write_atomically(self.grid, grid.to_toml())

    def remove_work(self) -> None:
        """Delete the files of finished runs in :attr:`work`, and the folder if nothing else is in it."""
        if not self.work.is_dir() or self.work.is_symlink():
            return
        for entry in self.work.iterdir():
            if entry.is_dir() and not entry.is_symlink() and OWN_WORK.fullmatch(entry.name):
                shutil.rmtree(entry, ignore_errors=True)
            elif OWN_WORK.fullmatch(entry.name):
                entry.unlink(missing_ok=True)
        with suppress(OSError):
            self.work.rmdir()

    def remove_temporary(self) -> None:
        """Delete the temporary folders in :attr:`predictions` that could not be deleted when the disk failed.

        Those of other files are deleted when the files are written again; predictions are written once.
        """
        for folder in self.predictions.glob(f".*{NEW}"):
            shutil.rmtree(folder, ignore_errors=True)

    def is_empty(self) -> bool:
        """Return whether the folder contains nothing, or only hidden files of this program."""
        return all(path.name == ".lock" or re.fullmatch(HIDDEN, path.name) for path in self.path.iterdir())

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the last record of each key; an incomplete last line is removed from the file.

        Raises:
            RunFolderError: for a complete line that is not a record.
        """
        if not self.results.exists():
            return {}
        content = self.results.read_bytes()
        complete = content[: content.rfind(b"\n") + 1]
        if complete != content:
            os.truncate(self.results, len(complete))
        records = {}
        for number, line in enumerate(complete.splitlines(), start=1):
            try:
                record = unsealed(json.loads(line))
                if not isinstance(record["key"], str) or record["status"] not in (DONE, FAILED):
                    raise ValueError("its key or status is not valid")
                if record["status"] == DONE and not all(isinstance(record[key], dict) for key in PARTS):
                    raise ValueError(f"one of {', '.join(PARTS)} is not an object")
                records[record["key"]] = record
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise RunFolderError(f"{self.results}:{number}: not a valid record ({error}); delete the line to "
                                     "repeat the run") from error
        return records

    def add(self, record: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]]) -> None:
        """Append the record of a finished run, after its predictions are on disk."""
        if predictions:
            self.predictions.mkdir(exist_ok=True)
            path = self.predictions / f"{record['key']}.jsonl"
            write_lines(path, iter(predictions))
            record = {**record, PREDICTIONS: sha256(path)}
        with self.results.open("a", encoding="utf-8", errors=ESCAPED) as file:
            file.write(json.dumps(sealed(record), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def predictions_of(self, key: str, record: Mapping[str, Any] | None = None) -> list[dict[str, Any]] | None:
        """Return the test-set predictions of a run, or None if there are none.

        Args:
            key: the key of the run.
            record: its record, with the hash of the predictions; those of version 0.1.0 have none.

        Raises:
            RunFolderError: if the file is damaged, or missing although the record has its hash.
        """
        path, expected = self.predictions / f"{key}.jsonl", (record or {}).get(PREDICTIONS)
        if not path.exists() and expected is None:
            return None
        try:
            if expected is not None and sha256(path) != expected:
                raise ValueError(f"its SHA-256 is not that of {self.results.name}")
            with path.open(encoding="utf-8") as file:
                return [dict(json.loads(line)) for line in file]
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise RunFolderError(f"{path}: damaged or missing ({error}); restore it from a copy, or delete the line of "
                                 f"{key} in {self.results} to repeat the run") from error
