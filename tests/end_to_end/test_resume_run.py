"""A run that is killed goes on from where it was, and ends in the same bytes."""

import json
import random
import subprocess
import sys
import time

import pytest

VECFORMER = [sys.executable, "-c", "from pipeline.cli.main import main; main()"]
SAME = ("config.toml", "tokenizer.json", "embeddings.safetensors", "model.safetensors", "start.safetensors",
        "predictions.jsonl")


@pytest.mark.parametrize(("name", "more"), [
    ("plain", ["--source", "word2vec,dim=16,min_count=1", "--freeze-epochs", "2"]),
    ("pretrained", ["--source", "glove", "--pretrain-epochs", "3", "--set", "training.accumulate=2"]),
])
def test_killed_at_any_moment_and_taken_up_again_it_ends_in_the_same_bytes(name, more, tmp_path, support):
    args = ["run", "--data", support, "--epochs", "30", "--set", "training.checkpoint_seconds=0", *more]
    since = time.monotonic()
    assert _begin(*args, "--out", tmp_path / "whole").wait() == 0
    whole, moments, kills = time.monotonic() - since, random.Random(name), 0
    while not (tmp_path / "cut").exists():
        begun = (tmp_path / "cut.unfinished" / "config.toml").exists()
        process = _begin(*(["run", "--resume", tmp_path / "cut"] if begun else [*args, "--out", tmp_path / "cut"]))
        try:
            assert process.wait(timeout=whole * moments.uniform(0.3, 0.9) if kills < 4 else 100) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    assert kills
    for file in SAME:
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file
    lines = [[{**json.loads(line), "seconds": 0} for line in (tmp_path / run / "history.jsonl").open()]
             for run in ("cut", "whole")]
    assert lines[0] == lines[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut", "whole"]


def _begin(*args):
    return subprocess.Popen([*VECFORMER, *map(str, args)], stdout=subprocess.DEVNULL)
