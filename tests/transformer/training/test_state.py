"""A training run that is interrupted at any point and resumed has the same result as one without interruption."""

import json
import multiprocessing
import random
import re
import time
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import examples, loss, model, without_seconds

from embeddings.table.atomic_files import NEW, hidden
from transformer import Evaluation, Trainer, TrainingConfig
from transformer.checkpoint import save_weights, write_checkpoint
from transformer.errors import CheckpointError
from transformer.training import trainer as trainer_module
from transformer.training.state import TrainingState

CONFIGS = {
    "plain": {"epochs": 3},
    "accumulated": {"epochs": 3, "accumulate": 2, "ema": 0.5, "layer_decay": 0.8, "schedule": "cosine"},
    "unfrozen": {"epochs": 3, "freeze_epochs": 1, "table_lr": 1e-3},
    "gradually": {"epochs": 4, "unfreeze_epochs": 1},
    "lowest layer frozen": {"epochs": 3, "frozen_layers": 1},
    "stopped early": {"epochs": 9, "patience": 2},
    "bfloat16": {"epochs": 2, "precision": "bfloat16", "ema": 0.0},
}


class StoppedError(Exception):
    """Simulates the end of the process."""


def batches(epoch):
    """Return batches that differ between epochs, of unequal sizes, one of them without a target."""
    return [examples(seed=10 * epoch + i, n=n) for i, n in enumerate((8, 3, 0, 5, 8))]


def trainer_of(name, checkpoint=None, seconds=0.0, event=lambda: None, **config):
    """Make a trainer of a new model with dropout; ``event`` is called at each step, evaluation and epoch."""
    network = model(dropout=0.3)
    start = network.head.output.weight.detach().clone()
    better = -1 if name == "stopped early" else 1

    def evaluate():
        event()
        torch.rand(3)  # an evaluation may use random numbers
        distance = (network.head.output.weight - start).norm().item()
        return Evaluation({"distance": distance}, (better * distance, 0.5))

    torch.manual_seed(5)
    return Trainer(
        model=network, batches=batches, loss=loss, evaluate=evaluate, checkpoint=checkpoint,
        config=TrainingConfig(**{"lr": 3e-3, "checkpoint_seconds": seconds, **CONFIGS[name], **config}),
        progress=lambda *_: event(), on_epoch=lambda _: event(),
    )


def finish(trainer, folder):
    """Run to the end, and return the bytes of the weights and the result without its seconds."""
    result = trainer.run()
    save_weights(trainer.model, folder / "weights")
    facts = [without_seconds(result.history), result.best_epoch, result.steps, result.tokens]
    return (folder / "weights").read_bytes(), json.dumps(facts)


def stop_at(number):
    """Make an event that ends the training at its n-th call."""
    count = iter(range(1, number + 1))

    def event():
        if next(count, None) == number:
            raise StoppedError

    return event


@pytest.mark.parametrize("name", CONFIGS)
def test_resumes_after_a_stop_at_any_event(name, tmp_path):
    expected = finish(trainer_of(name), tmp_path)
    for number in range(1, 100):
        checkpoint = tmp_path / f"{number}.checkpoint"
        try:
            trainer_of(name, checkpoint, event=stop_at(number)).run()
        except StoppedError:
            assert finish(trainer_of(name, checkpoint), tmp_path) == expected, number
        else:
            break
    assert number > 10
    assert finish(trainer_of(name, checkpoint), tmp_path) == expected  # a finished run can be resumed as well


def train_in_a_process(name, folder, seconds):
    outcome = finish(trainer_of(name, folder / "checkpoint", seconds), folder)
    (folder / "ended.partial").write_text(json.dumps([outcome[0].hex(), outcome[1]]))
    (folder / "ended.partial").rename(folder / "ended")


@pytest.mark.parametrize("seconds", [0.0, 0.02])
def test_resumes_after_kills_at_random_times(seconds, tmp_path):
    config = "stopped early"
    expected = finish(trainer_of(config), tmp_path)
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
    assert (bytes.fromhex(weights), facts) == expected
    assert kills >= 2
    assert not hidden(tmp_path / "checkpoint", NEW).exists()


def test_checkpoints_are_written_at_the_configured_interval(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 7))
    monkeypatch.setattr(trainer_module, "time", SimpleNamespace(
        monotonic=lambda: next(clock), perf_counter=time.perf_counter))  # only in this module
    written = []
    monkeypatch.setattr(TrainingState, "save", lambda state, *_, **__: written.append(state.step))
    trainer_of("plain", tmp_path / "checkpoint", seconds=14.0).run()
    assert written == [2, 4, 5, 7, 9, 10, 12, 14, 15]


def test_no_checkpoint_before_the_interval_or_without_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer_of("plain").run()
    trainer_of("plain", tmp_path / "checkpoint", seconds=1000.0).run()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the checkpoint of an interrupted run."""
    path = tmp_path_factory.mktemp("written") / "checkpoint"
    with pytest.raises(StoppedError):
        trainer_of("plain", path, event=stop_at(9)).run()
    return path


@pytest.mark.parametrize(
    ("config", "message"),
    [({"lr": 0.5}, "training.lr was 0.003 and is now 0.5"), ({"epochs": 4}, "training.epochs was 3 and is now 4"),
     ({"precision": "bfloat16"}, "training.precision was auto and is now bfloat16")],
)
def test_other_configuration_is_refused(written, config, message):
    before = written.read_bytes()
    with pytest.raises(CheckpointError, match=rf"checkpoint: .*{message}\. Restore the setting, or delete"):
        trainer_of("plain", written, **config).run()
    assert written.read_bytes() == before


def test_checkpoint_interval_may_change(written, tmp_path):
    (tmp_path / "copy").write_bytes(written.read_bytes())
    expected = finish(trainer_of("plain"), tmp_path)
    assert finish(trainer_of("plain", tmp_path / "copy", seconds=9.0), tmp_path) == expected


@pytest.mark.parametrize(
    ("shape", "message"),
    [({"n_words": 31}, r"encoder.embedding.weight was \(\d+, 16\) trained and is now \(\d+, 16\) trained"),
     ({"freeze": True}, r"encoder.embedding.weight was \(\d+, 16\) trained and is now \(\d+, 16\) fixed"),
     ({"dim": 8}, r"encoder.embedding.weight was \(\d+, 16\) trained and is now \(\d+, 8\) trained")],
)
def test_other_model_is_refused(written, shape, message):
    trainer = trainer_of("plain", written)
    with pytest.raises(CheckpointError, match=message):
        Trainer(model=model(dropout=0.3, **shape), batches=batches, loss=loss, evaluate=None, config=trainer.config,
                checkpoint=written).run()


def test_other_number_of_batches_is_refused(written):
    trainer = trainer_of("plain", written)
    with pytest.raises(CheckpointError, match=r"epoch 2 has 3 steps, but earlier epochs had 5\. Use the same training"):
        Trainer(model=trainer.model, batches=lambda epoch: batches(epoch)[:3], loss=loss, evaluate=None,
                config=trainer.config, checkpoint=written).run()


def test_weights_file_is_not_a_checkpoint(tmp_path):
    save_weights(model(), tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=re.escape("model.safetensors: the checkpoint is damaged")):
        trainer_of("plain", tmp_path / "model.safetensors").run()


@settings(max_examples=60)
@given(st.data())
def test_damaged_file_is_refused(written, tmp_path_factory, data):
    """Truncated at any byte, or with a changed byte anywhere (except the trailing blanks of the header)."""
    content = bytearray(written.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        end = content.rindex(b"}", 0, header)
        position = data.draw(st.integers(0, end) | st.integers(header, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[position]))
    path = tmp_path_factory.mktemp("broken") / "checkpoint"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"^{path}: the checkpoint is damaged .*; delete the file and resume"):
        trainer_of("plain", path).run()


@pytest.mark.parametrize("facts", [{}, {"settings": []}, {"settings": {}, "best": 3}])
def test_other_facts_with_a_right_checksum_are_refused(tmp_path, facts):
    write_checkpoint(tmp_path / "checkpoint", {"losses": torch.zeros(0)}, facts)
    with pytest.raises(CheckpointError, match="checkpoint: "):
        trainer_of("plain", tmp_path / "checkpoint").run()


def test_unwritable_path_raises(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"checkpoint: cannot write the checkpoint .*; free disk space"):
        trainer_of("plain", tmp_path / "file" / "checkpoint").run()
