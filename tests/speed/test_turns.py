"""Alternating trainings, and the cost of unused vectors, on tiny inputs."""

import os
import subprocess
from statistics import median

import measuring
import pytest
import table_size

TINY = ["training.batch_size=8", "data.limit_train=32", "model.d_model=16", "model.d_ff=16", "model.n_heads=2"]


@pytest.fixture
def small_tables(monkeypatch):
    for name, size in (("SMALL", 1000), ("LARGE", 3000), ("ROWS_PER_BLOCK", 500), ("STEPS_PER_TURN", 2)):
        monkeypatch.setattr(table_size, name, size)


def turns(*trainings, steps=2, turns=3):
    return measuring.in_turn(trainings, turns=turns, steps=steps, environment=dict(os.environ))


def test_trainings_alternate_across_epochs(support):
    short, long = (["source=random", f"data.path={support}", *TINY, *more]
                   for more in ([], ["model.n_layers=12", "model.d_ff=256"]))
    found = turns(short, long, turns=8)
    assert [len(seconds) for seconds in found] == [8, 8]
    assert min(map(min, found)) > 0
    assert median(found[0]) < median(found[1])


def test_a_failing_training_ends_all(support, capfd):
    sound = ["source=random", f"data.path={support}", *TINY]
    with pytest.raises(subprocess.CalledProcessError) as error:
        turns(sound, ["source=random", "data.path=nowhere", *TINY])
    assert error.value.returncode == 1
    assert "nowhere" in capfd.readouterr().err


def test_a_turn_longer_than_an_epoch_is_an_error(support, capfd):
    with pytest.raises(subprocess.CalledProcessError):
        turns(["source=random", f"data.path={support}", *TINY], steps=1000)
    assert "an epoch has only 4 steps, fewer than a turn" in capfd.readouterr().err


def test_memory_and_steps_of_both_tables(support, small_tables):
    found = table_size.measure(support, runs=1, turns=2, dim=8, settings=TINY)
    assert [(figure["figure"], figure.get("n_words", "ratio")) for figure in found] == [
        *((name, n_words) for name in ("peak memory, MiB", "time per step, ms") for n_words in (1000, 3000)),
        *((name, "ratio") for name in ("peak memory, MiB", "time per step, ms")),
    ]
    assert all(50 < figure["median"] < 5000 for figure in found[:2])  # a process that has torch
    assert found[-2]["ratio"] == pytest.approx(1, abs=0.3)


def test_the_large_file_starts_with_the_small_one(support, tmp_path, small_tables):
    small, large = (path.read_text() for path in table_size.make_files(support, tmp_path, 3).values())
    assert (len(small.splitlines()), len(large.splitlines())) == (1000, 3000)
    assert large.startswith(small)
    words = [line.split(" ")[0] for line in large.splitlines()]
    assert len(set(words)) == 3000
    assert "the" in words[:1000]
