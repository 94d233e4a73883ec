"""Prediction speed beside Hugging Face's text-classification pipeline of a BERT of the same shape, on the CPU.

usage: python speed/prediction.py --peer-python PYTHON [--runs N] [--threads N] [--data FILE] [--limit N]

Both answer every article of BBC News (repeats left out), cut at 256 tokens, tokenising counted; width 128, 2 layers, 4
heads, feed-forward 256. Ours is a run that was trained beforehand from the installed GloVe, so that it looks up words
that it has not met: a BERT as the peer's (`model.like=bert`), and beside it one of our usual form, whose label is read
from all words. It is held to its line in int8, and what that does to its answers is measured too; `auto` is bfloat16
where the processor has it, else float32. Of the peer's batch sizes and precisions the quickest is found in a first
round, which does not count; then all run in turn.
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
from measuring import BERT, Figure, alternate, assigned, in_process, ratio, read_texts, shown, spread, write_texts

BATCH_SIZES = (1, 8, 16, 32, 64)
PRECISIONS = ((), ("--bfloat16",))
SHAPE = ("model.d_model=128", "model.n_layers=2", "model.n_heads=4", "model.d_ff=256", "data.max_length=256")
FORMS = {"bert": BERT, "usual": ()}
EPOCHS = 3
AT_LEAST = 5.0


def measure(
    *, peer_python: str, runs: int = 3, threads: int = 2, data: Path | None = None, first: int | None = None
) -> list[Figure]:
    """Measure both in turn, each prediction in a process of its own.

    Args:
        peer_python: of the environment that has the peer.
        runs: of each.
        threads: of each.
        data: texts to train on and to predict for, instead of BBC News.
        first: of the texts that many only.
    """
    from pipeline.data.readers.bbc import read_bbc

    texts = read_texts(data) if data else [(text, label) for text, label, _ in read_bbc()]
    random.Random(0).shuffle(texts)  # they come label by label
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        file = write_texts(Path(folder) / "texts.jsonl", texts[:first])
        for name, form in FORMS.items():
            subprocess.run([*VECFORMER, "run", "--data", file, "--source", "glove", "--epochs", str(EPOCHS),
                            *assigned(*SHAPE, *form), "--out", Path(folder) / name, "-q"], check=True,
                           stdout=subprocess.DEVNULL)

        def peer(*options: str) -> float:
            return float(in_process("peers/hf_pipeline.py", file, *options, threads=threads,
                                    python=peer_python)["documents_per_second"])

        def ours(precision: str, *options: str, form: str = "bert") -> dict[str, float]:
            return in_process("predict_ours.py", Path(folder) / form, file, "--precision", precision, *options,
                              threads=threads)

        best = _best_options(peer)
        compared = ours("int8", "--compare")
        speeds = alternate({
            "ours, int8": lambda: ours("int8")["documents_per_second"],
            "ours, auto": lambda: ours("auto")["documents_per_second"],
            "our usual form, int8": lambda: ours("int8", form="usual")["documents_per_second"],
            "pipeline": lambda: peer(*best),
        }, runs)
    quick, default, usual, theirs = speeds.values()
    return [
        spread("ours, int8, documents/s", quick), spread("ours, auto, documents/s", default),
        spread("our usual form, int8, documents/s", usual),
        spread(f"pipeline, {' '.join(best)}, documents/s", theirs),
        ratio("int8: times the pipeline's", quick, theirs, at_least=AT_LEAST),
        ratio("auto: times the pipeline's", default, theirs),
        ratio("our usual form, int8: times the pipeline's", usual, theirs),
        spread("int8: labels unlike float32's, of 1,000", [1000 * (1 - compared["same"])]),
        spread("int8: largest difference of a probability", [compared["difference"]]),
    ]


def _best_options(peer: Callable[..., float]) -> tuple[str, ...]:
    """The batch size and the precision that the peer is quickest with.

    A precision that is less than half as fast as the other with one text at a time is left at that.
    """
    speeds: dict[tuple[str, ...], float] = {}
    for size, precision in product(BATCH_SIZES, PRECISIONS):
        alone = {other: speeds.get(("--batch-size", str(BATCH_SIZES[0]), *other), 0.0) for other in PRECISIONS}
        if size != BATCH_SIZES[0] and 2 * alone[precision] < max(alone.values()):
            continue
        options = ("--batch-size", str(size), *precision)
        speeds[options] = peer(*options)
        print(f"  pipeline {' '.join(options)}  {shown(speeds[options])}", flush=True)
    return max(speeds, key=speeds.__getitem__)


def main() -> None:
    """Print a JSON line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="of the environment that has peers/requirements.txt")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, help="texts and labels in one file, instead of BBC News")
    parser.add_argument("--limit", type=int, help="the first so many texts only")
    given = parser.parse_args()
    for figure in measure(peer_python=given.peer_python, runs=given.runs, threads=given.threads, data=given.data,
                          first=given.limit):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
