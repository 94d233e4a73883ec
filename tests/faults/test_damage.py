"""Damaged files of finished and unfinished runs: the answer is that of the undamaged run, or there is one message."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from fork_server import ForkServer
from judgement import HANG, MESSAGE, TRACEBACK, WRONG, Finding
from scenarios import BERT, DATA, OUT, PHRASES, SMALL, SUPPORT, BrokenError, digest_of, tree
from several import COMMANDS, RESULTS

N_FINISHED, N_UNFINISHED = 2_760, 240  # 3,000 damaged files
PARTS = 6
LONGEST = 4_200  # characters of what is printed
MEMORY = 3 * 2**30
SECONDS = 30.0


@dataclass(frozen=True)
class Example:
    """A finished run, another one of the same task, and commands that read it.

    Attributes:
        folder: the run.
        other: a run of the same configuration with another seed.
        commands: arguments, with ``RUN`` for the folder and ``NEW`` for a new path.
        answers: standard output of each, and the files it wrote, for the undamaged run.
    """

    folder: Path
    other: Path
    commands: list[list[str]]
    answers: list[tuple[str, dict[str, str]]]


# The damages. Each changes one file in place.


def flip_bits(path: Path, rng: random.Random, other: Path) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 3)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, rng: random.Random, other: Path) -> None:
    os.truncate(path, rng.randrange(path.stat().st_size))


def zero_block(path: Path, rng: random.Random, other: Path) -> None:
    content = bytearray(path.read_bytes())
    first = rng.randrange(len(content))
    length = min(rng.choice([16, 512, 4096]), len(content) - first)
    content[first : first + length] = bytes(length)
    path.write_bytes(content)


def swap(path: Path, rng: random.Random, other: Path) -> None:
    """Put the file of the same name of another run there."""
    shutil.copy(other / path.name, path)


def swap_within(path: Path, rng: random.Random, other: Path) -> None:
    """Put another file of the same run there."""
    shutil.copy(rng.choice([file for file in path.parent.iterdir() if file != path and file.is_file()]), path)


def append(path: Path, rng: random.Random, other: Path) -> None:
    with path.open("ab") as file:
        file.write(rng.choice([b"\0" * 64, b"\n", b"{}", path.read_bytes()]))


def empty(path: Path, rng: random.Random, other: Path) -> None:
    os.truncate(path, 0)


def delete(path: Path, rng: random.Random, other: Path) -> None:
    path.unlink()


def make_folder(path: Path, rng: random.Random, other: Path) -> None:
    path.unlink()
    path.mkdir()


def dangle(path: Path, rng: random.Random, other: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def loop(path: Path, rng: random.Random, other: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


Damage = Callable[[Path, random.Random, Path], None]
DAMAGES: tuple[Damage, ...] = (flip_bits, flip_bits, flip_bits, truncate, zero_block, zero_block, swap, swap,
                               swap_within, append, empty, delete, make_folder, dangle, loop)


def spoil(folder: Path, rng: random.Random, other: Path) -> str:
    """Damage one file of a folder so that it differs; return what was done."""
    while True:
        path = rng.choice(sorted(file for file in folder.iterdir() if file.is_file()))
        damage = rng.choice(DAMAGES)
        before = path.read_bytes()
        if not before or (damage is swap and not (other / path.name).is_file()):
            continue
        damage(path, rng, other)
        if not path.is_file() or path.read_bytes() != before:
            return f"{damage.__name__} {path.name}"


# Finished runs.


def made_at(path: Path) -> dict[str, str]:
    """Return the hashes of a file, or of the files of a folder; empty if there is none."""
    beside = tree(path.parent) if path.is_file() else {}
    return {path.name: beside[path.name]} if beside else tree(path) if path.is_dir() else {}


def several(server: ForkServer, folder: Path, run: Path, commands: Sequence[Sequence[str]]
            ) -> tuple[int, list[tuple[int, str, str, dict[str, str]]]]:
    """Execute commands on a run; return the exit code of the process, and of each exit code, output and files."""
    folder.mkdir()
    full = [[str(run) if word == "RUN" else str(folder / word) if word.startswith("NEW") else word for word in argv]
            for argv in commands]
    (folder / "commands.json").write_text(json.dumps(full))
    done = server.run([], call="several:execute", cwd=folder, memory=MEMORY, timeout=SECONDS, environment={
        COMMANDS: str(folder / "commands.json"), RESULTS: str(folder / "results")})
    lines = [json.loads(line) for line in (folder / "results").read_text().splitlines()]
    written = [next((made_at(Path(word)) for word, plain in zip(argv, short, strict=True) if plain.startswith("NEW")),
                    {}) for argv, short in zip(full, commands, strict=True)]
    assert done.status is not None
    clean = [(code, " ".join(out.replace(str(folder), "NEW").replace(str(run), "RUN").split()), error, {
        name: value for name, value in files.items() if not name.startswith(("commands", "results"))})
        for (code, out, error), files in zip(lines, written, strict=False)]
    return done.status, clean


def make_example(server: ForkServer, scratch: Path, argv: Sequence[object], texts: Path, more: Sequence[str] = ()
                 ) -> Example:
    """Train two runs of one configuration, and execute all commands that read one."""
    scratch.mkdir()
    runs = [scratch / name for name in ("run", "other")]
    for seed, run in enumerate(runs, 1):
        done = server.run(("run", *argv, "--seed", seed, "--out", run))
        assert done.status == 0, done.stderr
    word = next(iter(json.loads((runs[0] / "embeddings.json").read_text())["words"]))
    commands = [
        ["predict", "RUN", "the parcel is late", "--json", *more], ["evaluate", "RUN", "--data", str(texts)],
        ["compare", "RUN", str(runs[1])], ["inspect", "RUN"], ["embed", "neighbors", "RUN", word, "-n", "3"],
        ["embed", "convert", "RUN", "--to", "NEW.txt"], ["generate", "RUN", "the"],
        ["export", "RUN", "--to", "hf", "--out", "NEW"],
    ]
    _, done_all = several(server, scratch / "answers", runs[0], commands)
    working = [i for i, (code, *_) in enumerate(done_all) if code == 0]
    assert len(working) >= 4, done_all
    return Example(*runs, [commands[i] for i in working], [(done_all[i][1], done_all[i][3]) for i in working])


def judge_damage(server: ForkServer, example: Example, scratch: Path, rng: random.Random) -> list[tuple[str, Finding]]:
    """Damage a copy of a run, execute the commands, and compare."""
    run = shutil.copytree(example.folder, scratch / "run")
    what = f"{example.folder.parent.name}: {spoil(run, rng, example.other)}"
    name = what.rpartition(" ")[2]
    found: list[tuple[str, Finding]] = []
    try:
        status, done = several(server, scratch / "new", run, example.commands)
        if status:
            found.append((what, Finding(TRACEBACK, f"{example.commands[len(done)][:2]}: the process died: {status}")))
        for argv, answer, (code, out, error, files) in zip(example.commands, example.answers, done, strict=False):
            where = f"{what}: {' '.join(argv[:2])}"
            if "Traceback" in error:
                found.append((where, Finding(TRACEBACK, error[-700:])))
            elif code == 0 and (out, files) != answer:
                found.append((where, Finding(WRONG, "another answer")))
            elif code:
                found += [(where, one) for one in judge_message(code, error, files, (name, str(run)))]
    except TimeoutError:
        found.append((what, Finding(HANG, f"more than {SECONDS} s")))
    shutil.rmtree(run)
    shutil.rmtree(scratch / "new")
    return found


def judge_message(code: int, error: str, files: dict[str, str], names: tuple[str, ...]) -> Iterator[Finding]:
    """Check the exit code, that there is one message of bounded length that names the file, and no output."""
    if code not in (1, 2) or error.count("Error") < 1 or len(error) > LONGEST:
        yield Finding(MESSAGE, f"exit code {code}, {len(error)} characters: {error[:300]}")
    elif not any(name in error for name in names):
        yield Finding(MESSAGE, f"names neither the file nor the folder: {error[:300]}")
    if files:
        yield Finding(WRONG, f"exit code {code}, but {sorted(files)} was written")


@pytest.fixture(scope="session")
def few_examples(server, tmp_path_factory) -> list[Example]:
    scratch = tmp_path_factory.mktemp("few")
    return [
        make_example(server, scratch / "support", (*SUPPORT, *BERT), DATA / "support" / "test.tsv"),
        make_example(server, scratch / "translation", PHRASES, DATA / "phrases" / "test.en"),
    ]


@pytest.fixture(scope="session")
def all_examples(server, few_examples, tmp_path_factory) -> list[Example]:
    """A run of every task, on the first sample that it can be trained on."""
    from pipeline.tasks.base import TASKS

    scratch, made = tmp_path_factory.mktemp("all"), list(few_examples)
    for task in TASKS.available:
        for data in sorted(path for path in DATA.iterdir() if path.is_dir()):
            argv = ("--task", task, "--data", data, "--source", "random,dim=16", "--epochs", "1", *SMALL)
            if server.run(("run", *argv, "--out", scratch / "trial" / task / data.name)).status:
                continue
            tests = sorted(data.glob("test.*"))
            context = ["--context", "The parcel is late today."] if task in ("question-answering", "inference") else []
            made.append(make_example(server, scratch / task, argv, tests[-1], context))
            break
        else:
            pytest.fail(f"no sample in data/ for the task {task}")
    return made


def test_some_damaged_runs(server, few_examples, tmp_path, rng, report):
    found = [one for i in range(24) for one in judge_damage(server, few_examples[i % 2], tmp_path, rng)]
    report("damaged runs", 24, found)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("part", range(PARTS))
def test_many_damaged_runs(server, all_examples, tmp_path, part, rng, report):
    n = N_FINISHED // PARTS
    found = [one for i in range(n) for one in judge_damage(server, all_examples[i % len(all_examples)], tmp_path, rng)]
    report("damaged runs", n, found)


# Unfinished runs.


def judge_unfinished(server: ForkServer, observed, scratch: Path, rng: random.Random) -> list[tuple[str, Finding]]:
    """Damage a file of an unfinished run, and resume it."""
    scenario = observed("resume")
    home = scratch / "home"
    scenario.prepare(home)
    unfinished = home / f"{OUT}.unfinished"
    what = f"unfinished: {spoil(unfinished, rng, observed('overwrite').undisturbed.template / OUT)}"
    found: list[tuple[str, Finding]] = []
    done = server.run(("run", "--resume", OUT, "-q"), cwd=home, watch=home, memory=MEMORY)
    try:
        result = digest_of(scenario, home)
    except BrokenError as error:
        result = {"broken": str(error)}
    if "Traceback" in done.stderr:
        found.append((what, Finding(TRACEBACK, done.stderr[-700:])))
    elif done.status == 0 and result != scenario.undisturbed.new:
        differs = [name for name in result if result[name] != scenario.undisturbed.new.get(name)]
        found.append((what, Finding(WRONG, f"resumed to another run: {differs}")))
    elif done.status:
        names = (what.rpartition(" ")[2], f"{OUT}.unfinished", OUT)
        found += [(what, one) for one in judge_message(done.status, done.stderr, dict(result), names)]
        if not unfinished.is_dir():
            found.append((what, Finding("lost", "the unfinished run is deleted")))
    shutil.rmtree(home)
    return found


def test_some_damaged_unfinished_runs(server, observed, tmp_path, rng, report):
    found = [one for _ in range(4) for one in judge_unfinished(server, observed, tmp_path, rng)]
    report("damaged unfinished runs", 4, found)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("part", range(2))
def test_many_damaged_unfinished_runs(server, observed, tmp_path, part, rng, report):
    n = N_UNFINISHED // 2
    found = [one for _ in range(n) for one in judge_unfinished(server, observed, tmp_path, rng)]
    report("damaged unfinished runs", n, found)
