"""``vecformer export``: export a finished run to another library."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import rich_click as click

from pipeline.cli.common import echo, reports_errors, verbosity
from pipeline.cli.verification import verify_option


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", required=True, metavar="FORMAT",
              help="Format: onnx (ONNX Runtime), hf (Hugging Face transformers), page (an HTML file that runs in a "
                   "browser), model2vec or sentence-transformers (static vectors).")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="PATH", help="Folder or file to create.")
@click.option("--words", default=50_000, show_default=True, type=click.IntRange(min=0), metavar="N",
              help="Maximum number of words not seen in training to export: those of the dev and test examples (not "
                   "for page), then the first words of the source. 0 for language models.")
@click.option("--without-ngrams", is_flag=True, help="Export only the Transformer of a run with an n-gram branch.")
@click.option("--int8", is_flag=True, help="onnx: add a graph with int8 weights, and print how often it agrees.")
@click.option("--vectors", default="tuned", show_default=True, type=click.Choice(["tuned", "start"]),
              help="Static vectors: after training (tuned) or before it (start).")
@verify_option
@verbosity
@reports_errors
def export_command(
    run: Path, to: str, out: Path, words: int, without_ngrams: bool, int8: bool, vectors: Literal["tuned", "start"],
    verify: bool, quiet: bool
) -> None:
    """Export RUN to a format that does not require vecformer. The result is compared with RUN before it is kept.

    onnx and hf support every task but translation, the n-gram branch included. hf writes the code of the model into
    the folder, unless the run was trained with the architecture of BERT or GPT-2 (--set model.like=bert). For hf,
    language models require --set model.like=gpt2 and masked language models model.like=bert. page supports
    classification; the page requires no network and has at most 8 MB, with as many --words as fit.

    \b
    vecformer export runs/bbc --to onnx --out bbc-onnx --int8
    vecformer export runs/bbc --to model2vec --out bbc-vectors
    vecformer export runs/bbc --to hf --out bbc-hf
    vecformer export runs/bbc --to page --out bbc.html
    """
    from pipeline.commands.export import export
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        made = export(run, out, to=to, words=words, without_ngrams=without_ngrams, int8=int8, vectors=vectors,
                      verify=verify, progress=progress)
    for line in made.lines():
        echo(line)
