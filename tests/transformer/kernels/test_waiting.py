import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from transformer.kernels import native, waiting
from transformer.kernels.waiting import Sleepers, brief_on_a_busy_machine, busy_seconds, taken_by_others

needs_openmp = pytest.mark.skipif(native.omp_parallel() is None or not waiting.STAT.exists(), reason="not GNU OpenMP")
STAT = """cpu  900 0 0 0 0 0 0 0 0 0
cpu0 100 20 30 1000 50 6 4 7 0 0
cpu1 200 0 0 1000 0 0 0 0 0 0
cpu12 400 0 0 0 0 0 0 0 0 0
intr 5
"""


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("cores", "ticks"), [({0}, 160), ({1}, 200), ({0, 12}, 560), ({2}, 0)])
def test_busy_seconds_are_those_of_the_cores_without_idle_and_stolen_time(cores, ticks):
    assert busy_seconds(cores, STAT) == ticks / os.sysconf("SC_CLK_TCK")


def test_own_time_does_not_count_as_taken(tmp_path, monkeypatch):
    stat = tmp_path / "stat"
    ticks = os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr(waiting.os, "times", lambda: os.times_result((0.0, 0.0, 0.0, 0.0, 0.0)))
    stat.write_text("cpu0 0 0 0 0 0 0 0\n")
    taken = taken_by_others({0}, stat)
    for seconds, ours, elapsed, expected in ((2, 1.5, 2.0, 0.25), (3, 2.5, 4.0, 0.0), (5, 2.5, 8.0, 0.5)):
        stat.write_text(f"cpu0 {seconds * ticks} 0 0 0 0 0 0\n")
        result = os.times_result((ours, 0.0, 0.0, 0.0, elapsed))
        monkeypatch.setattr(waiting.os, "times", lambda result=result: result)
        assert taken() == pytest.approx(expected)


@needs_openmp
def test_the_sleepers_are_more_threads_than_cores():
    def n_threads():
        return len(list(Path("/proc/self/task").iterdir()))

    before, sleepers = n_threads(), Sleepers(1)
    sleepers.start()
    until = time.monotonic() + 20
    while n_threads() - before <= len(os.sched_getaffinity(0)) and time.monotonic() < until:
        time.sleep(0.01)
    assert sleepers.exist
    assert n_threads() - before > len(os.sched_getaffinity(0))
    sleepers.stop()
    assert not sleepers.exist
    while n_threads() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert n_threads() == before


@needs_openmp
def test_threads_wait_briefly_as_long_as_others_compute(monkeypatch, two_threads):
    found, taken = [], iter([0.0, 0.2, 0.4, 0.2, 0.1, 0.5])
    spare = len(os.sched_getaffinity(0)) - 2
    ended = threading.Event()

    class Recorded(Sleepers):
        def start(self):
            found.append("start")
            super().start()

        def stop(self):
            found.extend(["stop"] * self.exist)
            super().stop()

    def next_taken():
        one = next(taken, None)
        if one is None:
            ended.set()
        return spare + (one or 0.0)

    monkeypatch.setattr(waiting, "taken_by_others", lambda cores: next_taken)
    monkeypatch.setattr(waiting, "INTERVAL", 0.001)
    waiting._watch(2, ended, Recorded(2))
    assert found == ["start", "stop", "start", "stop"]


@needs_openmp
def test_a_busy_process_is_noticed(monkeypatch, two_threads):
    """The other processes of this machine, if there are any, make no difference: they are not this one either."""
    started = threading.Event()
    monkeypatch.setattr(Sleepers, "start", lambda self: started.set())
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    try:
        with brief_on_a_busy_machine():
            assert started.wait(20)
    finally:
        for process in processes:
            process.kill()
            process.wait()


@needs_openmp
def test_the_machine_is_watched_once_and_only_with_several_threads(monkeypatch, two_threads):
    n_watches = []
    monkeypatch.setattr(waiting, "_watch", lambda *_: n_watches.append(1))
    with brief_on_a_busy_machine(), brief_on_a_busy_machine():
        pass
    assert len(n_watches) == 1
    with pytest.raises(ValueError, match="inside"), brief_on_a_busy_machine():
        raise ValueError("inside")
    assert len(n_watches) == 2
    torch.set_num_threads(1)
    with brief_on_a_busy_machine():
        pass
    assert len(n_watches) == 2
