"""The folder of a benchmark: one record for each finished run, and the predictions on the test set."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.formats.checksums import sha256
from pipeline.errors import RunFolderError
from pipeline.runs.folder import write_lines
from pipeline.runs.seals import sealed, unsealed

DONE, FAILED = "done", "failed"
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
            raise RunFolderError(f"{self.path} is a file; choose another --out")
        if self.path.is_dir() and not self.grid.exists() and not self.is_empty():
            raise RunFolderError(f"{self.path} contains other files and no grid.toml of a benchmark; choose another "
                                 "--out")

    def is_empty(self) -> bool:
        """Return whether the folder contains nothing, or only the lock file of an earlier version."""
        return {path.name for path in self.path.iterdir()} <= {".lock"}

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
        with self.results.open("a", encoding="utf-8") as file:
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
