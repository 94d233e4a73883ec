"""Folders of Hugging Face: saved by ``datasets`` (``save_to_disk``), and shards as in repositories of its hub."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.data.readers.files import format_suffix
from pipeline.errors import DataError

_SHARD = re.compile(r"(?P<part>[^.]+?)-\d{5}-of-(?P<n>\d{5})(-[0-9a-f]+)?\.")


def part_shards(folder: Path, names: Sequence[str], suffixes: Sequence[str]) -> tuple[Path, ...]:
    """Return the files of one part of a data set, in the order of its rows; () if there are none.

    They are ``train-00000-of-00001.parquet`` in the folder, in ``data`` or in its only subfolder with such files;
    ``train/data-00000-of-00001.arrow`` as ``save_to_disk`` writes it; or ``train/0000.parquet``.

    Args:
        folder: the folder of the data set.
        names: names of the part, such as ``train``.
        suffixes: suffixes of the formats that are read.

    Raises:
        DataError: if several subfolders have such files, or a file is missing.
    """
    for name in names:
        for place in (folder, folder / "data"):
            if found := _shards(place, name, suffixes):
                return found
        if found := _saved(folder / name, suffixes):
            return found
    inner = [sub for sub in sorted(folder.iterdir())
             if sub.is_dir() and any(_shards(sub, name, suffixes) for name in names)]
    if len(inner) > 1:
        raise DataError(f"{folder}: {' and '.join(repr(sub.name) for sub in inner[:5])} have files of the same part; "
                        f"name one of these folders, such as {inner[0]}")
    return part_shards(inner[0], names, suffixes) if inner else ()


def saved_dataset(folder: Path, suffixes: Sequence[str]) -> tuple[Path, ...]:
    """Return the files of a single data set that ``save_to_disk`` wrote to a folder; () if it is none."""
    is_saved = (folder / "state.json").is_file() or _shards(folder, "data", (".arrow",))
    return _saved(folder, suffixes) if is_saved else ()


def _shards(folder: Path, name: str, suffixes: Sequence[str]) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    matches = {path: match for path in sorted(folder.iterdir()) if (match := _SHARD.match(path.name))}
    found = [path for path, match in matches.items()
             if match["part"] == name and format_suffix(path) in suffixes and path.is_file()]
    expected = int(matches[found[0]]["n"]) if found else 0
    if expected != len(found):
        raise DataError(f"{folder}: {len(found)} of the {expected} files {name}-*-of-{expected:05} exist; download the "
                        "others")
    return tuple(found)


def _saved(folder: Path, suffixes: Sequence[str]) -> tuple[Path, ...]:
    """Return the files in a folder of one part: those that ``state.json`` lists, or all in order of their names."""
    if not folder.is_dir():
        return ()
    state = folder / "state.json"
    if ".arrow" in suffixes and state.is_file():
        try:
            listed = [folder / Path(file["filename"]).name for file in json.loads(state.read_bytes())["_data_files"]]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{state}: not what save_to_disk writes ({error}); save the data set again") from error
        missing = next((path for path in listed if not path.is_file()), None)
        if missing:
            raise DataError(f"{missing}: no such file, but {state.name} lists it; save the data set again")
        return tuple(listed)
    return tuple(path for path in sorted(folder.iterdir())
                 if path.suffix in (".arrow", ".parquet") and path.suffix in suffixes)
