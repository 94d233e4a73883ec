"""Growth of training time and memory with the number of documents, their length, the vocabulary and the width.

usage: python speed/growth.py DATA [--runs N] [--threads N] [--scale S]

DATA is a training file, whose texts are joined and truncated to the required lengths. One variable at a time grows
sixteenfold in five points, each one epoch in a separate process. Time is that of the training call; memory is the peak
of the process above its memory after training a tiny model. Both are minima over runs. An exponent is the slope of a
least-squares line through the logarithms: doubling the size multiplies the cost by 2 to that power.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression

from documents import write_documents
from measuring import Figure, assigned, formatted, in_process
from training import OWN_BATCHES

N_HEADS = 4
STEPS = (1, 2, 4, 8, 16)
MEASURED = {"time": "seconds", "memory": "memory_mb"}
UNITS = {"time": "s", "memory": "MiB"}


@dataclass(frozen=True)
class Growth:
    """A variable that grows while the others are constant.

    Attributes:
        least: smallest size; the largest is sixteen times as large.
        expected: expected exponents of time and of memory, or ranges.
        why: reasons for both.
    """

    least: int
    expected: tuple[str, str]
    why: tuple[str, str]


GROWTHS = {
    "documents": Growth(200, ("1", "0 to 1"), (
        "Each document is trained on once.",
        "Texts and ids grow with the documents, the table with the vocabulary; the memory of a step is constant.")),
    "length": Growth(64, ("1 to 2", "0 to 1"), (
        "Per token, the cost of linear layers is constant, that of attention proportional to the length.",
        "The number of tokens per batch is fixed; only the texts and the attention scores per token grow.")),
    "vocabulary": Growth(25_000, ("0", "1"), (
        "A step updates only the rows of the words in its batch.",
        "Each word has a row in the table, its moving average and its moments; the memory of a step is constant.")),
    "width": Growth(64, ("1 to 2", "1 to 2"), (
        "Matrix products grow with the square of the width, other operations more slowly.",
        "Activations and the table grow with the width, the weights of the layers with its square.")),
}
BASE = {"documents": 256, "length": 128, "vocabulary": 0, "width": 128}


def measure(data: Path, *, runs: int = 2, threads: int = 2, scale: float = 1.0) -> list[Figure]:
    """Measure all points.

    Args:
        data: a training file.
        runs: number of runs of each point.
        threads: number of threads.
        scale: factor of all growing sizes and of the number of documents; 1 for the published figures.

    Returns:
        Two figures for each variable: ``figure`` (its name), ``measure`` (``time`` or ``memory``), ``unit``, ``sizes``,
        ``values``, ``exponent``, ``expected`` and ``why``.
    """
    return [figure for name, growth in GROWTHS.items()
            for figure in _measured(name, growth, data, runs, threads, scale)]


def _measured(name: str, growth: Growth, data: Path, runs: int, threads: int, scale: float) -> list[Figure]:
    base = {**BASE, "documents": max(16, round(BASE["documents"] * scale))}
    sizes = [max(1, round(growth.least * scale / N_HEADS)) * N_HEADS * step for step in STEPS]
    points: list[dict[str, float]] = [{} for _ in sizes]
    for _ in range(runs):
        for size, point in zip(sizes, points, strict=True):
            found = _point(data, threads, **{**base, name: size})
            for measure, key in MEASURED.items():
                point[measure] = min(found[key], point.get(measure, math.inf))
            print(f"  {name} {size:,}  {formatted(found['seconds'])} s  {formatted(found['memory_mb'])} MiB",
                  flush=True)
    made = []
    for i, measure in enumerate(MEASURED):
        values = [point[measure] for point in points]
        made.append({"figure": name, "measure": measure, "unit": UNITS[measure], "sizes": sizes, "values": values,
                     "exponent": exponent(sizes, values), "expected": growth.expected[i], "why": growth.why[i]})
    return made


def _point(
    data: Path, threads: int, *, documents: int, length: int, vocabulary: int, width: int
) -> dict[str, float]:
    settings = (f"source=random,dim={width}", f"model.d_model={width}", f"model.d_ff={2 * width}",
                f"model.n_heads={N_HEADS}",
                f"data.max_length={2 * length}")  # no truncation: punctuation adds tokens
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        file = write_documents(data, Path(folder) / "texts.jsonl", number=documents, length=length)
        return in_process("train_ours.py", file, *assigned(*settings), *OWN_BATCHES, "--more-words", vocabulary,
                          "--warm", threads=threads)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the least-squares slope of log(values) over log(sizes)."""
    slope: float = linear_regression([math.log(size) for size in sizes], [math.log(value) for value in values]).slope
    return slope


def main() -> None:
    """Print one JSON line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a training file, such as DATASETS/masakhanews_yor/train.tsv")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0, help="factor of all sizes, for a quick trial (default: 1)")
    given = parser.parse_args()
    for figure in measure(given.data, runs=given.runs, threads=given.threads, scale=given.scale):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
