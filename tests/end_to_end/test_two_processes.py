"""Two processes, started by torchrun, train as one does with the doubled batch, and resume if one of them is killed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from unfinished_run import wait_for_checkpoint

VECFORMER = Path(sys.executable).with_name("vecformer")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python",
            VECFORMER]
COMMON = ["--source", "glove", "--epochs", "4", "--quiet", "--set", "model.dropout=0", "--set",
          "training.precision=float32"]
KILLED = ["--source", "random", "--epochs", "12", "--quiet", "--baselines", "none", "--set", "training.batch_size=2",
          "--set", "training.checkpoint_seconds=0"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def run(command):
    return subprocess.run(list(map(str, command)), env=ENVIRONMENT, capture_output=True, text=True, timeout=300,
                          check=False)


def start(command):
    return subprocess.Popen(list(map(str, command)), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True)


def process_of_rank(rank, out):
    """The number of the process of a rank of the run that writes to a folder."""
    for process in Path("/proc").iterdir():
        try:
            is_one = (f"RANK={rank}".encode() in (process / "environ").read_bytes().split(b"\0")
                      and str(out).encode() in (process / "cmdline").read_bytes())
        except OSError:  # not a process, or one that has ended
            continue
        if is_one:
            return int(process.name)
    raise AssertionError(f"no process of rank {rank}")


def test_the_losses_are_those_of_one_process_with_the_doubled_batch(tmp_path, support):
    losses = []
    for name, command, size in (("two", TORCHRUN, 8), ("one", [VECFORMER], 16)):
        out = tmp_path / name
        made = run([*command, "run", "--data", support, "--out", out, *COMMON, "--set", f"training.batch_size={size}"])
        assert made.returncode == 0, made.stderr
        assert made.stdout.count("report  ") == 1
        losses.append([json.loads(line)["train_loss"] for line in (out / "history.jsonl").open()])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
def test_a_run_whose_second_process_is_killed_resumes_to_the_same_bytes(tmp_path, support):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    made = run([*TORCHRUN, "run", "--data", support, "--out", whole, *KILLED])
    assert made.returncode == 0, made.stderr
    process = start([*TORCHRUN, "run", "--data", support, "--out", killed, *KILLED])
    wait_for_checkpoint(killed, process)
    os.kill(process_of_rank(1, killed), signal.SIGKILL)
    printed = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    assert "the connection to another process of this training is lost" in printed
    assert f"vecformer run --resume {killed}" in printed
    assert "RuntimeError" not in printed
    assert not killed.exists()
    made = run([*TORCHRUN, "run", "--resume", killed, "--quiet"])
    assert made.returncode == 0, made.stderr
    for file in ("model.safetensors", "predictions.jsonl"):
        assert (killed / file).read_bytes() == (whole / file).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "whole"]
