"""What vectors cost that are never trained on: a run from a table of 400,000 words beside one from its first 20,000.

usage: python benchmarks/table_size.py DATA [--runs N] [--epochs N] [--dim N] [--transform T]

Makes two text files of vectors in a temporary folder. The small one holds the words of the data and made-up ones up to
20,000; the large one begins with the same rows. `vecformer run` trains on DATA from either, in turn, each in a process
of its own and with an empty cache. Peak memory is that of the whole process, from its start to its end; a step's time
is the training's seconds over its steps.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path
from typing import Any

SMALL, LARGE = 20_000, 400_000
ROWS_A_BLOCK = 20_000
LETTERS = "bcdfghjklmnpqrstvwxz"  # no vowels, so that hardly any real word is among the made-up ones
RUN = ["from pipeline.cli.main import main; main()"]
A_MB = 2**20 if sys.platform == "darwin" else 2**10  # getrusage counts bytes on macOS, KiB on Linux


def words_of(data: Path) -> Iterator[str]:
    """The words of a data set, then made-up ones, each once."""
    from embeddings.words.tokenization import WordTokenizer
    from pipeline.config import DataConfig
    from pipeline.data.datasets import read_splits

    splits = read_splits(DataConfig(path=str(data)), seed=1)
    texts = [example.text for example in (*splits.train, *splits.dev, *splits.test)]
    known = WordTokenizer().count(texts)
    yield from known
    yield from (word for word in map("".join, product(LETTERS, repeat=5)) if word not in known)


def make_files(data: Path, folder: Path, dim: int) -> dict[int, Path]:
    """Write both files, five places a number, and give them by their number of words."""
    import numpy as np

    from embeddings.formats.writing import write_vectors
    from embeddings.table import EmbeddingTable

    words, random = words_of(data), np.random.default_rng(0)
    files = {n_words: folder / f"vectors{n_words}.txt" for n_words in (SMALL, LARGE)}
    block = folder / "block.txt"
    for start in range(0, LARGE, ROWS_A_BLOCK):
        rows = np.round(random.normal(0, 0.4, (ROWS_A_BLOCK, dim)), 5).astype(np.float32)
        write_vectors(EmbeddingTable.known(list(islice(words, ROWS_A_BLOCK)), rows, "made up"), block)
        for n_words, path in files.items():
            if start < n_words:
                with path.open("ab") as file:
                    file.write(block.read_bytes())
    return files


def measure_run(data: Path, vectors: Path, folder: Path, epochs: int, more: Sequence[str]) -> dict[str, float]:
    """One `vecformer run` in a process of its own: its peak memory in MB, and the milliseconds of a training step."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        out = Path(own) / "run"
        command = ["run", "--data", data, "--source", f"glove:{vectors}", "--epochs", epochs, "--out", out, "-q", *more]
        environment = {**os.environ, "VECFORMER_CACHE": f"{own}/cache"}
        done = subprocess.run([sys.executable, __file__, "--measure", *map(str, command)], env=environment, check=True,
                              stdout=subprocess.PIPE, text=True)
        training = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["training"]
    return {"peak memory, MB": json.loads(done.stdout), "a step, ms": 1000 * training["seconds"] / training["steps"]}


def peak_of_child(command: Sequence[str]) -> float:
    """Run `vecformer` with these arguments and give its peak memory in MB.

    To be called in a small process: a child begins with its parent's peak, since it is its copy.
    """
    subprocess.run([sys.executable, "-c", *RUN, *command], check=True, stdout=subprocess.DEVNULL)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / A_MB


def measure(
    data: Path, *, runs: int = 5, epochs: int = 2, dim: int = 300, more: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Measure runs from both tables, alternating.

    Args:
        data: a data set.
        runs: from each table.
        epochs: of a run.
        dim: width of the vectors.
        more: further options of `vecformer run`.

    Returns:
        A figure an entry: ``figure``, ``n_words``, ``median``, ``least``, ``most``; then the ratios of the medians,
        large to small, as ``figure`` and ``ratio``.
    """
    found: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="vecformer-") as temporary:
        folder = Path(temporary)
        files = make_files(data, folder, dim)
        for _ in range(runs):
            for n_words, path in files.items():
                for figure, value in measure_run(data, path, folder, epochs, more).items():
                    found.setdefault((figure, n_words), []).append(value)
    medians = {key: statistics.median(values) for key, values in found.items()}
    return [
        *({"figure": figure, "n_words": n_words, "median": medians[figure, n_words], "least": min(values),
           "most": max(values)} for (figure, n_words), values in found.items()),
        *({"figure": figure, "ratio": medians[figure, LARGE] / medians[figure, SMALL]}
          for figure in dict.fromkeys(figure for figure, _ in found)),
    ]


def main() -> None:
    """Print a JSON line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a data set, such as DATASETS/trec6")
    parser.add_argument("--runs", type=int, default=5, help="from each table")
    parser.add_argument("--epochs", type=int, default=2, help="of a run")
    parser.add_argument("--dim", type=int, default=300, help="width of the vectors")
    parser.add_argument("--transform", action="append", default=[], help="as for `vecformer run`")
    given = parser.parse_args()
    more = [part for name in given.transform for part in ("--transform", name)]
    for figure in measure(given.data, runs=given.runs, epochs=given.epochs, dim=given.dim, more=more):
        print(json.dumps(figure), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(peak_of_child(sys.argv[2:])))
    else:
        main()
