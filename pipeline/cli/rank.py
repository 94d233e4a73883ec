"""``vecformer rank``: forecast of the best source of word vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import rich_click as click

from pipeline.cli.common import echo, echo_blocks, one_or_all, reports_errors, table, verbosity
from pipeline.cli.completions import complete_sources
from pipeline.cli.text_format import text_format_options
from pipeline.drawing.terminal import to_json

# Options and the configuration keys that they set.
KEYS = {
    "data": "data.path", "limit_train": "data.limit_train", "text_column": "data.text_column",
    "label_column": "data.label_column", "separator": "data.separator", "encoding": "data.encoding",
    "corpus": "corpus", "unknown": "unknown", "trust_pickle": "trust_pickle", "seed": "seed",
}
COLUMNS = {"logistic regression": "linear", "LogME": "logme", "H-score": "h_score", "halves matched": "matching",
           "tokens": "tokens", "types": "types"}
SHARES = {"linear", "matching", "tokens", "types"}


@click.command("rank")
@click.option("--data", metavar="PATH",
              help="File (.tsv .csv .jsonl .parquet …), folder with train/dev/test files, or bbc.")
@click.option("--text", multiple=True, metavar="PATH",
              help="Unlabelled text instead of --data: text files, tables, or folders of them. Can be repeated.")
@click.option("--source", "sources", required=True, multiple=True, metavar="SPEC", shell_complete=complete_sources,
              help="Source of word vectors, such as glove, optionally with its own transforms: \"glove | "
                   "standardize\". Repeated for each source.")
@click.option("--limit-train", type=int, metavar="N",
              help="Number of labelled training examples, balanced over the labels; the others become unlabelled text.")
@click.option("--text-column", multiple=True, metavar="NAME",
              help="Column of the text. Can be repeated; several columns are joined. Default: found by its name.")
@click.option("--label-column", metavar="NAME", help="Column of the label. Default: found by its name.")
@text_format_options(default=None)
@click.option("--corpus", multiple=True, metavar="PATH",
              help="Text files, tables, or folders of them, for sources that are trained, instead of the texts of the "
                   "data. Can be repeated.")
@click.option("--unknown", metavar="STEPS",
              help="Fallbacks for out-of-vocabulary words, separated by commas: case,digits,subword,spelling, then "
                   "random or zero.")
@click.option("--trust-pickle", is_flag=True, default=None,
              help="Allow pickle files, which can execute arbitrary code; use with trusted files only.")
@click.option("--seed", type=int, metavar="N", help="Seed of all random numbers.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE",
              help="Set a configuration key, such as data.max_length=128. Can be repeated. `vecformer config` lists "
                   "all.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@verbosity
@reports_errors
def rank_command(
    text: tuple[str, ...], sources: tuple[str, ...], assignments: tuple[str, ...], as_json: bool, quiet: bool,
    **options: Any,
) -> None:
    """Forecast which source of word vectors is the best start for text classification, without training.

    The forecast takes seconds. It uses features of the sources on the texts and labels, and a small model that was
    fitted to stored benchmarks. The last lines show how often such forecasts were correct. `vecformer benchmark`
    measures the sources.

    \b
    vecformer rank --data reviews.tsv --source random --source glove --source word2vec
    vecformer rank --data bbc --limit-train 50 --source glove --source glove+word2vec --json
    vecformer rank --text articles.txt --source glove --source spacy:en_core_web_md
    """
    from pipeline.benchmark.forecast.rank import rank
    from pipeline.config import parse_assignment, resolve
    from pipeline.telemetry.progress import bars

    convert: dict[str, Callable[[Any], Any]] = {"corpus": list, "text_column": one_or_all,
                                                "unknown": lambda steps: steps.split(",")}
    given = [(KEYS[name], convert.get(name, lambda same: same)(value))
             for name, value in options.items() if value not in (None, ())]
    config = resolve(None, [*given, *map(parse_assignment, assignments)])
    with bars(quiet=quiet) as progress:
        found = rank(config, sources, text=text, progress=progress)
    if as_json:
        echo(to_json(found))
    else:
        echo_blocks(format_ranking(found))


def format_ranking(found: Mapping[str, Any]) -> str:
    """Format a ranking as a table, and how often such forecasts were correct."""
    shown = {name: key for name, key in COLUMNS.items() if key in found["sources"][0]["features"]}
    rows = [[one["source"] + " *" * one["trained"], f"{one['probability']:.0%}",
             *(f"{one['features'][key]:.1%}" if key in SHARES else f"{one['features'][key]:.3f}"
               for key in shown.values())] for one in found["sources"]]
    labelled = f"{found['n_labelled']:,} labelled texts of {found['n_texts']:,}" if found["with_labels"] else (
        f"{found['n_texts']:,} texts without labels")
    notes = [f"Computed in {found['seconds']:.1f} s; no Transformer was trained."]
    if any(one["trained"] for one in found["sources"]):
        notes.append("* Vectors that a run trains; the forecast uses co-occurrence counts of the texts in their place.")
    return "\n\n".join([
        f"{found['data']}, {labelled}", table(["source", "best with probability", *shown], rows), "\n".join(notes),
        format_evaluation(found["evaluation"])])


def format_evaluation(evaluation: Mapping[str, Any]) -> str:
    """Format the hit rates of forecasts on the stored benchmarks."""
    lines = [f"Such forecasts for other data ({evaluation['n_settings']} settings of {evaluation['n_data']} data sets, "
             f"{evaluation['n_sources']} sources, one data set left out at a time):"]
    for name, key in (("the first source was the best in", "forecast"), ("that of a fixed order of the sources, in",
                                                                           "fixed")):
        one = evaluation[key]
        low, high = one["interval"]
        lines.append(f"{name} {one['hits']} of {one['n']} ({one['rate']:.0%}, 95% interval {low:.0%} to {high:.0%}); "
                     f"mean loss {one['loss'] * 100:.1f} points")
    lines.append(f"by chance, {evaluation['chance']:.0%}")
    return "\n".join(lines)
