"""``vecformer embed info``: summary of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click

from pipeline.cli.common import echo, reports_errors, verbosity
from pipeline.cli.embed.options import json_option, load_options, vectors_argument
from pipeline.drawing.terminal import to_json

if TYPE_CHECKING:
    from pipeline.commands.vectors import LoadOptions


@click.command("info")
@vectors_argument
@json_option
@verbosity
@reports_errors
@load_options
def info_command(vectors: str, as_json: bool, options: LoadOptions, quiet: bool) -> None:
    """Summarise VECTORS: format, size, standard deviation, norms, conventions of the words, provenance.

    \b
    vecformer embed info vectors.txt.gz
    vecformer embed info runs/reviews --json
    """
    from embeddings.table.listing import decimals
    from pipeline.commands.vectors import describe_vectors
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        described = describe_vectors(vectors, options, progress=progress)
    if as_json:
        echo(to_json(described))
        return
    norm = described["norm"]
    lines = {
        "format": described["format"],
        "source": described["source"],
        "transforms": ", ".join(described["transforms"]) or "none",
        "words": f"{described['n_words']:,}",
        "dimension": str(described["dim"]),
        "std": f"{decimals(described['spread'])} (standard deviation of the entries)",
        "norms": f"{decimals(norm['mean'])} on average, {decimals(norm['least'])} to {decimals(norm['greatest'])}",
        "mean": f"{decimals(described['norm_of_mean'])} (norm of the mean vector; 0 if centred)",
        "n-grams": "yes, for out-of-vocabulary words" if described["ngrams"] else "no",
        "conventions": described["conventions"],
        "provenance": ", ".join(f"{why} {count:,}" for why, count in described["provenance"].items()),
        "frequent": " ".join(described["frequent_words"]),
    }
    width = max(map(len, lines))
    echo("\n".join(f"{name:{width}}  {value}" for name, value in lines.items()))
