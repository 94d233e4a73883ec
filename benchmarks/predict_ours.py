"""One prediction of ours, timed in this process: a trained run on the texts of one file.

usage: python benchmarks/predict_ours.py RUN FILE [--threads N]

FILE holds texts and labels as JSON lines. The run answers one text beforehand. Prints one line of JSON: seconds of the
call to `TrainedRun.predict`, tokenising included, and documents a second; in bfloat16 where the processor has it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from measuring import read_texts

from pipeline import load_run


def predict(run: Path, file: Path) -> dict[str, float]:
    """Predict once for all texts, and measure it: ``seconds``, ``documents``, ``documents_per_second``."""
    trained, texts = load_run(run, precision="auto"), [text for text, _ in read_texts(file)]
    trained.predict(texts[:1])
    start = time.perf_counter()
    answers = trained.predict(texts)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "documents": len(answers), "documents_per_second": len(answers) / seconds}


def main() -> None:
    """Print a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(json.dumps(predict(given.run, given.file)))


if __name__ == "__main__":
    main()
