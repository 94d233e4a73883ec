"""Choose the recipe of a run from its data."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.config import RECIPES, RunConfig, keys, value_of
from pipeline.data.examples import Splits
from pipeline.errors import ConfigError, brief
from pipeline.runs.recipe.facts import Facts, find_facts
from pipeline.runs.recipe.part import PARTS, Part, Verdict, all_parts
from pipeline.runs.start.point import parts_of_start
from pipeline.tasks.base import Task
from pipeline.tasks.resolved import ChosenPart, Setup, with_parts

log = logging.getLogger("vecformer.data")


@dataclass(frozen=True)
class Recipe:
    """The value of the key ``recipe``.

    Attributes:
        name: ``auto`` or ``plain``.
        added: parts that are used in any case.
        left_out: parts that are not used.
    """

    name: str
    added: frozenset[str]
    left_out: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Recipe:
        """Parse ``auto``, ``plain``, ``auto,-convolutions`` or ``plain,+ngrams``.

        Raises:
            ConfigError: if the name or a part is not known.
        """
        name, *switches = (piece.strip() for piece in text.split(","))
        if name not in RECIPES:
            raise ConfigError(f"recipe = {brief(text)}: begin with {' or '.join(RECIPES)}, followed by parts to add or "
                              f"leave out, such as auto,-convolutions; the parts are {', '.join(PARTS.available)}")
        for switch in switches:
            if switch[:1] not in ("+", "-"):
                raise ConfigError(f"recipe = {brief(text)}: write +{switch} to add a part or -{switch} to leave it out")
            PARTS.find(switch[1:])
        return cls(name, frozenset(one[1:] for one in switches if one[0] == "+"),
                   frozenset(one[1:] for one in switches if one[0] == "-"))


def setup_for(
    config: RunConfig, task: Task[Any], splits: Splits[Any], *, earlier: Mapping[str, ChosenPart] | None = None
) -> Setup[Any]:
    """Choose the parts of the recipe and find the facts that the task needs.

    Args:
        config: the configuration as requested.
        task: the task.
        splits: the data.
        earlier: parts that an interrupted run chose, which are taken; None to choose.

    Returns:
        The configuration with the values of the parts, what was requested, and what was found.

    Raises:
        ConfigError: if ``recipe`` is not valid.
        DataError: if the task cannot be learned from the data.
    """
    recipe = Recipe.parse(config.recipe)
    chosen: dict[str, ChosenPart] = {}
    if earlier is not None:
        chosen.update(earlier)
    elif recipe.name != "plain" or recipe.added or config.init_from:
        facts = find_facts(task, splits)
        chosen = choose(recipe, facts, config)
        for line in described(recipe, facts, chosen):
            log.info("%s", line)
    used = {name: one for name, one in chosen.items() if one.values}
    effective = with_parts(config, used)
    return Setup(effective, replace(task.resolve(effective, splits), parts=used), requested=config)


def choose(recipe: Recipe, facts: Facts, config: RunConfig) -> dict[str, ChosenPart]:
    """Take over what ``init_from`` decides, and judge every part for the task.

    A key whose value is not the default was configured; parts do not change it.

    Returns:
        The parts by name in order; those that are not used have no values.

    Raises:
        ConfigError: if a part is added that is not for the task, or a key contradicts ``init_from``.
    """
    chosen = parts_of_start(config, facts)
    config = with_parts(config, chosen) if chosen else config
    current, parts = config, all_parts(facts.task)
    for name in recipe.added - {one.name for one in parts}:
        raise ConfigError(f"recipe = {brief(config.recipe)}: the part {name} is not for the task {facts.task}, whose "
                          f"parts are {', '.join(one.name for one in parts)}")
    for one in parts:
        verdict = _verdict(one, recipe, facts, current)
        wanted = one.values(facts, current) if verdict.on else {}
        values = {key: value for key, value in wanted.items() if not _is_configured(config, key)}
        if wanted and not values:
            verdict = Verdict(False, f"{', '.join(wanted)} as configured")
        chosen[one.name] = ChosenPart(verdict.reason, values)
        current = with_parts(current, {one.name: chosen[one.name]}) if values else current
    return chosen


def described(recipe: Recipe, facts: Facts, chosen: Mapping[str, ChosenPart]) -> Sequence[str]:
    """Describe a recipe in lines: the facts, then each part with its values and the reason."""
    width = max((len(name) for name in chosen), default=0)
    lines = [f"recipe {recipe.name}: {facts}"]
    for name, one in chosen.items():
        values = ", ".join(f"{key}={_shown(value)}" for key, value in one.values.items())
        lines.append(f"  {name:<{width}}  " + (f"{values} ({one.reason})" if values else f"no change ({one.reason})"))
    return lines


def _verdict(one: Part, recipe: Recipe, facts: Facts, config: RunConfig) -> Verdict:
    if one.name in recipe.left_out:
        return Verdict(False, "left out")
    if one.name in recipe.added:
        return Verdict(True, "added")
    return one.judge(facts, config) if recipe.name == "auto" else Verdict(False, recipe.name)


def _is_configured(config: RunConfig, key: str) -> bool:
    return bool(value_of(config, key) != dict(keys())[key].default)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(list(value) if isinstance(value, tuple) else value)
