"""``vecformer predict``: predict for new texts with a finished run."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import rich_click as click

from pipeline.cli.common import echo, reports_errors, verbosity
from pipeline.cli.streams import read_input, require_output
from pipeline.cli.text_format import text_format_options
from pipeline.cli.verification import verify_option
from pipeline.drawing.terminal import to_json


@click.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--file", type=click.Path(path_type=Path), metavar="FILE",
              help="Predict for each row of this table (.csv .tsv .jsonl .parquet .xlsx …), or each line of this text "
                   "file.")
@click.option("--text-column", "text_columns", multiple=True, metavar="NAME",
              help="With a table: column of the text; several are joined. Default: as in the run, or found by its "
                   "name.")
@click.option("--context-column", default="", metavar="NAME",
              help="With a table: column of the context or second text. Default: found by its name.")
@text_format_options()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line: the text and its prediction.")
@click.option("--context", default="", metavar="TEXT",
              help="Second text: the context of a question, or the second text of a pair.")
@click.option("--precision", type=click.Choice(["float32", "bfloat16", "int8", "auto"]), default="float32",
              show_default=True,
              help="Precision of the computation. bfloat16 is faster on hardware with bfloat16 units and changes "
                   "probabilities by a few thousandths; auto uses it there. int8 is the fastest on a CPU (encoders "
                   "only) and changes probabilities by a few hundredths.")
@click.option("--abstain", type=float, metavar="RATE",
              help="For classification: predict sets of labels that miss the correct one at no more than this error "
                   "rate, such as 0.05, and abstain where a set is empty or has several. Needs a run with a dev set.")
@verify_option
@verbosity
@reports_errors
def predict_command(
    run: Path, as_json: bool, precision: str, abstain: float | None, verify: bool, quiet: bool, **where: Any
) -> None:
    """Predict for the given texts, each row or line of --file, or each line of standard input.

    Prints one line per text, separated by tabs; for classification the label, its probability and the text. A last
    column marks predictions for texts that are empty or have no known word.

    \b
    vecformer predict runs/bbc "Shares rose after the bank cut rates."
    cat headlines.txt | vecformer predict runs/bbc --json
    vecformer predict runs/bbc --file headlines.txt --precision int8
    vecformer predict runs/bbc --file headlines.txt --abstain 0.05
    vecformer predict runs/support --file messages.csv --text-column Subject --text-column Message
    vecformer predict runs/questions "Where is the tower?" --context "The tower is in Paris."
    """
    import torch  # noqa: F401  (before everything else, so that the next line covers its objects)

    gc.freeze()  # exempts the objects of torch from garbage collection, which would take a tenth of a second

    from pipeline.commands.predict import predict
    from pipeline.commands.prediction_inputs import Where
    from pipeline.telemetry.progress import bars

    require_output()
    chosen = Where(**where)
    if not chosen.file and not chosen.texts:
        chosen = replace(chosen, standard_input=read_input())
    with bars(quiet=quiet) as progress:
        predicted = predict(run, chosen, precision=precision, abstain=abstain, verify=verify, progress=progress)
    for one in predicted:
        echo(to_json(one.to_json()) if as_json else one.line)
