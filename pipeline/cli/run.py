"""``vecformer run``: word vectors, training and evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from pipeline.cli.common import echo, echo_blocks, one_or_all, reports_errors, table, verbosity
from pipeline.cli.completions import complete_sources, complete_tasks, complete_transforms
from pipeline.cli.text_format import column_options

if TYPE_CHECKING:
    from pipeline.runs.chain import Finished
    from pipeline.telemetry.profiling import Profile

# Options and the configuration keys that they set.
KEYS = {
    "data": "data.path", "recipe": "recipe", "budget": "budget", "source": "source",
    "task": "task", "corpus": "corpus", "seed": "seed",
    "epochs": "training.epochs", "limit_train": "data.limit_train", "text_column": "data.text_column",
    "label_column": "data.label_column", "label_separator": "data.label_separator",
    "context_column": "data.text_b_column", "word_column": "data.word_column", "tag_column": "data.tag_column",
    "transform": "transforms", "unknown": "unknown",
    "trust_pickle": "trust_pickle", "target_source": "target_source", "freeze_epochs": "training.freeze_epochs",
    "baselines": "baselines", "table_lr": "training.table_lr", "pretrain_epochs": "pretraining.epochs",
    "separator": "data.separator", "encoding": "data.encoding",
    "init_from": "init_from",
}

N_MISSES = 8  # words without vectors in the summary; the report has more


@click.command("run")
@click.argument("config", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", metavar="PATH",
              help="File (.tsv .csv .jsonl .parquet …), folder with train/dev/test files, or bbc.")
@click.option("--recipe", metavar="RECIPE",
              help="auto (default) chooses parts of the model and its training from the data; plain is the textbook "
                   "Transformer; auto,-PART leaves a part out. `vecformer recipe` lists the parts.")
@click.option("--budget", metavar="TIME",
              help="Time that the run may take, such as 90s, 5m or 2h; the number of epochs is reduced to fit.")
@click.option("--source", metavar="SPEC", shell_complete=complete_sources,
              help="Word vectors: random, word2vec, fasttext, glove, glove:FILE, or A+B. `vecformer sources` lists all "
                   "sources and their options.")
@click.option("--init-from", metavar="NAME",
              help="Starting point of the Transformer: a finished run, such as one of `vecformer pretrain`, or a "
                   "pretrained checkpoint (folder, installed package, or name on Hugging Face); its shape, tokenizer "
                   "and vectors are used.")
@click.option("--transform", multiple=True, metavar="T", shell_complete=complete_transforms,
              help="Transform of the vectors, such as standardize, all-but-the-top:2, pca:100. Can be "
                   "repeated; applied in order. `vecformer sources` lists all.")
@click.option("--unknown", metavar="STEPS",
              help="Fallbacks for out-of-vocabulary words, separated by commas: case,digits,subword,spelling, then "
                   "random or zero.")
@click.option("--trust-pickle", is_flag=True, default=None,
              help="Allow pickle files, which can execute arbitrary code; use with trusted files only.")
@click.option("--task", metavar="NAME", shell_complete=complete_tasks,
              help="Task, such as classification (default), tagging or translation. `vecformer tasks` lists all.")
@click.option("--target-source", metavar="SPEC", shell_complete=complete_sources,
              help="Word vectors of the target language of a translation. Default: as --source.")
@click.option("--corpus", multiple=True, metavar="PATH",
              help="Text files, tables, or folders of them, for training word2vec and fasttext instead of on the texts "
                   "of the data. Can be repeated.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder to create. Default: a new folder in runs/.")
@click.option("--overwrite", is_flag=True, help="Replace an existing run of that name.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="DIR",
              help="Resume the interrupted run DIR with its configuration; no other option is allowed.")
@click.option("--seed", type=int, metavar="N", help="Seed of all random numbers.")
@click.option("--epochs", type=int, metavar="N",
              help="Maximum number of training epochs. Default: as many as about 1,000 steps take, from 10 to 20.")
@click.option("--pretrain-epochs", type=int, metavar="N",
              help="Pretrain the encoder for N epochs by masked language modelling on the training text.")
@click.option("--freeze-epochs", type=int, metavar="N", help="Keep the word vectors constant for the first N epochs.")
@click.option("--table-lr", type=float, metavar="RATE",
              help="Peak learning rate of the word vectors. Default: as for other weights.")
@click.option("--limit-train", type=int, metavar="N",
              help="Number of labelled training examples, balanced over the labels; the others become unlabelled text.")
@column_options(default=None, otherwise="{found}")
@click.option("--baselines", metavar="LIST",
              help="Baselines to compare with: all (default), none, or names separated by commas, which `vecformer "
                   "tasks` lists.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE",
              help="Set a configuration key, such as model.n_layers=4. Can be repeated. `vecformer config` lists all.")
@click.option("--profile", is_flag=True,
              help="Print the time of each part of the run, and the throughput of training as a share of the peak.")
@verbosity
@reports_errors
def run_command(
    config: Path | None, out: Path | None, overwrite: bool, resume: Path | None, assignments: tuple[str, ...],
    profile: bool, quiet: bool, **options: Any,
) -> None:
    """Load or train word vectors, initialise a Transformer with them, train it, and evaluate it.

    The recipe that is chosen from the data is printed first. Options take precedence over the file CONFIG (`vecformer
    config` writes one). The folder of the run has the model, its measures and report.html.

    \b
    vecformer run --data reviews.tsv --source glove --out runs/reviews
    vecformer run --data bbc --recipe plain --source glove+word2vec,dim=100 --limit-train 50
    vecformer run config.toml --seed 2 --set model.n_layers=4
    vecformer run --resume runs/reviews
    """
    began = time.perf_counter()
    from pipeline.commands.run import configuration, default_folder
    from pipeline.config import parse_assignment
    from pipeline.runs.chain import run
    from pipeline.telemetry.profiling import STOPPED, Clock, take_profile
    from pipeline.telemetry.progress import bars

    convert: dict[str, Callable[[Any], Any]] = {"corpus": list, "transform": list, "text_column": one_or_all,
                                               "unknown": lambda steps: steps.split(",")}
    given = [(KEYS[name], convert.get(name, lambda same: same)(value))
             for name, value in options.items() if value not in (None, ())]
    if resume and (config or out or overwrite or given or assignments):
        raise click.UsageError("--resume cannot be combined with other options: it uses the configuration of the "
                               "interrupted run")
    settings = configuration(config, resume, [*given, *map(parse_assignment, assignments)])
    clock = Clock(since=began) if profile else STOPPED
    with bars(quiet=quiet) as progress:
        finished = run(settings, resume or out or default_folder(settings), overwrite=overwrite,
                       resume=resume is not None, progress=progress, clock=clock)
    if finished.metrics:
        measures, _, rest = summary(finished).partition("\n\n")
        echo_blocks(measures)
        echo(f"\n{rest}")
        if profile:
            echo("\n" + profile_summary(take_profile(clock, settings.training)))


def summary(finished: Finished) -> str:
    """Format the measures of the model and the baselines, coverage, and the path of the report."""
    from embeddings.table.listing import decimals
    from pipeline.tasks.base import find

    metrics = finished.metrics
    names = [name for name, value in metrics["test"].items() if name != "n" and isinstance(value, int | float)
             and all(name in measures for measures in metrics["baselines"].values())]
    models = {f"transformer from {metrics['source']}": metrics["test"], **metrics["baselines"]}
    rows = [[model, *(decimals(measures[name]) for name in names)] for model, measures in models.items()]
    coverage, training = metrics["coverage"], metrics["training"]
    detail = coverage["detail"]
    covered = "\n".join(f"coverage  {shares['tokens']:.1%} of the tokens and {shares['types']:.1%} of the types of the "
                        f"{part} text" for part, shares in detail.items())
    misses = ", ".join(f"{word} ({count})" for word, count in detail["test"]["misses"][:N_MISSES])
    rate = f"{training['tokens_per_second']:,.0f} tokens per second"
    return "\n".join([
        table([f"test, n = {metrics['test']['n']} {find(metrics['task']).unit}", *names], rows),
        "",
        covered,
        *([f"uncovered {misses}"] if misses else []),
        f"training  {training['seconds']:.1f} s, {training['epochs']} epoch{'s' * (training['epochs'] != 1)}, {rate}",
        f"report    {finished.path / 'report.html'}",
    ])


def profile_summary(profile: Profile) -> str:
    """Format the time of each part, and the share of the hardware's peak that training reached."""
    rows = [[part, f"{seconds:.2f}", f"{seconds / profile.whole:.1%}"] for part, seconds in profile.seconds.items()]
    lines = [table(["part", "seconds", "share"], [*rows, ["total", f"{profile.whole:.2f}", "100.0%"]])]
    if profile.tokens:
        lines += [
            "",
            f"speed  {profile.tokens_per_second:,.0f} training tokens per second",
            f"peak   {profile.share_of_peak:.1%} of the peak: {profile.operations_per_second / 1e9:,.0f} of "
            f"{profile.peak / 1e9:,.0f} GFLOP/s in {profile.precision} matrix products",
            *(f"engine {line}" for line in profile.engines),
        ]
    return "\n".join(lines)
