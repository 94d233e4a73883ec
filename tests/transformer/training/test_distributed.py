"""Training in two processes on the CPU equals training in one process."""

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
from transformer.training.shared_memory import is_possible
from transformer.training.state import check_settings, resume_settings


def whole_batches(epoch):
    """Return batches; the last has a single example, so that the second process has an empty part."""
    return [examples(seed=10 * epoch + i, n=n) for i, n in enumerate((8, 7, 4, 1))]


def part_of(batch, ours):
    rows = ours.share(range(len(batch.targets)))
    return Batch(batch.ids[rows], batch.targets[rows], tuple(batch.where[i] for i in rows)) if rows else None


def trainer_of(ours, the_loss=loss, dropout=0.0, on_epoch=lambda _: None, checkpoint=None, **config):
    network = model(dropout=dropout)
    if ours.rank:
        torch.nn.init.zeros_(network.head.output.weight)  # overwritten by the weights of rank 0

    def evaluate():
        total = sum(weight.abs().sum().item() for weight in network.parameters())
        return Evaluation({"total": total}, (-total,))

    torch.manual_seed(5)
    return Trainer(
        model=network, batches=lambda epoch: [part_of(batch, ours) for batch in whole_batches(epoch)], loss=the_loss,
        evaluate=evaluate, world=ours, on_epoch=on_epoch, checkpoint=checkpoint,
        config=TrainingConfig(**{"epochs": 3, "lr": 3e-3, "checkpoint_seconds": 0.0, "precision": "float32",
                                 **config}),
    )


def train_and_record(ours, folder, kill_at=None, bad_at=None, **options):
    """Train in one process, and write its weights, history and other results to the folder."""
    calls, draws, reported = count(), [], []

    def recorded_loss(network, batch):
        draws.append(torch.rand(1, generator=torch.Generator().set_state(torch.get_rng_state())).item())
        call = next(calls)
        if call == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss(network, batch) * (float("nan") if (ours.rank, call) == bad_at else 1.0)

    trainer = trainer_of(ours, recorded_loss, on_epoch=reported.append, **options)
    facts = {"draws": draws}
    try:
        result = trainer.run()
        facts |= {"history": without_seconds(result.history), "best": result.best_epoch, "reported": len(reported)}
    except TransformerError as error:
        facts["error"] = str(error)
    save_weights(trainer.model, folder / f"weights-{ours.rank}")
    (folder / f"facts-{ours.rank}").write_text(json.dumps(facts))


def process(rank, port, options):
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ours = world()
    train_and_record(ours, **options)
    ours.barrier()
    ours.close()


def read_results(folder):
    """Return the bytes of the weights and the recorded facts of each process."""
    return [((folder / f"weights-{rank}").read_bytes(), json.loads((folder / f"facts-{rank}").read_text()))
            for rank in range(2)]


def two_processes(folder, **options):
    """Train in two processes, and return their results."""
    folder.mkdir(exist_ok=True)
    run_two(process, {"folder": folder, **options})
    return read_results(folder)


def run_two(target, *arguments):
    """Call a function with the rank and a free port in two processes, which must end without an error."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=target, args=(rank, port, *arguments)) for rank in range(2)]
    for each in processes:
        each.start()
    for each in processes:
        each.join(60)
    assert [each.exitcode for each in processes] == [0, 0]


@pytest.fixture(params=["messages", "shared memory"])
def exchange(request, monkeypatch):
    """How two processes exchange tensors: torchrun's variable tells them whether they are on one machine."""
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2" if request.param == "shared memory" else "1")
    if request.param == "shared memory" and not is_possible(2):
        pytest.skip("needs a file system in memory, and x86-64")
    return request.param


def check_against_one_process(both, **config):
    expected = trainer_of(World(), **config).run()
    (weights, facts), (other_weights, other_facts) = both
    assert weights == other_weights
    assert facts["history"] == other_facts["history"]
    assert facts["best"] == other_facts["best"] == expected.best_epoch
    assert (facts["reported"], other_facts["reported"]) == (len(expected.history), 0)
    for entry, expected_entry in zip(facts["history"], without_seconds(expected.history), strict=True):
        total, expected_total = entry.pop("dev_total"), expected_entry.pop("dev_total")
        assert total == pytest.approx(expected_total, rel=1e-4)
        assert entry == pytest.approx(expected_entry, abs=1e-5, rel=0)


@pytest.mark.parametrize(
    "config", [{}, {"accumulate": 3, "layer_decay": 0.7}, {"freeze_epochs": 1, "table_lr": 1e-3},
               {"unfreeze_epochs": 1}, {"epochs": 9, "patience": 1}],
)
def test_same_losses_as_one_process(config, exchange, tmp_path):
    check_against_one_process(two_processes(tmp_path, **config), **config)


def test_under_torchrun(tmp_path):
    """torchrun starts this file as a program."""
    root = Path(__file__).parents[3]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    path = os.pathsep.join([str(root), str(root / "tests" / "transformer")])
    subprocess.run([*torchrun, __file__, str(tmp_path)], check=True, cwd=root, timeout=120,
                   env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"})
    check_against_one_process(read_results(tmp_path))


def test_dropout_differs_between_processes_and_is_reproducible(tmp_path):
    first = two_processes(tmp_path, dropout=0.3)
    assert first == two_processes(tmp_path, dropout=0.3)
    (_, facts), (_, other_facts) = first
    assert not set(facts["draws"]) & set(other_facts["draws"])


@pytest.mark.parametrize("kill_at", [1, 5, 8])
def test_resumes_after_a_kill(kill_at, exchange, tmp_path):
    expected_results = two_processes(tmp_path / "uninterrupted", dropout=0.3)
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(AssertionError, match="-9"):
        two_processes(tmp_path / "killed", dropout=0.3, checkpoint=checkpoint, kill_at=kill_at)
    resumed = two_processes(tmp_path / "killed", dropout=0.3, checkpoint=checkpoint)
    for (weights, facts), (expected_weights, expected) in zip(resumed, expected_results, strict=True):
        assert weights == expected_weights
        assert facts["history"] == expected["history"]
        assert facts["draws"] == expected["draws"][-len(facts["draws"]) :]
        assert len(facts["draws"]) < len(expected["draws"])


def test_nan_loss_in_one_process_stops_both_with_the_examples_of_all(tmp_path):
    both = two_processes(tmp_path, bad_at=(1, 2))
    for _, facts in both:
        start, _, advice = facts["error"].partition(": try ")
        assert start == "the loss became nan in epoch 1, step 3, on a.tsv:1, a.tsv:3, a.tsv:2, a.tsv:4"
        assert advice


def test_checkpoint_of_two_processes_is_refused_by_one(tmp_path):
    two_processes(tmp_path, checkpoint=tmp_path / "checkpoint")
    with pytest.raises(CheckpointError, match="the number of processes was 2 and is now 1"):
        trainer_of(World(), checkpoint=tmp_path / "checkpoint").run()


def test_checkpoint_with_updates_of_whole_tables_is_refused():
    network, config = model(), TrainingConfig()
    now = resume_settings(network, config, n_processes=2)
    earlier = {name: value for name, value in now.items() if name != "updates of embedding tables"}
    with pytest.raises(CheckpointError, match="updates of embedding tables was missing and is now by rows"):
        check_settings(earlier, now, Path("checkpoint"))
    assert "updates of embedding tables" not in resume_settings(network, config, n_processes=1)


@given(st.lists(st.integers()), st.integers(1, 9))
def test_parts_of_all_processes_are_the_whole_batch(items, size):
    shares = [World(rank, size).share(items) for rank in range(size)]
    assert sorted(item for part in shares for item in part) == sorted(items)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def averaged(rank, port, folder, used, n_targets):
    """Average gradients in one of two processes; one that has looked up nothing has no gradient of the table."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ours = world()
    table, weight, unused = (torch.nn.Parameter(torch.zeros(shape)) for shape in ((5, 2), (3,), (1,)))
    if used[rank]:
        values = torch.arange(2.0 * len(used[rank])).view(-1, 2) + rank + 0.1
        table.grad = torch.sparse_coo_tensor([used[rank]], values, table.shape)
        weight.grad = torch.full((3,), 1.0 + rank)
    loss, sums = ours.average_gradients([weight, unused], [table], torch.tensor(2.0 + rank), [n_targets[rank], 7, rank])
    torch.save({"table": table.grad, "weight": weight.grad, "unused": unused.grad, "loss": loss, "sums": sums,
                "memory": ours.memory is not None}, folder / f"average-{rank}")
    ours.barrier()
    ours.close()


@pytest.mark.parametrize(("used", "n_targets", "rows", "expected"), [
    (([3, 1, 3], [1]), (1, 1), [[0, 0], [1.6, 2.6], [0, 0], [2.1, 3.1], [0, 0]], 1.5),
    (([3, 1, 3], [1]), (3, 1), [[0, 0], [1.85, 2.85], [0, 0], [3.15, 4.65], [0, 0]], 1.25),
    (([2], []), (2, 0), [[0, 0], [0, 0], [0.1, 1.1], [0, 0], [0, 0]], 1.0),
    (([], [4]), (0, 5), [[0, 0], [0, 0], [0, 0], [0, 0], [1.1, 2.1]], 2.0),
    (([], []), (0, 0), None, None),
])
def test_gradients_are_averaged_over_the_targets_of_all_processes(
    used, n_targets, rows, expected, exchange, tmp_path,
):
    run_two(averaged, tmp_path, used, n_targets)
    first, second = (torch.load(tmp_path / f"average-{rank}") for rank in range(2))
    assert first["memory"] == second["memory"] == (exchange == "shared memory")
    assert first["unused"] is None
    assert first["sums"] == second["sums"] == [sum(n_targets), 14, 1]
    if rows is None:
        assert first["table"] is first["weight"] is second["table"] is second["weight"] is None
        return
    assert first["table"].values().stride() == (2, 1)
    for same in (lambda found: found["table"].values(), lambda found: found["table"].indices(),
                 lambda found: found["weight"], lambda found: found["loss"]):
        assert torch.equal(same(first), same(second))
    torch.testing.assert_close(first["table"].to_dense(), torch.tensor(rows))
    torch.testing.assert_close(first["weight"], torch.full((3,), expected))
    assert first["loss"].item() == pytest.approx(1 + expected)


def test_single_process_does_not_communicate():
    alone = world()
    assert alone == World()
    assert alone.sum(2, 3.5) == [2, 3.5]
    assert alone.gather("a") == ["a"]
    total = torch.tensor(1.0)
    assert alone.average_gradients([], [], total, [3, 4.5]) == (total, [3, 4.5])
    assert alone.gather_tensor(total).tolist() == [1.0]
    alone.broadcast([total])
    alone.barrier()
    alone.close()


def test_more_processes_than_gpus_raises(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(TransformerError, match=r"process 2 on a machine with 1 GPUs; run torchrun --nproc-.*1"):
        world(torch.device("cuda"))


if __name__ == "__main__":
    here = world()
    train_and_record(here, Path(sys.argv[1]))
    here.close()
