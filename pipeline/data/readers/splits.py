"""The parts of a data set, found in a folder or cut from one file: the same way for every kind of data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic

from pipeline.config import DataConfig
from pipeline.data.examples import E, Splits
from pipeline.data.readers.columns import read_unlabelled
from pipeline.data.readers.splitting import cut_in_order, dev_size, draw_evenly, split_off
from pipeline.data.readers.tables import known_suffixes
from pipeline.errors import DataError

log = logging.getLogger("vecformer")

PARTS = {
    "train": ("train", "training"),
    "dev": ("dev", "valid", "validation", "val"),
    "test": ("test",),
    "unlabelled": ("unlabelled", "unlabeled"),
}


@dataclass(frozen=True)
class Kind(Generic[E]):
    """How the data sets of one kind of example are read and cut.

    Attributes:
        suffixes: endings of the files that hold such examples.
        read: the examples of one file.
        texts: what word vectors can still learn from, of examples that are not learned from.
        label: what every cut takes the same share of; an example of label "" is not learned from. None: all are alike.
        in_order: each example goes on where the one before it ends, so that they are cut in the order they stand in.
        named: data sets that are known by name.
    """

    suffixes: tuple[str, ...]
    read: Callable[[Path, DataConfig], tuple[E, ...]]
    texts: Callable[[Iterable[E]], Iterable[str]]
    label: Callable[[E], str] | None = None
    in_order: bool = False
    named: Mapping[str, Callable[[], tuple[E, ...]]] = field(default_factory=dict)

    def split_off(self, examples: Sequence[E], share: float, seed: int) -> tuple[list[E], list[E]]:
        """Set a share of the examples aside: what remains, and what was set aside."""
        if self.in_order:
            return cut_in_order(examples, len(examples) - round(share * len(examples)))
        return split_off(examples, share, seed=seed, key=lambda example: example.key, label=self._label)

    def draw(self, examples: Sequence[E], n: int, seed: int) -> tuple[list[E], list[E]]:
        """Draw ``n`` examples: the drawn, and the rest."""
        if self.in_order:
            return cut_in_order(examples, n)
        return draw_evenly(examples, n, seed=seed, label=self._label)

    def is_unlabelled(self, example: E) -> bool:
        """Whether it lacks the label that its kind has."""
        return self.label is not None and not self.label(example)

    def require_labels(self, examples: Sequence[E]) -> None:
        """Refuse examples that lack the label that their kind has.

        Raises:
            DataError: naming the first.
        """
        missing = [example.where for example in examples if self.is_unlabelled(example)]
        if missing:
            raise DataError(f"{missing[0]}: no label ({len(missing)} such rows); only training examples may lack it")

    def _label(self, example: E) -> str:
        return self.label(example) if self.label else ""


def read_parts(kind: Kind[E], config: DataConfig, *, seed: int) -> Splits[E]:
    """Read and cut a data set: a folder with train/dev/test files, one file, or a name.

    Without a test file ``test_share`` of the examples is held out. Then ``limit_train`` draws from the others, and the
    texts of what is left become unlabelled. Without a dev file, ``dev_share`` of what is learned from is set aside if
    that is enough to say anything. Examples of equal keys never end up on both sides of a cut (unless they are cut in
    the order they stand in).

    Raises:
        DataError: if nothing is there or something in it is broken.
    """
    if not config.path:
        places = " or ".join(f"--data {place}" for place in ("FILE", "FOLDER", *kind.named))
        raise DataError(f"no data: give {places} (data.path in the configuration)")
    splits = _read(kind, config)
    without = [example for example in splits.train if kind.is_unlabelled(example)]
    train, test = [example for example in splits.train if not kind.is_unlabelled(example)], list(splits.test)
    if not test:
        train, test = kind.split_off(train, config.test_share, seed)
        if not test or not train:
            raise DataError(f"{config.path}: too few examples ({len(splits.train)}) to hold a test set out of")
    if config.limit_train and config.limit_train >= len(train):
        log.warning("limit_train=%d takes all: there are %d %sexamples", config.limit_train, len(train),
                    "labelled " if kind.label else "")
    elif config.limit_train:
        train, rest = kind.draw(train, config.limit_train, seed)
        without += rest
    dev = list(splits.dev)
    if not dev and (size := dev_size(len(train), config.dev_share)):
        train, dev = kind.split_off(train, size / len(train), seed)
    if not kind.in_order:
        _warn_of_leaks(train, test)
    kind.require_labels(dev)
    kind.require_labels(test)
    unlabelled = (*splits.unlabelled, *kind.texts(without))
    return Splits(splits.name, tuple(train), tuple(dev), tuple(test), unlabelled)


def find_part(folder: Path, part: str, suffixes: Sequence[str]) -> Path | None:
    """The file of one part of a folder, by its usual names.

    Raises:
        DataError: if there are several.
    """
    found = [path for name in PARTS[part] for suffix in suffixes if (path := folder / f"{name}{suffix}").is_file()]
    if len(found) > 1:
        raise DataError(f"{folder}: {' and '.join(path.name for path in found)} are both there; keep one {part} file")
    return found[0] if found else None


def _read(kind: Kind[E], config: DataConfig) -> Splits[E]:
    path = Path(config.path)
    if path.is_dir():
        return _read_folder(kind, path, config)
    if not path.exists() and config.path in kind.named:
        return Splits(config.path, train=kind.named[config.path](), dev=(), test=(), unlabelled=())
    if not path.exists():
        named = f"; the data set known by name is: {', '.join(kind.named)}" if kind.named else ""
        raise DataError(f"{path}: no such file or folder{named}")
    return Splits(path.stem, train=kind.read(path, config), dev=(), test=(), unlabelled=())


def _read_folder(kind: Kind[E], folder: Path, config: DataConfig) -> Splits[E]:
    train = find_part(folder, "train", kind.suffixes)
    if train is None:
        endings = " ".join(kind.suffixes)
        raise DataError(f"{folder}: no file train.* ({endings}); a data folder holds train, test and perhaps dev files")
    dev, test = (find_part(folder, part, kind.suffixes) for part in ("dev", "test"))
    unlabelled = find_part(folder, "unlabelled", (*known_suffixes(), ".txt", ".txt.gz"))
    return Splits(
        folder.resolve().name,
        train=kind.read(train, config),
        dev=kind.read(dev, config) if dev else (),
        test=kind.read(test, config) if test else (),
        unlabelled=read_unlabelled(unlabelled, config) if unlabelled else (),
    )


def _warn_of_leaks(train: Sequence[E], test: Sequence[E]) -> None:
    seen = {example.key for example in train}
    repeated = sum(example.key in seen for example in test)
    if repeated:
        log.warning("%d of the %d test texts also stand in the training file", repeated, len(test))
