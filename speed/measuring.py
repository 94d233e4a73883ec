"""What the comparisons share: measurements in processes of their own and in turn, and figures made of them.

A figure is a dict, as JSON has it: ``figure`` (its name), ``median``, ``least``, ``most`` and ``values`` (one a run),
or ``ratio`` with the ``least`` and ``most`` of the runs' own. ``at_least`` or ``at_most`` is what it is held to.
"""

from __future__ import annotations

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
BERT = ("model.like=bert", "model.positions=learned")  # what makes ours the model that the peers have
CPUINFO = Path("/proc/cpuinfo")
FAST_PRODUCTS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # what decides how fast a processor multiplies matrices

Figure = dict[str, Any]


def in_process(script: str, *arguments: object, threads: int, python: str = sys.executable) -> dict[str, Any]:
    """Run a script of this folder in a process of its own, and read the JSON of the last line that it prints.

    Raises:
        subprocess.CalledProcessError: if it fails; its own message is on stderr by then.
    """
    command = [python, str(HERE / script), *map(str, arguments), "--threads", str(threads)]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, check=True,
                          stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def in_turn(
    trainings: Sequence[Sequence[str]], *, turns: int, steps: int, environment: Mapping[str, str]
) -> list[list[float]]:
    """Let trainings take turns of a few steps, so that whatever else the machine does falls on all of them alike.

    Each is a process of its own (`train_in_turns.py`). The order turns round each time, so that none is always first.

    Args:
        trainings: of each, the keys of its configuration, as ``key=value``.
        turns: of each; one more is made beforehand, and not counted.
        steps: of a turn.
        environment: of the processes.

    Returns:
        Of each training, the seconds of a step in each turn.

    Raises:
        subprocess.CalledProcessError: if a training fails; its own message is on stderr by then.
    """
    script = [sys.executable, str(HERE / "train_in_turns.py"), str(steps)]
    processes = [subprocess.Popen([*script, *training], env=environment, text=True, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE) for training in trainings]
    found: list[list[float]] = [[] for _ in processes]
    try:
        for number in range(turns + 1):
            order = list(enumerate(processes))
            for which, process in order if number % 2 else order[::-1]:
                found[which].append(_turn(process) / steps)
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
    """End its input, wait for its own end, and give its exit status."""
    assert process.stdin is not None and process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    status = process.wait()
    process.stdout.close()
    return status


def assigned(*assignments: str) -> list[str]:
    """Options that set keys of the configuration: ``--set`` before each."""
    return [part for assignment in assignments for part in ("--set", assignment)]


def alternate(measurements: Mapping[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """Take each measurement in turn, as often as there are runs, and print what comes."""
    found: dict[str, list[float]] = {name: [] for name in measurements}
    for run in range(1, runs + 1):
        for name, measure in measurements.items():
            found[name].append(measure())
            print(f"  run {run}  {name}  {shown(found[name][-1])}", flush=True)
    return found


def spread(figure: str, values: Sequence[float], **more: Any) -> Figure:
    """The median of measurements, the least and the most."""
    return {"figure": figure, "median": statistics.median(values), "least": min(values), "most": max(values),
            "values": list(values), **more}


def ratio(figure: str, ours: Sequence[float], theirs: Sequence[float], **held_to: float) -> Figure:
    """The ratio of the medians; the least and the most are of the runs one by one."""
    each = [one / other for one, other in zip(ours, theirs, strict=True)]
    return {"figure": figure, "ratio": statistics.median(ours) / statistics.median(theirs), "least": min(each),
            "most": max(each), **held_to}


def value_of(figure: Figure) -> float:
    """The number that a figure is about, whatever it is called."""
    value: float = next(figure[name] for name in ("median", "ratio", "difference") if name in figure)
    return value


def holds(figure: Figure) -> bool | None:
    """Whether a figure is what it is held to; None if it is held to nothing."""
    if "at_least" in figure:
        return bool(value_of(figure) >= figure["at_least"])
    return bool(value_of(figure) <= figure["at_most"]) if "at_most" in figure else None


def shown(value: float) -> str:
    """Three digits, or a whole number with commas."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write_texts(path: Path, examples: Iterable[tuple[str, str]]) -> Path:
    """Write texts and labels as JSON lines, for all sides to read the same."""
    with path.open("w", encoding="utf-8") as file:
        for text, label in examples:
            file.write(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n")
    return path


def read_texts(path: Path) -> list[tuple[str, str]]:
    """Read the texts and labels of a data set's own training file."""
    from pipeline.config import DataConfig
    from pipeline.data.readers.labelled import LabelledReader

    return [(example.text, example.label) for example in LabelledReader().read_examples(path, DataConfig())]


def machine(cpuinfo: Path = CPUINFO) -> str:
    """Processor, cores, memory, the instructions that matrix products profit from, and the version of torch."""
    facts, flags = _processor(cpuinfo)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return ", ".join((facts.get("model name", platform.processor() or platform.machine()), f"{os.cpu_count()} cores",
                      f"{memory:.0f} GiB", " ".join(flags) or "none of " + " ".join(FAST_PRODUCTS),
                      f"torch {version('torch')}"))


def kind(cpuinfo: Path = CPUINFO) -> str:
    """The best of the instructions for matrix products that the processor has: results of one kind stand together."""
    return (["none of them", *_processor(cpuinfo)[1]])[-1]


def precision() -> str:
    """What matrix products are fastest in here, and training is by default: bfloat16 or float32."""
    return "bfloat16" if kind().endswith("bf16") else "float32"


def _processor(cpuinfo: Path) -> tuple[dict[str, str], list[str]]:
    """What the system tells of the processor, and which of the instructions it has."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    facts = {key.strip(): value.strip() for key, value in (line.split(":", 1) for line in lines if ":" in line)}
    return facts, [flag for flag in FAST_PRODUCTS if flag in facts.get("flags", "").split()]


def commit() -> str:
    """The commit that is checked out, ``-dirty`` if files differ from it; "unknown" outside git."""
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude", "*"], cwd=HERE, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout.strip() or "unknown"
