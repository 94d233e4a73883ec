"""The public API in one place: ``import vecformer``.

Names are imported on first use, so that ``import vecformer`` loads neither PyTorch nor NumPy.

Example:
    >>> import vecformer
    >>> config = vecformer.RunConfig.from_mapping({"data": {"path": "data/support"}, "source": "glove"})
    >>> finished = vecformer.run(config, "runs/support")                       # doctest: +SKIP
    >>> vecformer.load_run("runs/support").predict(["Where is my parcel?"])    # doctest: +SKIP
    >>> vecformer.VecformerClassifier("glove").fit(texts, labels)              # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embeddings.errors import EmbeddingError
    from embeddings.loading import load_vectors
    from embeddings.table import EmbeddingTable
    from pipeline.benchmark.compare_runs import compare
    from pipeline.benchmark.driver import benchmark
    from pipeline.benchmark.forecast.rank import rank
    from pipeline.benchmark.grid import Grid
    from pipeline.commands.evaluate import evaluate
    from pipeline.commands.export import export
    from pipeline.commands.generate import generate
    from pipeline.commands.suggest import suggest
    from pipeline.commands.transplant import TransplantOptions, transplant
    from pipeline.config import RunConfig
    from pipeline.errors import PipelineError
    from pipeline.estimators.classifier import VecformerClassifier
    from pipeline.estimators.vectorizer import VecformerVectorizer
    from pipeline.explanation.explain import explain
    from pipeline.runs.chain import run
    from pipeline.runs.trained import TrainedRun, load_run
    from transformer.errors import TransformerError

    __version__: str

_HOMES = {
    "EmbeddingError": "embeddings.errors",
    "EmbeddingTable": "embeddings.table",
    "Grid": "pipeline.benchmark.grid",
    "PipelineError": "pipeline.errors",
    "RunConfig": "pipeline.config",
    "TrainedRun": "pipeline.runs.trained",
    "TransformerError": "transformer.errors",
    "TransplantOptions": "pipeline.commands.transplant",
    "VecformerClassifier": "pipeline.estimators.classifier",
    "VecformerVectorizer": "pipeline.estimators.vectorizer",
    "benchmark": "pipeline.benchmark.driver",
    "compare": "pipeline.benchmark.compare_runs",
    "evaluate": "pipeline.commands.evaluate",
    "explain": "pipeline.explanation.explain",
    "export": "pipeline.commands.export",
    "generate": "pipeline.commands.generate",
    "load_run": "pipeline.runs.trained",
    "load_vectors": "embeddings.loading",
    "rank": "pipeline.benchmark.forecast.rank",
    "run": "pipeline.runs.chain",
    "suggest": "pipeline.commands.suggest",
    "transplant": "pipeline.commands.transplant",
}

__all__ = [
    "EmbeddingError", "EmbeddingTable", "Grid", "PipelineError", "RunConfig", "TrainedRun", "TransformerError",
    "TransplantOptions", "VecformerClassifier", "VecformerVectorizer", "__version__", "benchmark", "compare",
    "evaluate", "explain", "export", "generate", "load_run", "load_vectors", "rank", "run", "suggest", "transplant",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("vecformer")
    if name not in _HOMES:
        raise AttributeError(f"module 'vecformer' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
