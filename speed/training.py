"""Training speed compared with Hugging Face's Trainer: same architecture, same texts, whole training call.

usage: python speed/training.py DATASETS --peer-python PYTHON [--runs N] [--threads N] [--limit N]

One epoch on `masakhanews_yor` and on the first 4,000 texts of `ag_news`, truncated to 256 tokens, with trained
embeddings, dropout 0.1 and no dev set. Both sides train a BERT with random weights (`model.like=bert`, classification
from the first token); vecformer once with the peer's batches (16 texts in random order) and once with its own.
vecformer's default model (mean and max pooling, which needs all outputs of the last layer) is measured with both as
well, and with the peer's batches also with the convolutions that the default recipe adds for short texts. The peer
trains in float32 and, if the processor supports it, in bfloat16; the faster one is the reference. Both sides split
texts into the same tokens; padding and special tokens are not counted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import measuring
from measuring import (
    BERT,
    Figure,
    alternate,
    assigned,
    in_process,
    print_figures,
    ratio,
    read_texts,
    spread,
    write_texts,
)

FIRST = 4_000
PEER_BATCHES = (*assigned("training.batch_size=16"), "--any-order")
OWN_BATCHES = assigned("training.batch_tokens=8192")
CONVOLUTIONS = assigned("model.convolutions=[3,5]")


@dataclass(frozen=True)
class Case:
    """A data set, a model size, and the required speed-ups.

    Attributes:
        same: of BERT with the peer's batches.
        own: of BERT with vecformer's own batches.
        default: of the default model with the peer's batches.
        convolutions: of the default model with convolutions and the peer's batches.
    """

    data: str
    d_model: int = 128
    n_layers: int = 2
    d_ff: int = 256
    n_heads: int = 4
    same: float | None = 4.0
    own: float | None = 5.0
    default: float | None = 8.0
    convolutions: float | None = 4.0

    @property
    def name(self) -> str:
        """Name such as ``ag_news, 2 x 128`` (layers x width)."""
        return f"{self.data}, {self.n_layers} x {self.d_model}"


LARGER = {"own": None, "default": None, "convolutions": None}
MINILM = Case("ag_news", 384, 6, 1536, 12, same=2.0, **LARGER)  # the shape of all-MiniLM-L6-v2
CASES = (Case("masakhanews_yor"), Case("ag_news"), Case("masakhanews_yor", 256, 4, 512, same=3.5, **LARGER), MINILM)


def measure(
    datasets: Path, *, peer_python: str, runs: int = 3, threads: int = 2, first: int = FIRST,
    cases: Sequence[Case] = CASES,
) -> list[Figure]:
    """Measure vecformer and the peer alternately, each training in a separate process.

    Args:
        datasets: folder of the data sets.
        peer_python: Python of the environment with the peer.
        runs: number of runs of each training.
        threads: number of threads.
        first: maximum number of texts of a data set.
        cases: data sets and model sizes.
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
                     f"model.n_layers={case.n_layers}", f"model.d_ff={case.d_ff}",
                     f"model.n_heads={case.n_heads}")

    def ours(settings: Sequence[str]) -> float:
        return float(in_process("train_ours.py", texts, *shape, *settings, threads=threads)["tokens_per_second"])

    def peer(*options: str) -> float:
        given = ["--d-model", case.d_model, "--n-layers", case.n_layers, "--d-ff", case.d_ff,
                 "--n-heads", case.n_heads, *options]
        return float(in_process("peers/hf_trainer.py", texts, *given, threads=threads,
                                python=peer_python)["tokens_per_second"])

    speeds = alternate({
        "vecformer, BERT, Trainer's batches": lambda: ours((*assigned(*BERT), *PEER_BATCHES)),
        "vecformer, BERT, own batches": lambda: ours((*assigned(*BERT), *OWN_BATCHES)),
        "vecformer, default model, own batches": lambda: ours(OWN_BATCHES),
        "vecformer, default model, Trainer's batches": lambda: ours(PEER_BATCHES),
        "vecformer, convolutions, Trainer's batches": lambda: ours((*CONVOLUTIONS, *PEER_BATCHES)),
        "Trainer, float32": peer,
        **({"Trainer, bfloat16": lambda: peer("--bfloat16")} if measuring.precision() == "bfloat16" else {}),
    }, runs)
    same, own, default_own, default, convolutions, *theirs = speeds.values()
    best = max(theirs, key=median)
    return [
        *(spread(f"{case.name}: {name}, tokens/s", values) for name, values in speeds.items()),
        ratio(f"{case.name}: BERT, Trainer's batches, speed-up over Trainer", same, best, **_threshold(case.same)),
        ratio(f"{case.name}: BERT, own batches, speed-up over Trainer", own, best, **_threshold(case.own)),
        ratio(f"{case.name}: default model, own batches, speed-up over Trainer", default_own, best),
        ratio(f"{case.name}: default model, Trainer's batches, speed-up over Trainer", default, best,
              **_threshold(case.default)),
        ratio(f"{case.name}: convolutions, Trainer's batches, speed-up over Trainer", convolutions, best,
              **_threshold(case.convolutions)),
    ]


def _threshold(least: float | None) -> dict[str, float]:
    return {} if least is None else {"at_least": least}


if __name__ == "__main__":
    print_figures(measure, __doc__, first=FIRST)
