"""``vecformer embed analogy``: complete an analogy."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import rich_click as click

from pipeline.cli.common import echo, reports_errors, verbosity
from pipeline.cli.embed.neighbors import shown
from pipeline.cli.embed.options import json_option, load_options, unknown_option, vectors_argument
from pipeline.drawing.terminal import to_json

if TYPE_CHECKING:
    from pipeline.commands.vectors import LoadOptions


@click.command("analogy")
@vectors_argument
@click.argument("a")
@click.argument("b")
@click.argument("c")
@click.option("-n", "n", type=click.IntRange(min=1), default=10, show_default=True, help="Number of answers.")
@json_option
@unknown_option
@verbosity
@reports_errors
@load_options
def analogy_command(
    vectors: str, a: str, b: str, c: str, n: int, as_json: bool, options: LoadOptions, quiet: bool
) -> None:
    """Complete the analogy "A is to B as C is to …".

    The answers are the words nearest to B - A + C by cosine similarity, without A, B and C.

    \b
    vecformer embed analogy glove man king woman
    vecformer embed analogy glove france paris italy --json
    """
    from embeddings.analysis.neighbors import Neighborhood
    from pipeline.commands.vectors import open_vectors
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        table = open_vectors(vectors, options, progress=progress)
    answer = Neighborhood(table, options.unknown).analogy(a, b, c, n)
    if as_json:
        echo(to_json(asdict(answer)))
    else:
        echo(shown(f"{a} is to {b} as {c} is to", answer))
