"""Speed of Word2Vec training in words per second: the whole of ``embed train`` compared with gensim alone.

usage: python speed/train_vectors.py CORPUS... [--runs N] [--workers N] [--epochs N]

vecformer reads the corpus (text, gzip or folders), tokenizes, counts, trains, and writes the table and the training
state. gensim counts and trains on a decompressed and tokenized file, and writes nothing. Both use the same settings,
alternately and in separate processes; imports are excluded.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from embeddings.tokenization.corpus import CorpusFiles, tokenized_file
from embeddings.tokenization.tokenizer import WordTokenizer

DIM, MIN_COUNT = 100, 5


def time_ours(files: list[Path], folder: Path, workers: int, epochs: int) -> float:
    """Return the seconds of ``train_vectors``."""
    import gensim.models  # noqa: F401  # excludes the import from the time

    from embeddings.gensim_training.to_file import train_vectors

    start = time.perf_counter()
    train_vectors(f"word2vec,dim={DIM},min_count={MIN_COUNT},sg=1,epochs={epochs}", CorpusFiles(tuple(files)),
                  folder / "ours.safetensors", workers=workers, overwrite=True)
    return time.perf_counter() - start


def time_gensim(path: Path, workers: int, epochs: int) -> float:
    """Return the seconds of ``Word2Vec(corpus_file=...)``."""
    from gensim.models import Word2Vec

    start = time.perf_counter()
    Word2Vec(corpus_file=str(path), vector_size=DIM, min_count=MIN_COUNT, sg=1, epochs=epochs, workers=workers, seed=1)
    return time.perf_counter() - start


def main(arguments: argparse.Namespace) -> None:
    """Print one line per run, then the medians and the ratio."""
    with tempfile.TemporaryDirectory() as named:
        folder = Path(named)
        with tokenized_file(CorpusFiles(tuple(arguments.corpus)), WordTokenizer()) as text:
            n_words = text.counts.total() * arguments.epochs
            (folder / "words.txt").write_bytes(text.path.read_bytes())
        speeds: dict[str, list[float]] = {"gensim": [], "ours": []}
        for run in range(arguments.runs):
            for who, corpus in (("gensim", [folder / "words.txt"]), ("ours", arguments.corpus)):
                done = subprocess.run(
                    [sys.executable, __file__, *map(str, corpus), "--time", who, "--folder", named,
                     "--workers", str(arguments.workers), "--epochs", str(arguments.epochs)],
                    stdout=subprocess.PIPE, text=True, check=True,
                )
                speeds[who].append(n_words / json.loads(done.stdout))
            print(f"run {run + 1}: " + ", ".join(f"{who} {of[-1]:,.0f} words/s" for who, of in speeds.items())
                  + f", ours/gensim {speeds['ours'][-1] / speeds['gensim'][-1]:.3f}", flush=True)
    medians = {who: statistics.median(of) for who, of in speeds.items()}
    ratios = [ours / gensim for ours, gensim in zip(speeds["ours"], speeds["gensim"], strict=True)]
    print("median: " + ", ".join(f"{who} {median:,.0f} words/s" for who, median in medians.items())
          + f", ours/gensim {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--time", choices=("ours", "gensim"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.time == "ours":
        print(json.dumps(time_ours(given.corpus, given.folder, given.workers, given.epochs)))
    elif given.time == "gensim":
        print(json.dumps(time_gensim(given.corpus[0], given.workers, given.epochs)))
    else:
        main(given)
