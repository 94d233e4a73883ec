"""The base class of readers: finds the parts of a data set in a folder, or splits one file, alike for every format."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Generic

from embeddings.specification.suggest import did_you_mean
from embeddings.table.arguments import argument, either
from embeddings.table.paths import from_written, printable
from embeddings.tokenization.interface import Text
from pipeline.data.config import DataConfig
from pipeline.data.examples import E, Splits
from pipeline.data.readers import findings
from pipeline.data.readers.columns import read_unlabelled
from pipeline.data.readers.doubts import report_unread, warn_of_columns, warn_of_spellings
from pipeline.data.readers.files import COMPRESSIONS
from pipeline.data.readers.hub_folders import part_shards, saved_dataset
from pipeline.data.readers.reading_report import notes_on_labels, summary, why_no_test_set
from pipeline.data.readers.splitting import MIN_DEV, cut_in_order, dev_size, draw_evenly, split_off
from pipeline.data.readers.tables import FIRST, compressed_suffixes, known_suffixes
from pipeline.errors import DataError

log = logging.getLogger("vecformer")

PARTS = {
    "train": ("train", "training"),
    "dev": ("dev", "valid", "validation", "val"),
    "test": ("test", "testing"),
    "unlabelled": ("unlabelled", "unlabeled"),
}
PLAIN_TEXT = (".txt", *(f".txt{packed}" for packed in COMPRESSIONS))


class Reader(ABC, Generic[E]):
    """Read data sets of one kind of example.

    A subclass implements :meth:`suffixes`, :meth:`read_file`, :meth:`example` and :meth:`texts`; splitting, drawing and
    the search for the files of a folder are the same for all formats.

    Attributes:
        has_labels: examples have a label (:meth:`label`); splits are stratified by it, and training examples with the
            label "" are unlabelled text.
        reads_corpora: all files of a folder without files of parts are read as one text.
        in_order: examples are consecutive lines of one text, so that splits keep their order.
        named: data sets that are found by name instead of a path.
        unit: plural of what the reading report counts.
    """

    has_labels: ClassVar[bool] = False
    in_order: ClassVar[bool] = False
    reads_corpora: ClassVar[bool] = False
    named: Mapping[str, Callable[[], tuple[E, ...]]] = MappingProxyType({})
    unit: ClassVar[str] = "examples"

    def earlier_suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffixes that earlier versions read; files with them take precedence in a folder."""
        return FIRST

    @abstractmethod
    def suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffixes of the files that hold such examples, such as ``(".tsv", ".csv")``."""

    @abstractmethod
    def read_file(self, path: Path, config: DataConfig) -> tuple[E, ...]:
        """Read all examples of one file.

        Raises:
            DataError: if the file is missing, empty or malformed; the message names the line.
        """

    @abstractmethod
    def example(self, text: str, context: str) -> E:
        """Make an example without a gold answer, such as one from the command line.

        Args:
            text: the text to predict for.
            context: second text, for tasks on pairs of texts; "" for none.

        Raises:
            DataError: if the task cannot predict for such a text.
        """

    @abstractmethod
    def texts(self, examples: Sequence[E]) -> list[Text]:
        """Return the input texts of examples: what the vocabulary and word vectors are made from."""

    def target_texts(self, examples: Sequence[E]) -> list[Text]:
        """Return the output texts of examples, if the output has a separate vocabulary; otherwise []."""
        return []

    def label(self, example: E) -> str:
        """Return the label by which splits are stratified; "" for none."""
        return ""

    def strata(self, examples: Sequence[E]) -> Callable[[E], str]:
        """Return the function that gives the stratum of one of these examples in a split; by default its label."""
        return self.label

    def labels(self, example: E) -> Sequence[str]:
        """Return all labels of an example, for the counts of the reading report."""
        label = self.label(example)
        return [label] if label else []

    def read(self, config: DataConfig, *, seed: int) -> Splits[E]:
        """Read and split a data set: a folder with train/dev/test files, one file, or a name.

        Without a test file, ``test_share`` of the examples is held out. ``limit_train`` then draws from the rest; the
        texts of the examples that are not drawn become unlabelled. Without a dev file, ``dev_share`` of the training
        examples is set aside if that gives a dev set of useful size. Examples with equal keys stay on one side of a
        split (except where examples are split in order). The findings of the result describe what was read.

        Args:
            config: section ``[data]`` of the configuration.
            seed: seed of the splits.

        Raises:
            DataError: if nothing is found or a file is malformed.
        """
        if not config.path:
            places = ("FILE", "FOLDER", *self.named)
            options = " or ".join(argument("data", place) for place in places)
            raise DataError("no data; " + either(f"add {options} (data.path in the configuration)",
                                                 f"set data.path to {' or '.join(places)}, or pass splits="))
        with findings.collecting() as found:
            try:
                return self._split(self._read(config), config, seed, found)
            except DataError:
                found.log()  # what was detected may be the cause
                raise

    def divide(self, given: Splits[E], config: DataConfig, *, seed: int) -> Splits[E]:
        """Split examples in memory into training and development examples; none are held out for testing.

        Args:
            given: the examples; ``limit_train`` and ``dev_share`` apply to them as to those of :meth:`read`.
            config: section ``[data]`` of the configuration.
            seed: seed of the splits.
        """
        return self._split(given, config, seed, findings.Findings(), holds_out=False)

    def _split(
        self, splits: Splits[E], config: DataConfig, seed: int, found: findings.Findings, *, holds_out: bool = True
    ) -> Splits[E]:
        without = [example for example in splits.train if self.is_unlabelled(example)]
        train, test = [example for example in splits.train if not self.is_unlabelled(example)], list(splits.test)
        if holds_out and not test:
            labelled = train
            train, test = self._split_off(labelled, config.test_share, seed)
            if not test or not train:
                reason = why_no_test_set([example.key for example in labelled],
                                         list(map(self.strata(labelled), labelled)), config.test_share,
                                         len(without), bool(test))
                raise DataError(f"{config.path}: {reason}")
        n_unlabelled = len(without)
        if config.limit_train and config.limit_train >= len(train):
            log.warning("data.limit_train=%d has no effect: there are %d %sexamples", config.limit_train, len(train),
                        "labelled " if self.has_labels else "")
        elif config.limit_train:
            train, rest = self._draw(train, config.limit_train, seed)
            without += rest
        dev = list(splits.dev)
        if not dev and (size := dev_size(len(train), config.dev_share)):
            train, dev = self._split_off(train, size / len(train), seed)
        elif not dev and config.dev_share > DataConfig.dev_share:
            log.warning("data.dev_share=%g has no effect: of %d training examples it would be a dev set of %d; the "
                        "smallest is %d", config.dev_share, len(train), round(config.dev_share * len(train)), MIN_DEV)
        if not self.in_order:
            _warn_of_leaks(train, test)
        self._require_labels(dev)
        self._require_labels(test)
        made = Splits(splits.name, tuple(train), tuple(dev), tuple(test), (*splits.unlabelled, *self.texts(without)),
                      found)
        warn_of_columns(found)
        if self.has_labels:
            warn_of_spellings(found, map(self.labels, (*made.train, *made.dev, *made.test)))
        found.summary = summary(self.unit, found, made, n_unlabelled, len(without) - n_unlabelled)
        if self.has_labels and not config.limit_train:
            found.notes += notes_on_labels(self.labels(example) for example in made.train)
        return made

    def read_examples(self, path: Path, config: DataConfig) -> tuple[E, ...]:
        """Read one file of labelled examples, such as one to evaluate a finished run on.

        Raises:
            DataError: if the file is missing or malformed, or an example has no label.
        """
        if path.is_dir():
            raise DataError(f"{path} is a folder; name a file in it, such as {path / 'test.tsv'}")
        with findings.collecting() as found:
            examples = self.read_file(path, config)
        found.log()
        self._require_labels(examples)
        return examples

    def is_unlabelled(self, example: E) -> bool:
        """Whether an example of labelled data has no label."""
        return self.has_labels and not self.label(example)

    def _split_off(self, examples: Sequence[E], share: float, seed: int) -> tuple[list[E], list[E]]:
        if self.in_order:
            return cut_in_order(examples, len(examples) - round(share * len(examples)))
        return split_off(examples, share, seed=seed, key=lambda example: example.key, label=self.strata(examples))

    def _draw(self, examples: Sequence[E], n: int, seed: int) -> tuple[list[E], list[E]]:
        if self.in_order:
            return cut_in_order(examples, n)
        return draw_evenly(examples, n, seed=seed, label=self.strata(examples))

    def _require_labels(self, examples: Sequence[E]) -> None:
        missing = [example.where for example in examples if self.is_unlabelled(example)]
        if missing:
            raise DataError(f"{missing[0]}: no label ({len(missing)} such rows); only training examples may have none")

    def _read(self, config: DataConfig) -> Splits[E]:
        path = Path(from_written(config.path))
        if path.is_dir():
            return self._read_folder(path, config)
        if path.exists():
            return Splits(printable(path.stem), train=self.read_file(path, config), dev=(), test=(), unlabelled=())
        if config.path in self.named:
            return Splits(config.path, train=self.named[config.path](), dev=(), test=(), unlabelled=())
        if "://" in config.path:
            raise DataError(f"{config.path}: URLs are not read; download the data and name the file or folder")
        names = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
        named = f"; data sets with a name: {', '.join(self.named)}" if self.named else ""
        raise DataError(f"{path}: no such file or folder{named}.{did_you_mean(path.name, [*names, *self.named])}")

    def _read_folder(self, folder: Path, config: DataConfig) -> Splits[E]:
        suffixes = self.suffixes(config)
        earlier = self.earlier_suffixes(config)
        train, dev, test = (find_files(folder, part, suffixes, earlier) for part in ("train", "dev", "test"))
        train = train or saved_dataset(folder, suffixes) or (() if dev or test else self._corpus(folder, suffixes))
        if not train:
            plain = [suffix for suffix in suffixes if suffix not in compressed_suffixes()]
            raise DataError(f"{folder}: no file train.* ({' '.join(plain)}); a data folder has the files train, "
                            "test and optionally dev")
        unlabelled = find_files(folder, "unlabelled", (*known_suffixes(), *compressed_suffixes(), *PLAIN_TEXT),
                                (*FIRST, ".txt", ".txt.gz"))
        report_unread(folder, (*train, *dev, *test, *unlabelled), suffixes)
        return Splits(
            printable(folder.resolve().name),
            train=self._read_files(train, config),
            dev=self._read_files(dev, config),
            test=self._read_files(test, config),
            unlabelled=tuple(text for path in unlabelled for text in read_unlabelled(path, config)),
        )

    def _corpus(self, folder: Path, suffixes: Sequence[str]) -> tuple[Path, ...]:
        """Return the files of a folder that is one text, in the order of their names; none if readers need parts."""
        files = sorted(folder.iterdir()) if self.reads_corpora else []
        return tuple(path for path in files if path.is_file() and path.name.lower().endswith(tuple(suffixes)))

    def _read_files(self, paths: Sequence[Path], config: DataConfig) -> tuple[E, ...]:
        return tuple(example for path in paths for example in self.read_file(path, config))


def find_files(folder: Path, part: str, suffixes: Sequence[str], earlier: Sequence[str]) -> tuple[Path, ...]:
    """Return the files of one part of a folder: one file with a usual name, or the shards of a Hugging Face folder.

    Of several files, one in a format of earlier versions is taken before those in formats that were added later.

    Args:
        folder: the folder of the data set.
        part: its part, a key of ``PARTS``.
        suffixes: suffixes of the formats that are read.
        earlier: suffixes that earlier versions read.

    Raises:
        DataError: if there are several.
    """
    found = find_part(folder, part, [suffix for suffix in suffixes if suffix in earlier]) or find_part(
        folder, part, [suffix for suffix in suffixes if suffix not in earlier])
    return (found,) if found else part_shards(folder, PARTS[part], suffixes)


def find_part(folder: Path, part: str, suffixes: Sequence[str]) -> Path | None:
    """Return the file of one part of a folder, found by its usual names in any case.

    Raises:
        DataError: if there are several.
    """
    by_name: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        by_name.setdefault(path.name.lower(), []).append(path)
    names = dict.fromkeys(f"{name}{suffix}".lower() for name in PARTS[part] for suffix in suffixes)
    found = [path for name in names for path in by_name.get(name, ()) if path.is_file()]
    if len(found) > 1:
        raise DataError(f"{folder}: both {' and '.join(path.name for path in found)} exist; keep one {part} file")
    return found[0] if found else None


def _warn_of_leaks(train: Sequence[E], test: Sequence[E]) -> None:
    keys = [example.key for example in test]
    wanted = set(keys)  # rather than a set of the training texts, which are many more
    seen = {key for example in train if (key := example.key) in wanted}
    repeated = sum(key in seen for key in keys)
    if repeated:
        log.warning("%d of the %d test texts are also in the training file", repeated, len(test))
