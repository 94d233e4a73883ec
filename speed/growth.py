"""How the cost of training grows: time and memory against documents, their length, the vocabulary and the width.

usage: python speed/growth.py DATA [--runs N] [--threads N] [--scale S]

DATA is a training file, whose texts are joined and cut to the lengths wanted. One thing at a time grows sixteenfold, in
five points, each an epoch in a process of its own. Time is that of the training call, memory the most that the process
took beyond what it had after training a tiny model; both are the least of the runs. An exponent is the slope of a line
through the logarithms, by least squares: twice as much costs 2 to that power.
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
from measuring import Figure, assigned, in_process, shown
from training import OWN_BATCHES

N_HEADS = 4
STEPS = (1, 2, 4, 8, 16)
MEASURED = {"time": "seconds", "memory": "memory_mb"}
UNITS = {"time": "s", "memory": "MB"}


@dataclass(frozen=True)
class Growth:
    """A thing that grows while all else stays.

    Attributes:
        least: its first size; the last is sixteen times as much.
        expected: for time and for memory the exponent, or the two that it lies between.
        why: for both.
    """

    least: int
    expected: tuple[str, str]
    why: tuple[str, str]


GROWTHS = {
    "documents": Growth(200, ("1", "0 to 1"), (
        "Each document is trained on once.",
        "Texts and their numbers grow with the documents, the table with the words in them; a step's memory stays.")),
    "length": Growth(64, ("1 to 2", "0 to 1"), (
        "Layers cost a word as much in a long text as in a short one, attention as much as the text is long.",
        "Batches have a budget of tokens, so that only the texts grow, and attention's scores of a word.")),
    "vocabulary": Growth(25_000, ("0", "1"), (
        "A step visits the rows of its words and no others.",
        "Each word has a row of the table, of its average and of its moments; a step's memory stays beside them.")),
    "width": Growth(64, ("1 to 2", "1 to 2"), (
        "Products of weights grow with the square of the width, all else and what a step costs anyway more slowly.",
        "Activations and the table grow with the width, the layers' weights with its square.")),
}
BASE = {"documents": 256, "length": 128, "vocabulary": 0, "width": 128}


def measure(data: Path, *, runs: int = 2, threads: int = 2, scale: float = 1.0) -> list[Figure]:
    """Measure every point.

    Args:
        data: a training file.
        runs: of each point.
        threads: of each.
        scale: of all sizes that grow and of the documents; 1 for the figures that count.

    Returns:
        Two figures for each thing that grows: ``figure`` (its name), ``measure`` (``time``, ``memory``), ``unit``,
        ``sizes``, ``values``, ``exponent``, ``expected`` and ``why``.
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
            print(f"  {name} {size:,}  {shown(found['seconds'])} s  {shown(found['memory_mb'])} MB", flush=True)
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
                f"data.max_length={2 * length}")  # nothing is cut: punctuation makes words more
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        file = write_documents(data, Path(folder) / "texts.jsonl", number=documents, length=length)
        return in_process("train_ours.py", file, *assigned(*settings), *OWN_BATCHES, "--more-words", vocabulary,
                          "--warm", threads=threads)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of the logarithms of values over those of sizes, by least squares."""
    slope: float = linear_regression([math.log(size) for size in sizes], [math.log(value) for value in values]).slope
    return slope


def main() -> None:
    """Print a JSON line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a training file, such as DATASETS/masakhanews_yor/train.tsv")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0, help="of all sizes; smaller ones to try it out")
    given = parser.parse_args()
    for figure in measure(given.data, runs=given.runs, threads=given.threads, scale=given.scale):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
