"""Measurements in separate processes, alternating between candidates, and figures computed from them.

A figure is a JSON-serialisable dict: ``figure`` (its name), ``median``, ``least``, ``most`` and ``values`` (one per
run), or ``ratio`` with the ``least`` and ``most`` ratio of single runs. ``at_least`` or ``at_most`` is its threshold.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BERT = ("model.like=bert", "model.positions=learned")  # the architecture of the peers' model
VECFORMER = [sys.executable, "-c", "from pipeline.cli.main import main; main()"]
CPUINFO = Path("/proc/cpuinfo")
INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # in ascending order of speed

Figure = dict[str, Any]


def in_process(script: str, *arguments: object, threads: int, python: str = sys.executable) -> dict[str, Any]:
    """Run a script of this folder in a separate process and parse the last line of its output as JSON.

    Raises:
        subprocess.CalledProcessError: if the script fails, after it has printed its message to stderr.
    """
    command = [python, str(HERE / script), *map(str, arguments), "--threads", str(threads)]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, check=True,
                          stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def in_turn(
    trainings: Sequence[Sequence[str]], *, turns: int, steps: int, environment: Mapping[str, str]
) -> list[list[float]]:
    """Alternate between trainings every few steps, so that disturbances of the machine affect all of them equally.

    Each training runs in a separate process (`train_in_turns.py`). The order is reversed in every round.

    Args:
        trainings: configuration keys of each training, as ``key=value``.
        turns: number of turns of each training, after one warm-up turn.
        steps: optimizer steps per turn.
        environment: environment variables of the processes.

    Returns:
        For each training, the seconds per step in each turn.

    Raises:
        subprocess.CalledProcessError: if a training fails, after it has printed its message to stderr.
    """
    script = [sys.executable, str(HERE / "train_in_turns.py"), str(steps)]
    processes = [subprocess.Popen([*script, *training], env=environment, text=True, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE) for training in trainings]
    found: list[list[float]] = [[] for _ in processes]
    try:
        for number in range(turns + 1):
            order = list(enumerate(processes))
            for index, process in order if number % 2 else order[::-1]:
                found[index].append(_turn(process) / steps)
    finally:
        for process in processes:
            _stop(process)
    return [seconds[1:] for seconds in found]


def _turn(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write("\n")
        process.stdin.flush()
        return float(process.stdout.readline())
    except (BrokenPipeError, ValueError):
        raise subprocess.CalledProcessError(_stop(process), process.args) from None


def _stop(process: subprocess.Popen[str]) -> int:
    """Close the process's input, wait for its end, and return its exit status."""
    assert process.stdin is not None and process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    status = process.wait()
    process.stdout.close()
    return status


def print_figures(measure: Callable[..., list[Figure]], description: str, *, first: int) -> None:
    """Read the arguments of a script that compares trainings with a peer, and print one JSON line per figure.

    Args:
        measure: called with the data sets' folder and the keywords ``peer_python``, ``runs``, ``threads``, ``first``.
        description: description of the script.
        first: default number of texts.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path)
    parser.add_argument("--peer-python", required=True, help="Python of the environment with peers/requirements.txt")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=first, help="maximum number of texts of a data set")
    given = parser.parse_args()
    for figure in measure(given.datasets, peer_python=given.peer_python, runs=given.runs, threads=given.threads,
                          first=given.limit):
        print(json.dumps(figure))


def assigned(*assignments: str) -> list[str]:
    """Return command-line options that set configuration keys, each preceded by ``--set``."""
    return [part for assignment in assignments for part in ("--set", assignment)]


def alternate(measurements: Mapping[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """Repeat all measurements ``runs`` times, alternating between them, and print each result."""
    found: dict[str, list[float]] = {name: [] for name in measurements}
    for run in range(1, runs + 1):
        for name, measure in measurements.items():
            found[name].append(measure())
            print(f"  run {run}  {name}  {formatted(found[name][-1])}", flush=True)
    return found


def spread(figure: str, values: Sequence[float], **more: Any) -> Figure:
    """Return a figure with the median, minimum and maximum of measurements."""
    return {"figure": figure, "median": statistics.median(values), "least": min(values), "most": max(values),
            "values": list(values), **more}


def ratio(figure: str, ours: Sequence[float], theirs: Sequence[float], **threshold: float) -> Figure:
    """Return a figure with the ratio of medians, and the minimum and maximum ratio of single runs."""
    each = [one / other for one, other in zip(ours, theirs, strict=True)]
    return {"figure": figure, "ratio": statistics.median(ours) / statistics.median(theirs), "least": min(each),
            "most": max(each), **threshold}


def value_of(figure: Figure) -> float:
    """Return the median, ratio or difference of a figure."""
    value: float = next(figure[name] for name in ("median", "ratio", "difference") if name in figure)
    return value


def meets_threshold(figure: Figure) -> bool | None:
    """Return whether a figure meets its threshold, or None if it has none."""
    if "at_least" in figure:
        return bool(value_of(figure) >= figure["at_least"])
    return bool(value_of(figure) <= figure["at_most"]) if "at_most" in figure else None


def formatted(value: float) -> str:
    """Format a number with three significant digits, or as an integer with thousands separators."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_texts(path: Path, examples: Iterable[tuple[str, str]]) -> Path:
    """Write texts and labels as JSON Lines, the common input of vecformer and the peers."""
    with path.open("w", encoding="utf-8") as file:
        for text, label in examples:
            file.write(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n")
    return path


def read_texts(path: Path) -> list[tuple[str, str]]:
    """Read texts and labels from a labelled file."""
    from pipeline.data.config import DataConfig
    from pipeline.data.readers.labelled import LabelledReader

    return [(example.text, example.label) for example in LabelledReader().read_examples(path, DataConfig())]


def machine(cpuinfo: Path = CPUINFO) -> str:
    """Describe the machine: processor, cores, memory, instruction sets for matrix products, and version of torch."""
    facts, flags = _processor(cpuinfo)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return ", ".join((facts.get("model name", platform.processor() or platform.machine()), f"{os.cpu_count()} cores",
                      f"{memory:.0f} GiB", " ".join(flags) or "none of " + " ".join(INSTRUCTION_SETS),
                      f"torch {version('torch')}"))


def kind(cpuinfo: Path = CPUINFO) -> str:
    """Return the fastest instruction set for matrix products of this processor, by which results are grouped."""
    return (["none of them", *_processor(cpuinfo)[1]])[-1]


def precision() -> str:
    """Return the precision of the fastest matrix products, which is the default of training: bfloat16 or float32."""
    return "bfloat16" if kind().endswith("bf16") else "float32"


def _processor(cpuinfo: Path) -> tuple[dict[str, str], list[str]]:
    """Return the fields of /proc/cpuinfo and the available :data:`INSTRUCTION_SETS`."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    facts = {key.strip(): value.strip() for key, value in (line.split(":", 1) for line in lines if ":" in line)}
    return facts, [flag for flag in INSTRUCTION_SETS if flag in facts.get("flags", "").split()]


def commit() -> str:
    """Return the current commit, with ``-dirty`` for uncommitted changes; "unknown" outside git."""
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude", "*"], cwd=HERE, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.strip() or "unknown"
