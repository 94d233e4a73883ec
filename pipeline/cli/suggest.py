"""``vecformer suggest``: suggest which unlabelled texts to label next."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pipeline.cli.common import echo, reports_errors, verbosity
from pipeline.cli.text_format import column_options
from pipeline.cli.verification import verify_option
from pipeline.drawing.terminal import cell, to_json


@click.command("suggest")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--unlabelled", "file", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="The unlabelled texts: rows of a table (.csv .tsv .jsonl .parquet .xlsx …), or lines of a text "
                   "file.")
@click.option("-n", "--number", "n", type=click.IntRange(1, 100_000), default=50, show_default=True, metavar="N",
              help="Number of texts to suggest.")
@click.option("--out", type=click.Path(path_type=Path), metavar="RESULT",
              help="Write the suggested rows, with the reasons in added columns, to this file (.csv .tsv .jsonl .json "
                   ".parquet .arrow .xlsx) instead of printing them.")
@click.option("--overwrite", is_flag=True, help="Replace RESULT if it exists.")
@column_options(otherwise="as in the run, or {found}")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@verify_option
@verbosity
@reports_errors
def suggest_command(
    run: Path, file: Path, n: int, out: Path | None, overwrite: bool, as_json: bool, verify: bool, quiet: bool,
    text_column: tuple[str, ...], context_column: str, separator: str, encoding: str, **reading: str,
) -> None:
    """Suggest which unlabelled texts to label next for RUN, a classifier.

    The texts are selected so that together they are similar to as many as possible of the texts of which the run is
    uncertain. Prints columns separated by tabs: the score, which is the share of the uncertainty that the text
    represents and earlier ones do not; the predicted label; the uncertainty; the number of texts it represents; the
    number of its words without a vector; the text.

    \b
    vecformer suggest runs/support --unlabelled data/support/unlabelled.txt -n 10
    vecformer suggest runs/support --unlabelled messages.xlsx --out to-label.xlsx
    """
    if out and as_json:
        raise click.UsageError("the suffix of --out determines its format; leave out --json")
    if overwrite and not out:
        raise click.UsageError("--overwrite replaces the file of --out; add --out RESULT")

    from pipeline.commands.prediction_inputs import Where
    from pipeline.commands.suggest import suggest_table
    from pipeline.telemetry.progress import bars

    where = Where(file=file, option="--unlabelled", text_columns=text_column, context_column=context_column,
                  separator=separator, encoding=encoding, reading=reading)
    with bars(quiet=quiet) as progress:
        found = suggest_table(run, where, n, out, overwrite=overwrite, verify=verify, progress=progress)
    if out:
        echo(f"wrote {out}: {len(found):,} text{'s' * (len(found) != 1)} to label")
    elif as_json:
        echo("\n".join(to_json(one.to_json()) for one in found))
    else:
        echo("\n".join("\t".join(map(cell, row)) for row in [
            ["score", "label", "uncertainty", "represents", "unknown words", "text"],
            *([f"{one.score:.4f}", one.label, f"{one.uncertainty:.2f}", str(one.represents), str(one.unknown_words),
               one.text] for one in found)]))
