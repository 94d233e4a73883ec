"""A benchmark's folder: a line for each run that has ended, and what each test example got."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import RunFolderError
from pipeline.runs.folder import write_lines

DONE, FAILED = "done", "failed"


@dataclass(frozen=True)
class BenchmarkFolder:
    """The files of a benchmark, by name.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def grid(self) -> Path:
        """What was compared last; ``vecformer benchmark`` reads it."""
        return self.path / "grid.toml"

    @property
    def results(self) -> Path:
        """A JSON line a run; of several with one key the last counts."""
        return self.path / "results.jsonl"

    @property
    def predictions(self) -> Path:
        """A file a run: what each test example got."""
        return self.path / "predictions"

    @property
    def summary(self) -> Path:
        """What was found: the same bytes however often the work was broken off."""
        return self.path / "summary.json"

    @property
    def costs(self) -> Path:
        """Time and memory."""
        return self.path / "costs.json"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    @property
    def work(self) -> Path:
        """What runs under way need; gone when all are done."""
        return self.path / "work"

    @property
    def lock(self) -> Path:
        """Held by the process that works on it."""
        return self.path / ".lock"

    def require_ours(self) -> None:
        """Refuse a place that holds something else.

        Raises:
            RunFolderError: if it is a file, or a folder that no benchmark made.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError(f"{self.path}: a file; choose another --out")
        if self.path.is_dir() and not self.grid.exists() and not self.is_empty():
            raise RunFolderError(f"{self.path}: holds other files, but no grid.toml of a benchmark; choose another "
                                 "--out")

    def is_empty(self) -> bool:
        """Whether it holds nothing but the lock."""
        return set(self.path.iterdir()) <= {self.lock}

    def read(self) -> dict[str, dict[str, Any]]:
        """The last record of each key; a line that was broken off is taken away.

        Raises:
            RunFolderError: for a line that is whole but no record.
        """
        if not self.results.exists():
            return {}
        content = self.results.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            os.truncate(self.results, len(whole))
        records = {}
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                record = json.loads(line)
                records[record["key"]] = record
            except (ValueError, KeyError, TypeError) as error:
                raise RunFolderError(f"{self.results}:{number}: not a result of a run ({error}); remove the line, and "
                                     "the run is made again") from error
        return records

    def add(self, record: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]]) -> None:
        """Keep a run that has ended; the record stands only if the predictions do."""
        if predictions:
            self.predictions.mkdir(exist_ok=True)
            place = self.predictions / f"{record['key']}.jsonl"
            made = place.with_suffix(".unfinished")
            write_lines(made, iter(predictions))
            made.replace(place)
        with self.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def predictions_of(self, key: str) -> list[dict[str, Any]] | None:
        """What each test example of a run got; None if that is not there."""
        place = self.predictions / f"{key}.jsonl"
        if not place.exists():
            return None
        with place.open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]
