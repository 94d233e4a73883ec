"""Types of `vecformer.py` for type checkers: a single module cannot have the marker `py.typed` (PEP 561)."""

from embeddings.errors import EmbeddingError as EmbeddingError
from embeddings.loading import load_vectors as load_vectors
from embeddings.table import EmbeddingTable as EmbeddingTable
from pipeline.benchmark.compare_runs import compare as compare
from pipeline.benchmark.driver import benchmark as benchmark
from pipeline.benchmark.forecast.rank import rank as rank
from pipeline.benchmark.grid import Grid as Grid
from pipeline.commands.evaluate import evaluate as evaluate
from pipeline.commands.export import export as export
from pipeline.commands.generate import generate as generate
from pipeline.commands.suggest import suggest as suggest
from pipeline.commands.transplant import TransplantOptions as TransplantOptions
from pipeline.commands.transplant import transplant as transplant
from pipeline.config import RunConfig as RunConfig
from pipeline.errors import PipelineError as PipelineError
from pipeline.estimators.classifier import VecformerClassifier as VecformerClassifier
from pipeline.estimators.vectorizer import VecformerVectorizer as VecformerVectorizer
from pipeline.explanation.explain import explain as explain
from pipeline.runs.chain import run as run
from pipeline.runs.trained import TrainedRun as TrainedRun
from pipeline.runs.trained import load_run as load_run
from transformer.errors import TransformerError as TransformerError

__version__: str
