"""Finished runs near a path: for a message about a misspelt name, and for completion."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import islice
from pathlib import Path

from embeddings.table.listing import listed

DEFAULT_PLACE = Path("runs")  # of `vecformer run` without --out
MAX_ENTRIES = 2000  # of a folder that are searched
MAX_NAMED = 5


def runs_in(folder: Path) -> list[Path]:
    """Return the finished runs in a folder, in alphabetical order; [] if it cannot be read."""
    with suppress(OSError), os.scandir(folder) as entries:
        names = sorted(entry.name for entry in islice(entries, MAX_ENTRIES) if not entry.name.startswith("."))
        return [folder / name for name in names if is_run(folder / name)]
    return []


def is_run(folder: Path) -> bool:
    """Whether a folder has the manifest and the configuration of a finished run."""
    return (folder / "manifest.json").is_file() and (folder / "config.toml").is_file()


def near(path: Path) -> list[Path]:
    """Return the runs in the folder of a path, in ``runs`` and in the current folder, those of similar names first."""
    from rapidfuzz import fuzz

    found = dict.fromkeys(run for place in (path.parent, DEFAULT_PLACE, Path()) for run in runs_in(place))
    wanted, name = (text[:200].encode(errors="replace").decode() for text in (str(path), path.name))

    def difference(run: Path) -> float:
        whole, last = (text.encode(errors="replace").decode() for text in (str(run), run.name))
        return -max(fuzz.ratio(wanted, whole), fuzz.ratio(name, last))

    return sorted(found, key=difference)


def advice(path: Path) -> str:
    """Return the sentence of a message that names the runs near a path; "" if there are none."""
    from embeddings.table.paths import written

    runs = [written(run) for run in near(path)]
    return f"; runs that exist: {listed(runs, limit=MAX_NAMED)}" if runs else ""
