"""``vecformer embed convert``: write vectors to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from pipeline.cli.common import echo, reports_errors, verbosity
from pipeline.cli.embed.options import load_options, overwrite_option, vectors_argument

if TYPE_CHECKING:
    from pipeline.commands.vectors import LoadOptions


@click.command("convert")
@vectors_argument
@click.option("--to", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="File to write. The suffix selects the format, such as .safetensors, .txt, .vec.gz, .bin or .npy; "
                   "`vecformer sources` lists the formats.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N",
              help="Maximum number of words, the first of VECTORS.")
@overwrite_option
@verbosity
@reports_errors
@load_options
def convert_command(
    vectors: str, to: Path, limit: int | None, overwrite: bool, options: LoadOptions, quiet: bool
) -> None:
    """Write VECTORS, such as the fine-tuned vectors of a run, to a file of any format.

    \b
    vecformer embed convert vectors.bin --to vectors.safetensors
    vecformer embed convert runs/reviews --to tuned.txt
    vecformer embed convert glove --to small.txt --limit 20000 --transform center --transform pca:25
    """
    from embeddings.table.paths import written
    from pipeline.commands.vectors import convert
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        table = convert(vectors, to, options, limit=limit, overwrite=overwrite, progress=progress)
    echo(f"wrote {to}: {len(table):,} words, dimension {table.dim}; summary: vecformer embed info {written(to)}")
