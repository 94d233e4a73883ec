"""Measure the accuracy of vecformer and of peers on real data, and write the page of a study in docs/findings.

usage: python quality/run_quality.py [quality|pretrained] --datasets FOLDER --peer-python PYTHON [--only ROW]
                                     [--columns NAME,NAME] [--seeds N] [--jobs N]

Rows, columns and targets of the studies are declared in from_word_vectors.py and from_checkpoint.py. Results that exist
for the same code, configuration and data are not measured again, so that an interrupted command continues where it
ended. `--render` only writes the page.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import from_checkpoint
import from_word_vectors
import quality_page
from data_folders import data_hash, n_examples, write_data
from declaration import Column, Row, Study
from result_store import PEERS, ROOT, Result, Store, code_of, current, digest, key_of

sys.path.append(str(ROOT / "speed"))
from measuring import machine

FINDINGS = ROOT / "docs" / "findings"
STUDIES = {study.name: study for study in (from_word_vectors.STUDY, from_checkpoint.STUDY)}
VECFORMER = "from pipeline.cli.main import main; main()"


@dataclass(frozen=True)
class Setting:
    """How results are measured.

    Attributes:
        datasets: folder of the data sets.
        peer_python: Python interpreter of the environment with the peers.
        jobs: number of results that are measured at the same time.
    """

    datasets: Path
    peer_python: str
    jobs: int

    @property
    def threads(self) -> int:
        """Number of threads of each job."""
        return max(1, (os.cpu_count() or 1) // self.jobs)


@dataclass(frozen=True)
class Job:
    """A result to measure: a column, a seed, the folder of the data, and the key of the result."""

    column: Column
    seed: int
    folder: Path
    key: Result


def measure(job: Job, setting: Setting) -> Result:
    """Train and test in a separate process.

    Returns:
        The key, accuracy, numbers of examples, seconds, processor and date; for peers also their versions.

    Raises:
        subprocess.CalledProcessError: if the process fails.
    """
    start = time.perf_counter()
    found = _run_ours(job, setting) if job.column.is_ours else _run_peer(job, setting)
    found.setdefault("seconds", time.perf_counter() - start)
    return {**job.key, **found, "examples": n_examples(job.folder), "threads": setting.threads,
            "machine": machine(), "date": date.today().isoformat()}


def _run_ours(job: Job, setting: Setting) -> Result:
    """Run ``vecformer run`` in a temporary folder and read the accuracy from its metrics.

    Its baselines are left out: those of the table are measured as peers.
    """
    assert job.column.options is not None
    with tempfile.TemporaryDirectory() as out:
        run = Path(out) / "run"
        _output([sys.executable, "-c", VECFORMER, "run", "--data", str(job.folder), "--seed", str(job.seed),
                 *job.column.options, "--baselines", "none", "--out", str(run), "-q"], setting)
        metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return {"accuracy": metrics["test"]["accuracy"]}


def _run_peer(job: Job, setting: Setting) -> Result:
    """Run a peer in a temporary folder, since SetFit writes checkpoints to the current one."""
    settings, python = json.dumps(dict(job.column.settings)), str(Path(setting.peer_python).absolute())
    with tempfile.TemporaryDirectory() as scratch:
        printed = _output([python, str(PEERS / "classify.py"), str(job.folder), "--seed", str(job.seed),
                           "--settings", settings, "--threads", str(setting.threads)], setting, folder=scratch)
    found: Result = json.loads(printed.splitlines()[-1])
    return found


def _output(command: Sequence[str], setting: Setting, *, folder: str | None = None) -> str:
    """Return what a command prints; it runs in a folder, or in the current one."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(setting.threads)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(command, env=environment, cwd=folder, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr[-2000:])
        done.check_returncode()
    return done.stdout


def missing_jobs(
    study: Study, rows: Sequence[Row], columns: Sequence[str], seeds: int | None, setting: Setting,
    results: Sequence[Result], scratch: Path,
) -> Iterator[Job]:
    """Yield the jobs without a result; the data of a row and a seed are written when its first job is yielded.

    Args:
        study: the study.
        rows: rows to measure.
        columns: names of the columns to measure.
        seeds: number of seeds; None for the number of each row.
        setting: how results are measured.
        results: the existing results.
        scratch: folder for the data.
    """
    existing = {key_of(result) for result in results}
    versions = {column.name: {"code": code_of(column), "configuration": digest(column.configuration())}
                for column in study.columns}
    for row in rows:
        for seed in range(1, (seeds or study.n_seeds(row)) + 1):
            chosen = [column for column in study.columns_of(row)
                      if column.name in columns and _needs_seed(row, column, seed)]
            folder = scratch / f"{row.name}-{seed if row.labels else 'all'}"
            if not folder.exists():
                write_data(row, seed, setting.datasets, folder)
            data = data_hash(folder)
            for column in chosen:
                key = {"row": row.name, "column": column.name, "seed": seed, **versions[column.name], "data": data}
                if key_of(key) not in existing:
                    yield Job(column, seed, folder, key)


def _needs_seed(row: Row, column: Column, seed: int) -> bool:
    """Whether a seed changes the result: one of a deterministic peer on all labels is measured with the first only."""
    return seed == 1 or bool(row.labels) or not column.is_deterministic


def run(
    study: Study, setting: Setting, rows: Sequence[Row], columns: Sequence[str], seeds: int | None, folder: Path
) -> list[str]:
    """Measure missing results, each written to the disk at once, and write the page at the end.

    Returns:
        A message for each result that could not be measured.
    """
    store, failures = store_of(study, folder), []

    def work(job: Job) -> None:
        name = f"{job.key['row']}, {job.column.name}, seed {job.seed}"
        try:
            result = measure(job, setting)
        except subprocess.CalledProcessError as error:
            failures.append(f"{name}: failed with exit status {error.returncode}")
            return
        store.add(result)
        print(f"{name}: {100 * result['accuracy']:.2f} ({result['seconds']:.0f} s)", flush=True)

    scratch = Path(tempfile.mkdtemp(prefix="vecformer-quality-"))
    pool = ThreadPoolExecutor(setting.jobs)
    try:
        list(pool.map(work, missing_jobs(study, rows, columns, seeds, setting, store.results(), scratch)))
    finally:
        pool.shutdown(cancel_futures=True)  # after an interruption, only the running jobs are completed
        shutil.rmtree(scratch, ignore_errors=True)
        write_page(study, folder)
    return failures


def store_of(study: Study, folder: Path) -> Store:
    """Return the results of a study."""
    return Store(folder / f"{study.name}.jsonl")


def write_page(study: Study, folder: Path) -> None:
    """Write the page from the results of the current code and configurations."""
    text = quality_page.page(study, current(store_of(study, folder).results(), study.columns))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{study.name}.md").write_text(text, encoding="utf-8")


def rows_named(study: Study, text: str) -> list[Row]:
    """Parse names of rows, separated by semicolons since names contain commas.

    Raises:
        argparse.ArgumentTypeError: for an unknown row.
    """
    known = {row.name: row for row in study.rows}
    for name in text.split(";"):
        if name.strip() not in known:
            raise argparse.ArgumentTypeError(f"unknown row {name.strip()!r}; rows: {'; '.join(known)}")
    return [known[name.strip()] for name in text.split(";")]


def columns_named(study: Study, text: str) -> list[str]:
    """Parse names of columns, separated by commas.

    Raises:
        argparse.ArgumentTypeError: for an unknown column.
    """
    known = [column.name for column in study.columns]
    for name in text.split(","):
        if name not in known:
            raise argparse.ArgumentTypeError(f"unknown column {name!r}; columns: {', '.join(known)}")
    return text.split(",")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", choices=STUDIES, default="quality",
                        help="the study: quality (from word vectors, the default) or pretrained (from a checkpoint)")
    parser.add_argument("--datasets", type=Path, default=os.environ.get("VECFORMER_DATASETS"),
                        help="folder of the data sets (default: $VECFORMER_DATASETS)")
    parser.add_argument("--peer-python", default=".venv-quality/bin/python",
                        help="Python of the environment with peers/requirements.txt, created by `make quality`")
    parser.add_argument("--only", metavar="ROW;ROW", help="rows to measure (default: all)")
    parser.add_argument("--columns", metavar="NAME,NAME", help="columns to measure (default: all)")
    parser.add_argument("--seeds", type=int,
                        help="number of seeds (default: the smallest with which every comparison of a row can be "
                             "significant, at least 6)")
    parser.add_argument("--jobs", type=int, default=1, help="results measured at the same time (default: 1)")
    parser.add_argument("--out", type=Path, default=FINDINGS, help="output folder (default: docs/findings)")
    parser.add_argument("--render", action="store_true", help="write the page from the existing results, and stop")
    return parser


def main() -> None:
    """Measure what is missing, write the page, and fail if something could not be measured."""
    parser = _arguments()
    given: Any = parser.parse_args()
    study = STUDIES[given.study]
    if given.render:
        write_page(study, given.out)
        return
    if given.datasets is None or not given.datasets.is_dir():
        parser.error(f"--datasets: {given.datasets} is not a folder; pass the folder of the data sets")
    if given.jobs < 1 or (given.seeds is not None and given.seeds < 1):
        parser.error("--jobs and --seeds must be at least 1")
    try:
        rows = rows_named(study, given.only) if given.only else study.rows
        columns = columns_named(study, given.columns) if given.columns else [one.name for one in study.columns]
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    setting = Setting(given.datasets, given.peer_python, given.jobs)
    if failures := run(study, setting, rows, columns, given.seeds, given.out):
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
