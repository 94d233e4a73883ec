"""The configuration of a run: from defaults, a TOML file and options, in this order; saved with the run."""

from __future__ import annotations

import copy
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import TypeAdapter, ValidationError

from embeddings.specification.suggest import nearest
from embeddings.table.oov_policy import DEFAULT_POLICY
from pipeline.errors import ConfigError
from transformer.config import (
    LIKE,
    EmbeddingConfig,
    GenerationConfig,
    ModelConfig,
    TrainingConfig,
    option,
    require,
)

RENAMED = {
    "model.segments": "model.token_types",
    "training.compiled": "training.engine",
    "generation.max_words": "generation.max_tokens",
}
"""Keys of earlier versions and what they are called now."""
RENAMED_VALUES: dict[str, dict[Any, Any]] = {
    "model.pooling": {"first": "cls", "views": "mean-max"},
    "training.engine": {True: "auto", False: "torch"},
}
"""Values of earlier versions and what they are called now, by the current key."""


@dataclass(frozen=True)
class DataConfig:
    """What to read, and how to cut it."""

    path: str = option("", "a file, a folder with train/dev/test files, or bbc; data/README.md says in which formats")
    text_column: str = option("", "column of the text; \"\" guesses (text, sentence, review, ...)")
    text_b_column: str = option("", "column of a pair's second text; \"\" guesses (text_b, sentence2, hypothesis, ...)")
    label_column: str = option("", "column of the label; \"\" guesses (label, class, topic, ...)")
    labels: tuple[str, ...] = option((), "labels in the order of the output layer; [] takes those of the training data")
    languages: tuple[str, ...] = option((), "endings of the files to translate from and to, as [\"en\", \"de\"]; [] "
                                        "takes the two that are there, in the order of the alphabet")
    max_length: int = option(512, "words of a text that the model reads, from its start")
    stride: int = option(128, "words that neighbouring windows of a long text share (questions and tagging read it "
                              "window by window)")
    max_answer_words: int = option(30, "longest answer to a question")
    no_answer_threshold: float | Literal["dev"] = option(
        "dev", "a question gets no answer if that scores higher than the best answer by more than this; dev takes what "
        "is best on the dev set, inf answers always")
    limit_train: int = option(0, "training examples to use, drawn evenly over the labels if there are any; 0 takes all")
    test_share: float = option(0.25, "share of a single file that is held out for the test")
    dev_share: float = option(0.1, "share of the labelled set aside for early stopping, if there is no dev file")
    lowercase: bool = option(True, "fold case")
    strip_accents: bool = option(False, "take the accents off letters")
    fold_digits: bool = option(False, "turn every digit into 0")
    han: Literal["characters", "words"] = option("characters", "cut Chinese into characters or words (extra zh)")
    min_count: int = option(1, "rarer words of the training examples get no row of their own")
    max_words: int = option(0, "keep no more words of the training examples than this, the most frequent; 0 keeps all")
    unseen_words: int = option(400_000, "words outside the training examples whose vectors are kept with the run")

    def __post_init__(self) -> None:
        require(len(set(self.languages)) == len(self.languages) and len(self.languages) in (0, 2),
                f"data.languages must be two, the one to translate from first, not {list(self.languages)}")
        require(self.max_length >= 1, f"data.max_length must be 1 or more, not {self.max_length}")
        require(self.stride >= 0, f"data.stride must be 0 or more, not {self.stride}")
        require(self.no_answer_threshold == "dev" or not math.isnan(self.no_answer_threshold),
                "data.no_answer_threshold must be dev, inf or another number, not nan")
        require(self.max_answer_words >= 1, f"data.max_answer_words must be 1 or more, not {self.max_answer_words}")
        require(self.limit_train >= 0, f"data.limit_train must be 0 (all) or more, not {self.limit_train}")
        require(0 < self.test_share < 1, f"data.test_share must be between 0 and 1, not {self.test_share}")
        require(0 <= self.dev_share < 1, f"data.dev_share must be from 0 to below 1, not {self.dev_share}")
        require(self.min_count >= 1, f"data.min_count must be 1 or more, not {self.min_count}")
        require(self.max_words >= 0, f"data.max_words must be 0 (all) or more, not {self.max_words}")
        require(self.unseen_words >= 0, f"data.unseen_words must be 0 or more, not {self.unseen_words}")


@dataclass(frozen=True)
class PretrainingConfig:
    """Masked-word training on the task's own text, before the task."""

    epochs: int = option(0, "passes over the training texts, unlabelled ones included, before the task; 0 for none")
    lr: float = option(1e-3, "highest learning rate of these passes")
    masked_share: float = option(0.2, "share of the words that are to be guessed")

    def __post_init__(self) -> None:
        require(self.epochs >= 0, f"pretraining.epochs must be 0 or more, not {self.epochs}")
        require(self.lr > 0, f"pretraining.lr must be above 0, not {self.lr}")
        require(0 < self.masked_share < 1, f"pretraining.masked_share must be between 0 and 1, not {self.masked_share}")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run, but for the folder it is written to."""

    task: str = option("classification", "what is learned: classification, tagging, question-answering, "
                                         "language-model, masked-language-model or translation")
    source: str = option("glove", "word vectors: random, word2vec, fasttext, glove, file:FILE, hf:FOLDER, A+B, ...")
    target_source: str = option("", "word vectors of the language that is translated to; \"\" as source")
    transforms: tuple[str, ...] = option((), "what is done to them, in this order: standardize, unit, pca:50, ...")
    unknown: tuple[str, ...] = option(DEFAULT_POLICY.steps, "what a word that the source lacks gets, tried in this "
                                      "order: case, digits, subword, spelling; then random or zero")
    trust_pickle: bool = option(False, "read vector files that can run code of their maker's when they are read")
    corpus: tuple[str, ...] = option((), "text that word2vec and fasttext learn from; [] takes the data's own")
    seed: int = option(1, "decides splits, data order, initialisation, dropout and word-vector training")
    data: DataConfig = field(default_factory=DataConfig)
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, f"seed must be from 0 to 4294967295, not {self.seed}")
        require(self.model.positions != "learned" or self.data.max_length <= self.model.max_positions,
                f"positions are learned for model.max_positions={self.model.max_positions} words, fewer than "
                f"data.max_length={self.data.max_length}; make them equal")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, where: str = "the configuration") -> RunConfig:
        """Check nested values and make a configuration of them; what is left out has its default.

        Raises:
            ConfigError: for a wrong key, with the nearest right one, or a wrong value.
        """
        values = _renamed(values)
        right = dict(keys())
        for key in _dotted(values):
            if key not in right:
                raise ConfigError(f"{where}: there is no key {key!r}.{_nearest(key, right)}")
        model = values.get("model", {})
        like = LIKE.get(str(model.get("like")), {}) if isinstance(model, Mapping) else {}
        filled = {**values, "model": {**like, **model}} if like else dict(values)
        try:
            return TypeAdapter(cls).validate_python(filled)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            key = next((known for known in right if place.startswith(f"{known}.float")), place)  # one of two types
            message = first["msg"].removeprefix("Value error, ")
            told = message if first["type"] == "value_error" else f"{key} = {first['input']!r}: {message}"
            raise ConfigError(f"{where}: {told}") from error

    def to_toml(self) -> str:
        """The whole configuration as TOML, resolved and without comments."""
        return tomli_w.dumps(asdict(self))

    def save(self, path: Path) -> None:
        """Write :meth:`to_toml` to a file."""
        path.write_text(self.to_toml(), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> RunConfig:
        """Read a TOML file.

        Raises:
            ConfigError: if it is missing, is not TOML, or has a wrong key or value.
        """
        return cls.from_mapping(read_toml(path), where=str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file as nested values.

    Raises:
        ConfigError: if it is missing or is not TOML; the message gives the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot read this configuration: {error}") from error


def resolve(file: Path | None, assignments: Iterable[tuple[str, Any]]) -> RunConfig:
    """Defaults, then the file, then the assignments of dotted keys; the later beats the earlier.

    Raises:
        ConfigError: as :meth:`RunConfig.load`.
    """
    values = read_toml(file) if file else {}
    RunConfig.from_mapping(values, where=str(file))
    return RunConfig.from_mapping(with_values(values, assignments), where="the options")


def with_values(values: Mapping[str, Any], assignments: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Nested values with those of dotted keys put in; the given ones stay as they are.

    Raises:
        ConfigError: for a wrong key, with the nearest right one.
    """
    right = dict(keys())
    made: dict[str, Any] = copy.deepcopy(dict(values))
    for written, assigned in assignments:
        key, value = current(written, assigned)
        if key not in right:
            raise ConfigError(f"there is no key {key!r}.{_nearest(key, right)}")
        *sections, name = key.split(".")
        inner = made
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[name] = value
    return made


def current(key: str, value: Any) -> tuple[str, Any]:
    """Translate a dotted key and its value from the names of earlier versions to today's."""
    key = RENAMED.get(key, key)
    values = RENAMED_VALUES.get(key, {})
    return key, values.get(value, value) if values and isinstance(value, str | bool) else value


def in_earlier_names(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Translate nested values to the names of version 0.1.0, in which results of benchmarks are identified."""
    earlier = {new: old for old, new in RENAMED.items()}
    made: dict[str, Any] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            made[name] = in_earlier_names(value, f"{key}.")
        else:
            old = {new: old for old, new in RENAMED_VALUES.get(key, {}).items()} if isinstance(value, str) else {}
            made[earlier.get(key, key).removeprefix(prefix)] = old.get(value, value)
    return made


def _renamed(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Translate nested values from the names of earlier versions to today's."""
    made: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            made[name] = _renamed(value, f"{prefix}{name}.")
        else:
            key, value = current(f"{prefix}{name}", value)
            made[key.removeprefix(prefix)] = value
    return made


def parse_assignment(text: str) -> tuple[str, Any]:
    """Read ``key.path=value``; the value is TOML (``3``, ``true``, ``["a"]``), and anything that is not is a string.

    Raises:
        ConfigError: if there is no ``=`` or no key.
    """
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key:
        raise ConfigError(f"--set {text!r}: write it as key.path=value, for instance --set model.n_layers=4")
    try:
        parsed = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        return key, value
    return key, parsed["value"] if len(parsed) == 1 else value


def keys(of: type = RunConfig, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key with its dataclass field, in order."""
    for item in fields(of):
        inner = item.default_factory
        if isinstance(inner, type) and is_dataclass(inner):
            yield from keys(inner, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name, item


def commented_toml() -> str:
    """A configuration file of the defaults, each key with its meaning."""
    lines = ["# Every key with its default. Run with: vecformer run THIS_FILE"]
    section = ""
    for key, item in keys():
        head, _, name = key.rpartition(".")
        if head != section:
            section = head
            lines += ["", f"[{section}]"]
        lines += [f"# {item.metadata['help']}", _on_a_line(name, item.default)]
    return "\n".join(lines) + "\n"


def _on_a_line(name: str, value: Any) -> str:
    if isinstance(value, tuple):  # the library would put each entry on a line of its own
        return f"{name} = [{', '.join(tomli_w.dumps({'': entry}).partition(' = ')[2].strip() for entry in value)}]"
    return tomli_w.dumps({name: value}).strip()


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _dotted(value, f"{prefix}{key}.")
        elif value != {} or not any(known.startswith(f"{prefix}{key}.") for known, _ in keys()):
            yield f"{prefix}{key}"


def _nearest(key: str, right: Iterable[str]) -> str:
    """The key that was meant: one that is written alike, or whose last word is."""
    by_last_word = {known.rpartition(".")[2]: known for known in right}
    near = nearest(key, right, cutoff=0.6)
    if near is None:
        near = by_last_word.get(nearest(key.rpartition(".")[2], by_last_word, cutoff=0.6) or "")
    return f" Did you mean {near!r}?" if near else " `vecformer config` writes a file of every key."
