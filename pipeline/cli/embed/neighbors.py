"""``vecformer embed neighbors``: nearest neighbours of words."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import rich_click as click

from pipeline.cli.common import echo, reports_errors, table, verbosity
from pipeline.cli.embed.options import json_option, load_options, unknown_option, vectors_argument
from pipeline.drawing.terminal import to_json

if TYPE_CHECKING:
    from embeddings.analysis.neighbors import Nearest
    from pipeline.commands.vectors import LoadOptions


@click.command("neighbors")
@vectors_argument
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@click.option("-n", "n", type=click.IntRange(min=1), default=10, show_default=True,
              help="Number of neighbors for each WORD.")
@json_option
@unknown_option
@verbosity
@reports_errors
@load_options
def neighbors_command(
    vectors: str, words: tuple[str, ...], n: int, as_json: bool, options: LoadOptions, quiet: bool
) -> None:
    """Show the words nearest to each WORD by cosine similarity.

    For several words in quotes the neighbors of their mean are shown.

    \b
    vecformer embed neighbors glove bank river
    vecformer embed neighbors glove:vectors.txt "new york" -n 5
    """
    from embeddings.analysis.neighbors import Neighborhood
    from pipeline.commands.vectors import open_vectors
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        neighborhood = Neighborhood(open_vectors(vectors, options, progress=progress), options.unknown)
    answers = [neighborhood.of_phrase(word, n) for word in words]
    if as_json:
        echo(to_json([asdict(answer) for answer in answers]))
    else:
        echo("\n\n".join(shown(word, answer) for word, answer in zip(words, answers, strict=True)))


def shown(title: str, answer: Nearest) -> str:
    """Return a table of words and similarities, with a note for each query word that is not listed exactly."""
    rows = [[one.word, f"{one.similarity:.4f}"] for one in answer.neighbors]
    notes = [f"{word}: vector is {provenance}" for word, provenance in answer.asked.items() if provenance != "exact"]
    return "\n".join([table([title, "cosine"], rows), *notes])
