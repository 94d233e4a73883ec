"""``vecformer recipe``: the parts of recipes, and the recipe of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from pipeline.cli.common import echo, reports_errors

KEYS = {"data": "data.path", "recipe": "recipe", "task": "task", "source": "source", "limit_train": "data.limit_train",
        "seed": "seed"}


@click.command("recipe")
@click.argument("config", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", metavar="PATH", help="Data set, as for `vecformer run`; without it, the parts are listed.")
@click.option("--recipe", metavar="RECIPE", help="auto (default), plain, or either with parts to add or leave out.")
@click.option("--task", metavar="NAME", help="Task. Default: classification.")
@click.option("--source", metavar="SPEC", help="Word vectors. Default: chosen from the data.")
@click.option("--limit-train", type=int, metavar="N", help="Number of labelled training examples.")
@click.option("--seed", type=int, metavar="N", help="Seed of the split of the data.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Set a configuration key. Can be "
                                                                               "repeated.")
@reports_errors
def recipe_command(config: Path | None, assignments: tuple[str, ...], **options: Any) -> None:
    """List the parts of recipes, or show the recipe that `vecformer run` would choose for a data set.

    \b
    vecformer recipe
    vecformer recipe --data reviews.tsv
    vecformer run --data reviews.tsv --recipe auto,-convolutions
    """
    from pipeline.commands.recipe import parts, recipe_for
    from pipeline.config import parse_assignment, resolve

    given = [(KEYS[name], value) for name, value in options.items() if value is not None]
    if config is None and not options["data"]:
        listed = parts()
        width = max(map(len, listed))
        echo("\n".join(f"{name:<{width}}  {described}" for name, described in listed.items()))
        return
    echo("\n".join(recipe_for(resolve(config, [*given, *map(parse_assignment, assignments)]))))
