"""Words as points of a plane: chosen, laid out, and drawn into files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
class Drawn:
    """What was drawn.

    Attributes:
        files: that were written.
        without_vector: chosen words that could not be drawn.
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
) -> Drawn:
    """Draw words as points of a plane into ``.html``, ``.png``, or both.

    Args:
        vectors: as for :func:`pipeline.commands.vectors.open_vectors`.
        out: the file; one of each kind if its name has no ending.
        options: what is tried for unknown words, transforms, seed and the like.
        words: what to draw, or a file of it, a word a line; by default the most frequent words.
        top: how many of those.
        method: ``tsne`` or ``pca``.
        overwrite: replace files that are there.
        progress: told how far long work has come.

    Raises:
        PipelineError: if a file cannot be written, or the ending is another.
        EmbeddingError: if the vectors are not in order, or too few of the words have one.
    """
    files = _files(out)
    for file in files:
        check_free_file(file, overwrite=overwrite)
    chosen = lines_of(read_text(words)) if isinstance(words, Path) else words
    options = options or LoadOptions()
    table = open_vectors(vectors, options, progress=progress)
    found = table.lookup(dict.fromkeys(chosen or frequent_words(table, top)), options.unknown)
    missing = tuple(word for word, why in zip(found.words, found.provenance, strict=True) if why == MISSING)
    drawn = make_map(table, found.where(why != MISSING for why in found.provenance), method, options.seed, progress)
    for file in files:
        WRITERS[file.suffix](file, drawn)
    return Drawn(files, missing)


def make_map(
    table: EmbeddingTable, chosen: EmbeddingTable, method: Method, seed: int, progress: Progress = silent
) -> WordMap:
    """Lay the chosen words out, and find the nearest of all the table's words to each."""
    progress("laying words out", 0.0)
    points = project(chosen.vectors, method, seed=seed)
    progress("laying words out", 1.0)
    own = [(number, table.index[word]) for number, word in enumerate(chosen.words) if word in table.index]
    numbers, rows = np.array(own, dtype=np.intp).reshape(-1, 2).T
    near, similarity = nearest_rows(table.vectors, chosen.vectors, N_NEIGHBORS, without=(numbers, rows),
                                    tell=lambda share: progress("finding neighbors", share))
    neighbors = tuple(
        tuple(Neighbor(table.words[row], float(value)) for row, value in zip(*one, strict=True) if np.isfinite(value))
        for one in zip(near, similarity, strict=True)
    )
    return WordMap(source=table.source, method=method, words=chosen.words, points=points, neighbors=neighbors)


def _files(out: Path) -> tuple[Path, ...]:
    if out.suffix in WRITERS:
        return (out,)
    if out.suffix:
        raise PipelineError(f"{out}: a map is drawn as {' or '.join(WRITERS)}; a name without ending gives both")
    return tuple(out.with_suffix(suffix) for suffix in WRITERS)
