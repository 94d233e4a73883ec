"""The parts of recipes, and the recipe that would be chosen for a data set."""

from __future__ import annotations

from pipeline.config import RunConfig
from pipeline.runs.recipe.choose import Recipe, choose, described
from pipeline.runs.recipe.facts import find_facts
from pipeline.runs.recipe.part import all_parts
from pipeline.tasks import base


def parts() -> dict[str, str]:
    """Return the descriptions of all parts by name, in the order in which they are chosen."""
    return {one.name: one.help for one in all_parts()}


def recipe_for(config: RunConfig) -> list[str]:
    """Describe the recipe of a configuration in lines, without training.

    Raises:
        ConfigError: if ``recipe`` is not valid.
        DataError: if the data cannot be read.
    """
    task = base.find(config.task)
    recipe = Recipe.parse(config.recipe)
    facts = find_facts(task, task.reader.read(config.data, seed=config.seed))
    return list(described(recipe, facts, choose(recipe, facts, config)))
