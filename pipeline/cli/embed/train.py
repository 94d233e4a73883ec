"""``vecformer embed train``: train word vectors on text."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal

import rich_click as click

from pipeline.cli.common import echo, one_or_all, reports_errors, verbosity
from pipeline.cli.embed.options import overwrite_option, text_column_option
from pipeline.cli.text_format import text_format_options


@click.command("train")
@click.argument("corpus", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CORPUS...")
@click.option("--to", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="File to write; the suffix selects the format. Training can be continued from a .safetensors file: "
                   "--source word2vec,start=FILE.")
@click.option("--source", default="word2vec", show_default=True, metavar="SPEC",
              help="word2vec or fasttext with options, such as fasttext,dim=300,epochs=5 (`vecformer sources` lists "
                   "them).")
@click.option("--deterministic", is_flag=True, help="Use one thread, so that the same seed gives the same vectors.")
@click.option("--workers", type=click.IntRange(1, 1024), metavar="N", help="Number of threads. Default: one per core.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 2), default=1, show_default=True, metavar="N",
              help="Seed of all random numbers.")
@click.option("--no-lowercase", is_flag=True, help="Do not convert the text to lower case.")
@click.option("--strip-accents", is_flag=True, help="Remove accents from letters.")
@click.option("--fold-digits", is_flag=True, help="Replace every digit by 0.")
@click.option("--han", type=click.Choice(["characters", "words"]), default="characters", show_default=True,
              help="Split Chinese into characters, or into words (needs: pip install 'vecformer[zh]').")
@text_column_option
@text_format_options()
@click.option("--trust-pickle", is_flag=True,
              help="Allow a pickle file for start=, which can execute arbitrary code: only for files that you trust.")
@overwrite_option
@verbosity
@reports_errors
def train_command(
    corpus: tuple[Path, ...], to: Path, source: str, deterministic: bool, workers: int | None, seed: int,
    no_lowercase: bool, strip_accents: bool, fold_digits: bool, han: Literal["characters", "words"],
    text_column: tuple[str, ...], separator: str, encoding: str, trust_pickle: bool, overwrite: bool, quiet: bool,
) -> None:
    """Train word vectors on CORPUS: text files with one text per line, tables, or folders of them; also compressed.

    Of a table (.csv, .tsv, .jsonl, .parquet, .xlsx, ...) the column of the text is read.

    \b
    vecformer embed train articles/*.txt.gz --to vectors.safetensors
    vecformer embed train articles.txt --to vectors.bin --source fasttext,dim=200,epochs=5
    vecformer embed train more.txt --to newer.safetensors --source word2vec,start=vectors.safetensors
    """
    from embeddings.gensim_training.to_file import train_vectors
    from embeddings.table.paths import written
    from embeddings.tokenization.tokenizer import WordTokenizer
    from pipeline.data.config import DataConfig
    from pipeline.data.corpus import TextCorpus
    from pipeline.telemetry.progress import bars

    tokenizer = WordTokenizer(lowercase=not no_lowercase, strip_accents=strip_accents, fold_digits=fold_digits, han=han)
    columns = DataConfig().changed(text_column=one_or_all(text_column), separator=separator, encoding=encoding)
    start = time.perf_counter()
    with bars(quiet=quiet) as progress:
        trained = train_vectors(
            source, TextCorpus(corpus, columns), to, tokenizer=tokenizer, workers=workers, deterministic=deterministic,
            seed=seed, trust_pickle=trust_pickle, overwrite=overwrite, progress=progress,
        )
    table, seconds = trained.table, time.perf_counter() - start
    n_tokens = trained.model.corpus_total_words * trained.model.epochs
    echo(f"wrote {to}: {len(table):,} words, dimension {table.dim}, in {seconds:.1f} s "
         f"({n_tokens / seconds:,.0f} tokens per second)")
    word = next((word for word in table.words[100:] if word.isalpha()), table.words[-1])
    echo(f"inspect  vecformer embed neighbors {written(to)} {word}")
    echo(f"use      vecformer run --data FILE --source file:{written(to)}")
