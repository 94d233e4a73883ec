"""``vecformer predict``: predict for new texts with a finished run."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

import rich_click as click

from pipeline.cli.common import reports_errors, verbosity
from pipeline.cli.verification import verify_option


@click.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--file", type=click.Path(path_type=Path), help="Predict for each line of this file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line: the text and its prediction.")
@click.option("--context", default="", metavar="TEXT",
              help="Second text: the context of a question, or the second text of a pair.")
@click.option("--precision", type=click.Choice(["float32", "bfloat16", "int8", "auto"]), default="float32",
              show_default=True,
              help="Precision of the computation. bfloat16 is faster on hardware with bfloat16 units and changes "
                   "probabilities by a few thousandths; auto uses it there. int8 is the fastest on a CPU (encoders "
                   "only) and changes probabilities by a few hundredths.")
@verify_option
@verbosity
@reports_errors
def predict_command(
    run: Path, texts: tuple[str, ...], file: Path | None, as_json: bool, context: str, precision: str, verify: bool,
    quiet: bool,
) -> None:
    """Predict for the given texts, each line of --file, or each line of standard input.

    Prints one line per text, separated by tabs; for classification the label, its probability and the text.

    \b
    vecformer predict runs/bbc "Shares rose after the bank cut rates."
    cat headlines.txt | vecformer predict runs/bbc --json
    vecformer predict runs/bbc --file headlines.txt --precision int8
    vecformer predict runs/questions "Where is the tower?" --context "The tower is in Paris."
    """
    import torch  # noqa: F401  (before everything else, so that the next line covers its objects)

    gc.freeze()  # exempts the objects of torch from garbage collection, which would take a tenth of a second

    from pipeline.commands.predict import predict, read_texts
    from pipeline.telemetry.progress import bars

    chosen = read_texts(texts, file, None if file or texts else sys.stdin.buffer.read())
    with bars(quiet=quiet) as progress:
        predicted = predict(run, chosen, context=context, precision=precision, verify=verify, progress=progress)
    for one in predicted:
        click.echo(json.dumps(one.to_json(), ensure_ascii=False) if as_json else one.line)
