"""Two-dimensional maps of words: selection, projection and drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from embeddings.analysis.neighbors import Neighbor, nearest_rows
from embeddings.analysis.projection import Method, frequent_words, project
from embeddings.progress import Progress, silent
from embeddings.table import EmbeddingTable
from embeddings.table.oov_policy import MISSING
from pipeline.commands.pages.map import WordMap, write_html, write_png
from pipeline.commands.vectors import LoadOptions, check_free_file, open_vectors
from pipeline.data.readers.tables import lines_of, read_text
from pipeline.errors import PipelineError

N_NEIGHBORS = 8
WRITERS = {".html": write_html, ".png": write_png}


@dataclass(frozen=True)
class MapFiles:
    """The files of a map.

    Attributes:
        files: the files that were written.
        without_vector: selected words without a vector, which are not on the map.
    """

    files: tuple[Path, ...]
    without_vector: tuple[str, ...]


def draw_map(
    vectors: str,
    out: Path,
    options: LoadOptions | None = None,
    *,
    words: Sequence[str] | Path | None = None,
    top: int = 500,
    method: Method = "tsne",
    overwrite: bool = False,
    progress: Progress = silent,
) -> MapFiles:
    """Draw a map of words as ``.html``, ``.png``, or both.

    Args:
        vectors: as for :func:`pipeline.commands.vectors.open_vectors`.
        out: the file to write; without a suffix one of each kind.
        options: out-of-vocabulary policy, transforms, seed and other options.
        words: the words to draw, or a file with one word per line; by default the most frequent words.
        top: number of the most frequent words.
        method: ``tsne`` or ``pca``.
        overwrite: replace existing files.
        progress: progress callback.

    Raises:
        PipelineError: if a file cannot be written, or has another suffix.
        EmbeddingError: if the vectors are missing or broken, or too few of the words have one.
    """
    files = _files(out)
    for file in files:
        check_free_file(file, overwrite=overwrite)
    chosen = lines_of(read_text(words)) if isinstance(words, Path) else words
    options = options or LoadOptions()
    table = open_vectors(vectors, options, progress=progress)
    found = table.lookup(dict.fromkeys(chosen or frequent_words(table, top)), options.unknown)
    missing = tuple(word for word, why in zip(found.words, found.provenance, strict=True) if why == MISSING)
    word_map = make_map(table, found.where(why != MISSING for why in found.provenance), method, options.seed, progress)
    for file in files:
        WRITERS[file.suffix](file, word_map)
    return MapFiles(files, missing)


def make_map(
    table: EmbeddingTable, chosen: EmbeddingTable, method: Method, seed: int, progress: Progress = silent
) -> WordMap:
    """Project the chosen words, and find the nearest neighbours of each among all words of the table."""
    progress("projecting words", 0.0)
    points = project(chosen.vectors, method, seed=seed)
    progress("projecting words", 1.0)
    own = [(number, table.index[word]) for number, word in enumerate(chosen.words) if word in table.index]
    numbers, rows = np.array(own, dtype=np.intp).reshape(-1, 2).T
    near, similarity = nearest_rows(table.vectors, chosen.vectors, N_NEIGHBORS, without=(numbers, rows),
                                    progress=partial(progress, "finding neighbors"))
    neighbors = tuple(
        tuple(Neighbor(table.words[row], min(1.0, max(-1.0, float(value))))
              for row, value in zip(*one, strict=True) if np.isfinite(value))
        for one in zip(near, similarity, strict=True)
    )
    return WordMap(source=table.source, method=method, words=chosen.words, points=points, neighbors=neighbors)


def _files(out: Path) -> tuple[Path, ...]:
    if out.suffix in WRITERS:
        return (out,)
    if out.suffix:
        raise PipelineError(f"{out}: a map is written as {' or '.join(WRITERS)}; choose one, or omit "
                            "the suffix for both")
    return tuple(out.with_suffix(suffix) for suffix in WRITERS)
