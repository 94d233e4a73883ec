"""Reports of what is probably meant otherwise: unread files, other columns in another file, spellings of a label."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from embeddings.table.listing import listed
from pipeline.data.readers.findings import Findings, current

PARTS_OF_NAMES = ("train", "test", "dev", "val", "eval")  # how the names of the files of a data set begin
METADATA = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
MISSING = frozenset({"nan", "null", "na", "n/a", "#n/a", "<na>"})
SHOWN = 5


def report_unread(folder: Path, used: Sequence[Path], suffixes: Sequence[str]) -> None:
    """Report the files of a folder that could be read but are not; those that seem to be parts of it as a warning."""
    others = [path.name for path in sorted(folder.iterdir()) if path.is_file() and path not in used
              and path.name not in METADATA and path.name.lower().endswith(tuple(suffixes))]
    parts = [name for name in others if name.lower().startswith(PARTS_OF_NAMES)]
    has_texts = any(path.suffix == ".txt" for path in used[:1])  # otherwise they are notes on the data, or vectors
    rest = [name for name in others if name not in parts and (has_texts or not name.lower().endswith(".txt"))]
    if parts:
        current().warn(f"{folder}: not read: {listed(parts, limit=SHOWN)} (read: "
                       f"{listed([path.name for path in used], limit=SHOWN)}); keep one file of each part, called "
                       "train, dev or test")
    if rest:
        current().note(f"{folder}: not read: {listed(rest, limit=SHOWN)}")


def warn_of_columns(found: Findings) -> None:
    """Warn if the texts or the labels are in columns of different names in several files."""
    for what in ("text", "label"):
        first: dict[tuple[str, ...], Path] = {}
        for path, chosen in found.columns.items():
            if what in chosen:
                first.setdefault(tuple(name.strip().lower() for name in chosen[what]), path)
        if len(first) > 1:
            where = " and ".join(f"{'+'.join(map(repr, found.columns[path][what]))} in {path.name}"
                                 for path in [*first.values()][:SHOWN])
            found.warn(f"the {what}s are in different columns: {where}; if they are not the same, choose one for all "
                       f"files with --{what}-column NAME")


def warn_of_spellings(found: Findings, labels: Iterable[Sequence[str]]) -> None:
    """Warn of labels that differ in case, spaces, invisible characters, Unicode form or form of a number only."""
    counts = Counter(label for several in labels for label in several)
    spellings: dict[str, list[str]] = {}
    for label in sorted(counts):
        spellings.setdefault(_folded(label), []).append(label)
    alike = [", ".join(f"{label!r} ({counts[label]})" if label.isascii() else f"{label!a} ({counts[label]})"
                       for label in several[:SHOWN]) for several in spellings.values() if len(several) > 1]
    if alike:
        found.warn("labels that are spelled alike are different classes: "
                   f"{listed(alike, limit=SHOWN, separator='; ')}; write each in one way if they are the same")
    missing = [f"{label!r} ({counts[label]})" for label in counts if label.lower() in MISSING]
    if missing:
        found.note(f"{listed(missing, limit=SHOWN)} is read as a label; if it means that there is none, empty the "
                   "cells")


def _folded(label: str) -> str:
    plain = unicodedata.normalize("NFKC", label).casefold()
    plain = " ".join("".join(one for one in plain if unicodedata.category(one) != "Cf").split())
    try:
        return repr(float(plain)) if plain[:1] in "+-.0123456789" and "_" not in plain else plain
    except ValueError:
        return plain
