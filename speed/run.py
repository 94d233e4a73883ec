"""Run the speed comparisons with peers: print medians and ratios, and update results.json and RESULTS.md.

usage: python speed/run.py --datasets FOLDER --peer-python PYTHON [--only NAME,NAME] [--runs N] [--threads N] [--again]

Each comparison is a script in this folder, documented there. Sections that are not measured keep their earlier
results. A section that the same commit, options and machine have measured is not measured again, so that an interrupted
command continues where it ended; `--again` repeats it. Requires an otherwise idle machine; all comparisons
together take some hours, of which `large` takes the most.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import busy
import cold_start
import growth
import large
import measuring
import prediction
import processes
import results
import rivals
import share_of_peak
import table_size
import training
import whole_run
from measuring import Figure

HERE = Path(__file__).parent
CORPUS = "corpus_en/wikipedia_en_0*.txt.gz"
THRESHOLDS: dict[str, dict[str, float]] = {  # for figures whose scripts do not set one
    cold_start.DIFFERENCE: {"at_most": 0.5},
    table_size.PEAK: {"at_most": 1.2},
    table_size.STEP: {"at_most": 1.1},
}


@dataclass(frozen=True)
class Setting:
    """Settings shared by all comparisons.

    Attributes:
        datasets: folder of the data sets.
        peer_python: Python interpreter of the environment with the peers.
        runs: number of runs of each measurement; None for the default of each comparison.
        threads: number of threads of each measurement.
    """

    datasets: Path
    peer_python: str
    runs: int | None
    threads: int

    def runs_argument(self) -> dict[str, Any]:
        """Return ``runs`` as a keyword argument, or nothing for the default."""
        return {} if self.runs is None else {"runs": self.runs}

    @property
    def texts(self) -> Path:
        """Training file from which documents are made."""
        return self.datasets / "masakhanews_yor" / "train.tsv"


@dataclass(frozen=True)
class Comparison:
    """A comparison, one section of RESULTS.md.

    Attributes:
        what: description in one sentence.
        measure: returns its figures, or the output of its script.
    """

    what: str
    measure: Callable[[Setting], list[Figure] | str]


def _script(name: str, *arguments: object) -> str:
    """Run a script, print its output as it arrives, and return it."""
    command = [sys.executable, str(HERE / name), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            print(f"  {line}", end="", flush=True)
            printed += line
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return printed


COMPARISONS = {
    "training": Comparison(
        "Training speed in tokens per second, compared with Hugging Face's Trainer (`training.py`).",
        lambda on: training.measure(on.datasets, peer_python=on.peer_python, threads=on.threads, **on.runs_argument())),
    "prediction": Comparison(
        "Prediction speed on BBC News, compared with Hugging Face's text-classification pipeline (`prediction.py`).",
        lambda on: prediction.measure(peer_python=on.peer_python, threads=on.threads, **on.runs_argument())),
    "rivals": Comparison(
        "Prediction speed on BBC News, compared with ONNX Runtime and OpenVINO in three precisions (`rivals.py`).",
        lambda on: rivals.measure(peer_python=on.peer_python, threads=on.threads, **on.runs_argument())),
    "busy": Comparison(
        "Training speed beside busy processes, compared with an idle machine and with the Trainer (`busy.py`).",
        lambda on: busy.measure(on.datasets, peer_python=on.peer_python, threads=on.threads, **on.runs_argument())),
    "whole_run": Comparison(
        "Time from files to measures, compared with a script for Hugging Face's Trainer and with fastText "
        "(`whole_run.py`).",
        lambda on: whole_run.measure(on.datasets, peer_python=on.peer_python, threads=on.threads,
                                     **on.runs_argument())),
    "large": Comparison(
        "Time and memory of runs on 40,000 to 4,000,000 texts, and of predictions for lines of a pipe (`large.py`).",
        lambda on: large.measure(on.datasets, peer_python=on.peer_python, threads=on.threads)),
    "processes": Comparison(
        "Training time in several processes started by torchrun, compared with one process (`processes.py`).",
        lambda on: processes.measure(on.datasets, threads=on.threads, **on.runs_argument())),
    "cold_start": Comparison(
        "Time of `vecformer predict` for one text, compared with `import torch` (`cold_start.py`).",
        lambda on: cold_start.measure(on.datasets / "trec6", **on.runs_argument())),
    "table_size": Comparison(
        "Runs from 20,000 x 300 and 400,000 x 300 vectors on the same texts, with alternating steps (`table_size.py`).",
        lambda on: table_size.measure(on.datasets / "trec6", **on.runs_argument())),
    "peak": Comparison(
        "Training at width 512 with 6 layers, as a share of the machine's peak (`share_of_peak.py`).",
        lambda on: share_of_peak.measure(on.texts, threads=on.threads, **on.runs_argument())),
    "growth": Comparison(
        "Growth of training time and memory with documents, length, vocabulary and width (`growth.py`).",
        lambda on: growth.measure(on.texts, threads=on.threads, **on.runs_argument())),
    "read_vectors": Comparison(
        "Reading the rows of 20,000 words from a text file, compared with gensim's loader (`read_vectors.py`).",
        lambda on: _script("read_vectors.py", on.runs or 3)),
    "train_vectors": Comparison(
        "Word2Vec from text to file, compared with gensim's training alone (`train_vectors.py`).",
        lambda on: _script("train_vectors.py", *sorted(on.datasets.glob(CORPUS)), "--runs", on.runs or 3)),
    "intrinsic": Comparison(
        "Similarity and analogy scores and their time, compared with gensim (`intrinsic.py`).",
        lambda on: _script("intrinsic.py", on.datasets)),
}


def run(
    setting: Setting, names: Sequence[str], folder: Path = HERE, *, command: str = "", again: bool = False
) -> None:
    """Run comparisons and update both files after each.

    A failing comparison does not stop the others: the first error is raised after the last comparison.

    Args:
        setting: settings shared by all comparisons.
        names: keys of :data:`COMPARISONS`.
        folder: folder of results.json and RESULTS.md.
        command: command that repeats the measurement.
        again: measure sections again that have results of the same commit, command and machine.
    """
    context = {"date": date.today().isoformat(), "commit": measuring.commit(), "machine": measuring.machine(),
               "command": command}
    errors: list[Exception] = []
    for name in names:
        comparison = COMPARISONS[name]
        print(f"{name}: {comparison.what}", flush=True)
        if not again and _is_measured(results.load(folder).get(f"{name}, {measuring.kind()}", {}), context):
            print("  measured before", flush=True)
            continue
        try:
            found = comparison.measure(setting)
        except Exception as error:
            print(f"  failed: {error}", flush=True)
            errors.append(error)
            continue
        printed = found if isinstance(found, str) else ""
        rows = [] if isinstance(found, str) else [with_threshold(figure) for figure in found]
        record = {"what": comparison.what, **context, "figures": rows, "printed": printed}
        print(results.tables(rows), flush=True)
        results.save({**results.load(folder), f"{name}, {measuring.kind()}": record}, list(COMPARISONS), folder)
    if errors:
        raise errors[0]


def _is_measured(record: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    """Whether a section was measured at this commit, without changes that are not committed, by the same command."""
    same = all(record.get(key) == context[key] for key in ("commit", "command", "machine"))
    return same and not context["commit"].endswith("-dirty") and context["commit"] != "unknown"


def with_threshold(figure: Figure) -> Figure:
    """Add the threshold of :data:`THRESHOLDS` to a ratio or difference."""
    is_comparison = "ratio" in figure or "difference" in figure
    return {**figure, **(THRESHOLDS.get(figure["figure"], {}) if is_comparison else {})}


def names(text: str) -> list[str]:
    """Parse a list of comparisons such as ``training,peak``.

    Raises:
        argparse.ArgumentTypeError: for an unknown comparison.
    """
    chosen = text.split(",")
    for name in chosen:
        if name not in COMPARISONS:
            raise argparse.ArgumentTypeError(f"unknown comparison {name!r}; comparisons: {', '.join(COMPARISONS)}")
    return chosen


def main() -> None:
    """Run the selected comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=Path, default=os.environ.get("VECFORMER_DATASETS"),
                        help="folder of the data sets (default: $VECFORMER_DATASETS)")
    parser.add_argument("--peer-python", default=".venv-peers/bin/python",
                        help="Python of the environment with peers/requirements.txt, created by `make bench`")
    parser.add_argument("--only", type=names, default=list(COMPARISONS), metavar="NAME,NAME",
                        help=f"comparisons to run (default: all): {', '.join(COMPARISONS)}")
    parser.add_argument("--runs", type=int, help="runs of each measurement (default: depends on the comparison)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each measurement (default: 2)")
    parser.add_argument("--out", type=Path, default=HERE, help="output folder (default: speed/)")
    parser.add_argument("--again", action="store_true", help="measure again what this commit has measured")
    given = parser.parse_args()
    if given.datasets is None or not given.datasets.is_dir():
        parser.error(f"--datasets: {given.datasets} is not a folder; pass the folder of the data sets")
    run(Setting(given.datasets, given.peer_python, given.runs, given.threads), given.only, given.out,
        command=shlex.join(["python", "speed/run.py", *_options(given)]), again=given.again)


def _options(given: argparse.Namespace) -> list[str]:
    """Return the options that affect the results, without paths."""
    options = ["--only", ",".join(given.only)] if given.only != list(COMPARISONS) else []
    options += ["--runs", str(given.runs)] if given.runs else []
    return [*options, "--threads", str(given.threads)]


if __name__ == "__main__":
    main()
