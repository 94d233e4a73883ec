"""Two real processes on the CPU: the same training as one process with the whole batches."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_training import Batch, examples, loss, model, without_seconds

from transformer import Evaluation, Trainer, TrainingConfig
from transformer.checkpoint import save_weights
from transformer.errors import CheckpointError, TransformerError
from transformer.training.distributed import World, world


def whole_batches(epoch):
    """The last one has a single example, so that the second process has none of it."""
    return [examples(seed=10 * epoch + i, n=n) for i, n in enumerate((8, 7, 4, 1))]


def share(batch, ours):
    rows = ours.share(range(len(batch.targets)))
    return Batch(batch.ids[rows], batch.targets[rows], tuple(batch.where[i] for i in rows)) if rows else None


def trainer_of(ours, the_loss=loss, dropout=0.0, on_epoch=lambda _: None, checkpoint=None, **config):
    network = model(dropout=dropout)
    if ours.rank:
        torch.nn.init.zeros_(network.head.output.weight)  # the first process's weights are everyone's

    def evaluate():
        total = sum(weight.abs().sum().item() for weight in network.parameters())
        return Evaluation({"total": total}, (-total,))

    torch.manual_seed(5)
    return Trainer(
        model=network, batches=lambda epoch: [share(batch, ours) for batch in whole_batches(epoch)], loss=the_loss,
        evaluate=evaluate, world=ours, on_epoch=on_epoch, checkpoint=checkpoint,
        config=TrainingConfig(**{"epochs": 3, "lr": 3e-3, "checkpoint_seconds": 0.0, "precision": "float32",
                                 **config}),
    )


def train_and_tell(ours, folder, kill_at=None, bad_at=None, **options):
    """What each process does. Its weights, its history and more are left in the folder."""
    calls, draws, told = count(), [], []

    def watched(network, batch):
        draws.append(torch.rand(1, generator=torch.Generator().set_state(torch.get_rng_state())).item())
        call = next(calls)
        if call == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(network, batch) * (float("nan") if (ours.rank, call) == bad_at else 1.0)

    trainer = trainer_of(ours, watched, on_epoch=told.append, **options)
    facts = {"draws": draws}
    try:
        result = trainer.run()
        facts |= {"history": without_seconds(result.history), "best": result.best_epoch, "told": len(told)}
    except TransformerError as error:
        facts["error"] = str(error)
    save_weights(trainer.model, folder / f"weights-{ours.rank}")
    (folder / f"facts-{ours.rank}").write_text(json.dumps(facts))


def process(rank, port, options):
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ours = world()
    train_and_tell(ours, **options)
    ours.barrier()
    ours.close()


def what_they_left(folder):
    """The bytes of the weights and the facts of each process."""
    return [((folder / f"weights-{rank}").read_bytes(), json.loads((folder / f"facts-{rank}").read_text()))
            for rank in range(2)]


def two_processes(folder, **options):
    """Run both to their end."""
    folder.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=process, args=(rank, port, {"folder": folder, **options})) for rank in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert [one.exitcode for one in both] == [0, 0]
    return what_they_left(folder)


def check_against_one_process(both, **config):
    expected = trainer_of(World(), **config).run()
    (weights, facts), (other_weights, other_facts) = both
    assert weights == other_weights
    assert facts["history"] == other_facts["history"]
    assert facts["best"] == other_facts["best"] == expected.best_epoch
    assert (facts["told"], other_facts["told"]) == (len(expected.history), 0)
    for line, wanted in zip(facts["history"], without_seconds(expected.history), strict=True):
        total, wanted_total = line.pop("dev_total"), wanted.pop("dev_total")
        assert total == pytest.approx(wanted_total, rel=1e-4)
        assert line == pytest.approx(wanted, abs=1e-5, rel=0)


@pytest.mark.parametrize(
    "config", [{}, {"accumulate": 3, "layer_decay": 0.7}, {"freeze_epochs": 1, "table_lr": 1e-3},
               {"epochs": 9, "patience": 1}],
)
def test_same_losses_as_one_process(config, tmp_path):
    check_against_one_process(two_processes(tmp_path, **config), **config)


def test_under_torchrun(tmp_path):
    """This file is the program that it starts."""
    root = Path(__file__).parents[3]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    path = os.pathsep.join([str(root), str(root / "tests" / "transformer")])
    subprocess.run([*torchrun, __file__, str(tmp_path)], check=True, cwd=root, timeout=120,
                   env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"})
    check_against_one_process(what_they_left(tmp_path))


def test_each_process_drops_other_activations_and_a_run_can_be_repeated(tmp_path):
    first = two_processes(tmp_path, dropout=0.3)
    assert first == two_processes(tmp_path, dropout=0.3)
    (_, facts), (_, other_facts) = first
    assert not set(facts["draws"]) & set(other_facts["draws"])


@pytest.mark.parametrize("kill_at", [1, 5, 8])
def test_killed_and_gone_on_with(kill_at, tmp_path):
    unbroken = two_processes(tmp_path / "unbroken", dropout=0.3)
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(AssertionError, match="-9"):
        two_processes(tmp_path / "broken", dropout=0.3, checkpoint=checkpoint, kill_at=kill_at)
    resumed = two_processes(tmp_path / "broken", dropout=0.3, checkpoint=checkpoint)
    for (weights, facts), (expected_weights, expected) in zip(resumed, unbroken, strict=True):
        assert weights == expected_weights
        assert facts["history"] == expected["history"]
        assert facts["draws"] == expected["draws"][-len(facts["draws"]) :]
        assert len(facts["draws"]) < len(expected["draws"])


def test_a_bad_loss_in_one_process_stops_both_and_names_the_examples_of_all(tmp_path):
    both = two_processes(tmp_path, bad_at=(1, 2))
    for _, facts in both:
        start, _, advice = facts["error"].partition(": try ")
        assert start == "the loss became nan in epoch 1, step 3, on a.tsv:1, a.tsv:3, a.tsv:2, a.tsv:4"
        assert advice


def test_a_checkpoint_of_two_is_not_for_one(tmp_path):
    two_processes(tmp_path, checkpoint=tmp_path / "checkpoint")
    with pytest.raises(CheckpointError, match="the number of processes was 2 and is 1"):
        trainer_of(World(), checkpoint=tmp_path / "checkpoint").run()


@given(st.lists(st.integers()), st.integers(1, 9))
def test_shares_make_up_the_whole(items, size):
    shares = [World(rank, size).share(items) for rank in range(size)]
    assert sorted(item for part in shares for item in part) == sorted(items)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_nothing_is_sent():
    alone = world()
    assert alone == World()
    assert alone.sum(2, 3.5) == [2, 3.5]
    assert alone.gather("a") == ["a"]
    total = torch.tensor(1.0)
    assert alone.sum_gradients([], total) is total
    alone.broadcast([total])
    alone.barrier()
    alone.close()


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(TransformerError, match=r"process 2 of this machine, which has 1 GPUs: give it --nproc-.*1"):
        world(torch.device("cuda"))


if __name__ == "__main__":
    here = world()
    train_and_tell(here, Path(sys.argv[1]))
    here.close()
