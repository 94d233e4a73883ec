"""The grid of a benchmark: initialisations, conditions and seeds, from defaults, a TOML file and options."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import ValidationError

from embeddings.sources.random import CONTROLS
from embeddings.specification import sources
from embeddings.specification.grammar import split_top_level, strip_parentheses
from embeddings.specification.suggest import did_you_mean
from embeddings.specification.transforms import parse_transform
from embeddings.table.arguments import argument, either
from embeddings.table.validation import validated
from pipeline.benchmark.rivals.base import ALL, RIVALS
from pipeline.benchmark.rivals.base import find as find_rival
from pipeline.config import RunConfig, current, keys, parse_assignment, read_toml, with_values
from pipeline.errors import ConfigError, brief
from pipeline.runs.toml_values import storable
from transformer.config import option, require

TRANSFORM_SEPARATOR = re.compile(r"\+(?=\s*[A-Za-z(])")  # a "+" before a digit belongs to a number, such as 1e+3
SETTING = re.compile(r"[\w.]+\s*=")  # key=value; a transform begins with its name alone
BAR = " | "  # separates the parts of an initialisation's name
DEFAULT_DATA: Mapping[str, Any] = {"data": {"path": "bbc", "max_length": 256}}
DEFAULT_LIMITS = (20, 50)
GRID_OPTIONS = {"source": "sources", "transforms": "transforms", "embedding.freeze": "freeze",
                "data.limit_train": "limit_train", "seed": "seeds"}
"""Configuration keys that the grid sets, and the grid's own option for each."""


@dataclass(frozen=True)
class Initialisation:
    """How the embedding layer of a run is initialised.

    Attributes:
        source: a source specification.
        transforms: applied to the vectors in this order.
        frozen: the vectors are not trained.
        control: ``matched``, ``covariance`` or ``shuffled`` for a control.
        control_of: the source that it is a control for.
        settings: further configuration keys, such as ``training.precision=float32``.
    """

    source: str
    transforms: tuple[str, ...] = ()
    frozen: bool = False
    control: str | None = None
    control_of: str | None = None
    settings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name such as ``glove | standardize | frozen | training.lr=0.01``."""
        return BAR.join((self.source, *self.transforms, *(["frozen"] if self.frozen else []), *self.settings))

    @property
    def assignments(self) -> dict[str, Any]:
        """The settings as configuration keys and values."""
        return dict(current(*parse_assignment(setting)) for setting in self.settings)

    @classmethod
    def parse(cls, name: str) -> Initialisation:
        """Parse a :attr:`name`."""
        source, *parts = (part.strip() for part in name.split(BAR))
        settings = tuple(part for part in parts if SETTING.match(part))
        further = [part for part in parts if part not in settings]
        frozen = further[-1:] == ["frozen"]
        return cls(source, tuple(further[:-1] if frozen else further), frozen, settings=settings)


@dataclass(frozen=True)
class Condition:
    """Settings under which initialisations are compared; comparisons are made within one condition.

    Attributes:
        limit_train: number of training examples; 0 for all.
        vary: further configuration keys and their values.
        epochs: number of epochs after which runs are compared, which may have more; 0 for the end of the runs.
        is_end: whether runs end after ``epochs``.
    """

    limit_train: int
    vary: tuple[tuple[str, Any], ...] = ()
    epochs: int = 0
    is_end: bool = True

    @property
    def name(self) -> str:
        """Name such as ``50 training examples, norm=pre``."""
        number = f"{self.limit_train:,}" if self.limit_train else "all"
        short = [key.rpartition(".")[2] for key, _ in self.differing]
        return ", ".join((f"{number} training examples", *(f"{name if short.count(name) == 1 else key}={value}"
                         for name, (key, value) in zip(short, self.differing, strict=True))))

    @property
    def differing(self) -> tuple[tuple[str, Any], ...]:
        """The configuration keys and values that distinguish conditions with the same number of examples."""
        return (*self.vary, *([("training.epochs", self.epochs)] if self.epochs else []))


@dataclass(frozen=True)
class Grid:
    """A full factorial design: one run for every combination."""

    sources: tuple[str, ...] = option(
        ("random", "word2vec", "fasttext", "glove"),
        "source specifications; \"glove | standardize | frozen\" adds transforms and freezing to one source, "
        "\"glove | training.precision=float32\" a configuration key")
    baseline: str = option("random", "the source with which all others are compared")
    transforms: tuple[str, ...] = option(("none",), "transforms applied to every source, each as a separate "
                                                    "initialisation: none, standardize, or a chain such as center+unit")
    freeze: tuple[bool, ...] = option((False,), "train the word vectors (false), freeze them (true), or compare both")
    limit_train: tuple[int | Literal["all"], ...] = option(("all",), "numbers of training examples")
    seeds: int = option(10, "number of seeds (1, 2, ...) for each combination")
    until_settled: bool = option(False, "add seeds until every comparison is settled, instead of the number `seeds`")
    max_seeds: int = option(50, "largest number of seeds with until_settled")
    controls: bool = option(False, "add control initialisations that separate the effects of scale, geometry and "
                                   "meaning, frozen and trained")
    tune: Mapping[str, tuple[Any, ...]] = field(default_factory=dict, metadata={
        "help": "configuration keys and the values to try for each initialisation; the best on dev is selected"})
    vary: Mapping[str, tuple[Any, ...]] = field(default_factory=dict, metadata={
        "help": "configuration keys and values that define further conditions, such as \"model.norm\" = "
                "[\"pre\", \"post\"]"})
    data: tuple[str, ...] = option((), "several data sets, each with a benchmark of its own, whose results are "
                                       "compared over all of them; instead of data.path in [run]")
    after_epochs: tuple[int, ...] = option((), "numbers of epochs after which the initialisations are compared, all of "
                                               "them in the same runs, which have the largest number of epochs")
    measure: str = option("", "measure to compare; \"\" for the task's main measure")
    margin: float | None = option(None, "largest difference that counts as equal, in percentage points for shares, "
                                        "otherwise in units of the measure")
    target: float | None = option(None, "score for the time-to-target table; by default 95 % of the best mean")
    baselines: bool = option(True, "also evaluate the task's simpler models on the data of each run")
    rivals: tuple[str, ...] = option((), "models of other kinds to train on the same data and compare with every "
                                         "source, such as tfidf; [\"all\"] for all")
    run: Mapping[str, Any] = field(default_factory=dict, metadata={
        "help": "configuration shared by all runs, in the format of a run's own file"})

    def __post_init__(self) -> None:
        require(bool(self.sources),
                f"sources is empty; give at least one: {either('--source glove', 'sources = [glove]')}")
        require(self.seeds >= 1, f"seeds={self.seeds} is not at least 1")
        require(len(self.data) != 1 and len(set(self.data)) == len(self.data), "data has fewer than two different data "
                "sets; give several, or one as data.path in [run]")
        require(not self.data or not self.run.get("data", {}).get("path"),
                "data and data.path in [run] cannot be combined")
        require(self.max_seeds >= 1, f"max_seeds={self.max_seeds} is not at least 1")
        require(self.margin is None or 0 < self.margin < math.inf, f"margin={self.margin} is not a positive number")
        for size in self.limit_train:
            require(size == "all" or size >= 1, f"limit_train={size} is neither a positive number nor \"all\"")
        for name in ("transforms", "freeze", "limit_train"):
            require(bool(getattr(self, name)), f"{name} is empty; leave it out for its default")
        for name in self.rival_names:
            find_rival(name)
        for initialisation in self.initialisations:
            sources.parse(initialisation.source)
            for transform in initialisation.transforms:
                parse_transform(transform)
        assigned = {key for initialisation in self.initialisations for key in initialisation.assignments}
        known = dict(keys())
        for key in (*self.tune, *self.vary, *sorted(assigned)):
            require(key in known, f"unknown configuration key {key!r}.{did_you_mean(key, known)}")
            require(key not in GRID_OPTIONS, f"{key} is set by the grid's option {GRID_OPTIONS.get(key)}")
        for key, values in (*self.tune.items(), *self.vary.items()):
            require(bool(values), f"{key} has no values")
        require(not set(self.tune) & set(self.vary), "a key cannot be in both tune and vary")
        for key in sorted(assigned):
            require(key not in {*self.tune, *self.vary}, f"{key} is set by a source and cannot also be in tune or vary")
        RunConfig.from_mapping(self.run, where="the grid's [run]")
        self._check_epochs()

    def _check_epochs(self) -> None:
        if not self.after_epochs:
            return
        for n in self.after_epochs:
            require(n >= 1, f"after_epochs={n} is not at least 1")
        require(len(set(self.after_epochs)) == len(self.after_epochs), "after_epochs has a number twice")
        require(not self.tune, f"{argument('after_epochs')} and {argument('tune')} cannot be combined")
        assigned = (key for initialisation in self.initialisations for key in initialisation.assignments)
        given = {*dict(_dotted(self.run)), *self.vary, *assigned}
        require("training.epochs" not in given, f"{argument('after_epochs')} has the number of epochs of the runs; "
                f"leave out {either('--epochs', 'training.epochs')}")
        require("budget" not in given, f"{argument('after_epochs')} and budget cannot be combined: a budget changes "
                "the number of epochs")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, where: str = "the grid") -> Grid:
        """Validate values read from TOML and construct a grid.

        Raises:
            ConfigError: for an unknown key (with the nearest known one) or an invalid value.
        """
        known = [item.name for item in fields(cls)]
        for key in values:
            if key not in known:
                raise ConfigError(f"{where}: unknown grid option {brief(key)}.{did_you_mean(key, known)} Options: "
                                  f"{', '.join(known)}; keys shared by all runs belong in [run]")
        filled = dict(values)
        for name in ("sources", "baseline", "transforms"):
            if name in filled:
                filled |= storable({name: filled[name]}, (), (name,))
        if isinstance(filled.get("data"), str):
            raise ConfigError(f"{where}: data = {brief(filled['data'])}: must be a list of several data sets; one "
                              "alone is data.path in [run]")
        if "data" in filled:
            filled |= storable({"data": filled["data"]}, ("data",), ())
        for section in ("tune", "vary"):
            filled[section] = {current(key, None)[0]: tuple(current(key, one)[1] for one in (
                value if isinstance(value, list | tuple) else (value,)))
                for key, value in _dotted(values.get(section, {}))}
        try:
            return validated(cls, filled)
        except ValidationError as error:
            first = error.errors()[0]
            message = first["msg"].removeprefix("Value error, ")
            place = ".".join(map(str, first["loc"]))
            detail = message if first["type"] == "value_error" else f"{place} = {brief(first['input'])}: {message}"
            raise ConfigError(f"{where}: {detail}") from error

    def to_toml(self) -> str:
        """Serialise the grid as TOML."""
        return tomli_w.dumps({key: value for key, value in asdict(self).items() if value is not None})

    @property
    def initialisations(self) -> tuple[Initialisation, ...]:
        """The initialisations to compare, the baseline first."""
        freeze = (False, True) if self.controls else self.freeze
        given = [Initialisation.parse(text) for text in (self.baseline, *self.sources)]
        expanded = [replace(one, transforms=one.transforms + parse_chain(chain), frozen=one.frozen or frozen)
                    for one in given for chain in self.transforms for frozen in freeze]
        if self.controls:
            expanded += [replace(one, source=f"random,init={kind}:{_parenthesised(one.source)}", control=kind,
                                 control_of=one.source)
                         for kind in CONTROLS for one in expanded if not one.source.startswith("random")]
        return tuple({one.name: one for one in expanded}.values())

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions under which initialisations are compared."""
        limits = [0 if size == "all" else size for size in dict.fromkeys(self.limit_train)]
        ends = [(n, n == max(self.after_epochs)) for n in sorted(self.after_epochs)] or [(0, True)]
        return tuple(Condition(limit, chosen, *end) for limit in limits for chosen in _combinations(self.vary)
                     for end in ends)

    @property
    def earlier_epochs(self) -> tuple[int, ...]:
        """The numbers of epochs of ``after_epochs``, without that of the end of the runs."""
        return tuple(sorted(self.after_epochs)[:-1])

    @property
    def rival_names(self) -> tuple[str, ...]:
        """The rivals to train, all of them for ``all``."""
        return tuple(RIVALS.available) if self.rivals == (ALL,) else tuple(dict.fromkeys(self.rivals))

    @property
    def trials(self) -> tuple[Mapping[str, Any], ...]:
        """The combinations of tuned values; a single empty one if nothing is tuned."""
        return tuple(map(dict, _combinations(self.tune)))


def read_grid(file: Path | None, options: Mapping[str, Any]) -> Grid:
    """Read a grid; options override the file, and the file overrides the defaults.

    Without data, BBC News is used with 20 and with 50 labelled articles, truncated to 256 tokens.

    Args:
        file: TOML file.
        options: options of a grid; those under ``run`` are dotted keys that override the file's one by one.

    Raises:
        ConfigError: as :meth:`Grid.from_mapping`.
    """
    values = read_toml(file) if file else {}
    for section in ("run", "tune", "vary"):
        if not isinstance(values.get(section, {}), Mapping):
            raise ConfigError(f"{file}: {section} = {brief(values[section])}: [{section}] is a table of keys")
    if not isinstance(values.get("run", {}).get("data", {}), Mapping):
        raise ConfigError(f"{file}: run.data = {brief(values['run']['data'])}: [run.data] is a table of keys")
    for key in options.get("run", {}):
        if key in GRID_OPTIONS:
            raise ConfigError(f"{key} is set by the grid's option {GRID_OPTIONS[key]}"
                              + either("; see `vecformer benchmark --help`", ""))
    shared = with_values(values.get("run", {}), options.get("run", {}).items())
    if options.get("data"):  # instead of the data of the file
        shared = {**shared, "data": {key: value for key, value in shared.get("data", {}).items() if key != "path"}}
    elif options.get("run", {}).get("data.path"):
        values.pop("data", None)
    if not values.get("data") and not options.get("data") and not shared.get("data", {}).get("path"):
        shared = {**shared, "data": {**DEFAULT_DATA["data"], **shared.get("data", {})}}
        values.setdefault("limit_train", list(DEFAULT_LIMITS))
    return Grid.from_mapping({**values, **options, "run": shared}, where=str(file or "the options"))


def parse_chain(chain: str) -> tuple[str, ...]:
    """Split a chain of transforms: two for ``center+unit``, () for ``none``."""
    return () if chain == "none" else tuple(map(strip_parentheses, split_top_level(chain, TRANSFORM_SEPARATOR)))


def _parenthesised(source: str) -> str:
    return f"({source})" if any(mark in source for mark in ",+(") else source


def _combinations(section: Mapping[str, tuple[Any, ...]]) -> Iterator[tuple[tuple[str, Any], ...]]:
    for values in product(*section.values()):
        yield tuple(zip(section, values, strict=True))


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Flatten nested TOML tables into dotted keys: ``[vary.model] norm`` equals ``[vary] "model.norm"``."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
