"""How near training comes to the machine's own peak: a Transformer of width 512 and 6 layers, on texts of 256 words.

usage: python speed/share_of_peak.py DATA [--runs N] [--threads N] [--documents N] [--precision P]

DATA is a training file; its texts are joined and cut to 256 words. The share is that of the training's matrix products
(three times those of the forward pass) a second of the whole training call, in the best of several matrix products of
the same precision, measured in the same process: bfloat16 where the processor multiplies it, else float32.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import measuring
from documents import write_documents
from measuring import Figure, assigned, in_process, shown, spread
from training import OWN_BATCHES

SHAPE = ("source=random,dim=512", "model.d_model=512", "model.n_layers=6", "model.n_heads=8", "model.d_ff=2048")
LENGTH, DOCUMENTS = 256, 128
A_BILLION = 1e9
AT_LEAST = 0.35


def measure(
    data: Path, *, runs: int = 3, threads: int = 2, documents: int = DOCUMENTS, length: int = LENGTH,
    precision: str | None = None,
) -> list[Figure]:
    """Measure trainings of one epoch, each in a process of its own.

    Args:
        data: a training file.
        runs: how many.
        threads: of each.
        documents: to train on.
        length: of a document.
        precision: of training and of the peak; by default what the processor is fastest in.
    """
    precision = precision or measuring.precision()
    settings = [*assigned(*SHAPE, f"training.precision={precision}"), *OWN_BATCHES]
    found = []
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        file = write_documents(data, Path(folder) / "texts.jsonl", number=documents, length=length)
        for run in range(1, runs + 1):
            found.append(in_process("train_ours.py", file, *settings, "--peak", threads=threads))
            print(f"  run {run}  share of the peak  {shown(found[-1]['share_of_peak'])}", flush=True)
    return [
        spread(f"training in {precision}, GFLOP/s", [one["operations_per_second"] / A_BILLION for one in found]),
        spread(f"best matrix product in {precision}, GFLOP/s", [one["peak"] / A_BILLION for one in found]),
        spread("share of the peak", [one["share_of_peak"] for one in found], at_least=AT_LEAST),
    ]


def main() -> None:
    """Print a JSON line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a training file, such as DATASETS/masakhanews_yor/train.tsv")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    parser.add_argument("--precision", help="of both; by default bfloat16 where the processor multiplies it")
    given = parser.parse_args()
    for figure in measure(given.data, runs=given.runs, threads=given.threads, documents=given.documents,
                          precision=given.precision):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
