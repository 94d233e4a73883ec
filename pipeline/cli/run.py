"""``vecformer run``: both stages and the evaluation."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from pipeline.cli.common import reports_errors, table, verbosity

if TYPE_CHECKING:
    from pipeline.config import RunConfig
    from pipeline.runs.chain import Finished
    from pipeline.telemetry.profiling import Profile

# Options that stand for a key of the configuration.
KEYS = {
    "data": "data.path", "source": "source", "task": "task", "corpus": "corpus", "seed": "seed",
    "epochs": "training.epochs", "limit_train": "data.limit_train", "text_column": "data.text_column",
    "label_column": "data.label_column", "transform": "transforms", "unknown": "unknown",
    "trust_pickle": "trust_pickle", "target_source": "target_source", "freeze_epochs": "training.freeze_epochs",
    "table_lr": "training.table_lr", "pretrain_epochs": "pretraining.epochs",
}

N_MISSES = 8  # heaviest misses shown; the report has more


@click.command("run")
@click.argument("config", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", metavar="PATH",
              help="A file (.tsv .csv .jsonl .parquet), a folder with train/dev/test files, or bbc.")
@click.option("--source", metavar="SPEC",
              help="Word vectors: random, word2vec, fasttext, glove, glove:FILE, or A+B. `vecformer sources` lists "
                   "them with their options.")
@click.option("--transform", multiple=True, metavar="T",
              help="What is done to the vectors, such as standardize, all-but-the-top:2, pca:100. May be repeated; "
                   "applied in the order given. `vecformer sources` lists them.")
@click.option("--unknown", metavar="STEPS",
              help="What a word that the source lacks gets, with commas: case,digits,subword,spelling, then random or "
                   "zero.")
@click.option("--trust-pickle", is_flag=True, default=None,
              help="Read vector files that can run code of their maker's (pickles): only if you know who that is.")
@click.option("--task", metavar="NAME",
              help="What to learn: classification (of texts or pairs), tagging, question-answering, language-model, "
                   "masked-language-model or translation.")
@click.option("--target-source", metavar="SPEC", help="Word vectors of the language that is translated to, if others.")
@click.option("--corpus", multiple=True, metavar="PATH",
              help="Text (plain, gzip, a folder) that word2vec and fasttext learn from instead of the data's own. May "
                   "be repeated.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder to make. Default: a free name in runs/.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier run of that name.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="DIR",
              help="Go on with the run DIR that was stopped, with the configuration that it began with.")
@click.option("--seed", type=int, metavar="N", help="Decides everything random.")
@click.option("--epochs", type=int, metavar="N",
              help="Passes over the training examples. Default: about 1,000 steps, from 10 to 20 passes.")
@click.option("--pretrain-epochs", type=int, metavar="N",
              help="First train the encoder for N passes to guess masked words of the training text.")
@click.option("--freeze-epochs", type=int, metavar="N", help="Leave the word vectors as they are for N epochs.")
@click.option("--table-lr", type=float, metavar="RATE", help="Highest learning rate of the word vectors, if another.")
@click.option("--limit-train", type=int, metavar="N",
              help="Train on N labelled examples, drawn evenly over the labels; the others become unlabelled text.")
@click.option("--text-column", metavar="NAME", help="Column of the text, if its name is not a usual one.")
@click.option("--label-column", metavar="NAME", help="Column of the label, if its name is not a usual one.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE",
              help="Any key of the configuration, such as model.n_layers=4. May be repeated.")
@click.option("--profile", is_flag=True,
              help="Tell where the time went, and how near training came to what the machine can do.")
@verbosity
@reports_errors
def run_command(
    config: Path | None, out: Path | None, overwrite: bool, resume: Path | None, assignments: tuple[str, ...],
    profile: bool, quiet: bool, **options: Any,
) -> None:
    """Train word vectors or load them, start a Transformer from them, train it, measure it.

    Options beat the file CONFIG (`vecformer config` writes one). The run's folder holds the model, its measures and
    report.html.

    \b
    vecformer run --data reviews.tsv --source glove --out runs/reviews
    vecformer run --data bbc --source glove+word2vec,dim=100 --limit-train 50
    vecformer run config.toml --seed 2 --set model.n_layers=4
    vecformer run --resume runs/reviews
    """
    began = time.perf_counter()
    from pipeline.config import parse_assignment, resolve
    from pipeline.runs.chain import run
    from pipeline.runs.folder import configuration_of_unfinished
    from pipeline.telemetry.profiling import STOPPED, Clock, take_profile
    from pipeline.telemetry.progress import bars

    lists = {"corpus": list, "transform": list, "unknown": lambda steps: steps.split(",")}
    given = [(KEYS[name], lists.get(name, lambda same: same)(value))
             for name, value in options.items() if value not in (None, ())]
    if resume and (config or out or overwrite or given or assignments):
        raise click.UsageError("--resume goes on with a run as it began: give it alone")
    resolved = resolve((resume and configuration_of_unfinished(resume)) or config,
                       [*given, *map(parse_assignment, assignments)])
    clock = Clock(since=began) if profile else STOPPED
    with bars(quiet=quiet) as progress:
        finished = run(resolved, resume or out or default_folder(resolved), overwrite=overwrite,
                       resume=resume is not None, progress=progress, clock=clock)
    if finished.metrics:
        click.echo(summary(finished))
        if profile:
            click.echo("\n" + profile_summary(take_profile(clock, resolved.training)))


def default_folder(config: RunConfig) -> Path:
    """A free name under ``runs/`` that tells data, source and seed."""
    from pipeline.runs.folder import free_name

    source = re.sub(r"[^\w.=+-]+", "-", config.source)
    return free_name(Path("runs") / f"{Path(config.data.path).stem or 'run'}-{source}-seed{config.seed}")


def summary(finished: Finished) -> str:
    """The measures beside the baselines', and where to look further."""
    from pipeline.tasks.base import find

    metrics = finished.metrics
    names = [name for name, value in metrics["test"].items() if name != "n" and not isinstance(value, str)
             and all(name in measures for measures in metrics["baselines"].values())]
    models = {f"transformer from {metrics['source']}": metrics["test"], **metrics["baselines"]}
    rows = [[model, *(f"{measures[name]:.4f}" for name in names)] for model, measures in models.items()]
    coverage, training = metrics["coverage"], metrics["training"]
    detail = coverage["detail"]
    known = "\n".join(f"coverage  {shares['tokens']:.1%} of the {part} text's running words, "
                      f"{shares['types']:.1%} of its distinct ones" for part, shares in detail.items())
    misses = ", ".join(f"{word} ({count})" for word, count in detail["test"]["misses"][:N_MISSES])
    rate = f"{training['tokens_per_second']:,.0f} tokens a second"
    return "\n".join([
        table([f"{metrics['test']['n']} test {find(metrics['task']).counted}", *names], rows),
        "",
        known,
        *([f"misses    {misses}"] if misses else []),
        f"training  {training['seconds']:.1f} s, {training['epochs']} epochs, {rate}",
        f"report    {finished.path / 'report.html'}",
    ])


def profile_summary(profile: Profile) -> str:
    """Where the time went, part by part, and what training reached beside the machine's peak."""
    rows = [[part, f"{seconds:.2f}", f"{seconds / profile.whole:.1%}"] for part, seconds in profile.seconds.items()]
    lines = [table(["part", "seconds", "share"], [*rows, ["whole", f"{profile.whole:.2f}", "100.0%"]])]
    if profile.tokens:
        lines += [
            "",
            f"speed  {profile.tokens_per_second:,.0f} tokens a second of training",
            f"peak   {profile.share_of_peak:.1%} reached in training: {profile.operations_per_second / 1e9:,.0f} of "
            f"{profile.peak / 1e9:,.0f} GFLOP/s in matrix products of {profile.precision}",
            *(f"engine  {line}" for line in profile.engines),
        ]
    return "\n".join(lines)
