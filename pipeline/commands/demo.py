"""The demonstration on BBC News: few labels, many unlabelled texts, three initialisations, the recipe, baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.progress import Progress, silent
from embeddings.table.paths import written
from pipeline.config import RunConfig
from pipeline.runs.chain import run
from pipeline.runs.folder import RunFolder, read_json, unfinished, write_json
from pipeline.runs.place import DEMO_RECIPE, DEMO_RUNS, DEMO_SOURCES
from pipeline.runs.report import write_comparison
from pipeline.runs.workspace import unfinished_folder

NOTE = ("The recipe is the default of vecformer run; the other Transformers are plain, so that they differ in their "
        "vectors only. Word2Vec is trained on all training articles, without their labels. Orange: Transformer.")


@dataclass(frozen=True)
class Demo:
    """The results of the demonstration.

    Attributes:
        title: title of the comparison.
        measure: name of the measure of ``score``.
        rows: one mapping for each model with ``name``, ``score``, ``coverage``, ``tokens_per_second`` and ``report``;
            the last three are None for baselines.
    """

    title: str
    measure: str
    rows: tuple[Mapping[str, Any], ...]


def demo(out: Path, *, labels: int = 50, seed: int = 1, overwrite: bool = False, progress: Progress = silent) -> Demo:
    """Train with each source, and with the recipe, and compare the results with the baselines.

    Args:
        out: folder to create, with a run folder for each model and ``report.html``.
        labels: number of labelled articles, balanced over the topics; the other training articles are unlabelled text.
        seed: seed of all random numbers.
        overwrite: replace an existing folder, and start again if an earlier call was interrupted; otherwise the same
            call continues it.
        progress: progress callback.
    """
    command = f"vecformer demo --out {written(out)} --labels {labels} --seed {seed}"
    resume = not overwrite and _is_begun(unfinished(out), labels, seed)
    with unfinished_folder(out, command=command, keep=_has_runs, overwrite=overwrite, resume=resume) as folder:
        results = {name: _metrics(folder / name, name, labels, seed, progress) for name in DEMO_RUNS}
        n_test = results["glove"]["test"]["n"]
        found = Demo(
            title=f"BBC News: {labels} labelled articles, {n_test} test articles, seed {seed}",
            measure="accuracy",
            rows=tuple(_rows(results)),
        )
        page = folder / "report.html"
        write_comparison(page, title=found.title, rows=found.rows, measure=found.measure, notes=[NOTE])
        write_json(folder / "manifest.json", {"title": found.title, "rows": found.rows})
    return found


def _metrics(out: Path, name: str, labels: int, seed: int, progress: Progress) -> Mapping[str, Any]:
    """Train one of the models and return its metrics, or return those of an interrupted demonstration."""
    if out.is_dir():
        metrics: Mapping[str, Any] = read_json(RunFolder.open(out).metrics)
        return metrics
    began = RunFolder(unfinished(out)).config.is_file()
    return run(_configuration(name, labels, seed), out, resume=began, progress=_prefixed(name, progress)).metrics


def _configuration(name: str, labels: int, seed: int) -> RunConfig:
    """Return the configuration of a model; each baseline is trained once, where it first has its vectors."""
    baselines = {"glove": "all", "glove+word2vec": "mean-vectors+logreg,nearest-centroid"}.get(name, "none")
    settings = {} if name == DEMO_RECIPE else {"recipe": "plain", "source": name}
    return RunConfig.from_mapping({**settings, "seed": seed, "baselines": baselines,
                                   "data": {"path": "bbc", "limit_train": labels}})


def _has_runs(folder: Path) -> bool:
    return any(folder.glob("*/*.json"))


def _is_begun(folder: Path, labels: int, seed: int) -> bool:
    """Whether a folder has the runs of an interrupted demonstration with the same settings, and no others."""
    begun = {RunFolder(path).config: name for name in DEMO_RUNS for path in (folder / name, unfinished(folder / name))}
    found = {path: name for path, name in begun.items() if path.is_file()}
    return bool(found) and all(RunConfig.load(path) == _configuration(name, labels, seed)
                               for path, name in found.items())


def _prefixed(name: str, progress: Progress) -> Progress:
    return lambda what, share: progress(f"{name}: {what}", share)


def _rows(results: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    rows = [
        {
            "name": "recipe" if name == DEMO_RECIPE else f"Transformer from {name}",
            "score": metrics["test"]["accuracy"],
            "coverage": metrics["coverage"]["test_tokens"],
            "tokens_per_second": metrics["training"]["tokens_per_second"],
            "report": f"{name}/report.html",
        }
        for name, metrics in results.items()
    ]
    by_name = {"TF-IDF + logistic regression": results["glove"]["baselines"]["tfidf+logreg"],
               "TF-IDF of words and characters + logistic regression":
                   results["glove"]["baselines"]["tfidf-chars+logreg"]}
    by_name |= {
        f"mean of {source} vectors + logistic regression": results[source]["baselines"]["mean-vectors+logreg"]
        for source in DEMO_SOURCES[1:]
    }
    nothing = {"coverage": None, "tokens_per_second": None, "report": None}
    return rows + [{"name": name, "score": measures["accuracy"], **nothing} for name, measures in by_name.items()]
