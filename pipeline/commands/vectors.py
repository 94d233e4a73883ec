"""Word vectors by whatever name they have: a file, a source, or a finished run, whose tuned vectors are meant."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embeddings.analysis.conventions import conventions_of
from embeddings.analysis.coverage import Coverage, measure_coverage
from embeddings.compressed_files import is_file_location
from embeddings.formats.detect import detect_format
from embeddings.formats.to_table import read_file
from embeddings.formats.writing import write_vectors
from embeddings.progress import Progress, silent
from embeddings.request import VectorRequest
from embeddings.specification import sources
from embeddings.specification.suggest import did_you_mean
from embeddings.specification.transforms import apply_transforms
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import DEFAULT_POLICY, OOVPolicy, is_known
from embeddings.tokenization.corpus import CorpusFiles
from embeddings.tokenization.tokenizer import WordTokenizer
from pipeline.errors import PipelineError, RunFolderError
from pipeline.runs.folder import RunFolder

if TYPE_CHECKING:
    from pipeline.runs.trained import TrainedRun

SOURCE_NAME = re.compile(r"\s*\(*\s*(\w+)\s*(?:[:,+()]|$)")
N_FREQUENT = 20  # words shown by a summary


@dataclass(frozen=True)
class LoadOptions:
    """How vectors are to be loaded.

    Attributes:
        transforms: applied in this order, such as ``("center", "pca:50")``.
        corpus: text that sources which learn learn from.
        unknown: what is tried for words that the vectors do not list.
        seed: decides everything random.
        trust_pickle: unpickle files, which can run code.
    """

    transforms: tuple[str, ...] = ()
    corpus: tuple[Path, ...] = ()
    unknown: OOVPolicy = DEFAULT_POLICY
    seed: int = 1
    trust_pickle: bool = False


def open_vectors(
    vectors: str,
    options: LoadOptions | None = None,
    *,
    vocabulary: Counter[str] | None = None,
    limit: int | None = None,
    progress: Progress = silent,
) -> EmbeddingTable:
    """Load the vectors of a file, a source or a finished run.

    Args:
        vectors: a file of vectors, also one inside an archive (``archive.zip!member``); a run's folder; or a source,
            such as ``glove`` or ``glove+word2vec,dim=50``.
        options: transforms, seed and the like.
        vocabulary: words and their counts, if only those matter.
        limit: keep no more than this many words, the first.
        progress: told how far long work has come.

    Raises:
        PipelineError: if there is nothing of that name.
        EmbeddingError, TransformerError: if what is there is not in order.
    """
    options = options or LoadOptions()
    request = VectorRequest(
        vocabulary=vocabulary, texts=CorpusFiles(options.corpus) if options.corpus else None, seed=options.seed,
        unknown=options.unknown, trust_pickle=options.trust_pickle, progress=progress,
    )
    table = _open(vectors, limit, request)
    if limit is not None and len(table) > limit:
        table = table.where(row < limit for row in range(len(table)))
    return apply_transforms(table, options.transforms, request)


def _open(vectors: str, limit: int | None, request: VectorRequest) -> EmbeddingTable:
    path = Path(vectors)
    if vectors and path.is_dir():
        return tuned_vectors(_run(path))
    if is_file_location(vectors):
        return read_file(vectors, limit, request, f"file:{vectors}")
    named = SOURCE_NAME.match(vectors)
    if named and named[1] in sources.SOURCES.available:
        return sources.load(vectors, request)
    beside = sorted(map(str, path.parent.iterdir())) if path.parent.is_dir() else []
    near = did_you_mean(vectors, [*beside, *sources.SOURCES.available])
    raise PipelineError(
        f"{vectors!r}: no such file of vectors, run or source.{near} "
        "Give a file, a run's folder, or a source (`vecformer sources` lists them)"
    )


def _run(path: Path) -> TrainedRun:
    if not RunFolder(path).config.is_file():
        raise RunFolderError(
            f"{path}: a folder, but not a run's. Give a file in it; the input vectors of a checkpoint are hf:{path}"
        )
    from pipeline.runs.trained import load_run

    return load_run(path)


def tuned_vectors(run: TrainedRun) -> EmbeddingTable:
    """The word vectors of a finished run, as training left them.

    Words that training did not meet keep the vectors of their source, at the scale of those that were trained; so do
    words that are composed from n-grams.

    Raises:
        RunFolderError: if the run's words and its weights do not belong together.
    """
    from embeddings.special_tokens import N_SPECIAL

    layer = run.embedding
    words = run.tokenizer.vocabulary()[N_SPECIAL:]
    trained = layer.weight.detach().float().cpu().numpy()[N_SPECIAL:]                       # (n_words, dim)
    if len(words) != len(trained) or run.table.dim != trained.shape[1] or not set(words) <= run.table.index.keys():
        raise RunFolderError(
            f"the run's files do not belong together: tokenizer.json has {len(words)} words, model.safetensors "
            f"{len(trained)} vectors of width {trained.shape[1]}, embeddings.safetensors {len(run.table)} of width "
            f"{run.table.dim}"
        )
    table = run.table.scaled(float(layer.table_scale))
    vectors = table.vectors.copy()
    vectors[[table.index[word] for word in words]] = trained
    return replace(table, vectors=vectors, transforms=(*table.transforms, "tuned"))


def summarize(table: EmbeddingTable) -> dict[str, Any]:
    """What is worth knowing about a table before it is used, as plain values that JSON holds.

    Returns:
        ``source``, ``transforms``, ``n_words``, ``dim``; ``spread`` (standard deviation of the entries); ``norm``
        (``mean``, ``least``, ``greatest`` length of a row); ``norm_of_mean`` (length of the mean row: 0 if the table is
        centred); ``ngrams`` (whether words outside it are composed); ``provenance`` (rows by reason);
        ``frequent_words``.
    """
    norms = np.linalg.norm(table.vectors, axis=1) if len(table) else np.zeros(1, np.float32)
    mean = table.vectors.mean(axis=0, dtype=np.float64) if len(table) else np.zeros(table.dim)
    return {
        "source": table.source,
        "transforms": list(table.transforms),
        "n_words": len(table),
        "dim": table.dim,
        "spread": float(table.vectors.std(dtype=np.float64)) if table.vectors.size else 0.0,
        "norm": {"mean": float(norms.mean()), "least": float(norms.min()), "greatest": float(norms.max())},
        "norm_of_mean": float(np.linalg.norm(mean)),
        "ngrams": table.composer is not None,
        "provenance": dict(Counter(table.provenance).most_common()),
        "frequent_words": list(table.words[:N_FREQUENT]),
    }


def text_coverage(
    vectors: str, files: Sequence[Path], options: LoadOptions, *, tokenizer: WordTokenizer, progress: Progress = silent
) -> Coverage:
    """Measure how much of the words of text files has a vector, and why.

    Args:
        vectors: as for :func:`open_vectors`.
        files: plain text, gzip files or folders of them.
        options: what is tried for unknown words, transforms and the like.
        tokenizer: cuts the text into words.
        progress: told how far long work has come.

    Raises:
        PipelineError, EmbeddingError: if the vectors or the text are not in order.
    """
    counts = tokenizer.count(CorpusFiles(tuple(files)))
    if not counts:
        raise PipelineError(f"{files[0]}: holds no word to look up")
    found = open_vectors(vectors, options, vocabulary=counts, progress=progress).lookup(counts, options.unknown)
    reasons = dict(zip(found.words, found.provenance, strict=True))
    return measure_coverage(counts, reasons.__getitem__, is_known)


def describe_vectors(
    vectors: str, options: LoadOptions | None = None, *, progress: Progress = silent
) -> dict[str, Any]:
    """What :func:`summarize` says, with the ``format`` of the file and the ``habits`` of its words.

    Args:
        vectors: as for :func:`open_vectors`.
        options: transforms, seed and the like.
        progress: told how far long work has come.

    Raises:
        PipelineError, EmbeddingError: if the vectors are not in order.
    """
    table = open_vectors(vectors, options, progress=progress)
    path = Path(vectors)
    kind = "source"
    if path.is_dir():
        kind = "tuned vectors of a run"
    elif is_file_location(vectors):
        kind = detect_format(vectors)
    return {"format": kind, **summarize(table), "habits": str(conventions_of(table.words))}


def convert(
    vectors: str,
    to: Path,
    options: LoadOptions | None = None,
    *,
    limit: int | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> EmbeddingTable:
    """Write vectors to a file whose ending decides its format.

    Args:
        vectors: as for :func:`open_vectors`.
        to: the file; it is whole, or it is not there.
        options: transforms, seed and the like.
        limit: keep no more than this many words, the first.
        overwrite: replace the file if it is there.
        progress: told how far long work has come.

    Returns:
        What was written.

    Raises:
        PipelineError: if the file cannot be written.
        EmbeddingError: if the vectors are not in order, or the format cannot hold them.
    """
    check_free_file(to, overwrite=overwrite)
    table = open_vectors(vectors, options, limit=limit, progress=progress)
    write_vectors(table, to)
    return table


def check_free_file(path: Path, *, overwrite: bool) -> None:
    """Refuse a file that must not be replaced, or that cannot be written, before any work is done for it.

    Raises:
        PipelineError: if it exists and ``overwrite`` is not set, is a folder, or its folder is missing or closed.
    """
    if path.is_dir():
        raise PipelineError(f"{path}: a folder; give the name of a file to write")
    if path.exists() and not overwrite:
        raise PipelineError(f"{path}: exists already; choose another name, or replace it with --overwrite")
    folder = path.parent
    if not folder.is_dir():
        raise PipelineError(f"{path}: there is no folder {folder}; make it with: mkdir -p {folder}")
    if not os.access(folder, os.W_OK):
        raise PipelineError(f"{path}: cannot write in {folder}; choose another place")
