"""Every comparison with its peer, in one run: prints medians and ratios, and writes results.json and RESULTS.md.

usage: python speed/run.py --datasets FOLDER --peer-python PYTHON [--only NAME,NAME] [--runs N] [--threads N]

Each comparison is a script of its own in this folder, which says what it measures. The sections that are not measured
stay as they were found before. Needs an otherwise idle machine; all of them together take about an hour.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import cold_start
import growth
import measuring
import prediction
import results
import share_of_peak
import table_size
import training
from measuring import Figure

HERE = Path(__file__).parent
CORPUS = "corpus_en/wikipedia_en_0*.txt.gz"
LINES: dict[str, dict[str, float]] = {  # what figures of scripts are held to that do not say it themselves
    "one text predicted, beyond the import, s": {"at_most": 0.5},
    table_size.PEAK: {"at_most": 1.2},
    table_size.STEP: {"at_most": 1.1},
}


@dataclass(frozen=True)
class Setting:
    """Where and how comparisons are made.

    Attributes:
        datasets: the folder of the data sets.
        peer_python: of the environment that has the peers.
        runs: of each measurement; None for as many as a comparison makes of itself.
        threads: of each measurement.
    """

    datasets: Path
    peer_python: str
    runs: int | None
    threads: int

    def times(self) -> dict[str, Any]:
        """The number of runs as an argument, if it is given."""
        return {} if self.runs is None else {"runs": self.runs}

    @property
    def texts(self) -> Path:
        """The training file whose texts are joined and cut."""
        return self.datasets / "masakhanews_yor" / "train.tsv"


@dataclass(frozen=True)
class Comparison:
    """A section of the page.

    Attributes:
        what: is compared, in a sentence.
        measure: gives its figures, or what its script prints.
    """

    what: str
    measure: Callable[[Setting], list[Figure] | str]


def _script(name: str, *arguments: object) -> str:
    """What a script prints, shown as it comes."""
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
        "Real tokens a second of a whole training call, beside Hugging Face's Trainer (`training.py`).",
        lambda on: training.measure(on.datasets, peer_python=on.peer_python, threads=on.threads, **on.times())),
    "prediction": Comparison(
        "Documents a second on BBC News, beside Hugging Face's text-classification pipeline (`prediction.py`).",
        lambda on: prediction.measure(peer_python=on.peer_python, threads=on.threads, **on.times())),
    "cold_start": Comparison(
        "One text predicted by a process that has yet to start, beside one that imports torch (`cold_start.py`).",
        lambda on: cold_start.measure(on.datasets / "trec6", **on.times())),
    "table_size": Comparison(
        "Runs from 20,000 x 300 and 400,000 x 300 vectors on the same texts, their steps in turn (`table_size.py`).",
        lambda on: table_size.measure(on.datasets / "trec6", **on.times())),
    "peak": Comparison(
        "Training at width 512 with 6 layers, beside the machine's own matrix products (`share_of_peak.py`).",
        lambda on: share_of_peak.measure(on.texts, threads=on.threads, **on.times())),
    "growth": Comparison(
        "Time and memory of a training, each thing that it depends on grown sixteenfold (`growth.py`).",
        lambda on: growth.measure(on.texts, threads=on.threads, **on.times())),
    "read_vectors": Comparison(
        "20,000 words' rows read out of a text file of vectors, beside gensim's loader (`read_vectors.py`).",
        lambda on: _script("read_vectors.py", on.runs or 3)),
    "train_vectors": Comparison(
        "Word2Vec from text to file, beside gensim's training alone (`train_vectors.py`).",
        lambda on: _script("train_vectors.py", *sorted(on.datasets.glob(CORPUS)), "--runs", on.runs or 3)),
    "intrinsic": Comparison(
        "Similarity and analogy scores, and the time they take, beside gensim's (`intrinsic.py`).",
        lambda on: _script("intrinsic.py", on.datasets)),
}


def run(setting: Setting, names: Sequence[str], folder: Path = HERE, *, command: str = "") -> None:
    """Make comparisons, and write both files after each.

    Args:
        setting: where and how.
        names: of :data:`COMPARISONS`.
        folder: of results.json and RESULTS.md.
        command: that repeats it.
    """
    how = {"date": date.today().isoformat(), "commit": measuring.commit(), "machine": measuring.machine(),
           "command": command}
    for name in names:
        comparison = COMPARISONS[name]
        print(f"{name}: {comparison.what}", flush=True)
        found = comparison.measure(setting)
        printed = found if isinstance(found, str) else ""
        rows = [] if isinstance(found, str) else [held(figure) for figure in found]
        record = {"what": comparison.what, **how, "figures": rows, "printed": printed}
        print(results.tables(rows), flush=True)
        results.save({**results.load(folder), f"{name}, {measuring.kind()}": record}, list(COMPARISONS), folder)


def held(figure: Figure) -> Figure:
    """The figure with what it is held to, if that stands in :data:`LINES`."""
    is_compared = "ratio" in figure or "difference" in figure
    return {**figure, **(LINES.get(figure["figure"], {}) if is_compared else {})}


def names(text: str) -> list[str]:
    """Read ``training,peak``.

    Raises:
        argparse.ArgumentTypeError: if there is no such comparison.
    """
    chosen = text.split(",")
    for name in chosen:
        if name not in COMPARISONS:
            raise argparse.ArgumentTypeError(f"there is no comparison {name!r}; there are {', '.join(COMPARISONS)}")
    return chosen


def main() -> None:
    """Make the comparisons that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datasets", type=Path, default=os.environ.get("VECFORMER_DATASETS"),
                        help="folder of the data sets; by default what VECFORMER_DATASETS names")
    parser.add_argument("--peer-python", default=".venv-peers/bin/python",
                        help="of the environment that has peers/requirements.txt; `make bench` makes it")
    parser.add_argument("--only", type=names, default=list(COMPARISONS), metavar="NAME,NAME",
                        help=f"of {', '.join(COMPARISONS)}")
    parser.add_argument("--runs", type=int, help="of each measurement; by default as many as each comparison needs")
    parser.add_argument("--threads", type=int, default=2, help="of each measurement")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of results.json and RESULTS.md")
    given = parser.parse_args()
    if given.datasets is None or not given.datasets.is_dir():
        parser.error(f"--datasets must be the folder of the data sets, not {given.datasets}")
    run(Setting(given.datasets, given.peer_python, given.runs, given.threads), given.only, given.out,
        command=shlex.join(["python", "speed/run.py", *_told(given)]))


def _told(given: argparse.Namespace) -> list[str]:
    """The options that matter to what was found, without the paths of this machine."""
    told = ["--only", ",".join(given.only)] if given.only != list(COMPARISONS) else []
    told += ["--runs", str(given.runs)] if given.runs else []
    return [*told, "--threads", str(given.threads)]


if __name__ == "__main__":
    main()
