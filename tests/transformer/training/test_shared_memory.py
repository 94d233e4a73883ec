"""Processes of one machine see one another's tensors, whatever their sizes, and notice when one of them has ended."""

import multiprocessing
import os
import platform
import random
import signal
import socket
import tempfile
import time
from pathlib import Path

import pytest
import torch

from transformer.errors import TransformerError
from transformer.training import shared_memory
from transformer.training.distributed import World, world

pytestmark = pytest.mark.skipif(not shared_memory.FOLDER.is_dir() or platform.machine() not in ("x86_64", "AMD64"),
                                reason="needs a file system in memory, and x86-64")
SIZES = (3, 1, 40_000, 0, 7, 90_000, 90_000, 2)


def run(target, n, *arguments, codes=None):
    """Call a function with a group of n processes in each of them; they must end with these exit codes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_joined, args=(target, rank, n, port, arguments)) for rank in range(n)]
    for each in processes:
        each.start()
    for each in processes:
        each.join(60)
    assert [each.exitcode for each in processes] == (codes or [0] * n)


def _joined(target, rank, n, port, arguments):
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(n), "LOCAL_WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1",
                   "MASTER_PORT": str(port)}
    ours = world()
    target(ours, *arguments)
    ours.close()


def tensor_of(rank, turn, n):
    return torch.randn(n, generator=torch.Generator().manual_seed(100 * turn + rank))


def exchange(ours):
    """Gather and sum tensors of all sizes, with random pauses, and compare with those that the others must have."""
    pauses = random.Random(ours.rank)
    for turn, n in enumerate(SIZES * 3):
        time.sleep(pauses.choice([0, 0, 0.001, 0.02]))
        expected = [tensor_of(rank, turn, n) for rank in range(ours.size)]
        assert torch.equal(ours.gather_tensor(expected[ours.rank]), torch.stack(expected))
        found = ours._sum_tensor(expected[ours.rank].clone())
        torch.testing.assert_close(found, torch.stack(expected).sum(dim=0))


@pytest.mark.parametrize("n", [2, 3])
def test_all_processes_receive_all_tensors(n, monkeypatch):
    with tempfile.TemporaryDirectory(dir=shared_memory.FOLDER) as folder:
        monkeypatch.setattr(shared_memory, "FOLDER", Path(folder))
        run(exchange, n)
        assert not list(Path(folder).iterdir())


def test_without_room_processes_exchange_messages(monkeypatch):
    monkeypatch.setattr(shared_memory, "ROOM", 1e12)  # more than the memory of any machine
    run(exchange, 2)


def end_early(ours, how, folder):
    ours.gather_tensor(torch.zeros(3))
    if ours.rank:
        how()
    begin = time.monotonic()
    try:
        ours.gather_tensor(torch.zeros(3))
    except TransformerError as error:
        (folder / "error").write_text(f"{time.monotonic() - begin} {error}")


@pytest.mark.parametrize(("how", "code"), [
    (lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL), (lambda: os._exit(3), 3),
])
def test_a_process_that_has_ended_is_noticed_at_once(how, code, tmp_path):
    run(end_early, 2, how, tmp_path, codes=[0, code])
    seconds, _, message = (tmp_path / "error").read_text().partition(" ")
    assert message.startswith("the connection to another process of this training is lost (process 2 of 2 has ended)")
    assert float(seconds) < 5


@pytest.mark.parametrize(("name", "value"), [("LOCAL_WORLD_SIZE", "1"), ("LOCAL_WORLD_SIZE", None)])
def test_not_between_machines(name, value, monkeypatch):
    monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    assert not shared_memory.is_possible(2)


@pytest.mark.parametrize("change", [
    (shared_memory.platform, "machine", lambda: "aarch64"), (shared_memory, "FOLDER", Path("/nonexistent")),
])
def test_only_where_processor_and_system_allow_it(change, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert shared_memory.is_possible(2)
    monkeypatch.setattr(*change)
    assert not shared_memory.is_possible(2)


def test_one_process_has_none():
    assert World().memory is None
