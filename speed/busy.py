"""Training speed beside other processes, compared with an idle machine, with one thread, and with the Trainer.

usage: python speed/busy.py DATASETS --peer-python PYTHON [--runs N] [--threads N] [--limit N]

One epoch on the first texts of `masakhanews_yor`, truncated to 256 tokens, beside no, one and two processes that do
nothing but count. vecformer's default model is trained with all threads and with one; Hugging Face's Trainer trains a
BERT of the same size with all threads.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import measuring
from measuring import Figure, alternate, in_process, print_figures, ratio, read_texts, spread, write_texts

FIRST = 800
N_BUSY = (0, 1, 2)
LEAST = {1: 0.6, 2: 0.45}  # share of the idle speed, by number of busy processes
COUNT = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"  # ends with this process, even if killed


@contextmanager
def busy_processes(n: int) -> Iterator[None]:
    """Run processes that keep a core busy each."""
    processes = [subprocess.Popen([sys.executable, "-c", COUNT]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(
    datasets: Path, *, peer_python: str, runs: int = 3, threads: int = 2, first: int = FIRST
) -> list[Figure]:
    """Measure all trainings alternately, each in a separate process.

    Args:
        datasets: folder of the data sets.
        peer_python: Python of the environment with the peer.
        runs: number of runs of each training.
        threads: number of threads.
        first: number of texts.
    """
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        texts = read_texts(datasets / "masakhanews_yor" / "train.tsv")[:first]
        file = write_texts(Path(folder) / "texts.jsonl", texts)

        def ours(n_busy: int, n_threads: int) -> float:
            with busy_processes(n_busy):
                return float(in_process("train_ours.py", file, "--warm", threads=n_threads)["tokens_per_second"])

        def peer(n_busy: int) -> float:
            options = ["--bfloat16"] if measuring.precision() == "bfloat16" else []
            with busy_processes(n_busy):
                return float(in_process("peers/hf_trainer.py", file, *options, threads=threads,
                                        python=peer_python)["tokens_per_second"])

        speeds = alternate({
            **{f"vecformer, {_threads(n)}, {_beside(busy)}": lambda busy=busy, n=n: ours(busy, n)  # type: ignore[misc]
               for busy in N_BUSY for n in (threads, 1)},
            **{f"Trainer, {_threads(threads)}, {_beside(busy)}": lambda busy=busy: peer(busy)  # type: ignore[misc]
               for busy in N_BUSY}}, runs)
    found = [spread(f"{name}, tokens/s", values) for name, values in speeds.items()]
    for who, least in (("vecformer", LEAST), ("Trainer", {})):
        idle = speeds[f"{who}, {_threads(threads)}, {_beside(0)}"]
        found += [ratio(f"{who}, {_beside(busy)}, share of the idle speed",
                        speeds[f"{who}, {_threads(threads)}, {_beside(busy)}"], idle,
                        **({"at_least": least[busy]} if busy in least else {})) for busy in N_BUSY[1:]]
    found += [ratio(f"vecformer, {_beside(busy)}, {_threads(threads)} compared with one",
                    speeds[f"vecformer, {_threads(threads)}, {_beside(busy)}"],
                    speeds[f"vecformer, {_threads(1)}, {_beside(busy)}"], at_least=1.0) for busy in N_BUSY]
    return found


def _threads(n: int) -> str:
    return f"{n} thread{'s' * (n > 1)}"


def _beside(n_busy: int) -> str:
    return f"{n_busy} busy process{'es' * (n_busy != 1)}"


if __name__ == "__main__":
    print_figures(measure, __doc__, first=FIRST)
