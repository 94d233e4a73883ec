"""``vecformer embed``: word vectors by themselves; one file a command."""

from __future__ import annotations

import rich_click as click

from pipeline.cli.lazy import LazyGroup

COMMANDS = ("train", "convert", "info", "neighbors", "analogy", "coverage", "evaluate", "map")


@click.group("embed", cls=LazyGroup, package="pipeline.cli.embed", names=COMMANDS)
def embed_command() -> None:
    """Train word vectors, convert them, look into them.

    VECTORS is a file of vectors, a source (`vecformer sources`), or a run's folder, whose tuned vectors are meant.

    \b
    vecformer embed train articles/*.txt --to vectors.safetensors
    vecformer embed neighbors vectors.safetensors bank
    vecformer embed convert runs/reviews --to tuned.txt
    """
