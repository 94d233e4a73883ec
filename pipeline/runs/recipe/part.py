"""The interface of a part of a recipe, and the registry of parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

from embeddings.specification.plugins import Registry
from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.runs.recipe.facts import Facts


class Verdict(NamedTuple):
    """Whether a part is used.

    Attributes:
        on: whether the facts favour it.
        reason: why, in a few words.
    """

    on: bool
    reason: str


class Part(ABC):
    """One part of a recipe: keys of the configuration, and when they are set.

    Attributes:
        name: name of the part, as ``--recipe auto,-NAME`` gives it; set by :func:`part`.
        help: what it adds, in a few words.
        order: parts with smaller numbers are chosen first.
        tasks: tasks that the part is for; () for all.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    order: ClassVar[int]
    tasks: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def judge(self, facts: Facts, config: RunConfig) -> Verdict:
        """Decide whether the part is used.

        Args:
            facts: facts about the data.
            config: the configuration, with the values of the parts that were chosen before.
        """

    @abstractmethod
    def values(self, facts: Facts, config: RunConfig) -> Mapping[str, Any]:
        """Return the keys of the configuration that the part sets; the arguments are those of :meth:`judge`."""


T = TypeVar("T", bound=type[Part])

PARTS = Registry("pipeline.runs.recipe.parts", "recipe part", ConfigError, group="vecformer.recipe_parts")


def part(name: str) -> Callable[[T], T]:
    """Register a part under a name, as a decorator."""

    def registered(cls: T) -> T:
        cls.name = name
        return PARTS.register(name)(cls)

    return registered


def all_parts(task: str = "") -> list[Part]:
    """Return all parts, or those for a task, in the order in which they are chosen."""
    made: list[Part] = [cls() for cls in PARTS.available.values()]
    return sorted((one for one in made if not task or not one.tasks or task in one.tasks),
                  key=lambda one: (one.order, one.name))
