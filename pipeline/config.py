"""The configuration of a run: defaults, then a TOML file, then options; saved with the run as requested."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import reduce
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import BeforeValidator, ValidationError

from embeddings.specification.suggest import nearest
from embeddings.table.arguments import argument, either, setting
from embeddings.table.atomic_files import write_atomically
from embeddings.table.oov_policy import DEFAULT_POLICY
from embeddings.table.validation import validated
from pipeline.data.config import DataConfig
from pipeline.errors import ConfigError, PipelineError, brief
from pipeline.runs.toml_values import check_values, parse_toml, parse_value, storable
from pipeline.tasks.ngrams.config import NgramConfig
from pipeline.tasks.tags.config import TaggingConfig
from transformer.config import LIKE, EmbeddingConfig, ModelConfig, option, require
from transformer.models.generation import GenerationConfig
from transformer.training.config import TrainingConfig

RENAMED = {
    "model.segments": "model.token_types",
    "training.compiled": "training.engine",
    "generation.max_words": "generation.max_tokens",
}
"""Keys of earlier versions and their current names."""
RENAMED_VALUES: dict[str, dict[Any, Any]] = {
    "model.pooling": {"first": "cls", "views": "mean-max"},
    "training.engine": {True: "auto", False: "torch"},
}
"""Values of earlier versions and their current names, by current key."""
OTHER_NAMES = {
    "learning_rate": "training.lr",
    "hidden_size": "model.d_model",
    "num_layers": "model.n_layers",
    "num_heads": "model.n_heads",
    "num_epochs": "training.epochs",
}
"""Names of other libraries, for the suggestion in error messages."""
PATHS = ("data.path", "corpus", "init_from")
SPECIFICATIONS = ("source", "target_source", "transforms", "baselines")
MAY_BE_INFINITE = ("data.no_answer_threshold", "training.clip", "training.checkpoint_seconds")


AUTO_SOURCE, DEFAULT_SOURCE = "auto", "glove"
RECIPES = ("auto", "plain")
TABLES = ("training.class_weights",)
"""Keys whose value may be a table, which is not a section of the configuration."""
ADDED = ("model.d_embedding", "data.units", "data.tokenizer", "data.add_special_tokens", "init_from", "init_layers",
         "budget", "baselines", "baseline_memory_gb", "training.class_weights",
         "training.frozen_layers", "training.unfreeze_epochs",
         "data.separator", "data.encoding", "data.label_separator", "data.label_threshold", "data.word_column",
         "data.tag_column", "ngrams.enabled",
         "ngrams.words", "ngrams.characters", "ngrams.regularization", "ngrams.buckets", "ngrams.refit",
         "self_training.rounds", "self_training.max_texts",
         "contrastive.steps", "contrastive.batch_size", "contrastive.lr", "contrastive.head_first",
         "tagging.features", "tagging.regularization", "tagging.buckets", "tagging.decoding", "tagging.tune_outside")
"""Keys that version 0.1.0 does not have; with their defaults they do not change the identity of a benchmark's run."""


def _names(value: Any) -> Any:
    """Split a string at commas; keep other values, which pydantic checks."""
    return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value


@dataclass(frozen=True)
class PretrainingConfig:
    """Masked language modelling on the task's own text, before training."""

    epochs: int = option(0, "epochs of pretraining on the training texts, unlabelled ones included; 0 for none")
    lr: float = option(1e-3, "peak learning rate of pretraining, above 0")
    masked_share: float = option(0.2, "share of the words that are masked, with all of their tokens, between 0 and 1")

    def __post_init__(self) -> None:
        require(self.epochs >= 0, f"pretraining.epochs must be 0 or more, not {self.epochs}")
        require(self.lr > 0, f"pretraining.lr must be above 0, not {self.lr}")
        require(0 < self.masked_share < 1, f"pretraining.masked_share must be between 0 and 1, not {self.masked_share}")


@dataclass(frozen=True)
class ContrastiveConfig:
    """Contrastive training on pairs of labelled texts, before training."""

    steps: int = option(0, "steps of contrastive training, for few labels and a pretrained Transformer; 0 for none")
    batch_size: int = option(32, "texts per batch, evenly over the labels; all pairs of them are compared; at least 4")
    lr: float = option(2e-5, "peak learning rate of contrastive training, above 0")
    head_first: bool = option(False, "fit the output layer to the text vectors by logistic regression before training")

    def __post_init__(self) -> None:
        require(self.steps >= 0, f"contrastive.steps must be 0 or more, not {self.steps}")
        require(self.batch_size >= 4, f"contrastive.batch_size must be 4 or more, not {self.batch_size}")
        require(self.lr > 0, f"contrastive.lr must be above 0, not {self.lr}")


@dataclass(frozen=True)
class SelfTrainingConfig:
    """Labels for the unlabelled texts by a linear teacher, before training."""

    rounds: int = option(0, "rounds in which a linear model labels the unlabelled texts, each with a larger share of "
                            "them (classification); 0 for none")
    max_texts: int = option(5000, "maximum number of unlabelled texts that are labelled, at least 1")

    def __post_init__(self) -> None:
        require(self.rounds >= 0, f"self_training.rounds must be 0 or more, not {self.rounds}")
        require(self.max_texts >= 1, f"self_training.max_texts must be 1 or more, not {self.max_texts}")


@dataclass(frozen=True)
class RunConfig:
    """The configuration of a run: everything that decides its result, except the path of its folder."""

    task: str = option("classification", "name of the task, such as classification or translation; `vecformer tasks` "
                                         "lists them")
    recipe: str = option("auto", "parts of the model and its training that are chosen from the data: auto; plain for "
                                 "none (the textbook Transformer); auto,-PART leaves a part out, plain,+PART adds one; "
                                 "`vecformer recipe` lists them")
    budget: str = option("", "time that the whole run may take, such as 90s, 5m or 2h: the number of epochs is reduced "
                             "to fit; \"\" for no limit")
    source: str = option(AUTO_SOURCE, "source of the word vectors, such as random, glove, file:FILE or glove+word2vec; "
                                      "`vecformer sources` lists them; auto: the recipe chooses")
    init_from: str = option("", "starting point of the Transformer: a finished run, such as one of `vecformer "
                                "pretrain`, or a checkpoint (folder, installed package, or name on Hugging Face); its "
                                "shape, tokenizer and vectors are used; \"\" for none")
    init_layers: tuple[int, ...] = option((), "indices from 0 of the layers of a checkpoint that are kept, such as "
                                              "[0, 2, 4]; [] for all")
    target_source: str = option("", "source of the word vectors of the target language; \"\" for the same as source")
    transforms: tuple[str, ...] = option((), "transforms of the vectors, in order, such as "
                                             "[\"standardize\", \"pca:50\"]")
    unknown: tuple[str, ...] = option(DEFAULT_POLICY.steps, "fallbacks for out-of-vocabulary words, tried in order: "
                                      "case, digits, subword, spelling; the last is random or zero")
    trust_pickle: bool = option(False, "allow pickle files, which can execute arbitrary code")
    corpus: tuple[str, ...] = option((), "files or folders of text for training word2vec and fasttext; [] for the "
                                         "texts of the data")
    baselines: Annotated[tuple[str, ...], BeforeValidator(_names)] = option(
        ("all",), "simpler models to compare with: all, none, or names of the task's baselines, which "
        "`vecformer tasks` lists")
    baseline_memory_gb: float = option(2.0, "memory in GB that a baseline, or the n-gram branch, may need by its "
                                            "estimate, above 0; one that needs more is skipped")
    seed: int = option(1, "seed of all random numbers, including the splits of the data; 0 to 4294967295")
    data: DataConfig = field(default_factory=DataConfig)
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    ngrams: NgramConfig = field(default_factory=NgramConfig)
    tagging: TaggingConfig = field(default_factory=TaggingConfig)
    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    contrastive: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    self_training: SelfTrainingConfig = field(default_factory=SelfTrainingConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)

    def __post_init__(self) -> None:
        require(self.baseline_memory_gb > 0, f"baseline_memory_gb must be above 0, not {self.baseline_memory_gb}")
        require(0 <= self.seed < 2**32, f"seed must be from 0 to 4294967295, not {self.seed}")
        require(self.model.positions != "learned" or self.data.max_length <= self.model.max_positions,
                f"model.max_positions={self.model.max_positions} is less than data.max_length="
                f"{self.data.max_length}, but model.positions=learned needs a row for each position; make them equal")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, where: str = "the configuration") -> RunConfig:
        """Validate nested values and make a configuration; keys that are left out have their defaults.

        Raises:
            ConfigError: for an unknown key (the message suggests the nearest) or an invalid value.
        """
        values = storable(_renamed(values), PATHS, SPECIFICATIONS)
        check_values(values, where=where)
        valid = dict(keys())
        for key in _dotted(values):
            if key not in valid:
                raise ConfigError(f"{where}: there is no key {brief(key)}.{_nearest(key, valid)}")
        model = values.get("model", {})
        like = LIKE.get(str(model.get("like")), {}) if isinstance(model, Mapping) else {}
        filled = {**values, "model": {**like, **model}} if like else dict(values)
        try:
            config = validated(cls, filled)
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join(str(part) for part in first["loc"])
            members = (".float", ".dict", ".literal", ".str")  # of a union
            key = next((known for known in valid for member in members if path.startswith(known + member)), path)
            message = first["msg"].removeprefix("Value error, ")
            described = message if first["type"] == "value_error" else f"{key} = {brief(first['input'])}: {message}"
            raise ConfigError(f"{where}: {described}") from error
        for key in valid:
            value: Any = reduce(getattr, key.split("."), config)
            if isinstance(value, float) and not math.isfinite(value) and not (key in MAY_BE_INFINITE and value > 0):
                raise ConfigError(f"{where}: {key} must be a finite number, not {value}")
            if key in (*PATHS, *SPECIFICATIONS) and "\0" in "".join(value):
                raise ConfigError(f"{where}: {key} = {brief(value)}: a path cannot contain a null character")
        return config

    def to_toml(self) -> str:
        """Return the whole configuration as TOML, without comments."""
        return tomli_w.dumps(storable(asdict(self), PATHS, SPECIFICATIONS))

    def save(self, path: Path) -> None:
        """Write :meth:`to_toml` to a file."""
        write_atomically(path, self.to_toml())

    @classmethod
    def load(cls, path: Path) -> RunConfig:
        """Read a TOML file.

        Raises:
            ConfigError: if it is missing, is not TOML, or has an unknown key or invalid value.
            PipelineError: if it exists and cannot be read.
        """
        return cls.from_mapping(_read(path), where=str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file as nested values.

    Raises:
        ConfigError: if it is missing or not TOML; the message names the line.
        PipelineError: if it exists and cannot be read.
    """
    try:
        return parse_toml(path.read_text(encoding="utf-8-sig"), where=str(path))
    except ConfigError as error:
        if path.suffix.lower() == ".toml":
            raise
        raise ConfigError(f"{error}. If it is a file of data, write {argument('data', str(path))}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot read the configuration: it is not UTF-8 ({error.reason} at byte "
                          f"{error.start}); save it as UTF-8") from error
    except OSError as error:
        kind = ConfigError if isinstance(error, FileNotFoundError) else PipelineError
        raise kind(f"{path}: cannot read the configuration: {error.strerror or error}") from error


def _read(path: Path) -> dict[str, Any]:
    """Read a configuration file; one with all keys of version 0.1.0 and without a recipe has the plain one."""
    values = _renamed(read_toml(path))
    earlier = {key for key, _ in keys()} - {"recipe", *ADDED}
    return values if "recipe" in values or earlier - set(_dotted(values)) else {"recipe": "plain", **values}


def resolve(file: Path | None, assignments: Iterable[tuple[str, Any]]) -> RunConfig:
    """Combine defaults, a file and assignments of dotted keys; later values replace earlier ones.

    Raises:
        ConfigError: see :meth:`RunConfig.load`.
    """
    values = _read(file) if file else {}
    RunConfig.from_mapping(values, where=str(file))
    return RunConfig.from_mapping(with_values(values, assignments), where="the options")


def with_values(values: Mapping[str, Any], assignments: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return a copy of nested values with values of dotted keys set.

    Raises:
        ConfigError: for an unknown key; the message suggests the nearest.
    """
    valid = dict(keys())
    made: dict[str, Any] = copy.deepcopy(dict(values))
    for given, assigned in assignments:
        key, value = current(given, assigned)
        if key not in valid:
            raise ConfigError(f"there is no key {brief(key)}.{_nearest(key, valid)}")
        *sections, name = key.split(".")
        inner = made
        for section in sections:
            inner = inner.setdefault(section, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{section} = {brief(inner)}: [{section}] is a table of keys, such as {key}")
        inner[name] = storable({key: value}, PATHS, SPECIFICATIONS)[key]
    return made


def current(key: str, value: Any) -> tuple[str, Any]:
    """Convert a dotted key and its value from the names of earlier versions to the current ones."""
    key = RENAMED.get(key, key)
    values = RENAMED_VALUES.get(key, {})
    return key, values.get(value, value) if values and isinstance(value, str | bool) else value


def in_earlier_names(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Translate nested values to the names of version 0.1.0, in which results of benchmarks are identified."""
    earlier = {new: old for old, new in RENAMED.items()}
    defaults = {key: item.default for key, item in keys() if key in ADDED} | {"recipe": "plain"}
    made: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if key in defaults and value == defaults[key]:
            continue
        if isinstance(value, Mapping):
            if (inner := in_earlier_names(value, f"{key}.")) or not any(added.startswith(f"{key}.") for added in ADDED):
                made[name] = inner
        else:
            old = {new: old for old, new in RENAMED_VALUES.get(key, {}).items()} if isinstance(value, str) else {}
            made[earlier.get(key, key).removeprefix(prefix)] = old.get(value, value)
    return made


def _renamed(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Convert nested values from the names of earlier versions to the current ones."""
    made: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            made[name] = _renamed(value, f"{prefix}{name}.")
        else:
            key, value = current(f"{prefix}{name}", value)
            if key.removeprefix(prefix) in made:
                raise ConfigError(f"{key} is given twice, once under its earlier name; remove one")
            made[key.removeprefix(prefix)] = value
    return made


def parse_assignment(text: str) -> tuple[str, Any]:
    """Parse ``key.path=value``; a value that is not TOML (``3``, ``true``, ``["a"]``) is a string.

    Raises:
        ConfigError: if there is no ``=`` or no key.
    """
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key:
        raise ConfigError(f"{either('--set ', '')}{brief(text)}: write it as key.path=value, such as "
                          f"{setting('model.n_layers=4')}")
    parsed = parse_value(value, where=f"{either('--set ', '')}{brief(text)}")
    return key, value if parsed is None else parsed


def keys(of: type = RunConfig, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every dotted key with its dataclass field, in order."""
    for item in fields(of):
        inner = item.default_factory
        if isinstance(inner, type) and is_dataclass(inner):
            yield from keys(inner, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, item


def value_of(config: RunConfig, key: str) -> Any:
    """Return the value of a dotted key."""
    return reduce(getattr, key.split("."), config)


def changed_keys(config: RunConfig) -> Iterator[str]:
    """Yield the dotted keys whose values are not the defaults."""
    return (key for key, item in keys() if value_of(config, key) != item.default)


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value and f"{prefix}{key}" not in TABLES:
            yield from _dotted(value, f"{prefix}{key}.")
        elif value != {} or not any(known.startswith(f"{prefix}{key}.") for known, _ in keys()):
            yield f"{prefix}{key}"


def _nearest(key: str, valid: Iterable[str]) -> str:
    """Return the suggestion for an unknown key: a similar key, or one with a similar last part."""
    if len(key) > 200:
        return " `vecformer config` lists all keys."
    last = key.rpartition(".")[2]
    by_last_part = {known.rpartition(".")[2]: known for known in valid}
    named = {**{known: known for known in valid}, **by_last_part}
    near = OTHER_NAMES.get(last) or named.get(nearest(key, named, cutoff=0.6) or nearest(last, named, cutoff=0.6) or "")
    return f" Did you mean {near!r}?" if near else " `vecformer config` lists all keys."
