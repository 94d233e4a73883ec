"""``vecformer embed coverage``: coverage of a text by vectors."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from pipeline.cli.common import echo, reports_errors, table, verbosity
from pipeline.cli.embed.options import json_option, load_options, unknown_option, vectors_argument
from pipeline.drawing.terminal import to_json

if TYPE_CHECKING:
    from pipeline.commands.vectors import LoadOptions


@click.command("coverage")
@vectors_argument
@click.option("--text", "files", required=True, multiple=True, type=click.Path(path_type=Path), metavar="PATH",
              help="Text file, table, or a folder of them; also compressed. Can be repeated.")
@click.option("--no-lowercase", is_flag=True, help="Do not convert the text to lower case.")
@json_option
@unknown_option
@verbosity
@reports_errors
@load_options
def coverage_command(
    vectors: str, files: tuple[Path, ...], no_lowercase: bool, as_json: bool, options: LoadOptions,
    quiet: bool,
) -> None:
    """Show the fractions of tokens and types of a text that have a vector, by provenance, and the words that lack one.

    \b
    vecformer embed coverage glove --text articles.txt
    vecformer embed coverage vectors.bin --text articles/ --unknown case,spelling
    """
    from embeddings.tokenization.tokenizer import WordTokenizer
    from pipeline.commands.vectors import text_coverage
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        coverage = text_coverage(vectors, files, options, tokenizer=WordTokenizer(lowercase=not no_lowercase),
                                 progress=progress)
    if as_json:
        echo(to_json(asdict(coverage)))
        return
    rows = []
    for provenance, tokens in coverage.by_provenance.items():
        types = coverage.types_by_provenance[provenance]
        rows.append([provenance, f"{types:,}", f"{types / coverage.n_types:.1%}", f"{tokens:,}",
                     f"{tokens / coverage.n_tokens:.1%}"])
    rows.append(["all with a vector", "", f"{coverage.types:.1%}", "", f"{coverage.tokens:.1%}"])
    echo(table(["provenance", "types", "fraction", "tokens", "fraction"], rows))
    misses = ", ".join(f"{word} ({count})" for word, count in coverage.misses)
    if misses:
        echo(f"\nmost frequent words without a vector: {misses}")
