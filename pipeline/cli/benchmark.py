"""``vecformer benchmark``: compare word vectors as initialisations."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from pipeline.cli.benchmark_tables import format_result
from pipeline.cli.common import echo, reports_errors, verbosity
from pipeline.cli.run import KEYS
from pipeline.drawing.terminal import to_json

if TYPE_CHECKING:
    from pipeline.benchmark.execution.jobs import Executor

SHARED_KEYS = {"task": KEYS["task"], "epochs": KEYS["epochs"], "baselines": KEYS["baselines"]}
SHORT_KEYS = {**KEYS, "lr": "training.lr"}  # ambiguous otherwise: pretraining.lr
NOT_REPEATED = ("out", "as_json", "no_texts", "jobs", "executor", "address", "quiet", "verbose")


@click.command("benchmark")
@click.argument("grid", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", multiple=True, metavar="PATH",
              help="A file, a folder with train/dev/test files, or bbc (the default). With several, each has a "
                   "benchmark of its own, and the results are compared over all of them.")
@click.option("--task", metavar="NAME", help="Task of all runs. Default: classification.")
@click.option("--source", "sources", multiple=True, metavar="SPEC",
              help="Source of word vectors, such as glove, optionally with its own transforms: \"glove | standardize\"."
                   " May be repeated. Default: random, word2vec, fasttext, glove.")
@click.option("--baseline", metavar="SPEC", help="The source with which all others are compared. Default: random.")
@click.option("--transform", "transforms", multiple=True, metavar="T",
              help="Transform applied to every source: none, standardize, or a chain such as center+unit. May be "
                   "repeated; each is compared as a separate initialisation.")
@click.option("--freeze", metavar="yes,no", help="Freeze the word vectors (yes), train them (no) or both. Default: no.")
@click.option("--limit-train", metavar="N,N,all", help="Numbers of training examples, such as 50,250,all.")
@click.option("--seeds", type=click.IntRange(1, 100_000), metavar="N", help="Runs of each combination. Default: 10.")
@click.option("--until-settled", is_flag=True, default=None,
              help="Add seeds until every comparison is better, worse, or practically equal within --margin, or "
                   "--max-seeds is reached.")
@click.option("--max-seeds", type=click.IntRange(1, 10_000), metavar="N",
              help="Largest number of seeds with --until-settled. Default: 50.")
@click.option("--controls", is_flag=True, default=None,
              help="Add control initialisations for every source: random vectors with its standard deviation or "
                   "covariance, and its own vectors shuffled. They separate the effects of scale, geometry and "
                   "meaning.")
@click.option("--tune", multiple=True, metavar="KEY=V,V",
              help="Values to try for every initialisation, such as lr=3e-4,1e-3; the best on dev is selected. May be "
                   "repeated.")
@click.option("--vary", multiple=True, metavar="KEY=V,V",
              help="Compare under each of these values, such as model.norm=pre,post. May be repeated.")
@click.option("--after-epochs", metavar="N,N",
              help="Compare after each of these numbers of epochs, all in the same runs, such as 1,2,4,8.")
@click.option("--measure", metavar="NAME", help="Measure to compare. Default: the task's main measure.")
@click.option("--margin", type=click.FloatRange(0, min_open=True), metavar="POINTS",
              help="Largest difference that counts as practically equal, such as 0.5: in percentage points for shares, "
                   "otherwise in units of the measure. Default: no such verdict.")
@click.option("--target", type=float, metavar="SCORE",
              help="Report the training time needed to reach this score. Default: 95% of the best mean.")
@click.option("--epochs", type=int, metavar="N",
              help="Number of training epochs. Default: as many as about 1,000 steps take, from 10 to 20.")
@click.option("--baselines", metavar="LIST",
              help="Baselines of each run: all (default), none, or names separated by commas, which `vecformer tasks` "
                   "lists.")
@click.option("--rival", "rivals", multiple=True, metavar="NAMES",
              help="Models of other kinds to train on the same data and compare with every source: tfidf, fasttext, "
                   "minilm, model2vec, setfit, or all. May be repeated or separated by commas.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE",
              help="Set any configuration key for all runs, such as model.n_layers=4. May be repeated.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", default=Path("runs/benchmark"),
              show_default=True, help="Output folder; in an existing one, only missing runs are executed.")
@click.option("--no-texts", is_flag=True,
              help="Omit the texts of test examples from report.html, for data that must not be redistributed.")
@click.option("--json", "as_json", is_flag=True, help="Print the contents of summary.json instead of tables.")
@click.option("--jobs", type=click.IntRange(1, 1024), metavar="N",
              help="Number of concurrent runs, which share the cores equally (on a cluster, N sets the share only). "
                   "Default: one per core.")
@click.option("--executor", type=click.Choice(["local", "ray"]), default="local", show_default=True,
              help="Execute runs on this machine or on a Ray cluster (extra cluster).")
@click.option("--address", metavar="HOST:PORT", default="auto", show_default=True,
              help="Address of the Ray cluster's head node, started with `ray start --head`.")
@verbosity
@reports_errors
def benchmark_command(
    grid: Path | None, out: Path, no_texts: bool, as_json: bool, jobs: int | None, executor: str, address: str,
    quiet: bool, **options: Any,
) -> None:
    """Compare word vectors as initialisations: every combination of sources, training sizes and seeds.

    Without GRID and options, four sources are compared on BBC News with 20 and 50 labelled articles and ten seeds. All
    results are kept in the output folder; the same command continues an interrupted benchmark. Options override the
    file GRID; the folder's grid.toml is an example of one.

    \b
    vecformer benchmark
    vecformer benchmark --data reviews.tsv --source glove --source word2vec --limit-train 50,250,all
    vecformer benchmark --data bbc --data reviews.tsv --data questions.tsv --source glove
    vecformer benchmark --source glove --until-settled --margin 1 --max-seeds 100
    vecformer benchmark --source glove --controls --limit-train 50 --out runs/controls
    vecformer benchmark --data reviews --source glove --tune lr=3e-4,1e-3,3e-3 --vary model.norm=pre,post
    """
    from pipeline.benchmark.driver import benchmark
    from pipeline.benchmark.grid import read_grid

    made = read_grid(grid, _grid_options(options))
    if made.until_settled and options["seeds"]:
        raise click.UsageError("--seeds cannot be combined with --until-settled; --max-seeds limits its seeds")
    if options["max_seeds"] and not made.until_settled:
        raise click.UsageError("--max-seeds needs --until-settled; --seeds sets a fixed number of seeds")
    result = benchmark(made, out, executor=_executor(executor, address),
                       n_jobs=jobs or 0, command=_command(), quiet=quiet, texts=not no_texts)
    echo(to_json(result.summary) if as_json else format_result(result))
    if n_failed := result.summary["n_runs"]["failed"]:
        raise click.ClickException(f"{n_failed} runs failed; see {out / 'results.jsonl'} for the errors. The same "
                                   "command repeats the failed runs")


def _command() -> str:
    """Return the command line without options that do not affect the results."""
    context = click.get_current_context()
    assert context is not None
    arguments = ["vecformer", "benchmark"]
    for option in context.command.params:
        value = context.params.get(option.name or "")
        if value in (None, False, ()) or option.name in NOT_REPEATED:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(option, click.Argument):
                arguments.append(_written(option, one))
            else:
                arguments += [option.opts[0]] if one is True else [option.opts[0], _written(option, one)]
    return shlex.join(arguments)


def _written(option: click.Parameter, value: Any) -> str:
    """Return a value of an option as text, with paths in their written form."""
    from embeddings.specification.grammar import written_specification
    from embeddings.table.paths import from_written, written

    is_path = isinstance(value, Path) or option.name == "data"
    return written(from_written(str(value))) if is_path else written_specification(str(value))


def _executor(name: str, address: str) -> Executor | None:
    if name != "ray":
        return None
    from pipeline.benchmark.execution.ray import RayExecutor

    return RayExecutor(address)


def _grid_options(options: dict[str, Any]) -> dict[str, Any]:
    """Convert command-line options to options of a grid."""
    from pipeline.config import parse_assignment

    given = {name: value for name, value in options.items() if value not in (None, ())}
    shared = {key: given.pop(name) for name, key in SHARED_KEYS.items() if name in given}
    if len(given.get("data", ())) == 1:
        shared[KEYS["data"]] = given.pop("data")[0]
    shared |= dict(map(parse_assignment, given.pop("assignments", ())))
    for name in ("tune", "vary"):
        if name in given:
            given[name] = _values(given[name], name)
    if "rivals" in given:
        given["rivals"] = [name.strip() for names in given["rivals"] for name in names.split(",")]
    if "freeze" in given:
        given["freeze"] = [_yes(word) for word in given["freeze"].split(",")]
    if "after_epochs" in given:
        given["after_epochs"] = [_epochs(word) for word in given["after_epochs"].split(",")]
    if "limit_train" in given:
        given["limit_train"] = [_size(word) for word in given["limit_train"].split(",")]
    return {**given, "run": shared}


def _values(pairs: Iterable[str], option: str) -> dict[str, list[Any]]:
    """Parse ``training.lr=1e-3,3e-3``; the last part of a key is sufficient if it is unique."""
    from pipeline.config import keys, parse_assignment

    known = [key for key, _ in keys()]
    found = {}
    for pair in pairs:
        key, equals, values = pair.partition("=")
        named = ([SHORT_KEYS[key]] if key in SHORT_KEYS else
                 [full for full in known if full == key or full.endswith(f".{key}")])
        if not equals or not values or len(named) != 1:
            candidates = f" {key} is ambiguous: {', '.join(named)}." if len(named) > 1 else ""
            raise click.UsageError(f"--{option} {pair!r} is not of the form KEY=VALUE,VALUE, such as "
                                   f"training.lr=3e-4,1e-3.{candidates} `vecformer config` lists the keys")
        found[named[0]] = [parse_assignment(f"{key}={value}")[1] for value in values.split(",")]
    return found


def _yes(word: str) -> bool:
    if word not in ("yes", "no"):
        raise click.UsageError(f"--freeze {word!r}: must be yes, no or yes,no")
    return word == "yes"


def _size(word: str) -> int | str:
    if word != "all" and not (word.isdecimal() and len(word) < 19 and int(word)):
        raise click.UsageError(f"--limit-train {word!r}: must be numbers of examples or all, such as 50,250,all")
    return word if word == "all" else int(word)


def _epochs(word: str) -> int:
    if not (word.isdecimal() and len(word) < 10 and int(word)):
        raise click.UsageError(f"--after-epochs {word!r}: must be numbers of epochs, such as 1,2,4,8")
    return int(word)
