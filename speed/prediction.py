"""Prediction speed compared with Hugging Face's text-classification pipeline, with a BERT of the same size on the CPU.

usage: python speed/prediction.py --peer-python PYTHON [--runs N] [--threads N] [--data FILE] [--limit N]

Both sides predict all articles of BBC News (without duplicates), truncated to 256 tokens, tokenization included; width
128, 2 layers, 4 heads, feed-forward width 256. vecformer uses runs trained from the installed GloVe, which look up
unseen words: a BERT (`model.like=bert`) and vecformer's default model, which pools all tokens. The threshold applies
to int8, whose effect on the predictions is measured as well; `auto` is bfloat16 if the processor supports it, else
float32. The peer's fastest batch size and precision are determined in a preliminary round; then all candidates run
alternately.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

from cold_start import VECFORMER
from measuring import BERT, Figure, alternate, assigned, formatted, in_process, ratio, read_texts, spread, write_texts

BATCH_SIZES = (1, 8, 16, 32, 64)
PRECISIONS = ((), ("--bfloat16",))
SIZE = ("model.d_model=128", "model.n_layers=2", "model.n_heads=4", "model.d_ff=256", "data.max_length=256")
MODELS = {"bert": BERT, "default": ()}
EPOCHS = 3
AT_LEAST = 5.0


def measure(
    *, peer_python: str, runs: int = 3, threads: int = 2, data: Path | None = None, first: int | None = None
) -> list[Figure]:
    """Measure vecformer and the peer alternately, each prediction in a separate process.

    Args:
        peer_python: Python of the environment with the peer.
        runs: number of runs of each prediction.
        threads: number of threads.
        data: labelled texts to train on and to predict, instead of BBC News.
        first: maximum number of texts.
    """
    from pipeline.data.readers.bbc import read_bbc

    texts = read_texts(data) if data else [(text, label) for text, label, _ in read_bbc()]
    random.Random(0).shuffle(texts)  # sorted by label
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        file = write_texts(Path(folder) / "texts.jsonl", texts[:first])
        for name, settings in MODELS.items():
            subprocess.run([*VECFORMER, "run", "--data", file, "--recipe", "plain", "--source", "glove",
                            "--epochs", str(EPOCHS),
                            *assigned(*SIZE, *settings), "--out", Path(folder) / name, "-q"], check=True,
                           stdout=subprocess.DEVNULL)

        def peer(*options: str) -> float:
            return float(in_process("peers/hf_pipeline.py", file, *options, threads=threads,
                                    python=peer_python)["documents_per_second"])

        def ours(precision: str, *options: str, model: str = "bert") -> dict[str, float]:
            return in_process("predict_ours.py", Path(folder) / model, file, "--precision", precision, *options,
                              threads=threads)

        best = best_options(peer)
        compared = ours("int8", "--compare")
        speeds = alternate({
            "vecformer, BERT, int8": lambda: ours("int8")["documents_per_second"],
            "vecformer, BERT, auto": lambda: ours("auto")["documents_per_second"],
            "vecformer, default model, int8": lambda: ours("int8", model="default")["documents_per_second"],
            "pipeline": lambda: peer(*best),
        }, runs)
    int8, auto, default, theirs = speeds.values()
    return [
        spread("vecformer, BERT, int8, documents/s", int8), spread("vecformer, BERT, auto, documents/s", auto),
        spread("vecformer, default model, int8, documents/s", default),
        spread(f"pipeline, {' '.join(best)}, documents/s", theirs),
        ratio("BERT, int8: speed-up over pipeline", int8, theirs, at_least=AT_LEAST),
        ratio("BERT, auto: speed-up over pipeline", auto, theirs),
        ratio("default model, int8: speed-up over pipeline", default, theirs),
        spread("int8: labels that differ from float32, per 1,000", [1000 * (1 - compared["same"])]),
        spread("int8: maximum difference of a probability", [compared["difference"]]),
    ]


def best_options(peer: Callable[..., float]) -> tuple[str, ...]:
    """Determine the peer's fastest batch size and precision.

    A precision that is less than half as fast as the other with batch size 1 is not measured further.
    """
    speeds: dict[tuple[str, ...], float] = {}
    for size, precision in product(BATCH_SIZES, PRECISIONS):
        single = {other: speeds.get(("--batch-size", str(BATCH_SIZES[0]), *other), 0.0) for other in PRECISIONS}
        if size != BATCH_SIZES[0] and 2 * single[precision] < max(single.values()):
            continue
        options = ("--batch-size", str(size), *precision)
        speeds[options] = peer(*options)
        print(f"  pipeline {' '.join(options)}  {formatted(speeds[options])}", flush=True)
    return max(speeds, key=speeds.__getitem__)


def main() -> None:
    """Print one JSON line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="Python of the environment with peers/requirements.txt")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, help="labelled file to use instead of BBC News")
    parser.add_argument("--limit", type=int, help="maximum number of texts")
    given = parser.parse_args()
    for figure in measure(peer_python=given.peer_python, runs=given.runs, threads=given.threads, data=given.data,
                          first=given.limit):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
