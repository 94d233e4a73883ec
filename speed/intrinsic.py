"""Word similarity and analogy scores and their computation time, compared with gensim, on all sets and two tables.

usage: python speed/intrinsic.py DATASETS

DATASETS is the folder of the data sets, of which ``word_similarity``, ``word_analogies`` and ``corpus_en`` are used.
The tables are the installed 50-dimensional GloVe, and Word2Vec trained on one part of the English corpus.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from gensim.models import KeyedVectors

from embeddings import EmbeddingTable, load_vectors
from embeddings.analysis.gold_standards import files_of, read_pairs, read_questions
from embeddings.analysis.intrinsic import IntrinsicEvaluation, total
from embeddings.tokenization.corpus import CorpusFiles

T = TypeVar("T")

TRAINED = "word2vec,dim=100,epochs=2,min_count=5,workers=2"


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return the result of a call and its seconds."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def compare(table: EmbeddingTable, datasets: Path) -> None:
    """Print one row per set: vecformer's score, gensim's score, and the speed-up."""
    evaluation, peer = IntrinsicEvaluation(table), KeyedVectors(table.dim)
    peer.add_vectors(list(table.words), table.vectors)
    peer.fill_norms()
    print(f"\n{len(table):,} words of {table.source}\n{'set':24} {'found':>7} {'ours':>10} {'gensim':>10} {'time':>8}")
    rows = []
    for path in files_of([datasets / "word_similarity"]):
        score, seconds = timed(lambda path=path: evaluation.similarity(read_pairs(path)))
        (_, theirs, _), longer = timed(lambda path=path: peer.evaluate_word_pairs(str(path)))
        rows.append((path.name, score.found, score.spearman, float(theirs.statistic), seconds, longer))
    for path in files_of([datasets / "word_analogies"]):
        sections, seconds = timed(lambda path=path: evaluation.analogies(read_questions(path)))
        (theirs, _), longer = timed(lambda path=path: peer.evaluate_word_analogies(str(path)))
        score = total(sections.values())
        rows.append((path.name, score.found, score.accuracy, theirs, seconds, longer))
    for name, found, ours, theirs, seconds, longer in rows:
        print(f"{name:24} {found:7.1%} {ours:10.7f} {theirs:10.7f} {longer / seconds:7.1f}x")
    ours, theirs = (sum(row[column] for row in rows) for column in (4, 5))
    difference = max(abs(row[2] - row[3]) for row in rows)
    print(f"total {ours:.1f} s and {theirs:.1f} s: {theirs / ours:.1f}x; maximum difference of scores {difference:.1g}")


def main(datasets: Path) -> None:
    """Compare both tables."""
    compare(load_vectors("glove"), datasets)
    compare(load_vectors(TRAINED, texts=CorpusFiles((datasets / "corpus_en" / "wikipedia_en_00.txt.gz",))), datasets)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
