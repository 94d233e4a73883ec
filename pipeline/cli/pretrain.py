"""``vecformer pretrain``: an encoder that runs start from, trained on text without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from pipeline.cli.common import echo, reports_errors, verbosity

KEYS = {"corpus": "data.path", "source": "source", "budget": "budget", "epochs": "training.epochs",
        "limit_train": "data.limit_train", "seed": "seed"}


@click.command("pretrain")
@click.option("--corpus", metavar="PATH",
              help="Text without labels: a file (.txt .txt.gz .csv .jsonl …), or a folder of text files.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder to create. Default: a new folder in runs/.")
@click.option("--source", metavar="SPEC",
              help="Word vectors, as for `vecformer run`. Default: chosen from the language of the text.")
@click.option("--budget", metavar="TIME",
              help="Time that the run may take, such as 10m or 2h; the number of epochs is reduced to fit.")
@click.option("--epochs", type=int, metavar="N", help="Passes over the corpus. Default: 3.")
@click.option("--limit-train", type=int, metavar="N", help="Number of lines to train on, the first ones. Default: all.")
@click.option("--seed", type=int, metavar="N", help="Seed of all random numbers.")
@click.option("--overwrite", is_flag=True, help="Replace an existing run of that name.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="DIR",
              help="Resume the interrupted run DIR with its configuration; no other option is allowed.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE",
              help="Set a configuration key, such as model.n_layers=4. Can be repeated. `vecformer config` lists all.")
@verbosity
@reports_errors
def pretrain_command(
    out: Path | None, overwrite: bool, resume: Path | None, assignments: tuple[str, ...], quiet: bool, **options: Any
) -> None:
    """Train an encoder on text without labels, for `vecformer run --init-from`.

    The encoder learns to predict masked words. Its word vectors are constant, so that it can also encode words that the
    corpus does not have. All lines are held in memory: split a file of several gigabytes.

    \b
    vecformer pretrain --corpus articles.txt --source glove --budget 10m --out encoders/articles
    vecformer run --data reviews.tsv --init-from encoders/articles --out runs/reviews
    """
    from pipeline.cli.run import summary
    from pipeline.commands.pretrain import configuration
    from pipeline.commands.run import default_folder
    from pipeline.config import parse_assignment
    from pipeline.runs.chain import run
    from pipeline.telemetry.progress import bars

    given = [(KEYS[name], value) for name, value in options.items() if value is not None]
    if resume and (out or overwrite or given or assignments):
        raise click.UsageError("--resume cannot be combined with other options: it uses the configuration of the "
                               "interrupted run")
    if not resume and not options["corpus"]:
        raise click.UsageError("no text; add --corpus FILE or --corpus FOLDER")
    settings = configuration(resume, [*given, *map(parse_assignment, assignments)])
    with bars(quiet=quiet) as progress:
        finished = run(settings, resume or out or default_folder(settings), overwrite=overwrite,
                       resume=resume is not None, progress=progress)
    if finished.metrics:
        echo(summary(finished))
