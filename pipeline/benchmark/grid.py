"""What a benchmark compares: from defaults, a TOML file and options, in this order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import TypeAdapter, ValidationError

from embeddings.specification import sources
from embeddings.specification.grammar import split_top_level as cut
from embeddings.specification.grammar import strip_parentheses as without_parentheses
from embeddings.specification.suggest import did_you_mean
from embeddings.specification.transforms import parse_transform
from pipeline.config import RunConfig, keys, parse_assignment, read_toml, with_values
from pipeline.errors import ConfigError
from transformer.config import option, require

CHAIN = re.compile(r"\+(?=\s*[A-Za-z(])")  # between two transforms; a number may hold a + of its own
SETTING = re.compile(r"\w+\.\w+\s*=")  # a key of the configuration; no transform has a point in its name
BAR = " | "  # between a source and what is done to its vectors
CONTROLS = ("matched", "covariance", "shuffled")
DEFAULT_DATA: Mapping[str, Any] = {"data": {"path": "bbc", "max_length": 256}}
DEFAULT_LIMITS = (20, 50)
OF_THE_GRID = {"source": "sources", "transforms": "transforms", "embedding.freeze": "freeze",
               "data.limit_train": "limit_train", "seed": "seeds"}


@dataclass(frozen=True)
class Start:
    """What runs start from.

    Attributes:
        source: a specification.
        transforms: done to the vectors, in this order.
        frozen: the vectors are left as they are.
        control: ``matched``, ``covariance`` or ``shuffled``, if it is a control.
        control_of: the source it is a control for.
        settings: further keys of the configuration, as ``training.precision=float32``.
    """

    source: str
    transforms: tuple[str, ...] = ()
    frozen: bool = False
    control: str | None = None
    control_of: str | None = None
    settings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Such as ``glove | standardize | frozen | training.lr=0.01``."""
        return BAR.join((self.source, *self.transforms, *(["frozen"] if self.frozen else []), *self.settings))

    @property
    def assignments(self) -> dict[str, Any]:
        """The keys of the settings and their values."""
        return dict(map(parse_assignment, self.settings))

    @classmethod
    def parse(cls, name: str) -> Start:
        """Read a :attr:`name`."""
        source, *parts = (part.strip() for part in name.split(BAR))
        settings = tuple(part for part in parts if SETTING.match(part))
        further = [part for part in parts if part not in settings]
        frozen = further[-1:] == ["frozen"]
        return cls(source, tuple(further[:-1] if frozen else further), frozen, settings=settings)


@dataclass(frozen=True)
class Condition:
    """What else differs between runs; starts are compared under one condition at a time.

    Attributes:
        limit_train: training examples; 0 for all.
        vary: further keys of the configuration and their values.
    """

    limit_train: int
    vary: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """Such as ``50 training examples, norm=pre``."""
        number = f"{self.limit_train:,}" if self.limit_train else "all"
        return ", ".join((f"{number} training examples", *(f"{key.rpartition('.')[2]}={value}"
                                                           for key, value in self.vary)))


@dataclass(frozen=True)
class Grid:
    """Every combination of these is run."""

    sources: tuple[str, ...] = option(
        ("random", "word2vec", "fasttext", "glove"),
        "word vectors to start from; \"glove | standardize | frozen\" is one with transforms of its own, kept as it "
        "is; \"glove | training.precision=float32\" one with a key of the configuration of its own")
    baseline: str = option("random", "the one of them that the others are compared with")
    transforms: tuple[str, ...] = option(("none",), "each is done to each source: none, standardize, or several joined "
                                                    "by +, as center+unit")
    freeze: tuple[bool, ...] = option((False,), "train the word vectors (false), leave them as they are (true), or "
                                                "both")
    limit_train: tuple[int | Literal["all"], ...] = option(("all",), "numbers of training examples")
    seeds: int = option(10, "runs of each combination, with the seeds 1, 2, ...")
    controls: bool = option(False, "add the controls that tell scale, geometry and meaning apart, frozen and trained")
    tune: Mapping[str, tuple[Any, ...]] = field(default_factory=dict, metadata={
        "help": "keys of the configuration and the values that are tried for each start; dev chooses"})
    vary: Mapping[str, tuple[Any, ...]] = field(default_factory=dict, metadata={
        "help": "further keys and values to compare under, as \"model.norm\" = [\"pre\", \"post\"]"})
    measure: str = option("", "what is compared; \"\" takes what the task is judged by")
    target: float | None = option(None, "a score whose first reaching is timed; by default 95 % of the best")
    baselines: bool = option(True, "measure the task's simpler models beside each run")
    run: Mapping[str, Any] = field(default_factory=dict, metadata={
        "help": "the configuration that all runs have in common, as in a run's own file"})

    def __post_init__(self) -> None:
        require(bool(self.sources), "a benchmark needs a source: --source glove")
        require(self.seeds >= 1, f"seeds must be 1 or more, not {self.seeds}")
        for size in self.limit_train:
            require(size == "all" or size >= 1, f"limit_train must be numbers from 1, or all, not {size}")
        for name in ("transforms", "freeze", "limit_train"):
            require(bool(getattr(self, name)), f"{name} is empty; leave it out for its default")
        for start in self.starts:
            sources.parse(start.source)
            for one in start.transforms:
                parse_transform(one)
        own = [start.assignments for start in self.starts]
        for section in (self.tune, self.vary, *own):
            for key in section:
                require(key in dict(keys()), f"there is no key {key!r}.{did_you_mean(key, dict(keys()))}")
                require(key not in OF_THE_GRID, f"{key} is chosen by {OF_THE_GRID.get(key)} of the grid")
        for key, values in (*self.tune.items(), *self.vary.items()):
            require(bool(values), f"{key} has no value to try")
        require(not set(self.tune) & set(self.vary), "the same key is in both tune and vary")
        for key in {key for section in own for key in section}:
            require(key not in {*self.tune, *self.vary}, f"{key} is in tune or vary, and a source has it of its own")
        RunConfig.from_mapping(self.run, where="the grid's [run]")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, where: str = "the grid") -> Grid:
        """Check values as a TOML file gives them, and make a grid of them.

        Raises:
            ConfigError: for a wrong key, with the nearest right one, or a wrong value.
        """
        known = [item.name for item in fields(cls)]
        for key in values:
            if key not in known:
                raise ConfigError(f"{where}: a grid has no {key!r}.{did_you_mean(key, known)} It has: "
                                  f"{', '.join(known)}; what all runs share goes into [run]")
        filled = dict(values)
        for section in ("tune", "vary"):
            filled[section] = {key: tuple(value) if isinstance(value, list | tuple) else (value,)
                               for key, value in _dotted(values.get(section, {}))}
        try:
            return TypeAdapter(cls).validate_python(filled)
        except ValidationError as error:
            first = error.errors()[0]
            message = first["msg"].removeprefix("Value error, ")
            place = ".".join(map(str, first["loc"]))
            told = message if first["type"] == "value_error" else f"{place} = {first['input']!r}: {message}"
            raise ConfigError(f"{where}: {told}") from error

    def to_toml(self) -> str:
        """The whole grid as TOML."""
        return tomli_w.dumps({key: value for key, value in asdict(self).items() if value is not None})

    @property
    def starts(self) -> tuple[Start, ...]:
        """What is compared, the baseline first."""
        freeze = (False, True) if self.controls else self.freeze
        written = [Start.parse(text) for text in (self.baseline, *self.sources)]
        made = [replace(start, transforms=start.transforms + steps(chain), frozen=start.frozen or frozen)
                for start in written for chain in self.transforms for frozen in freeze]
        if self.controls:
            made += [replace(start, source=f"random,init={kind}:{_wrapped(start.source)}", control=kind,
                             control_of=start.source)
                     for kind in CONTROLS for start in made if not start.source.startswith("random")]
        return tuple({start.name: start for start in made}.values())

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Under which the starts are compared."""
        limits = [0 if size == "all" else size for size in dict.fromkeys(self.limit_train)]
        return tuple(Condition(limit, chosen) for limit in limits for chosen in _choices(self.vary))

    @property
    def trials(self) -> tuple[Mapping[str, Any], ...]:
        """The choices that dev decides between; one without any, if nothing is tuned."""
        return tuple(map(dict, _choices(self.tune)))


def read_grid(file: Path | None, options: Mapping[str, Any]) -> Grid:
    """Defaults, then the file, then the options; the later beats the earlier.

    Without data BBC News is taken, with 20 and with 50 labelled articles, cut at 256 words.

    Args:
        file: TOML.
        options: keys of a grid; ``run`` is laid over the file's, key by key, in dotted form.

    Raises:
        ConfigError: as :meth:`Grid.from_mapping`.
    """
    values = read_toml(file) if file else {}
    for key in options.get("run", {}):
        if key in OF_THE_GRID:
            raise ConfigError(f"{key} is chosen by {OF_THE_GRID[key]} of the grid; see `vecformer benchmark --help`")
    shared = with_values(values.get("run", {}), options.get("run", {}).items())
    if not shared.get("data", {}).get("path"):
        shared = {**shared, "data": {**DEFAULT_DATA["data"], **shared.get("data", {})}}
        values.setdefault("limit_train", list(DEFAULT_LIMITS))
    return Grid.from_mapping({**values, **options, "run": shared}, where=str(file or "the options"))


def steps(chain: str) -> tuple[str, ...]:
    """The transforms of a chain: ``center+unit`` are two, ``none`` is none."""
    return () if chain == "none" else tuple(map(without_parentheses, cut(chain, CHAIN)))


def _wrapped(source: str) -> str:
    return f"({source})" if any(mark in source for mark in ",+(") else source


def _choices(section: Mapping[str, tuple[Any, ...]]) -> Iterator[tuple[tuple[str, Any], ...]]:
    """Every combination of the keys' values."""
    for values in product(*section.values()):
        yield tuple(zip(section, values, strict=True))


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of nested tables as TOML may have them: ``model.norm`` or ``"model.norm"``."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
