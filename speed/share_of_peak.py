"""Training speed as a share of the machine's peak: a Transformer of width 512 with 6 layers on texts of 256 words.

usage: python speed/share_of_peak.py DATA [--runs N] [--threads N] [--documents N] [--precision P]

DATA is a training file, whose texts are joined and truncated to 256 words. The numerator is the number of
floating-point operations in matrix products (three times those of the forward pass) per second of the whole training
call; the denominator is the fastest of several matrix products of the same precision, measured in the same process.
The precision is bfloat16 if the processor supports it, else float32.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import measuring
from documents import write_documents
from measuring import Figure, assigned, formatted, in_process, spread
from training import OWN_BATCHES

SIZE = ("source=random,dim=512", "model.d_model=512", "model.n_layers=6", "model.n_heads=8", "model.d_ff=2048")
LENGTH, DOCUMENTS = 256, 128
GIGA = 1e9
AT_LEAST = 0.35


def measure(
    data: Path, *, runs: int = 3, threads: int = 2, documents: int = DOCUMENTS, length: int = LENGTH,
    precision: str | None = None,
) -> list[Figure]:
    """Measure trainings of one epoch, each in a separate process.

    Args:
        data: a training file.
        runs: number of trainings.
        threads: number of threads.
        documents: number of documents.
        length: words per document.
        precision: of training and peak; None for the fastest on this processor.
    """
    precision = precision or measuring.precision()
    settings = [*assigned(*SIZE, f"training.precision={precision}"), *OWN_BATCHES]
    found = []
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        file = write_documents(data, Path(folder) / "texts.jsonl", number=documents, length=length)
        for run in range(1, runs + 1):
            found.append(in_process("train_ours.py", file, *settings, "--peak", threads=threads))
            print(f"  run {run}  share of peak  {formatted(found[-1]['share_of_peak'])}", flush=True)
    return [
        spread(f"training, {precision}, GFLOP/s", [one["operations_per_second"] / GIGA for one in found]),
        spread(f"peak of matrix products, {precision}, GFLOP/s", [one["peak"] / GIGA for one in found]),
        spread("share of peak", [one["share_of_peak"] for one in found], at_least=AT_LEAST),
    ]


def main() -> None:
    """Print one JSON line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a training file, such as DATASETS/masakhanews_yor/train.tsv")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    parser.add_argument("--precision", help="of training and peak (default: bfloat16 if supported, else float32)")
    given = parser.parse_args()
    for figure in measure(given.data, runs=given.runs, threads=given.threads, documents=given.documents,
                          precision=given.precision):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
