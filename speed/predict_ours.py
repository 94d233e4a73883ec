"""Time one prediction by vecformer in this process: a trained run on the texts of a file.

usage: python speed/predict_ours.py RUN FILE [--precision int8] [--compare] [--labels FILE] [--threads N]

FILE contains texts and labels as JSON Lines. One text is predicted beforehand as a warm-up. Prints one line of JSON
with the seconds of `TrainedRun.predict`, tokenization included, and documents per second. With --compare it also
contains the share of labels equal to those of float32 and the maximum difference of a probability. `--labels` is a file
to write with the number of the label of each text.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from measuring import read_texts

from pipeline import load_run


def predict(
    run: Path, file: Path, precision: str = "auto", *, compare: bool = False, labels: Path | None = None
) -> dict[str, float]:
    """Predict all texts once and measure the time.

    Returns:
        ``seconds``, ``documents``, ``documents_per_second``; with ``compare`` also ``same`` and ``difference``.
    """
    trained, texts = load_run(run, precision=precision), [text for text, _ in read_texts(file)]
    trained.predict(texts[:1])
    start = time.perf_counter()
    answers = trained.predict(texts)
    seconds = time.perf_counter() - start
    found = {"seconds": seconds, "documents": len(answers), "documents_per_second": len(answers) / seconds}
    if labels:
        number = {label: i for i, label in enumerate(trained.setup.resolved.labels)}
        labels.write_text(json.dumps([number[answer["label"]] for answer in answers]), encoding="utf-8")
    if compare:
        pairs = list(zip(answers, load_run(run).predict(texts), strict=True))
        found["same"] = sum(one["label"] == other["label"] for one, other in pairs) / len(pairs)
        found["difference"] = max(abs(p - other["probabilities"][label]) for one, other in pairs
                                  for label, p in one["probabilities"].items())
    return found


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--labels", type=Path, help="file to write")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(json.dumps(predict(given.run, given.file, given.precision, compare=given.compare,
                             labels=given.labels)))


if __name__ == "__main__":
    main()
