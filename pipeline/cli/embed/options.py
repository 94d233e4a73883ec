"""Options shared by the commands of ``vecformer embed``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from pipeline.cli.common import one_or_all
from pipeline.cli.text_format import text_format_options
from pipeline.cli.verification import verify_option

F = TypeVar("F", bound=Callable[..., Any])

vectors_argument = click.argument("vectors")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an existing file.")
unknown_option = click.option(
    "--unknown", default="case,digits,subword", show_default=True, metavar="STEPS",
    help="Fallbacks for out-of-vocabulary words, separated by commas: case, digits, subword, spelling.",
)

text_column_option = click.option(
    "--text-column", multiple=True, metavar="NAME",
    help="Column of the text in tables. Can be repeated. Default: found by its name (text, sentence, ...).",
)


def load_options(command: F) -> F:
    """Add the options for loading VECTORS; the command receives them as ``options``, including ``--unknown``."""

    @click.option("--transform", "transforms", multiple=True, metavar="T",
                  help="Transform of the vectors: center, unit, pca:50, all-but-the-top:2, ... Can be repeated; "
                       "applied in order.")
    @click.option("--corpus", multiple=True, type=click.Path(path_type=Path), metavar="PATH",
                  help="Training text of sources that are trained (word2vec, fasttext): text files, tables, or "
                       "folders of them. Can be repeated.")
    @text_column_option
    @text_format_options()
    @click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True, metavar="N",
                  help="Seed of all random numbers.")
    @click.option("--trust-pickle", is_flag=True,
                  help="Allow pickle files, which can execute arbitrary code: use it only for files that you trust.")
    @verify_option
    @functools.wraps(command)
    def wrapped(
        *args: Any, transforms: tuple[str, ...], corpus: tuple[Path, ...], text_column: tuple[str, ...],
        separator: str, encoding: str, seed: int, trust_pickle: bool, verify: bool, unknown: str = "", **kwargs: Any,
    ) -> Any:
        from embeddings.table.oov_policy import parse_policy
        from pipeline.commands.vectors import LoadOptions
        from pipeline.data.config import DataConfig

        reading = DataConfig().changed(text_column=one_or_all(text_column), separator=separator, encoding=encoding)
        options = LoadOptions(transforms, corpus, parse_policy([unknown]), seed, trust_pickle, verify, reading)
        return command(*args, options=options, **kwargs)

    return wrapped  # type: ignore[return-value]
