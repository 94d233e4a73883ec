"""``vecformer embed convert``: from any format, source or run to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from pipeline.cli.common import reports_errors, verbosity
from pipeline.cli.embed.options import load_options, overwrite_option, vectors_argument

if TYPE_CHECKING:
    from pipeline.commands.vectors import LoadOptions


@click.command("convert")
@vectors_argument
@click.option("--to", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="File to write; its ending decides the format: .safetensors, .txt, .vec (either also .gz), .bin, "
                   ".npy.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Keep the first N words only.")
@overwrite_option
@verbosity
@reports_errors
@load_options
def convert_command(
    vectors: str, to: Path, limit: int | None, overwrite: bool, options: LoadOptions, quiet: bool
) -> None:
    """Write VECTORS to a file of another format, or the tuned vectors of a run to a file.

    \b
    vecformer embed convert vectors.bin --to vectors.safetensors
    vecformer embed convert runs/reviews --to tuned.txt
    vecformer embed convert glove --to small.txt --limit 20000 --transform center --transform pca:25
    """
    from pipeline.commands.vectors import convert
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        table = convert(vectors, to, options, limit=limit, overwrite=overwrite, progress=progress)
    click.echo(f"wrote {to}: {len(table):,} words of width {table.dim}; look into it with: vecformer embed info {to}")
