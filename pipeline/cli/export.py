"""``vecformer export``: export a finished run to another library."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pipeline.cli.common import echo, reports_errors, verbosity
from pipeline.cli.verification import verify_option


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", required=True, metavar="FORMAT",
              help="Format: hf is a folder for Hugging Face transformers, page is an HTML file that runs in a browser.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="PATH", help="Folder or file to create.")
@click.option("--words", default=50_000, show_default=True, type=click.IntRange(min=0), metavar="N",
              help="Number of words not seen in training to export, the most frequent first; 0 for language models.")
@click.option("--without-ngrams", is_flag=True, help="Export the Transformer of a run with an n-gram branch alone.")
@verify_option
@verbosity
@reports_errors
def export_command(
    run: Path, to: str, out: Path, words: int, without_ngrams: bool, verify: bool, quiet: bool
) -> None:
    """Export RUN to a format that is used without vecformer.

    For hf, the run must have been trained with the arithmetic of an existing architecture: --set model.like=bert, or
    gpt2 for a language model. A page needs no network; it is for classification, at most 8 MB with as many --words as
    fit.

    \b
    vecformer run --task question-answering --data data/questions --set model.like=bert --out runs/questions
    vecformer export runs/questions --to hf --out exported
    vecformer export runs/bbc --to page --out bbc.html
    """
    from pipeline.commands.export import export
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        made = export(run, out, to=to, words=words, without_ngrams=without_ngrams, verify=verify, progress=progress)
    for line in made.lines():
        echo(line)
