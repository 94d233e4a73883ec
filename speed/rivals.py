"""Prediction speed compared with ONNX Runtime and OpenVINO, in float32, bfloat16 and int8, with the same BERT.

usage: python speed/rivals.py --peer-python PYTHON [--runs N] [--threads N] [--limit N]

The model is a BERT of width 128 with 2 layers, trained on the articles of BBC News (without duplicates) and exported to
`transformers`, from which the peers convert it (`peers/runtimes.py`). All sides predict these articles, truncated to
256 tokens, tokenization included. Each runtime is measured in each precision, with its fastest batch size, which is
determined in a preliminary round; then all candidates run alternately. The threshold compares int8 with the fastest of
the peers' candidates. Labels are compared with those of vecformer in float32.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from measuring import (
    BERT,
    VECFORMER,
    Figure,
    alternate,
    assigned,
    formatted,
    in_process,
    kind,
    ratio,
    spread,
    write_texts,
)
from prediction import SIZE

RUNTIMES = {"onnxruntime": ("float32", "int8"), "openvino": ("float32", "bfloat16", "int8")}
BATCH_SIZES = (1, 8, 32)
EPOCHS = 3
AT_LEAST = {"avx512_bf16": 3.0, "amx_bf16": 3.0}  # by the processor's fastest instructions
AT_LEAST_OTHERWISE = 2.0


class Candidate(NamedTuple):
    """A peer's runtime in a precision."""

    runtime: str
    precision: str

    @property
    def name(self) -> str:
        """Name such as ``openvino, int8``."""
        return ", ".join(self)


CANDIDATES = tuple(Candidate(runtime, precision) for runtime, precisions in RUNTIMES.items()
                   for precision in precisions)


def measure(
    *, peer_python: str, runs: int = 3, threads: int = 2, first: int | None = None,
    texts: Sequence[tuple[str, str]] | None = None,
) -> list[Figure]:
    """Measure vecformer and the peers alternately, each prediction in a separate process.

    Args:
        peer_python: Python of the environment with the peers.
        runs: number of runs of each prediction.
        threads: number of threads.
        first: maximum number of texts.
        texts: texts and labels, instead of BBC News.
    """
    with tempfile.TemporaryDirectory(prefix="vecformer-") as scratch:
        folder = Path(scratch)
        file = write_texts(folder / "texts.jsonl", (texts or _bbc())[:first])
        subprocess.run([*VECFORMER, "run", "--data", file, "--recipe", "plain", "--source", "glove", "--baselines",
                        "none", "--epochs", str(EPOCHS), *assigned(*SIZE, *BERT), "--out", folder / "run", "-q"],
                       check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*VECFORMER, "export", folder / "run", "--to", "hf", "--out", folder / "exported"], check=True,
                       stdout=subprocess.DEVNULL)

        def peer(candidate: Candidate, size: int, *options: object) -> float:
            work = folder / candidate.runtime
            work.mkdir(exist_ok=True)
            return float(in_process("peers/runtimes.py", file, "--model", folder / "exported", "--work", work,
                                    "--runtime", candidate.runtime, "--precision", candidate.precision,
                                    "--batch-size", size, *options, threads=threads,
                                    python=peer_python)["documents_per_second"])

        def ours(precision: str, *options: object) -> float:
            return float(in_process("predict_ours.py", folder / "run", file, "--precision", precision, *options,
                                    threads=threads)["documents_per_second"])

        sizes, differing = {}, {}
        ours("float32", "--labels", folder / "float32.json")
        for precision in ("auto", "int8"):
            ours(precision, "--labels", folder / "labels.json")
            differing[f"vecformer, {precision}"] = _n_differing(folder)
        for candidate in CANDIDATES:
            peer(candidate, BATCH_SIZES[-1], "--labels", folder / "labels.json")  # converts the model
            differing[candidate.name] = _n_differing(folder)
            speeds = {size: peer(candidate, size) for size in BATCH_SIZES}
            sizes[candidate] = max(speeds, key=speeds.__getitem__)
            print(f"  {candidate.name}  {formatted(speeds[sizes[candidate]])} with batches of {sizes[candidate]}",
                  flush=True)
        found = alternate({
            **{f"vecformer, {precision}": lambda precision=precision: ours(precision)  # type: ignore[misc]
               for precision in ("float32", "auto", "int8")},
            **{one.name: lambda one=one: peer(one, sizes[one]) for one in CANDIDATES},  # type: ignore[misc]
        }, runs)
    return _figures(found, differing)


def _figures(speeds: Mapping[str, Sequence[float]], differing: Mapping[str, int]) -> list[Figure]:
    """Return the speeds, their ratios to the fastest of the peers, and the numbers of labels that differ."""
    fastest = max((one.name for one in CANDIDATES), key=lambda name: statistics.median(speeds[name]))
    threshold = AT_LEAST.get(kind(), AT_LEAST_OTHERWISE)
    mine = [name for name in speeds if name.startswith("vecformer")]
    return [
        *(spread(f"{name}, documents/s", values) for name, values in speeds.items()),
        *(ratio(f"{name.removeprefix('vecformer, ')}: speed-up over {fastest}", speeds[name], speeds[fastest],
                **({"at_least": threshold} if name == "vecformer, int8" else {})) for name in mine),
        *(spread(f"{name}: labels that differ from those of vecformer in float32", [n])
          for name, n in differing.items()),
    ]


def _bbc() -> list[tuple[str, str]]:
    from pipeline.data.readers.bbc import read_bbc

    texts = [(text, label) for text, label, _ in read_bbc()]
    random.Random(0).shuffle(texts)  # sorted by label
    return texts


def _n_differing(folder: Path) -> int:
    """Return the number of texts whose labels differ from those in float32."""
    expected, found = (json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
                       for name in ("float32", "labels"))
    return sum(one != other for one, other in zip(expected, found, strict=True))


def main() -> None:
    """Print one JSON line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", required=True, help="Python of the environment with peers/requirements.txt")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, help="maximum number of texts")
    given = parser.parse_args()
    for figure in measure(peer_python=given.peer_python, runs=given.runs, threads=given.threads, first=given.limit):
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
