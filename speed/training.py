"""Training speed beside Hugging Face's Trainer: the same model, the same texts, the whole training call on both sides.

usage: python speed/training.py DATASETS --peer-python PYTHON [--runs N] [--threads N] [--limit N]

One epoch on `masakhanews_yor` and on the first 4,000 of `ag_news`, cut at 256 words, embeddings trained, dropout 0.1,
no dev set. The peer's model is a BERT with random weights. Ours is that model too (`model.like=bert`), whose label is
read from a text's first word, once on batches as the peer has them, 16 texts in random order, and once on batches of
our own. Beside it stands our usual form (mean and maximum of all words), which needs every word of the last layer. The
peer trains in float32 and, where the processor multiplies it, in bfloat16, of which the quicker one counts. A figure is
real tokens a second, of the tokens of either side, which cut a text into words alike: neither padding counts nor what
ours puts around a text for BERT's form.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import measuring
from measuring import BERT, Figure, alternate, assigned, in_process, ratio, read_texts, spread, write_texts

FIRST = 4_000
SAME_BATCHES = (*assigned("training.batch_size=16"), "--any-order")
OWN_BATCHES = assigned("training.batch_tokens=8192")


@dataclass(frozen=True)
class Case:
    """A data set, a shape, and the least ratios to the peer that ours is held to: on its batches, and on our own."""

    data: str
    d_model: int = 128
    n_layers: int = 2
    d_ff: int = 256
    same: float | None = 4.0
    own: float | None = 5.0

    @property
    def name(self) -> str:
        """Such as ``ag_news, 2 x 128``: layers and width."""
        return f"{self.data}, {self.n_layers} x {self.d_model}"


CASES = (Case("masakhanews_yor"), Case("ag_news"), Case("masakhanews_yor", 256, 4, 512, same=3.5, own=None))


def measure(
    datasets: Path, *, peer_python: str, runs: int = 3, threads: int = 2, first: int = FIRST,
    cases: Sequence[Case] = CASES,
) -> list[Figure]:
    """Measure each case, ours and the peer in turn, each training in a process of its own.

    Args:
        datasets: the folder of the data sets.
        peer_python: of the environment that has the peer.
        runs: of each.
        threads: of each.
        first: texts of a data set.
        cases: what to measure.
    """
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="vecformer-") as folder:
        for case in cases:
            print(case.name, flush=True)
            texts = read_texts(datasets / case.data / "train.tsv")[:first]
            found += _measured(case, write_texts(Path(folder) / "texts.jsonl", texts), peer_python, runs, threads)
    return found


def _measured(case: Case, texts: Path, peer_python: str, runs: int, threads: int) -> list[Figure]:
    shape = assigned(f"source=random,dim={case.d_model}", f"model.d_model={case.d_model}",
                     f"model.n_layers={case.n_layers}", f"model.d_ff={case.d_ff}")

    def ours(settings: Sequence[str]) -> float:
        return float(in_process("train_ours.py", texts, *shape, *settings, threads=threads)["tokens_per_second"])

    def peer(*options: str) -> float:
        given = ["--d-model", case.d_model, "--n-layers", case.n_layers, "--d-ff", case.d_ff, *options]
        return float(in_process("peers/hf_trainer.py", texts, *given, threads=threads,
                                python=peer_python)["tokens_per_second"])

    speeds = alternate({
        "ours, the peer's batches": lambda: ours((*assigned(*BERT), *SAME_BATCHES)),
        "ours, own batches": lambda: ours((*assigned(*BERT), *OWN_BATCHES)),
        "our usual form, own batches": lambda: ours(OWN_BATCHES),
        "Trainer, float32": peer,
        **({"Trainer, bfloat16": lambda: peer("--bfloat16")} if measuring.precision() == "bfloat16" else {}),
    }, runs)
    same, own, usual, *theirs = speeds.values()
    best = max(theirs, key=median)
    return [
        *(spread(f"{case.name}: {name}, tokens/s", values) for name, values in speeds.items()),
        ratio(f"{case.name}: times the Trainer's, its batches", same, best, **_held_to(case.same)),
        ratio(f"{case.name}: times the Trainer's, own batches", own, best, **_held_to(case.own)),
        ratio(f"{case.name}: times the Trainer's, our usual form", usual, best),
    ]


def _held_to(least: float | None) -> dict[str, float]:
    return {} if least is None else {"at_least": least}


def main() -> None:
    """Print a JSON line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--peer-python", required=True, help="of the environment that has peers/requirements.txt")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=FIRST, help="texts of a data set")
    given = parser.parse_args()
    for figure in measure(given.datasets, peer_python=given.peer_python, runs=given.runs, threads=given.threads,
                          first=given.limit):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
