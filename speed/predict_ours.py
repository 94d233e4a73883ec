"""One prediction of ours, timed in this process: a trained run on the texts of one file.

usage: python speed/predict_ours.py RUN FILE [--precision int8] [--compare] [--threads N]

FILE holds texts and labels as JSON lines. The run answers one text beforehand. Prints one line of JSON: seconds of the
call to `TrainedRun.predict`, tokenising included, and documents a second. With --compare the run answers once more in
float32, untimed, and the line also has the share of equal labels and the largest difference of a probability.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from measuring import read_texts

from pipeline import load_run


def predict(run: Path, file: Path, precision: str = "auto", *, compare: bool = False) -> dict[str, float]:
    """Predict once for all texts, and measure it.

    Returns:
        ``seconds``, ``documents``, ``documents_per_second``; compared with float32 also ``same`` and ``difference``.
    """
    trained, texts = load_run(run, precision=precision), [text for text, _ in read_texts(file)]
    trained.predict(texts[:1])
    start = time.perf_counter()
    answers = trained.predict(texts)
    seconds = time.perf_counter() - start
    found = {"seconds": seconds, "documents": len(answers), "documents_per_second": len(answers) / seconds}
    if compare:
        pairs = list(zip(answers, load_run(run).predict(texts), strict=True))
        found["same"] = sum(one["label"] == other["label"] for one, other in pairs) / len(pairs)
        found["difference"] = max(abs(p - other["probabilities"][label]) for one, other in pairs
                                  for label, p in one["probabilities"].items())
    return found


def main() -> None:
    """Print a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(json.dumps(predict(given.run, given.file, given.precision, compare=given.compare)))


if __name__ == "__main__":
    main()
