"""The time budget: its notation, the epochs that fit, and resuming with the same number."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.runs import budget, chain
from pipeline.runs.budget import budget_seconds
from pipeline.runs.chain import run
from pipeline.runs.folder import RunFolder
from pipeline.runs.trained import load_setup

SMALL = {"recipe": "plain", "source": "random", "baselines": "none",
         "model": {"d_model": 16, "n_heads": 2, "d_ff": 16, "n_layers": 1}}


def config(support: Path, **values: object) -> RunConfig:
    return RunConfig.from_mapping({**SMALL, "data": {"path": str(support)}, **values})


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1.5h", 5400), ("", None)])
def test_notation(text: str, seconds: float | None) -> None:
    assert budget_seconds(RunConfig(budget=text)) == seconds


@pytest.mark.parametrize("text", ["5", "m", "-5m", "0s", "5 minutes", "5d", "1e3s"])
def test_other_notations_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="such as 90s, 5m or 2h"):
        budget_seconds(RunConfig(budget=text))


def n_epochs(folder: Path) -> int:
    return int(json.loads((folder / "metrics.json").read_text())["training"]["epochs"])


def test_a_long_budget_changes_nothing_but_the_account(support: Path, tmp_path: Path) -> None:
    training = {"epochs": 3, "patience": 0}
    run(config(support, training=training), tmp_path / "without")
    run(config(support, training=training, budget="2h"), tmp_path / "with")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("without", "with")]
    assert weights[0] == weights[1]
    assert load_setup(RunFolder(tmp_path / "with")).resolved.parts["budget"].values == {"training.epochs": 3}


def test_a_budget_that_is_too_short_trains_one_epoch_and_warns(
    support: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "vecformer.data"):
        run(config(support, budget="0.001s"), tmp_path / "run")
    assert "the budget of 0.001s is too short" in caplog.text
    assert n_epochs(tmp_path / "run") == 1


def test_the_epochs_follow_from_the_measured_time(
    support: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "seconds_of_step", lambda *_: 100.0)  # 48 examples: 3 steps of 100 s
    run(config(support, budget="1h", training={"patience": 0}), tmp_path / "run")
    assert n_epochs(tmp_path / "run") == 9  # 0.8 x 3,600 s, less a few seconds, of 300 s


def test_a_resumed_run_keeps_the_measured_number(
    support: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requested = config(support, budget="1h", training={"patience": 0})
    with monkeypatch.context() as patch:
        patch.setattr(budget, "seconds_of_step", lambda *_: 200.0)  # 3 steps: 4 epochs fit
        patch.setattr(chain, "evaluate_and_write", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(requested, tmp_path / "run")
    monkeypatch.setattr(budget, "seconds_of_step", None)  # is not measured again
    run(requested, tmp_path / "run", resume=True)
    assert n_epochs(tmp_path / "run") == 4


def stopped(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
