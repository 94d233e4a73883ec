"""The data of a row and a seed, written as files that vecformer and every peer read, so that all have the same ones.

The split and the draw of labelled examples are those of vecformer: `data.test_share`, `data.limit_train` and the seed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from declaration import Row

from pipeline.data.config import DataConfig
from pipeline.data.examples import Example, Splits
from pipeline.data.readers.labelled import LabelledReader
from pipeline.data.readers.splitting import draw_evenly


def write_data(row: Row, seed: int, datasets: Path, folder: Path) -> Path:
    """Write the examples of a row and a seed into a new folder.

    Args:
        row: the row.
        seed: seed of the split and of the draw.
        datasets: folder of the data sets.
        folder: folder to create, with ``train.jsonl``, ``test.jsonl`` and, if there are such, ``dev.jsonl`` and
            ``unlabelled.jsonl``.

    Raises:
        DataError: if the data are missing or damaged.
    """
    found = read_splits(row, seed, datasets)
    folder.mkdir(parents=True)
    for part in ("train", "dev", "test"):
        _write(folder / f"{part}.jsonl", ({"text": one.text, "label": one.label} for one in getattr(found, part)))
    _write(folder / "unlabelled.jsonl", ({"text": str(text)} for text in found.unlabelled))
    return folder


def read_splits(row: Row, seed: int, datasets: Path) -> Splits[Example]:
    """Read the examples of a row; no dev set is set aside, and with a number of labels none is read."""
    reader, folder = LabelledReader(), datasets / row.data
    if row.test_share is not None:
        config = DataConfig(path=row.data, limit_train=row.labels, test_share=row.test_share, dev_share=0)
        return reader.read(config, seed=seed)
    config = DataConfig(path=str(folder), limit_train=row.labels, dev_share=0)
    names = {"train": row.train_file, "dev": "dev.tsv", "test": "test.tsv"}
    parts = {part: reader.read_examples(folder / name, config) for part, name in names.items()}
    if row.labels:
        train, rest = draw_evenly(parts["train"], row.labels, seed=seed, label=reader.strata(parts["train"]))
        return Splits(row.name, tuple(train), (), parts["test"], tuple(reader.texts(rest)))
    return Splits(row.name, **parts, unlabelled=())


def data_hash(folder: Path) -> str:
    """Hash the names and contents of the files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def n_examples(folder: Path) -> dict[str, int]:
    """Return the number of examples in each file of a folder."""
    return {path.stem: path.read_bytes().count(b"\n") for path in sorted(folder.iterdir())}


def _write(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write rows as JSON Lines; without rows no file is written."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    if lines:
        path.write_text("".join(lines), encoding="utf-8")
