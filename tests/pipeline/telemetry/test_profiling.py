"""Profiling: the clock alone and in a run."""

import re
import time
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner

from pipeline import RunConfig, run
from pipeline.cli.main import cli
from pipeline.cli.run import profile_summary
from pipeline.telemetry import profiling
from pipeline.telemetry.profiling import PARTS, REST, STOPPED, Clock, Profile, take_profile
from transformer.training.config import TrainingConfig

ALWAYS = [part for part in PARTS if part not in ("starting", "self-training", "ngrams", "pretraining")]


@pytest.fixture
def hands(monkeypatch):
    """Simulated time, advanced by the test."""
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(profiling, "time", SimpleNamespace(perf_counter=lambda: now.seconds))
    return now


def spent(clock):
    clock.tick()
    return {part: seconds for part, seconds in clock.seconds.items() if seconds}


def test_nested_parts_are_counted_once(hands):
    clock = Clock(since=93.0)
    hands.seconds += 1
    with clock("vectors"):
        hands.seconds += 2
        with clock("tokenising"):
            hands.seconds += 4
            with clock("vectors"):
                hands.seconds += 8
        hands.seconds += 16
    with clock("vectors"):
        hands.seconds += 32
    assert spent(clock) == {"starting": 7, "tokenising": 4, "vectors": 2 + 8 + 16 + 32, REST: 1}
    assert sum(clock.seconds.values()) == hands.seconds - 93


def test_a_part_ends_with_an_exception(hands):
    clock = Clock()
    with pytest.raises(KeyboardInterrupt), clock("evaluation"):
        hands.seconds += 1
        with clock("forward"):
            hands.seconds += 2
            raise KeyboardInterrupt
    hands.seconds += 4
    assert spent(clock) == {"evaluation": 1, "forward": 2, REST: 4}


def test_an_unknown_part_is_rejected(hands):
    clock = Clock()
    with clock("reading"):
        with pytest.raises(ValueError, match="unknown part 'redaing'; parts: starting, reading,"):
            clock("redaing")
        hands.seconds += 1
    assert spent(clock) == {"reading": 1}


def test_tokens_are_counted_and_a_few_batches_kept():
    clock = Clock()
    loss = clock.observe(lambda model, batch: model + batch.n_tokens)
    batches = [SimpleNamespace(n_tokens=n) for n in range(20)]
    assert [loss(1, batch) for batch in batches] == list(range(1, 21))
    assert clock.tokens == sum(range(20))
    assert [batch.n_tokens for batch in clock.samples] == [0, 3, 15]  # the 1st, 4th and 16th


def test_a_stopped_clock_has_negligible_cost():
    def loss(_model, _batch):
        return torch.zeros(())

    assert STOPPED.observe(loss) is loss
    trials = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(1_000):
            with STOPPED("forward"):
                pass
        trials.append(time.perf_counter() - start)
    assert min(trials) / 1_000 < 10e-6  # a training step has four parts and takes milliseconds
    assert not any(STOPPED.seconds.values())
    assert STOPPED.tokens == 0


def test_a_running_clock_has_low_cost():
    trials, clock = [], Clock()
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(1_000):
            with clock("forward"):
                pass
        trials.append(time.perf_counter() - start)
    assert min(trials) / 1_000 < 100e-6


@pytest.fixture(scope="module")
def clocked(tmp_path_factory, support):
    """A run without a clock, one with a clock, the clock, and the seconds of the latter."""
    folder = tmp_path_factory.mktemp("runs")
    data = folder / "data"
    data.mkdir()
    for part, source in (("train", "train"), ("dev", "test"), ("test", "test")):
        (data / f"{part}.tsv").write_text((support / f"{source}.tsv").read_text())
    config = RunConfig.from_mapping({"data": {"path": str(data)}, "training": {"epochs": 4}})
    plain = run(config, folder / "plain")
    clock, start = Clock(), time.perf_counter()
    made = run(config, folder / "clocked", clock=clock)
    clock.tick()
    return plain, made, clock, time.perf_counter() - start


def test_parts_add_up_to_the_whole(clocked):
    _, made, clock, seconds = clocked
    assert sum(clock.seconds.values()) == pytest.approx(seconds, rel=0.1)
    assert all(clock.seconds[part] > 0 for part in ALWAYS)
    steps = sum(clock.seconds[part] for part in profiling.TRAINING)
    assert 0.5 < steps / made.metrics["training"]["seconds"] <= 1.1
    assert clock.tokens == made.metrics["training"]["tokens"]


def test_the_clock_does_not_change_the_run(clocked):
    plain, made, *_ = clocked
    assert {path.name for path in plain.path.iterdir()} == {path.name for path in made.path.iterdir()}
    for name in ("model.safetensors", "start.safetensors", "embeddings.safetensors", "predictions.jsonl"):
        assert (plain.path / name).read_bytes() == (made.path / name).read_bytes(), name


def test_the_profile_of_a_run(clocked):
    _, made, clock, _ = clocked
    profile = take_profile(clock, TrainingConfig(precision="float32"))
    assert profile.whole == pytest.approx(sum(profile.seconds.values()))
    assert profile.tokens == made.metrics["training"]["tokens"]
    assert profile.tokens_per_second == pytest.approx(made.metrics["training"]["tokens_per_second"], rel=0.5)
    assert 0 < profile.share_of_peak < 1
    assert profile.peak > 1e9
    assert profile.precision == "float32"
    d, d_ff, n_layers = 128, 256, 2  # most operations are products with W_Q, W_K, W_V, W_O and feed-forward weights
    least = 3 * 2 * profile.tokens * n_layers * (4 * d * d + 2 * d * d_ff)
    seconds = sum(profile.seconds[part] for part in profiling.STEP)
    assert least < profile.operations_per_second * seconds < 3 * least


def test_pretraining_is_a_separate_part(tmp_path, support):
    clock = Clock()
    made = run(RunConfig.from_mapping({"data": {"path": str(support)}, "source": "random", "training": {"epochs": 1},
                                       "pretraining": {"epochs": 1}}), tmp_path / "run", clock=clock)
    assert clock.seconds["pretraining"] > 0
    assert clock.tokens == made.metrics["training"]["tokens"]


def test_the_command_prints_the_profile(tmp_path, support):
    options = ["--recipe", "plain", "--source", "random", "--epochs", "2", "--profile"]
    done = CliRunner().invoke(cli, ["run", "--data", str(support), *options, "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.output
    summary, printed = done.output.split("\n\npart ")
    assert "report    " in summary
    rows = re.findall(r"^(\w[\w ]*?) +(\d+\.\d\d) +(\d+\.\d)%$", printed, re.MULTILINE)
    assert [name for name, *_ in rows] == ["starting", *ALWAYS, REST, "total"]
    *parts, (_, whole, share) = [(name, float(seconds), float(share)) for name, seconds, share in rows]
    assert sum(seconds for _, seconds, _ in parts) == pytest.approx(whole, abs=0.005 * len(rows))
    assert sum(share for *_, share in parts) == pytest.approx(share, abs=0.05 * len(rows))
    assert share == 100
    assert re.search(r"^speed  [\d,]+ training tokens per second$", printed, re.MULTILINE)
    assert re.search(r"^peak   \d+\.\d% of the peak: [\d,]+ of [\d,]+ GFLOP/s in (float32|bfloat16) matrix products$",
                     printed, re.MULTILINE)
    assert re.search(r"^engine encoder: \w+", printed, re.MULTILINE)


def test_without_the_option_no_profile_is_printed(tmp_path, support):
    done = CliRunner().invoke(cli, ["run", "--data", str(support), "--source", "random", "--epochs", "1",
                                    "--out", str(tmp_path / "run")])
    assert done.output.splitlines()[-1].startswith("report ")


def test_without_training_there_is_no_speed(hands):
    clock = Clock(since=99.0)
    hands.seconds += 3
    profile = take_profile(clock, TrainingConfig(precision="auto"))
    assert profile == Profile({"starting": 1.0, REST: 3.0})
    assert (profile.tokens_per_second, profile.share_of_peak) == (0, 0)
    assert profile_summary(profile).splitlines() == [
        "part      seconds   share",
        "starting     1.00   25.0%",
        "the rest     3.00   75.0%",
        "total        4.00  100.0%",
    ]
