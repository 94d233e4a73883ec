"""``vecformer evaluate``: evaluate a finished run on other data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from pipeline.cli.common import echo, echo_table, one_or_all, reports_errors, verbosity
from pipeline.cli.text_format import column_options
from pipeline.cli.verification import verify_option
from pipeline.drawing.terminal import to_json


@click.command("evaluate")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Labelled file in a format of the task, such as .tsv or .jsonl.")
@column_options()
@click.option("--abstain", type=float, metavar="RATE",
              help="Evaluate the prediction sets of this error rate as well, as in `vecformer predict`.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@verify_option
@verbosity
@reports_errors
def evaluate_command(
    run: Path, data: Path, text_column: tuple[str, ...], context_column: str, abstain: float | None, as_json: bool,
    verify: bool, quiet: bool, **reading: Any,
) -> None:
    """Evaluate RUN on other labelled data.

    \b
    vecformer evaluate runs/news --data reviews/test.tsv
    """
    from embeddings.table.listing import decimals
    from pipeline.commands.evaluate import evaluate
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        measures = evaluate(run, data, text_column=one_or_all(text_column), text_b_column=context_column, **reading,
                            abstain=abstain, verify=verify, progress=progress)
    if as_json:
        echo(to_json(measures))
    else:
        shown = [[name, str(value) if isinstance(value, int) else decimals(value)] for name, value in measures.items()
                 if isinstance(value, int | float)]
        echo_table([data.name, str(run)], shown)
