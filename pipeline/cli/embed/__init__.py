"""``vecformer embed``: commands for word vectors, one file each."""

from __future__ import annotations

import rich_click as click

from pipeline.cli.lazy import LazyGroup

COMMANDS = ("train", "convert", "info", "neighbors", "analogy", "coverage", "evaluate", "map")


@click.group("embed", cls=LazyGroup, package="pipeline.cli.embed", names=COMMANDS)
def embed_command() -> None:
    """Train, convert, inspect and evaluate word vectors.

    VECTORS is a file, a source (`vecformer sources`), or a run folder (its fine-tuned vectors).

    \b
    vecformer embed train articles/*.txt --to vectors.safetensors
    vecformer embed neighbors vectors.safetensors bank
    vecformer embed convert runs/reviews --to tuned.txt
    """
