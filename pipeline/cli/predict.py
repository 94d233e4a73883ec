"""``vecformer predict``: a finished run on new text."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

import rich_click as click

from pipeline.cli.common import reports_errors, verbosity


@click.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--file", type=click.Path(path_type=Path), help="Predict for each line of this file.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line: the text and what is predicted.")
@click.option("--context", default="", metavar="TEXT",
              help="The text beside each one: what a question is asked about, the other sentence of a pair.")
@click.option("--precision", type=click.Choice(["float32", "bfloat16", "int8", "auto"]), default="float32",
              show_default=True,
              help="Of the arithmetic: bfloat16 is quicker where the processor has it, and moves probabilities by a "
                   "few thousandths; auto takes it there. int8 is the quickest on a CPU, for models that read whole "
                   "texts, and moves them by a few hundredths.")
@verbosity
@reports_errors
def predict_command(
    run: Path, texts: tuple[str, ...], file: Path | None, as_json: bool, context: str, precision: str, quiet: bool
) -> None:
    """Predict for texts: those given, each line of --file, or each line of standard input.

    Prints what the run's task says of each, such as the label, its probability and the text, with tabs between.

    \b
    vecformer predict runs/bbc "Shares rose after the bank cut rates."
    cat headlines.txt | vecformer predict runs/bbc --json
    vecformer predict runs/bbc --file headlines.txt --precision int8
    vecformer predict runs/questions "Where is the tower?" --context "The tower is in Paris."
    """
    import torch  # noqa: F401  (before all else, for the line below)

    gc.freeze()  # what torch brought along stays: going through it for garbage would take a tenth of a second

    from pipeline.data.readers.tables import decode_text, lines_of, read_text, well_formed
    from pipeline.errors import DataError
    from pipeline.runs.trained import load_run
    from pipeline.telemetry.progress import bars

    if file and texts:
        raise DataError("give texts or --file, not both")
    if file:
        chosen = lines_of(read_text(file))
    elif texts:
        chosen = [well_formed(text) for text in texts]
    else:
        chosen = lines_of(decode_text(sys.stdin.buffer.read(), "standard input"))
    if not chosen:
        raise DataError(f"{file or 'standard input'}: no text to predict for")
    trained = load_run(run, precision=precision)
    examples = [trained.task.example(text, well_formed(context)) for text in chosen]
    with bars(quiet=quiet) as progress:
        predictions = trained.predict_for(examples, progress=progress)
    for example, text, prediction in zip(examples, chosen, predictions, strict=True):
        if as_json:
            click.echo(json.dumps({"text": text, **prediction}, ensure_ascii=False))
        else:
            click.echo(trained.task.show(example, prediction))
