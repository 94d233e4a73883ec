"""What a run found in its data, and the pair of this and the configuration that the methods of tasks take."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, ClassVar, Generic, Self

from pydantic import ValidationError
from typing_extensions import TypeVar

from embeddings.table.atomic_files import write_atomically
from embeddings.table.validation import validated
from pipeline.config import AUTO_SOURCE, DEFAULT_SOURCE, RunConfig, keys, with_values
from pipeline.data.config import DataConfig
from pipeline.errors import RunFolderError
from pipeline.runs.seals import sealed, unsealed
from transformer.config import ModelConfig


@dataclass(frozen=True)
class ChosenPart:
    """A part of the recipe (:mod:`pipeline.runs.recipe`).

    Attributes:
        reason: why it is used, or why not.
        values: the keys of the configuration that it sets; empty if it is not used.
    """

    reason: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class SelfTrained:
    """What self-training did (:mod:`pipeline.runs.self_training`).

    Attributes:
        n_texts: number of unlabelled texts.
        accuracy_before: accuracy of the linear teacher on held-out labelled texts, trained on labelled texts only.
        accuracy_after: the same, trained on the unlabelled texts as well.
        is_used: whether the run trains on the labels of the teacher.
        start: what its first labels of the unlabelled texts came from, ``labels`` (those of the labelled texts) or
            ``clusters`` of the texts.
    """

    n_texts: int
    accuracy_before: float
    accuracy_after: float
    is_used: bool
    start: str = "labels"

    def __str__(self) -> str:
        if not self.accuracy_before and not self.is_used:
            return "self-training is not used: its effect could not be measured on held-out labelled texts"
        why_not = ("it lowers the accuracy in cross-validation" if self.hurts
                   else "the error rate of its labels is too high")
        used = "is used" if self.is_used else f"is not used, because {why_not}"
        start = ", starting from clusters of them" if self.start == "clusters" else ""
        return (f"self-training {used}: accuracy of a linear model on held-out labelled texts "
                f"{self.accuracy_before:.1%} without and {self.accuracy_after:.1%} with the labels that it gives to "
                f"{self.n_texts:,} unlabelled texts{start}")

    @property
    def hurts(self) -> bool:
        """Whether the teacher is less accurate with the unlabelled texts."""
        return self.accuracy_after < self.accuracy_before


@dataclass(frozen=True)
class Resolved:
    """Facts found in the data, saved as ``resolved.json``; tasks that find more declare a subclass.

    A field with the name of a key of ``[data]`` or ``[model]`` replaces that key in :attr:`Setup.data` and
    :attr:`Setup.model`.

    Attributes:
        optional: names of fields that are saved only if they are not empty.
        token_types: number of token types (segments) of the model; 0 for none.
        parts: parts of the recipe that are used, by name.
        self_training: what self-training did; None for none.
    """

    optional: ClassVar[tuple[str, ...]] = ()
    token_types: int = 0
    parts: Mapping[str, ChosenPart] = field(default_factory=dict, kw_only=True)
    self_training: SelfTrained | None = field(default=None, kw_only=True)

    @classmethod
    def from_config(cls, config: RunConfig) -> Self:
        """Take the values of the keys with the same names, such as ``data.labels``.

        Runs of earlier versions have the resolved values in ``config.toml``.
        """
        names = {item.name for item in fields(cls)}
        found: dict[str, Any] = {name: reduce(getattr, key.split("."), config)
                                 for key, _ in keys() if (name := key.rpartition(".")[2]) in names}
        return cls(**found)

    def save(self, path: Path) -> None:
        """Write the values as JSON; infinity is the string "inf".

        With parts of a recipe, which a resumed run takes from here, the values have a checksum.
        """
        optional = (*self.optional, "parts", "self_training")
        values = {name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
                  for name, value in asdict(self).items() if value or name not in optional}
        values = sealed(values) if self.parts else values
        write_atomically(path, json.dumps(values, ensure_ascii=False, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that :meth:`save` wrote.

        Raises:
            RunFolderError: if it is damaged.
        """
        try:
            return validated(cls, unsealed(json.loads(path.read_text(encoding="utf-8"))))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise RunFolderError(f"{path}: damaged ({key}: {first['msg']}); repeat the run") from error
        except (OSError, ValueError, RecursionError) as error:  # RecursionError: deeply nested
            raise RunFolderError(f"{path}: damaged ({error}); repeat the run") from error


R = TypeVar("R", bound=Resolved, default=Any)


@dataclass(frozen=True)
class Setup(Generic[R]):
    """The configuration of a run and what was found in its data.

    Attributes:
        config: what is used: what was requested, with the values of the recipe's parts.
        resolved: what was found, and the parts of the recipe; saved as ``resolved.json``.
        requested: what was requested, saved as ``config.toml``; None if it is the same as ``config``.
    """

    config: RunConfig
    resolved: R
    requested: RunConfig | None = None

    @cached_property
    def data(self) -> DataConfig:
        """Section ``[data]`` with the resolved values filled in."""
        return replace(self.config.data, **self._resolved_keys(DataConfig))

    @cached_property
    def model(self) -> ModelConfig:
        """Section ``[model]`` with the resolved values filled in."""
        return replace(self.config.model, **self._resolved_keys(ModelConfig))

    def _resolved_keys(self, section: type) -> Mapping[str, Any]:
        return {item.name: getattr(self.resolved, item.name)
                for item in fields(section) if hasattr(self.resolved, item.name)}


def with_parts(config: RunConfig, parts: Mapping[str, ChosenPart]) -> RunConfig:
    """Return a configuration with the values of the parts of a recipe, and a source."""
    values = {key: value for one in parts.values() for key, value in one.values.items()}
    if config.source == AUTO_SOURCE:
        values.setdefault("source", DEFAULT_SOURCE)
    if not values:
        return config
    return RunConfig.from_mapping(with_values(asdict(config), values.items()), where="the recipe")
