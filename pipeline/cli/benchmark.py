"""``vecformer benchmark``: which vectors to start from, by how much, how surely, and at what cost."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from pipeline.cli.common import against, reports_errors, seeds_advice, table, verbosity
from pipeline.cli.run import KEYS

if TYPE_CHECKING:
    from pipeline.benchmark.driver import Benchmarked
    from pipeline.benchmark.execution.jobs import Executor

OF_EACH_RUN = {"data": KEYS["data"], "task": KEYS["task"], "epochs": KEYS["epochs"]}
SHORT = {**KEYS, "lr": "training.lr"}  # pretraining has a rate too, but this one is meant
NOT_REPEATED = ("out", "no_texts", "jobs", "executor", "address", "quiet", "verbose")


@click.command("benchmark")
@click.argument("grid", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", metavar="PATH", help="A file, a folder with train/dev/test files, or bbc (the default).")
@click.option("--task", metavar="NAME", help="What to learn; classification by default.")
@click.option("--source", "sources", multiple=True, metavar="SPEC",
              help="Word vectors to start from, as glove, or \"glove | standardize\" with transforms of its own. May "
                   "be repeated. Default: random, word2vec, fasttext, glove.")
@click.option("--baseline", metavar="SPEC", help="The source that the others are compared with. Default: random.")
@click.option("--transform", "transforms", multiple=True, metavar="T",
              help="Done to each source: none, standardize, or several joined by +, as center+unit. May be repeated: "
                   "each is a start of its own.")
@click.option("--freeze", metavar="yes,no", help="Leave the word vectors as they are, train them, or compare both.")
@click.option("--limit-train", metavar="N,N,all", help="Numbers of training examples to compare at, as 50,250,all.")
@click.option("--seeds", type=click.IntRange(min=1), metavar="N", help="Runs of each combination. Default: 10.")
@click.option("--controls", is_flag=True, default=None,
              help="Add random tables that match each source in spread, in covariance, and its own rows shuffled; they "
                   "tell which part of a gain is scale, which geometry and which meaning.")
@click.option("--tune", multiple=True, metavar="KEY=V,V",
              help="Values to try for each start, the best on dev being taken, as lr=3e-4,1e-3. May be repeated.")
@click.option("--vary", multiple=True, metavar="KEY=V,V",
              help="Compare under each of these values, as model.norm=pre,post. May be repeated.")
@click.option("--measure", metavar="NAME", help="What is compared, if not what the task is judged by.")
@click.option("--target", type=float, metavar="SCORE", help="Time the first reaching of this score on the way.")
@click.option("--epochs", type=int, metavar="N",
              help="Passes over the training examples. Default: about 1,000 steps, from 10 to 20 passes.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE",
              help="Any key of every run's configuration, such as model.n_layers=4. May be repeated.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", default=Path("runs/benchmark"),
              show_default=True, help="Folder to make, or to go on with: only what it lacks is run.")
@click.option("--no-texts", is_flag=True,
              help="Leave texts of test examples out of report.html, to pass it on where the data cannot be.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N",
              help="Runs at a time, each with its share of the cores (on a cluster N decides the share only). Default: "
                   "one a core.")
@click.option("--executor", type=click.Choice(["local", "ray"]), default="local", show_default=True,
              help="Where runs are made: on this machine, or on a Ray cluster (extra cluster).")
@click.option("--address", metavar="HOST:PORT", default="auto", show_default=True,
              help="Of the Ray cluster's head, which `ray start --head` starts.")
@verbosity
@reports_errors
def benchmark_command(
    grid: Path | None, out: Path, no_texts: bool, jobs: int | None, executor: str, address: str, quiet: bool,
    **options: Any,
) -> None:
    """Run every combination of sources, sizes and seeds, and say which vectors are better, and how surely.

    Without a GRID and options: BBC News from four sources, with 20 and with 50 labelled articles, ten seeds each. The
    folder keeps every result; the same command goes on where it was stopped. Options beat the file GRID; the folder's
    grid.toml is one to start from.

    \b
    vecformer benchmark
    vecformer benchmark --data reviews.tsv --source glove --source word2vec --limit-train 50,250,all
    vecformer benchmark --source glove --controls --limit-train 50 --out runs/controls
    vecformer benchmark --data reviews --source glove --tune lr=3e-4,1e-3,3e-3 --vary model.norm=pre,post
    """
    from pipeline.benchmark.driver import benchmark
    from pipeline.benchmark.grid import read_grid

    made = read_grid(grid, _grid_options(options))
    done = benchmark(made, out, executor=_executor(executor, address), n_jobs=jobs or 0, command=_command(),
                     quiet=quiet, texts=not no_texts)
    click.echo(verdicts(done))
    if done.summary["n_runs"]["failed"]:
        raise click.ClickException(f"{done.summary['n_runs']['failed']} runs failed; {out / 'results.jsonl'} says why, "
                                   "and the same command makes them again")


def _command() -> str:
    """The command as it was given, but for where it runs and what it shows."""
    context = click.get_current_context()
    assert context is not None
    words = ["vecformer", "benchmark"]
    for option in context.command.params:
        value = context.params.get(option.name or "")
        if value in (None, False, ()) or option.name in NOT_REPEATED:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(option, click.Argument):
                words.append(str(one))
            else:
                words += [option.opts[0]] if one is True else [option.opts[0], str(one)]
    return shlex.join(words)


def _executor(name: str, address: str) -> Executor | None:
    if name != "ray":
        return None
    from pipeline.benchmark.execution.ray import RayExecutor

    return RayExecutor(address)


def _grid_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options as a grid has them."""
    from pipeline.config import parse_assignment

    given = {name: value for name, value in options.items() if value not in (None, ())}
    shared = {key: given.pop(name) for name, key in OF_EACH_RUN.items() if name in given}
    shared |= dict(map(parse_assignment, given.pop("assignments", ())))
    for name in ("tune", "vary"):
        if name in given:
            given[name] = _values(given[name], name)
    if "freeze" in given:
        given["freeze"] = [_yes(word) for word in given["freeze"].split(",")]
    if "limit_train" in given:
        given["limit_train"] = [_size(word) for word in given["limit_train"].split(",")]
    return {**given, "run": shared}


def _values(pairs: Iterable[str], option: str) -> dict[str, list[Any]]:
    """``lr=1e-3,3e-3`` as the key ``training.lr`` and its values; the last word of a key is enough where one has it."""
    from pipeline.config import keys, parse_assignment

    known = [key for key, _ in keys()]
    found = {}
    for pair in pairs:
        key, equals, values = pair.partition("=")
        named = [SHORT[key]] if key in SHORT else [full for full in known if full == key or full.endswith(f".{key}")]
        if not equals or not values or len(named) != 1:
            alike = f" Which one: {', '.join(named)}?" if len(named) > 1 else ""
            raise click.UsageError(f"--{option} {pair!r}: write a key of the configuration and values, such as "
                                   f"training.lr=3e-4,1e-3.{alike} `vecformer config` lists the keys")
        found[named[0]] = [parse_assignment(f"{key}={value}")[1] for value in values.split(",")]
    return found


def _yes(word: str) -> bool:
    if word not in ("yes", "no"):
        raise click.UsageError(f"--freeze {word!r}: write yes, no, or yes,no for both")
    return word == "yes"


def _size(word: str) -> int | str:
    if word != "all" and not (word.isdecimal() and int(word)):
        raise click.UsageError(f"--limit-train {word!r}: write numbers of training examples, or all: 50,250,all")
    return word if word == "all" else int(word)


def verdicts(done: Benchmarked) -> str:
    """The table of what was found, and where to read on."""
    from pipeline.benchmark.analysis.statistics import TOO_FEW
    from pipeline.drawing.notation import Notation

    summary, notation = done.summary, Notation.of(done.summary)
    compared = {(one["start"], one["condition"]): one for one in summary["comparisons"] if one["role"] == "baseline"}
    header = ["start", "mean", "over seeds ±", "test set ±", f"against {summary['baseline']}", "p (Holm)", "verdict"]
    parts = [f"{summary['data']}, {summary['measure']}, {len(summary['seeds'])} seeds"]
    for condition in summary["conditions"]:
        rows = [[cell["start"], notation.value(cell["mean"]), notation.size(cell["spread"]),
                 notation.size(cell["sampling_error"]),
                 *against(compared.get((cell["start"], cell["condition"])), notation)]
                for cell in summary["cells"] if cell["condition"] == condition["name"]]
        parts.append(f"{condition['name']}\n{table(header, rows)}")
    if any(one["verdict"] == TOO_FEW for one in summary["comparisons"]):
        parts.append(seeds_advice(summary))
    return "\n\n".join([*parts, f"summary   {done.path / 'summary.json'}\nreport    {done.path / 'report.html'}"])
