"""A training that is stopped at any moment, and goes on, ends in the same bytes as one that never was."""

import json
import multiprocessing
import random
import re
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import examples, loss, model, without_seconds

from transformer import Evaluation, Trainer, TrainingConfig
from transformer.checkpoint import save_weights, unfinished
from transformer.errors import CheckpointError
from transformer.training.state import TrainingState

FORMS = {
    "plain": {"epochs": 3},
    "accumulated": {"epochs": 3, "accumulate": 2, "ema": 0.5, "layer_decay": 0.8, "schedule": "cosine"},
    "thawed": {"epochs": 3, "freeze_epochs": 1, "table_lr": 1e-3},
    "stopped early": {"epochs": 9, "patience": 2},
    "bfloat16": {"epochs": 2, "precision": "bfloat16", "ema": 0.0},
}


class StoppedError(Exception):
    """Stands for whatever ends a process."""


def batches(epoch):
    """Others in each epoch, of unequal sizes, one without a target."""
    return [examples(seed=10 * epoch + i, n=n) for i, n in enumerate((8, 3, 0, 5, 8))]


def trainer_of(form, checkpoint=None, seconds=0.0, event=lambda: None, **config):
    """A trainer of a fresh model with dropout, which tells of each step, evaluation and epoch as it happens."""
    network = model(dropout=0.3)
    start = network.head.output.weight.detach().clone()
    better = -1 if form == "stopped early" else 1

    def evaluate():
        event()
        torch.rand(3)  # as an evaluation may
        moved = (network.head.output.weight - start).norm().item()
        return Evaluation({"moved": moved}, (better * moved, 0.5))

    torch.manual_seed(5)
    return Trainer(
        model=network, batches=batches, loss=loss, evaluate=evaluate, checkpoint=checkpoint,
        config=TrainingConfig(**{"lr": 3e-3, "checkpoint_seconds": seconds, **FORMS[form], **config}),
        progress=lambda *_: event(), on_epoch=lambda _: event(),
    )


def finish(trainer, folder):
    """Run to the end; the bytes of the weights and all of the result but its seconds."""
    result = trainer.run()
    save_weights(trainer.model, folder / "weights")
    facts = [without_seconds(result.history), result.best_epoch, result.steps, result.tokens]
    return (folder / "weights").read_bytes(), json.dumps(facts)


def stop_at(number):
    """An event that ends the training when it happens for the so-manieth time."""
    count = iter(range(1, number + 1))

    def event():
        if next(count, None) == number:
            raise StoppedError

    return event


@pytest.mark.parametrize("form", FORMS)
def test_stopped_at_each_moment_in_turn(form, tmp_path):
    unbroken = finish(trainer_of(form), tmp_path)
    for number in range(1, 100):
        checkpoint = tmp_path / f"{number}.checkpoint"
        try:
            trainer_of(form, checkpoint, event=stop_at(number)).run()
        except StoppedError:
            assert finish(trainer_of(form, checkpoint), tmp_path) == unbroken, number
        else:
            break
    assert number > 10
    assert finish(trainer_of(form, checkpoint), tmp_path) == unbroken  # what had ended goes on to the same end


def train_in_a_process(form, folder, seconds):
    outcome = finish(trainer_of(form, folder / "checkpoint", seconds), folder)
    (folder / "ended.unfinished").write_text(json.dumps([outcome[0].hex(), outcome[1]]))
    (folder / "ended.unfinished").rename(folder / "ended")


@pytest.mark.parametrize("seconds", [0.0, 0.02])
def test_killed_at_random_moments(seconds, tmp_path):
    config = "stopped early"
    unbroken = finish(trainer_of(config), tmp_path)
    processes, chance, kills = multiprocessing.get_context("fork"), random.Random(4), 0
    for attempt in range(60):
        process = processes.Process(target=train_in_a_process, args=(config, tmp_path, seconds))
        process.start()
        if attempt < 40:
            time.sleep(chance.uniform(0.0, 0.15))
            process.kill()
        process.join()
        if (tmp_path / "ended").exists():
            break
        kills += process.exitcode < 0
    weights, facts = json.loads((tmp_path / "ended").read_text())
    assert (bytes.fromhex(weights), facts) == unbroken
    assert kills >= 2
    assert not unfinished(tmp_path / "checkpoint").exists()


def test_it_is_written_no_more_often_than_asked(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 7))
    monkeypatch.setattr("transformer.training.trainer.time.monotonic", lambda: next(clock))
    written = []
    monkeypatch.setattr(TrainingState, "save", lambda state, *_, **__: written.append(state.step))
    trainer_of("plain", tmp_path / "checkpoint", seconds=14.0).run()
    assert written == [2, 4, 5, 7, 9, 10, 12, 14, 15]


def test_nothing_is_written_without_being_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer_of("plain").run()
    trainer_of("plain", tmp_path / "checkpoint", seconds=1000.0).run()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A checkpoint of a training under way."""
    path = tmp_path_factory.mktemp("written") / "checkpoint"
    with pytest.raises(StoppedError):
        trainer_of("plain", path, event=stop_at(9)).run()
    return path


@pytest.mark.parametrize(
    ("config", "message"),
    [({"lr": 0.5}, "training.lr was 0.003 and is 0.5"), ({"epochs": 4}, "training.epochs was 3 and is 4"),
     ({"precision": "bfloat16"}, "training.precision was auto and is bfloat16")],
)
def test_another_configuration_is_refused(written, config, message):
    before = written.read_bytes()
    with pytest.raises(CheckpointError, match=rf"checkpoint: .*{message}\. Go on with what it was .*delete"):
        trainer_of("plain", written, **config).run()
    assert written.read_bytes() == before


def test_how_often_it_is_written_may_change(written, tmp_path):
    (tmp_path / "copy").write_bytes(written.read_bytes())
    unbroken = finish(trainer_of("plain"), tmp_path)
    assert finish(trainer_of("plain", tmp_path / "copy", seconds=9.0), tmp_path) == unbroken


@pytest.mark.parametrize(
    ("shape", "message"),
    [({"n_words": 31}, r"encoder.embedding.weight was \(\d+, 16\) trained and is \(\d+, 16\) trained"),
     ({"freeze": True}, r"encoder.embedding.weight was \(\d+, 16\) trained and is \(\d+, 16\) fixed"),
     ({"dim": 8}, r"encoder.embedding.weight was \(\d+, 16\) trained and is \(\d+, 8\) trained")],
)
def test_another_model_is_refused(written, shape, message):
    trainer = trainer_of("plain", written)
    with pytest.raises(CheckpointError, match=message):
        Trainer(model=model(dropout=0.3, **shape), batches=batches, loss=loss, evaluate=None, config=trainer.config,
                checkpoint=written).run()


def test_other_data_are_refused(written):
    trainer = trainer_of("plain", written)
    with pytest.raises(CheckpointError, match=r"epoch 2 has 3 steps, and those before it had 5\. Go on with the same"):
        Trainer(model=trainer.model, batches=lambda epoch: batches(epoch)[:3], loss=loss, evaluate=None,
                config=trainer.config, checkpoint=written).run()


def test_weights_are_no_checkpoint(tmp_path):
    save_weights(model(), tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=re.escape("model.safetensors: not a checkpoint that can be read")):
        trainer_of("plain", tmp_path / "model.safetensors").run()


@settings(max_examples=60)
@given(st.data())
def test_a_broken_file_is_one_message(written, tmp_path_factory, data):
    """Cut anywhere, or with a changed byte in its description (but in the blanks at the end of that)."""
    content = bytearray(written.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        place = data.draw(st.integers(0, content.rindex(b"}", 0, header)))
        content[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]))
    path = tmp_path_factory.mktemp("broken") / "checkpoint"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"^{path}: not a checkpoint that can be read .*; delete it to start"):
        trainer_of("plain", path).run()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"checkpoint: cannot write the checkpoint .*; make room there"):
        trainer_of("plain", tmp_path / "file" / "checkpoint").run()


def test_what_a_killed_run_left_half_written_is_swept_away(tmp_path):
    unfinished(tmp_path / "checkpoint").write_bytes(b"half")
    trainer_of("plain", tmp_path / "checkpoint", seconds=1000.0).run()
    assert list(tmp_path.iterdir()) == []
