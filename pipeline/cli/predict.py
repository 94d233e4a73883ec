"""``vecformer predict``: predict for new texts with a finished run."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from pipeline.cli.common import echo, echo_pieces, reports_errors, verbosity
from pipeline.cli.streams import require_output, standard_input
from pipeline.cli.text_format import column_options
from pipeline.cli.verification import verify_option
from pipeline.drawing.terminal import csv_line, output_is_in_colour, output_is_terminal, to_json

if TYPE_CHECKING:
    from pipeline.commands.predict import Columns, Predicted


@click.command("predict")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--file", type=click.Path(path_type=Path), metavar="FILE",
              help="Predict for each row of this table (.csv .tsv .jsonl .parquet .xlsx …), or each line of this text "
                   "file.")
@click.option("--out", type=click.Path(path_type=Path), metavar="RESULT",
              help="Write the table, with columns for the predictions added, to this file (.csv .tsv .jsonl .json "
                   ".parquet .arrow .xlsx) instead of printing them.")
@click.option("--overwrite", is_flag=True, help="Replace RESULT if it exists.")
@column_options(otherwise="as in the run, or {found}")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line: the text and its prediction.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: the text and the columns that --out adds.")
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
    run: Path, texts: tuple[str, ...], file: Path | None, out: Path | None, overwrite: bool, as_json: bool,
    as_csv: bool, context: str, precision: str, abstain: float | None, verify: bool, quiet: bool,
    text_column: tuple[str, ...], context_column: str, separator: str, encoding: str, **reading: str,
) -> None:
    """Predict for the given texts, each row or line of --file, or each line of standard input.

    Prints one line per text, separated by tabs; for classification the label, its probability and the text. A last
    column marks predictions for texts that are empty or have no known word. On a terminal, columns are aligned and in
    colour, and answers are highlighted in their context. Lines of standard input are processed as they arrive.

    \b
    vecformer predict runs/bbc "Shares rose after the bank cut rates."
    cat headlines.txt | vecformer predict runs/bbc --json
    vecformer predict runs/bbc --file headlines.txt --precision int8
    vecformer predict runs/bbc --file headlines.txt --abstain 0.05
    vecformer predict runs/support --file messages.csv --text-column Subject --text-column Message
    vecformer predict runs/support --file messages.xlsx --out messages-labelled.xlsx
    vecformer predict runs/questions "Where is the tower?" --context "The tower is in Paris."
    """
    if out and (as_json or as_csv):
        raise click.UsageError("the suffix of --out determines its format; leave out --json and --csv")
    if as_json and as_csv:
        raise click.UsageError("--json and --csv cannot be combined")
    if overwrite and not out:
        raise click.UsageError("--overwrite replaces the file of --out; add --out RESULT")

    import torch  # noqa: F401  (before everything else, so that the next line covers its objects)

    gc.freeze()  # exempts the objects of torch from garbage collection, which would take a tenth of a second

    from pipeline.commands.predict import predict, predict_table
    from pipeline.commands.prediction_inputs import Where
    from pipeline.telemetry.progress import bars
    from transformer.kernels.primitive_cache import keep_few_primitives

    keep_few_primitives()
    require_output()
    where = Where(texts=texts, file=file, context=context, text_columns=text_column, context_column=context_column,
                  separator=separator, encoding=encoding, reading=reading)
    if not file and not texts:
        where = replace(where, standard_input=standard_input())
    more: dict[str, Any] = {"precision": precision, "abstain": abstain, "verify": verify}
    with bars(quiet=quiet or (not out and output_is_terminal())) as progress:  # not between lines on a terminal
        if out:
            columns = predict_table(run, where, out, overwrite=overwrite, progress=progress, **more)
        else:
            is_first = True
            for batch in predict(run, where, progress=progress, **more):
                _show(batch, as_json=as_json, as_csv=as_csv, is_first=is_first)
                is_first = False
    if out:
        echo(_written(out, columns))


def _show(batch: Sequence[Predicted], *, as_json: bool, as_csv: bool, is_first: bool) -> None:
    if as_json:
        echo("\n".join(to_json(one.to_json()) for one in batch))
    elif as_csv:
        if is_first:
            echo(csv_line(["text", *batch[0].columns, "warning"]))
        for one in batch:
            echo(csv_line([one.text, *one.columns.values(), one.prediction.get("warning")]))
    elif output_is_in_colour():
        from pipeline.drawing.prediction import prediction_lines

        for pieces in prediction_lines([one.line for one in batch], [one.prediction for one in batch],
                                       [one.example for one in batch]):
            echo_pieces(pieces)
    else:
        echo("\n".join(one.line for one in batch))


def _written(out: Path, columns: Columns) -> str:
    rows = f"{columns.n_rows:,} row{'s' * (columns.n_rows != 1)}"
    flagged = f"; {columns.n_flagged:,} with a warning" * bool(columns.n_flagged)
    return f"wrote {out}: {rows}, added columns {', '.join(columns.names)}{flagged}"
