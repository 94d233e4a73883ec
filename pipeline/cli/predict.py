"""``vecformer predict``: a finished run on new text."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import rich_click as click

from pipeline.cli.common import reports_errors, verbosity


@click.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--file", type=click.Path(path_type=Path), help="Predict for each line of this file.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line: text, label, probabilities.")
@verbosity
@reports_errors
def predict_command(run: Path, texts: tuple[str, ...], file: Path | None, as_json: bool, quiet: bool) -> None:
    """Predict the labels of texts: those given, each line of --file, or each line of standard input.

    Prints the label, its probability and the text, with tabs between.

    \b
    vecformer predict runs/bbc "Shares rose after the bank cut rates."
    cat headlines.txt | vecformer predict runs/bbc --json
    """
    from pipeline.data.readers import decode_text, lines_of, read_text, well_formed
    from pipeline.errors import DataError
    from pipeline.progress import bars
    from pipeline.trained_run import load_run

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
    trained = load_run(run)
    with bars(quiet=quiet) as progress:
        predictions = trained.predict(chosen, progress=progress)
    for text, prediction in zip(chosen, predictions, strict=True):
        if as_json:
            click.echo(json.dumps({"text": text, **prediction}, ensure_ascii=False))
        else:
            click.echo(f"{prediction['label']}\t{prediction['probabilities'][prediction['label']]:.4f}\t{text}")
