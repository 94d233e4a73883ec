"""``vecformer export``: export a finished run to another library."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pipeline.cli.common import echo, reports_errors, verbosity
from pipeline.cli.verification import verify_option


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", required=True, type=click.Choice(["hf"]),
              help="Format: hf is a folder for Hugging Face transformers.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="Folder to create.")
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

    The run must have been trained with the arithmetic of an existing architecture: --set model.like=bert, or gpt2 for a
    language model.

    \b
    vecformer run --task question-answering --data data/questions --set model.like=bert --out runs/questions
    vecformer export runs/questions --to hf --out exported
    """
    from pipeline.commands.export import export
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        made = export(run, out, words=words, without_ngrams=without_ngrams, verify=verify, progress=progress)
    echo(f"{made.path}: {made.architecture}, {made.n_words:,} words, of which {made.n_extra:,} were not seen in "
         "training")
    if made.without_ngrams:
        echo("the n-gram branch is left out: the exported model is the Transformer alone, and its predictions differ "
             "from those of the run")
    echo("not compared with the run, because transformers is not installed: pip install 'vecformer[hf]'"
         if made.difference is None else
         f"compared with the run in transformers: scores differ by at most {made.difference:.1e}")
