"""Cost of unused vectors: a run from a table of 400,000 words compared with one from its first 20,000 words.

usage: python speed/table_size.py DATA [--runs N] [--turns N] [--dim N] [--set KEY=VALUE ...]

Creates two text files of vectors in a temporary folder: 20,000 words (those of the data, then synthetic ones), and
400,000 words starting with the same rows. `vecformer run` trains on DATA from each, in separate processes. Peak memory
is that of the whole process with an empty cache. For the time per step both trainings run concurrently on the same
texts and alternate every 20 steps (`train_in_turns.py`); a run's figure is the median over its turns, its ratio the
median of the ratios of the turns. Steps of consecutive runs differ by up to a third without any cause in the program.
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

from measuring import Figure, assigned, in_turn, ratio, spread

SMALL, LARGE = 20_000, 400_000
ROWS_PER_BLOCK = 20_000
STEPS_PER_TURN = 20
PEAK, STEP = "peak memory, MiB", "time per step, ms"
LETTERS = "bcdfghjklmnpqrstvwxz"  # no vowels: synthetic words are rarely real ones
RUN = ["from pipeline.cli.main import main; main()"]
MAXRSS_PER_MIB = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes on macOS, in KiB on Linux


def words_of(data: Path) -> Iterator[str]:
    """Yield the distinct words of a data set, then synthetic ones."""
    from embeddings.tokenization.tokenizer import WordTokenizer
    from pipeline.data.config import DataConfig
    from pipeline.data.readers.labelled import LabelledReader

    splits = LabelledReader().read(DataConfig(path=str(data)), seed=1)
    texts = [example.text for example in (*splits.train, *splits.dev, *splits.test)]
    known = WordTokenizer().count(texts)
    yield from known
    yield from (word for word in map("".join, product(LETTERS, repeat=5)) if word not in known)


def make_files(data: Path, folder: Path, dim: int) -> dict[int, Path]:
    """Write both files with five decimals, and return them by number of words."""
    import numpy as np

    from embeddings.formats.writing import write_vectors
    from embeddings.table import EmbeddingTable

    words, random = words_of(data), np.random.default_rng(0)
    files = {n_words: folder / f"vectors{n_words}.txt" for n_words in (SMALL, LARGE)}
    block = folder / "block.txt"
    for start in range(0, LARGE, ROWS_PER_BLOCK):
        rows = np.round(random.normal(0, 0.4, (ROWS_PER_BLOCK, dim)), 5).astype(np.float32)
        write_vectors(EmbeddingTable.known(list(islice(words, ROWS_PER_BLOCK)), rows, "synthetic"), block)
        for n_words, path in files.items():
            if start < n_words:
                with path.open("ab") as file:
                    file.write(block.read_bytes())
    return files


def measure_memory(data: Path, vectors: Path, folder: Path, settings: Sequence[str]) -> float:
    """Measure the peak memory in MiB of one `vecformer run` with an empty cache."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        given = assigned(*settings_of(data, vectors, settings), "training.epochs=2")
        command = ["run", "--recipe", "plain", *given, "--out", f"{own}/run", "-q"]
        done = subprocess.run([sys.executable, __file__, "--measure", *command], check=True, stdout=subprocess.PIPE,
                              env={**os.environ, "VECFORMER_CACHE": f"{own}/cache"}, text=True)
    peak: float = json.loads(done.stdout)
    return peak


def settings_of(data: Path, vectors: Path, settings: Sequence[str]) -> list[str]:
    """Return the configuration keys of a run, as ``key=value``."""
    return [f"data.path={data}", f"source=glove:{vectors}", *settings]


def peak_of_child(command: Sequence[str]) -> float:
    """Run `vecformer` with these arguments and return its peak memory in MiB.

    Must be called in a small process, since a forked child inherits its parent's peak.
    """
    subprocess.run([sys.executable, "-c", *RUN, *command], check=True, stdout=subprocess.DEVNULL)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / MAXRSS_PER_MIB


def measure(
    data: Path, *, runs: int = 3, turns: int = 60, dim: int = 300, settings: Sequence[str] = ()
) -> list[Figure]:
    """Measure runs from both tables.

    Args:
        data: a data set.
        runs: number of runs from each table, for memory and again for time.
        turns: turns per run.
        dim: dimension of the vectors.
        settings: further configuration keys, as ``key=value``.

    Returns:
        Peak memory in MiB and milliseconds per step for each table (with ``n_words``), and the ratios of large to
        small.
    """
    memory: dict[int, list[float]] = {SMALL: [], LARGE: []}
    time: dict[int, list[float]] = {SMALL: [], LARGE: []}
    ratios: list[float] = []
    with tempfile.TemporaryDirectory(prefix="vecformer-") as temporary:
        folder = Path(temporary)
        files = make_files(data, folder, dim)
        trainings = [settings_of(data, path, settings) for path in files.values()]
        for _ in range(runs):
            for n_words, path in files.items():
                memory[n_words].append(measure_memory(data, path, folder, settings))
            small, large = in_turn(trainings, turns=turns, steps=STEPS_PER_TURN,
                                   environment={**os.environ, "VECFORMER_CACHE": f"{folder}/cache"})
            for n_words, seconds in ((SMALL, small), (LARGE, large)):
                time[n_words].append(1000 * statistics.median(seconds))
            ratios.append(statistics.median(one / other for one, other in zip(large, small, strict=True)))
    return [
        *(spread(PEAK, values, n_words=n_words) for n_words, values in memory.items()),
        *(spread(STEP, values, n_words=n_words) for n_words, values in time.items()),
        ratio(PEAK, memory[LARGE], memory[SMALL]),
        {"figure": STEP, "ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
    ]


def main() -> None:
    """Print one JSON line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a data set, such as DATASETS/trec6")
    parser.add_argument("--runs", type=int, default=3, help="runs from each table, for memory and again for time")
    parser.add_argument("--turns", type=int, default=60, help="turns per run, each of 20 steps")
    parser.add_argument("--dim", type=int, default=300, help="dimension of the vectors")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as for `vecformer run`")
    given = parser.parse_args()
    for figure in measure(given.data, runs=given.runs, turns=given.turns, dim=given.dim, settings=given.set):
        print(json.dumps(figure), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(peak_of_child(sys.argv[2:])))
    else:
        main()
