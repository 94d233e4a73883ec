"""Labelled texts by name, from a folder, or from one file: as training, dev and test examples, and unlabelled texts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from embeddings.words.corpus import CorpusFiles
from pipeline.config import DataConfig
from pipeline.data.bbc import read_bbc
from pipeline.data.readers import find_column, known_suffixes, read_rows
from pipeline.data.splitting import dev_size, draw_evenly, split_off
from pipeline.errors import DataError

log = logging.getLogger("vecformer")

TEXT_COLUMNS = ("text", "sentence", "review", "content", "body", "question", "document", "article", "tweet", "title")
LABEL_COLUMNS = ("label", "labels", "class", "category", "topic", "target", "sentiment", "tag")
PARTS = {
    "train": ("train", "training"),
    "dev": ("dev", "valid", "validation", "val"),
    "test": ("test",),
    "unlabelled": ("unlabelled", "unlabeled"),
}


@dataclass(frozen=True)
class Example:
    """A text and its label ("" for none), and where it stands: ``file:line``."""

    text: str
    label: str
    where: str


@dataclass(frozen=True)
class Splits:
    """A data set, cut.

    Attributes:
        name: what to call it in reports.
        train: to learn from.
        dev: to stop early by; may be empty.
        test: to measure on.
        unlabelled: texts to train word vectors on, beside those of ``train``.
    """

    name: str
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    unlabelled: tuple[str, ...]


def read_splits(config: DataConfig, *, seed: int) -> Splits:
    """Read and cut a data set: ``bbc``, a folder with train/dev/test files, or one file.

    Without a test file ``test_share`` of the examples is held out. Then ``limit_train`` draws the labelled examples and
    the others' texts become unlabelled. Without a dev file, ``dev_share`` of the labelled examples is set aside if that
    is enough to say anything. Equal texts never end up on both sides of a cut.

    Raises:
        DataError: if nothing is there or something in it is broken.
    """
    if not config.path:
        raise DataError("no data: give --data FILE, --data FOLDER or --data bbc (or data.path in the configuration)")
    splits = _read(config)
    unlabelled = [*splits.unlabelled, *(example.text for example in splits.train if not example.label)]
    train, test = [example for example in splits.train if example.label], list(splits.test)
    if not test:
        train, test = split_off(train, config.test_share, seed=seed, text=_text, label=_label)
        if not test or not train:
            raise DataError(f"{config.path}: too few examples ({len(splits.train)}) to hold a test set out of")
    if config.limit_train and config.limit_train >= len(train):
        log.warning("limit_train=%d takes all: there are %d labelled examples", config.limit_train, len(train))
    elif config.limit_train:
        train, rest = draw_evenly(train, config.limit_train, seed=seed, label=_label)
        unlabelled += [example.text for example in rest]
    dev = list(splits.dev)
    if not dev and (size := dev_size(len(train), config.dev_share)):
        train, dev = split_off(train, size / len(train), seed=seed, text=_text, label=_label)
    _warn_of_leaks(train, test)
    for part in (dev, test):
        _require_labels(part)
    return replace(splits, train=tuple(train), dev=tuple(dev), test=tuple(test), unlabelled=tuple(unlabelled))


def read_examples(path: Path, config: DataConfig) -> tuple[Example, ...]:
    """Read one file of labelled texts, such as one to evaluate a finished run on.

    Raises:
        DataError: if the file, a column or a label is missing.
    """
    examples = _read_file(path, config)
    _require_labels(examples)
    return examples


def _read(config: DataConfig) -> Splits:
    path = Path(config.path)
    if config.path == "bbc" and not path.exists():
        articles = tuple(Example(*article) for article in read_bbc())
        return Splits("bbc", train=articles, dev=(), test=(), unlabelled=())
    if path.is_dir():
        return _read_folder(path, config)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; the data set known by name is: bbc")
    return Splits(path.stem, train=_read_file(path, config), dev=(), test=(), unlabelled=())


def _read_folder(folder: Path, config: DataConfig) -> Splits:
    files = {part: _find(folder, part, names) for part, names in PARTS.items()}
    train = files["train"]
    if train is None:
        endings = " ".join(known_suffixes())
        raise DataError(f"{folder}: no file train.* ({endings}); a data folder holds train, test and perhaps dev files")
    unlabelled = files["unlabelled"]
    return Splits(
        folder.resolve().name,
        train=_read_file(train, config),
        dev=_read_file(files["dev"], config) if files["dev"] else (),
        test=_read_file(files["test"], config) if files["test"] else (),
        unlabelled=_read_unlabelled(unlabelled, config) if unlabelled else (),
    )


def _find(folder: Path, part: str, names: Sequence[str]) -> Path | None:
    suffixes = (*known_suffixes(), *((".txt", ".txt.gz") if part == "unlabelled" else ()))
    found = [path for name in names for suffix in suffixes if (path := folder / f"{name}{suffix}").is_file()]
    if len(found) > 1:
        raise DataError(f"{folder}: {' and '.join(path.name for path in found)} are both there; keep one {part} file")
    return found[0] if found else None


def _read_file(path: Path, config: DataConfig) -> tuple[Example, ...]:
    rows = read_rows(path)
    text = find_column(rows, path, config.text_column, TEXT_COLUMNS, "text_column")
    label = find_column(rows, path, config.label_column, LABEL_COLUMNS, "label_column")
    examples = []
    for row in rows:
        if text not in row.cells:
            raise DataError(f"{path}:{row.line}: no {text!r}")
        examples.append(Example(row.cells[text], row.cells.get(label, "").strip(), f"{path}:{row.line}"))
    return tuple(examples)


def _read_unlabelled(path: Path, config: DataConfig) -> tuple[str, ...]:
    if path.suffix in known_suffixes():
        rows = read_rows(path)
        column = find_column(rows, path, config.text_column, TEXT_COLUMNS, "text_column")
        return tuple(row.cells.get(column, "") for row in rows)
    return tuple(line.strip() for line in CorpusFiles((path,)) if line.strip())


def _require_labels(examples: Sequence[Example]) -> None:
    missing = [example.where for example in examples if not example.label]
    if missing:
        raise DataError(f"{missing[0]}: no label ({len(missing)} such rows); only training examples may lack it")


def _warn_of_leaks(train: Sequence[Example], test: Sequence[Example]) -> None:
    seen = {_text(example) for example in train}
    repeated = sum(_text(example) in seen for example in test)
    if repeated:
        log.warning("%d of the %d test texts also stand in the training file", repeated, len(test))


def _text(example: Example) -> str:
    return example.text.strip()


def _label(example: Example) -> str:
    return example.label
