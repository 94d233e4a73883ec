"""Time to read the rows of a vocabulary from a large text file of vectors, compared with gensim's loader.

usage: python speed/read_vectors.py [ROUNDS] [FOLDER]

Creates a GloVe-sized text file (400,000 words of 300 dimensions, 1 GB) from the installed 50-dimensional vectors in
FOLDER or a temporary folder, and reads the rows of 20,000 words: by vecformer, by vecformer from its cache, and by
gensim, alternately and in separate processes. The file is in the page cache. Times exclude imports; memory is the peak
above that of a bare interpreter.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

MAKE = "make"
N_COPIES, N_WANTED, AMONG = 6, 20_000, 100_000
MEASURED = """
import json, resource, sys, time
{prepare}
words = open(sys.argv[2], encoding="utf-8").read().split("\\n")
start = time.perf_counter()
{call}
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
OURS = ("from embeddings import load_vectors; load_vectors('random', ['a'])",
        "table = load_vectors('file:' + sys.argv[1], vocabulary=words)")
GENSIM = ("from gensim.models import KeyedVectors",
          "table = KeyedVectors.load_word2vec_format(sys.argv[1], no_header=True)")
NOTHING = ("", "pass")


def make_files(folder: Path) -> None:
    """Write the vectors, blocks of the installed table in rotated and rounded form, and the words."""
    import numpy as np

    from embeddings import EmbeddingTable, load_vectors
    from embeddings.formats.writing import write_vectors

    table = load_vectors("glove")
    generator = np.random.default_rng(0)
    turns = [np.linalg.qr(generator.normal(size=(table.dim, table.dim)))[0] for _ in range(N_COPIES)]
    wide = np.concatenate([table.vectors @ turn.astype(np.float32) for turn in turns], axis=1)
    write_vectors(EmbeddingTable.known(table.words, np.round(wide, 5), "glove, six times"), folder / "vectors.txt")
    wanted = random.Random(0).sample(table.words[:AMONG], N_WANTED)
    (folder / "words.txt").write_text("\n".join(wanted), encoding="utf-8")


def measure(what: tuple[str, str], vectors: Path, words: Path, cache: Path) -> tuple[float, float]:
    """Return the seconds of the call and the peak memory in MiB of a new process."""
    code = MEASURED.format(prepare=what[0], call=what[1])
    environment = {**os.environ, "VECFORMER_CACHE": str(cache)}
    done = subprocess.run([sys.executable, "-c", code, vectors, words], env=environment, check=True,
                          capture_output=True, text=True)
    seconds, peak = json.loads(done.stdout)
    return seconds, peak


def main(rounds: int, folder: Path) -> None:
    """Print one row per reader."""
    vectors, words = folder / "vectors.txt", folder / "words.txt"
    subprocess.run([sys.executable, __file__, MAKE, folder], check=True)  # a child inherits its parent's peak memory
    print(f"{vectors.stat().st_size / 1e9:.2f} GB, {N_WANTED:,} words read, rounds: {rounds}")
    with vectors.open("rb") as file:
        while file.read(2**20):
            pass
    found: dict[str, list[tuple[float, float]]] = {"vecformer": [], "vecformer, cached": [], "gensim": []}
    for number in range(rounds):
        cache = folder / f"cache{number}"
        found["vecformer"].append(measure(OURS, vectors, words, cache))
        found["vecformer, cached"].append(measure(OURS, vectors, words, cache))
        found["gensim"].append(measure(GENSIM, vectors, words, cache))
    bare = measure(NOTHING, vectors, words, folder)[1]
    theirs = statistics.median(seconds for seconds, _ in found["gensim"])
    print(f"{'':20} {'median s':>9} {'min':>8} {'max':>8} {'speed-up':>13} {'peak MiB':>8}")
    for name, measured in found.items():
        seconds = [one for one, _ in measured]
        median, peak = statistics.median(seconds), max(memory for _, memory in measured) - bare
        print(f"{name:20} {median:9.3f} {min(seconds):8.3f} {max(seconds):8.3f} {theirs / median:13.0f} {peak:8.0f}")


if __name__ == "__main__":
    if sys.argv[1:2] == [MAKE]:
        make_files(Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory(prefix="vecformer-") as temporary:
            main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, Path(sys.argv[2] if len(sys.argv) > 2 else temporary))
