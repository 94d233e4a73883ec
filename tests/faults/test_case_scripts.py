"""Scripts that showed lost work or crashes, each with what it should give; the number is that of the script."""

from __future__ import annotations

import json
import re
import shutil
import signal
from errno import ENOSPC
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import GIGABYTE, TINY, refused, resolved, works
from fork_server import Fault, ForkServer
from scenarios import DATA, OUT, SUPPORT, run_of, sha256
from test_disk import small_disk


def undisturbed(vecformer: Any, home: Path, *more: Any) -> str:
    """Return the hash of the weights of a run without a fault."""
    works(vecformer("run", *SUPPORT, "--seed", 1, *more, "--out", "undisturbed"))
    return sha256(home / "undisturbed" / "model.safetensors")


def step_of(server: ForkServer, home: Path, name: str, pattern: str, *, last: bool = False) -> int:
    """Return the number of an operation of a small run."""
    done = server.run(run_of(), cwd=home, watch=home)
    shutil.rmtree(home / OUT)
    steps = [k for k, (what, path, to) in enumerate(done.trace, 1) if what == name and re.search(pattern, path + to)]
    assert steps, done.trace
    return steps[-1 if last else 0]


def test_fault_01_overwrite_while_running(vecformer, server, home):
    expected = undisturbed(vecformer, home)
    other = works(vecformer(*run_of(seed=2, overwrite=True)))
    hashes = {1: expected, 2: sha256(home / OUT / "model.safetensors")}
    shutil.rmtree(home / OUT)
    first = server.start(run_of(seed=1), cwd=home, watch=home)
    while not first.wait_for(0.001) and "training.checkpoint" not in str(first.trace[-1:]):
        pass
    second = server.run(run_of(seed=2, overwrite=True), cwd=home, watch=home)
    first.wait()
    assert "Traceback" not in first.stderr + second.stderr
    worked = [seed for seed, command in ((1, first), (2, second)) if command.status == 0]
    assert worked, first.stderr + second.stderr
    assert sha256(home / OUT / "model.safetensors") in [hashes[seed] for seed in worked]
    assert works(vecformer("predict", OUT, "where is my parcel")).stdout
    assert other.status == 0


def test_fault_03_a_full_disk_at_a_checkpoint(vecformer, server, home):
    expected = undisturbed(vecformer, home)
    step = step_of(server, home, "rename", r"\.training\.checkpoint|training\.checkpoint", last=True) - 1
    refused(server.run(run_of(), cwd=home, watch=home, fault=Fault(step, error=ENOSPC)), "space")
    assert (home / f"{OUT}.unfinished" / "training.checkpoint").is_file()
    works(vecformer("run", "--resume", OUT))
    assert sha256(home / OUT / "model.safetensors") == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("operation", ["open", "rename"])
def test_fault_04_stopped_in_the_last_second(operation, number, vecformer, server, home):
    expected = undisturbed(vecformer, home)
    step = step_of(server, home, operation, "manifest" if operation == "open" else f"^{OUT}", last=True)
    stopped = server.run(run_of(), cwd=home, watch=home, fault=Fault(step, signal=number))
    assert stopped.status in (0, 128 + number)
    if not (home / OUT).exists():
        works(vecformer("run", "--resume", OUT))
    assert sha256(home / OUT / "model.safetensors") == expected


def test_fault_05_out_is_a_mount_point(vecformer, tmp_path, home):
    with small_disk(home / OUT):
        done = vecformer(*run_of(overwrite=True))
        if done.status:
            refused(done, "mount")
            assert not [path for _, path, _ in done.trace if "checkpoint" in path]
        else:
            assert (home / OUT / "manifest.json").is_file()


def test_fault_05_out_is_a_dangling_link(vecformer, home):
    (home / OUT).symlink_to("nowhere")
    done = refused(vecformer(*run_of()), "link")
    assert not [path for _, path, _ in done.trace if "checkpoint" in path]
    assert [path.name for path in home.iterdir()] == [OUT]


def test_fault_07_flipped_bits_in_a_checkpoint(vecformer, server, home):
    step = step_of(server, home, "rename", "training.checkpoint", last=True) + 1
    server.run(run_of(), cwd=home, watch=home, fault=Fault(step, signal=signal.SIGKILL))
    checkpoint = home / f"{OUT}.unfinished" / "training.checkpoint"
    content = bytearray(checkpoint.read_bytes())
    i = len(content) * 3 // 4
    for place, bit in ((i | 3, 1), (i - 4001, 8), (i + 2222, 4)):
        content[place] ^= bit
    checkpoint.write_bytes(content)
    refused(vecformer("run", "--resume", OUT), r"training\.checkpoint")
    assert checkpoint.read_bytes() == content


def test_fault_08_a_full_disk_at_the_end_of_stage_one(vecformer, server, home):
    expected = undisturbed(vecformer, home)
    step = step_of(server, home, "write", r"stage_one\.json")
    refused(server.run(run_of(), cwd=home, watch=home, fault=Fault(step, error=ENOSPC)), "space")
    if (home / f"{OUT}.unfinished").exists():
        works(vecformer("run", "--resume", OUT))
    else:
        works(vecformer(*run_of()))
    assert sha256(home / OUT / "model.safetensors") == expected


def test_fault_08_an_empty_file_of_stage_one(vecformer, server, home):
    step = step_of(server, home, "rename", "training.checkpoint", last=True) + 1
    server.run(run_of(), cwd=home, watch=home, fault=Fault(step, signal=signal.SIGKILL))
    (home / f"{OUT}.unfinished" / "stage_one.json").write_text("")
    refused(vecformer("run", "--resume", OUT), r"stage_one\.json")


def test_fault_10_three_hundred_labels_in_train_and_test(vecformer, home):
    (home / "d").mkdir()
    for name, n in (("train", 600), ("test", 300)):
        (home / "d" / f"{name}.jsonl").write_text("".join(
            json.dumps({"text": f"w{i} z", "label": f"l{i % 300}"}) + "\n" for i in range(n)))
    works(vecformer("run", "--data", "d", *TINY, memory=GIGABYTE, draws=True))
    assert len(resolved(home)["labels"]) == 300


@pytest.fixture
def scaled(home: Path) -> dict[str, Path]:
    """Vector files that differ by a factor."""
    vectors = np.random.default_rng(3).normal(size=(250, 4))
    made = {}
    for name, factor in (("1", 1), ("1e-30", 1e-30), ("1e20", 1e20), ("1e-22", 1e-22)):
        made[name] = home / f"{name}.txt"
        made[name].write_text("".join(
            f"w{i} " + " ".join(f"{value * factor:.6g}" for value in row) + "\n" for i, row in enumerate(vectors)))
    return made


def test_fault_11_neighbors_do_not_depend_on_the_scale(vecformer, scaled):
    found = {name: works(vecformer("embed", "neighbors", path, "w7")).stdout.replace(str(path), "FILE")
             for name, path in scaled.items()}
    assert len({" ".join(text.split()) for text in found.values()}) == 1, found


def test_fault_11_a_map_of_tiny_vectors(vecformer, scaled):
    works(vecformer("embed", "map", scaled["1e-30"], "--out", "map", "--top", 20, draws=True))


@pytest.mark.parametrize("content", ["a=" + "[" * 50_000 + "]" * 50_000, ".".join(["a"] * 20_000) + "=1",
                                     "seed=" + "9" * 100_000], ids=["deep", "key", "big"])
def test_fault_13_toml_that_cannot_be_read(content, vecformer, home):
    (home / "a.toml").write_text(content)
    refused(vecformer("run", "a.toml", "-q", "--data", DATA / "support", "--source", "random", "--out", OUT), "a.toml")
    refused(vecformer("benchmark", "a.toml", "-q", "--out", OUT), "a.toml")
    assert [path.name for path in home.iterdir()] == ["a.toml"]
