"""The demonstration on BBC News: few labels, many unlabelled texts, three initialisations and the baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.progress import Progress, silent
from pipeline.config import RunConfig
from pipeline.runs.chain import run
from pipeline.runs.folder import new_folder, write_json
from pipeline.runs.report import write_comparison

NOTE = "Word2Vec is trained on all training articles, without their labels. Orange: Transformer."
SOURCES = ("random", "glove", "glove+word2vec")


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
    """Train with each source and compare the results with the baselines.

    Args:
        out: folder to create, with a run folder for each source and ``report.html``.
        labels: number of labelled articles, balanced over the topics; the other training articles are unlabelled text.
        seed: seed of all random numbers.
        overwrite: replace an existing folder.
        progress: progress callback.
    """
    with new_folder(out, overwrite=overwrite) as folder:
        results = {}
        for source in SOURCES:
            data = {"path": "bbc", "limit_train": labels}
            config = RunConfig.from_mapping({"source": source, "seed": seed, "data": data})
            results[source] = run(config, folder / source, progress=_prefixed(source, progress)).metrics
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


def _prefixed(source: str, progress: Progress) -> Progress:
    return lambda what, share: progress(f"{source}: {what}", share)


def _rows(results: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    rows = [
        {
            "name": f"Transformer from {source}",
            "score": metrics["test"]["accuracy"],
            "coverage": metrics["coverage"]["test_tokens"],
            "tokens_per_second": metrics["training"]["tokens_per_second"],
            "report": f"{source}/report.html",
        }
        for source, metrics in results.items()
    ]
    by_name = {"TF-IDF + logistic regression": results["glove"]["baselines"]["tfidf+logreg"]}
    by_name |= {
        f"mean of {source} vectors + logistic regression": results[source]["baselines"]["mean-vectors+logreg"]
        for source in ("glove", "glove+word2vec")
    }
    nothing = {"coverage": None, "tokens_per_second": None, "report": None}
    return rows + [{"name": name, "score": measures["accuracy"], **nothing} for name, measures in by_name.items()]
