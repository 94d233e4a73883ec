"""Two processes, started by torchrun, train as one does with the doubled batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMON = ["--source", "glove", "--epochs", "4", "--quiet", "--set", "model.dropout=0", "--set",
          "training.precision=float32"]


def test_the_losses_are_those_of_one_process_with_the_doubled_batch(tmp_path, support):
    vecformer = Path(sys.executable).with_name("vecformer")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    losses = []
    for name, command, size in (("two", [*torchrun, vecformer], 8), ("one", [vecformer], 16)):
        out = tmp_path / name
        made = subprocess.run(
            [*map(str, command), "run", "--data", str(support), "--out", str(out), *COMMON, "--set",
             f"training.batch_size={size}"],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300, check=False,
        )
        assert made.returncode == 0, made.stderr
        assert made.stdout.count("report  ") == 1
        losses.append([json.loads(line)["train_loss"] for line in (out / "history.jsonl").open()])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
