"""``vecformer evaluate``: evaluate a finished run on other data."""

from __future__ import annotations

import json
from pathlib import Path

import rich_click as click

from pipeline.cli.common import reports_errors, table, verbosity


@click.command("evaluate")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Labelled file in a format of the task, such as .tsv or .jsonl.")
@click.option("--text-column", default="", metavar="NAME", help="Column of the text. Default: as in the run.")
@click.option("--label-column", default="", metavar="NAME", help="Column of the label. Default: as in the run.")
@click.option("--abstain", type=float, metavar="RATE",
              help="Evaluate the prediction sets of this error rate as well, as in `vecformer predict`.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@verbosity
@reports_errors
def evaluate_command(
    run: Path, data: Path, text_column: str, label_column: str, abstain: float | None, as_json: bool, quiet: bool
) -> None:
    """Evaluate RUN on other labelled data.

    \b
    vecformer evaluate runs/news --data reviews/test.tsv
    """
    from pipeline.commands.evaluate import evaluate
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        measures = evaluate(run, data, text_column=text_column, label_column=label_column, abstain=abstain,
                            progress=progress)
    if as_json:
        click.echo(json.dumps(measures))
    else:
        shown = [[name, str(value) if isinstance(value, int) else f"{value:.4f}"] for name, value in measures.items()
                 if isinstance(value, int | float)]
        click.echo(table([data.name, str(run)], shown))
