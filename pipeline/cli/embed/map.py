"""``vecformer embed map``: two-dimensional map of words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from pipeline.cli.common import echo, reports_errors, verbosity
from pipeline.cli.embed.options import load_options, overwrite_option, unknown_option, vectors_argument

if TYPE_CHECKING:
    from embeddings.analysis.projection import Method
    from pipeline.commands.vectors import LoadOptions


@click.command("map")
@vectors_argument
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="File to write: map.html (interactive), map.png, or a name without suffix for both.")
@click.option("--words", metavar="W,W,...", help="Words to draw, separated by commas or spaces.")
@click.option("--words-file", type=click.Path(path_type=Path), metavar="FILE",
              help="File with the words to draw, one per line.")
@click.option("--top", type=click.IntRange(3, 1_000_000), default=500, show_default=True, metavar="N",
              help="Number of most frequent words to draw, unless words are named.")
@click.option("--method", type=click.Choice(["tsne", "pca"]), default="tsne", show_default=True,
              help="t-SNE preserves neighbourhoods; PCA keeps the directions of greatest variance.")
@overwrite_option
@unknown_option
@verbosity
@reports_errors
@load_options
def map_command(
    vectors: str, out: Path, words: str | None, words_file: Path | None, top: int, method: Method, overwrite: bool,
    options: LoadOptions, quiet: bool,
) -> None:
    """Draw a two-dimensional map of words, in which nearby words have similar vectors.

    \b
    vecformer embed map glove --out map.html --top 1000
    vecformer embed map runs/reviews --out figures/words --words "good bad great awful fine dull" --method pca
    """
    from embeddings.table.listing import listed
    from pipeline.commands.word_map import draw_map
    from pipeline.errors import DataError
    from pipeline.telemetry.progress import bars

    if words and words_file:
        raise DataError("--words and --words-file cannot be combined; use one of them")
    chosen = words.replace(",", " ").split() if words else None
    with bars(quiet=quiet) as progress:
        written = draw_map(vectors, out, options, words=words_file or chosen, top=top, method=method,
                           overwrite=overwrite, progress=progress)
    if written.without_vector:
        echo(f"no vector for: {listed(written.without_vector)}", err=True)
    echo("\n".join(f"wrote {path}" for path in written.files))
