"""Loading, summary, coverage and conversion of word vectors from a file, a source, or a run folder."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
from embeddings.table.atomic_files import restore
from embeddings.table.moments import norms
from embeddings.table.oov_policy import DEFAULT_POLICY, OOVPolicy, is_known
from embeddings.table.paths import from_written, written
from embeddings.tokenization.tokenizer import WordTokenizer
from pipeline.data.config import DataConfig
from pipeline.data.corpus import TextCorpus
from pipeline.errors import PipelineError, RunFolderError
from pipeline.runs.folder import RunFolder
from pipeline.runs.verification import is_table_of_run
from pipeline.runs.verification import verify as verify_files

if TYPE_CHECKING:
    from pipeline.runs.trained import TrainedRun

SOURCE_NAME = re.compile(r"\s*\(*\s*(\w+)\s*(?:[:,+()]|$)")
N_FREQUENT = 20  # words in a summary


@dataclass(frozen=True)
class LoadOptions:
    """Options for loading vectors.

    Attributes:
        transforms: transforms to apply, in order, such as ``("center", "pca:50")``.
        corpus: training texts of sources that are trained.
        unknown: out-of-vocabulary policy.
        seed: seed of all random numbers.
        trust_pickle: allow pickle files, which can execute arbitrary code.
        verify: check that the files of a run have the SHA-256 that its ``manifest.json`` lists.
        reading: columns, separator and encoding of the texts.
    """

    transforms: tuple[str, ...] = ()
    corpus: tuple[Path, ...] = ()
    unknown: OOVPolicy = DEFAULT_POLICY
    seed: int = 1
    trust_pickle: bool = False
    verify: bool = True
    reading: DataConfig = field(default_factory=DataConfig)


def open_vectors(
    vectors: str,
    options: LoadOptions | None = None,
    *,
    vocabulary: Counter[str] | None = None,
    limit: int | None = None,
    progress: Progress = silent,
) -> EmbeddingTable:
    """Load the vectors of a file, a source or a finished run (its fine-tuned vectors).

    Args:
        vectors: a vector file, also inside an archive (``archive.zip!member``); a run folder; or a source, such as
            ``glove`` or ``glove+word2vec,dim=50``.
        options: transforms, seed and other options.
        vocabulary: the requested words and their counts; by default all words.
        limit: maximum number of words, the first of the table.
        progress: progress callback.

    Raises:
        PipelineError: if there is no such file, run or source.
        EmbeddingError, TransformerError: if it is broken.
    """
    options = options or LoadOptions()
    request = VectorRequest(
        vocabulary=vocabulary, texts=TextCorpus(options.corpus, options.reading) if options.corpus else None,
        seed=options.seed, unknown=options.unknown, trust_pickle=options.trust_pickle, progress=progress,
    )
    table = _open(vectors, limit, request, verify=options.verify)
    if limit is not None and len(table) > limit:
        table = table.where(row < limit for row in range(len(table)))
    return apply_transforms(table, options.transforms, request)


def _open(vectors: str, limit: int | None, request: VectorRequest, *, verify: bool) -> EmbeddingTable:
    vectors = _location(vectors)
    path = Path(vectors)
    if vectors and path.is_dir():
        return fine_tuned_vectors(_run(path, verify=verify))
    if is_file_location(vectors):
        if verify and is_table_of_run(path):
            verify_files(RunFolder(path.parent), [path, path.with_suffix(".json")])
        return read_file(vectors, limit, request, f"file:{written(vectors)}")
    named = SOURCE_NAME.match(vectors)
    if named and named[1] in sources.SOURCES.available:
        return sources.load(vectors, request)
    siblings = sorted(map(str, path.parent.iterdir())) if path.parent.is_dir() else []
    near = did_you_mean(vectors, [*siblings, *sources.SOURCES.available])
    raise PipelineError(
        f"{written(vectors)!r}: no such vector file, run folder or source.{near} "
        "Name a file, a run folder, or a source (`vecformer sources` lists them)"
    )


def _location(vectors: str) -> str:
    """Return the path of a ``file://`` URI of an existing file or folder; anything else as it is."""
    try:
        path = from_written(vectors)
    except ValueError:
        return vectors
    return path if Path(path).is_dir() or is_file_location(path) else vectors


def _run(path: Path, *, verify: bool) -> TrainedRun:
    folder = RunFolder(path)
    if not folder.config.is_file() and not folder.manifest.is_file():
        raise RunFolderError(
            f"{path}: a folder, but not of a run. Name a file in it; for the embeddings of a checkpoint write hf:{path}"
        )
    from pipeline.runs.trained import load_run

    return load_run(path, verify=verify)


def fine_tuned_vectors(run: TrainedRun) -> EmbeddingTable:
    """Return the word vectors of a finished run after training.

    Words outside the training text, and words composed from n-grams, have the vectors of the source, scaled like the
    trained ones.

    Raises:
        RunFolderError: if the words and the weights of the run do not belong together.
    """
    from embeddings.special_tokens import N_SPECIAL

    layer = run.embedding
    words = run.tokenizer.vocabulary()[N_SPECIAL:]
    trained = layer.weight.detach().float().cpu().numpy()[N_SPECIAL:]                       # (n_words, dim)
    if len(words) != len(trained) or run.table.dim != trained.shape[1] or not set(words) <= run.table.index.keys():
        raise RunFolderError(
            f"the files of the run do not belong together: tokenizer.json has {len(words)} words, model.safetensors "
            f"{len(trained)} vectors of dimension {trained.shape[1]}, embeddings.safetensors {len(run.table)} of "
            f"dimension {run.table.dim}; copy the run folder again"
        )
    table = run.table.scaled(float(layer.table_scale))
    vectors = table.vectors.copy()
    vectors[[table.index[word] for word in words]] = trained
    return replace(table, vectors=vectors, transforms=(*table.transforms, "fine-tuned"))


def summarize(table: EmbeddingTable) -> dict[str, Any]:
    """Summarise a table, JSON-serialisable.

    Returns:
        ``source``, ``transforms``, ``n_words``, ``dim``; ``spread`` (standard deviation of the entries); ``norm``
        (``mean``, ``least`` and ``greatest`` norm of a row); ``norm_of_mean`` (norm of the mean vector: 0 if the table
        is centred); ``ngrams`` (whether out-of-vocabulary words are composed); ``provenance`` (rows by provenance);
        ``frequent_words``.
    """
    norm = norms(table.vectors)[:, 0] if len(table) else np.zeros(1, np.float32)
    mean = table.vectors.mean(axis=0, dtype=np.float64) if len(table) else np.zeros(table.dim)
    return {
        "source": table.source,
        "transforms": list(table.transforms),
        "n_words": len(table),
        "dim": table.dim,
        "spread": float(table.vectors.std(dtype=np.float64)) if table.vectors.size else 0.0,
        "norm": {"mean": float(norm.mean()), "least": float(norm.min()), "greatest": float(norm.max())},
        "norm_of_mean": float(np.linalg.norm(mean)),
        "ngrams": table.composer is not None,
        "provenance": dict(Counter(table.provenance).most_common()),
        "frequent_words": list(table.words[:N_FREQUENT]),
    }


def text_coverage(
    vectors: str, files: Sequence[Path], options: LoadOptions, *, tokenizer: WordTokenizer, progress: Progress = silent
) -> Coverage:
    """Measure the coverage of text files by vectors.

    Args:
        vectors: as for :func:`open_vectors`.
        files: text files, tables (their text column), or folders of them; plain or compressed.
        options: out-of-vocabulary policy, transforms and other options.
        tokenizer: splits the text into words.
        progress: progress callback.

    Raises:
        PipelineError, EmbeddingError: if the vectors or the text are missing or broken.
    """
    counts = tokenizer.count(TextCorpus(tuple(files), options.reading))
    if not counts:
        raise PipelineError(f"{files[0]}: contains no word; name a file with text")
    found = open_vectors(vectors, options, vocabulary=counts, progress=progress).lookup(counts, options.unknown)
    reasons = dict(zip(found.words, found.provenance, strict=True))
    return measure_coverage(counts, reasons.__getitem__, is_known)


def describe_vectors(
    vectors: str, options: LoadOptions | None = None, *, progress: Progress = silent
) -> dict[str, Any]:
    """Return the summary of :func:`summarize`, the ``format`` of the file and the ``conventions`` of its words.

    Args:
        vectors: as for :func:`open_vectors`.
        options: transforms, seed and other options.
        progress: progress callback.

    Raises:
        PipelineError, EmbeddingError: if the vectors are missing or broken.
    """
    table = open_vectors(vectors, options, progress=progress)
    vectors = _location(vectors)
    path = Path(vectors)
    kind = "source"
    if path.is_dir():
        kind = "fine-tuned vectors of a run"
    elif is_file_location(vectors):
        kind = detect_format(vectors).name
    return {"format": kind, **summarize(table), "conventions": str(conventions_of(table.words))}


def convert(
    vectors: str,
    to: Path,
    options: LoadOptions | None = None,
    *,
    limit: int | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> EmbeddingTable:
    """Write vectors to a file; its suffix selects the format.

    Args:
        vectors: as for :func:`open_vectors`.
        to: the file to write; it is complete or absent.
        options: transforms, seed and other options.
        limit: maximum number of words, the first of the table.
        overwrite: replace an existing file.
        progress: progress callback.

    Returns:
        The table that was written.

    Raises:
        PipelineError: if the file cannot be written.
        EmbeddingError: if the vectors are missing or broken, or the format cannot store them.
    """
    check_free_file(to, overwrite=overwrite)
    table = open_vectors(vectors, options, limit=limit, progress=progress)
    write_vectors(table, to)
    return table


def check_free_file(path: Path, *, overwrite: bool) -> None:
    """Check that a file can be written, before any work is done.

    Raises:
        PipelineError: if it exists and ``overwrite`` is not set, is a folder, or its folder is missing or read-only.
    """
    restore(path)
    if path.is_dir():
        raise PipelineError(f"{path}: a folder; name a file to write")
    if path.exists() and not overwrite:
        raise PipelineError(f"{path}: exists already; choose another name, or replace it with --overwrite")
    folder = path.parent
    if not folder.is_dir():
        raise PipelineError(f"{path}: the folder {folder} does not exist; type: mkdir -p {folder}")
    if not os.access(folder, os.W_OK):
        raise PipelineError(f"{path}: no permission to write in {folder}; choose another folder")
