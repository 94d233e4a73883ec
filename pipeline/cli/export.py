"""``vecformer export``: a finished run in the form of another library."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pipeline.cli.common import reports_errors, verbosity


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", required=True, type=click.Choice(["hf"]), help="Form: hf is a folder that transformers loads.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="Folder to make.")
@click.option("--words", default=50_000, show_default=True, type=click.IntRange(min=0), metavar="N",
              help="Words that training did not meet to take along, the source's first (none where words are written).")
@verbosity
@reports_errors
def export_command(run: Path, to: str, out: Path, words: int, quiet: bool) -> None:
    """Write RUN so that others can use it without vecformer.

    The run must keep to the arithmetic of an existing architecture (--set model.like=bert, or gpt2 for a language
    model).

    \b
    vecformer run --task question-answering --data data/questions --set model.like=bert --out runs/questions
    vecformer export runs/questions --to hf --out exported
    """
    from pipeline.commands.export import export
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        made = export(run, out, words=words, progress=progress)
    click.echo(f"{made.path}: {made.architecture}, {made.n_words:,} words, {made.n_more:,} of them not met in training")
    click.echo("not compared with the run, since transformers is not installed: pip install 'vecformer[hf]'"
               if made.difference is None else
               f"compared with the run by transformers: scores differ by {made.difference:.1e} at most")
