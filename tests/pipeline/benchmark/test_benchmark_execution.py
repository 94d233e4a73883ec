"""The benchmark's processes: order, failures, kills at any moment, Ctrl-C, nothing left behind."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.benchmark.execution.jobs import Event, Job, Outcome
from pipeline.benchmark.execution.local import LocalExecutor
from pipeline.errors import PipelineError

SOON = 15.0  # seconds that a loaded machine may need to start a process


def doubled(job, progress):
    progress("doubling", 0.0)
    for i in range(50):
        progress("doubling", i / 50)
    progress("doubling", 1.0)
    return Outcome({"value": 2 * int(job.key), "pid": os.getpid()}, [{"where": job.name}])


def by_name(job, progress):
    """Does what the job's name says."""
    print("before", job.name, flush=True)
    if job.name == "mend":
        raise PipelineError("no such file\nx.tsv; choose another")
    if job.name == "bug":
        raise ZeroDivisionError("a bug")
    if job.name == "silent bug":
        raise ValueError
    if job.name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if job.name == "exit":
        os._exit(3)
    return Outcome({"name": job.name})


def threads(job, progress):
    before = "torch" in sys.modules
    told = os.environ["OMP_NUM_THREADS"]
    import torch

    return Outcome({"torch_before": before, "told": told, "threads": torch.get_num_threads()})


def at_the_same_time(job, progress):
    """Ends only if another run is under way meanwhile."""
    (job.work / job.key).touch()
    end = time.monotonic() + SOON
    while len(list(job.work.glob("[0-9]"))) < 2:
        if time.monotonic() > end:
            raise TimeoutError("alone")
        time.sleep(0.01)
    return Outcome({"key": job.key})


def endless(job, progress):
    """Holds the file PID and a temporary folder until it is stopped; hears no SIGINT."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=job.work, prefix="temporary-"):
        (job.work / f"{os.getpid()}.pid").touch()
        while True:
            time.sleep(0.05)


def stubborn(job, progress):
    """Cannot be stopped politely."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (job.work / f"{os.getpid()}.pid").touch()
    time.sleep(600)


def large(job, progress):
    """An outcome that does not fit a pipe's buffer, and a long way there."""
    for i in range(20):
        progress(f"part {i}", 0.5)
        time.sleep(0.005)
    return Outcome({"key": job.key}, [{"text": "x" * 400_000}])


def jobs(work, names):
    return [Job(str(i), name, None, work) for i, name in enumerate(names)]


def outcomes(executor, made):
    found = {}

    def told(event):
        if event.outcome is not None:
            assert event.job.key not in found
            found[event.job.key] = event.outcome

    executor.run(made, told)
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children():
    own = str(os.getpid())
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        if text.rpartition(")")[2].split()[1] == own and b"spawn_main" in (stat.parent / "cmdline").read_bytes():
            found.append(stat.parent.name)
    return found


def wait_for(condition, seconds=SOON):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_runs_are_made_in_order_and_told_in_the_callers_thread(tmp_path):
    events, where = [], set()

    def told(event):
        where.add((os.getpid(), threading.get_ident()))
        events.append(event)

    LocalExecutor(1, doubled).run(made := jobs(tmp_path, ["a", "b", "c"]), told)
    assert where == {(os.getpid(), threading.get_ident())}
    assert [event.job for event in events if event.outcome] == made
    assert [event.outcome.record["value"] for event in events if event.outcome] == [0, 2, 4]
    assert [event.outcome.predictions for event in events if event.outcome] == [[{"where": n}] for n in "abc"]
    pids = {event.outcome.record["pid"] for event in events if event.outcome}
    assert len(pids) == 1, "one process makes one run after the other"
    assert os.getpid() not in pids
    for job in made:
        own = [event for event in events if event.job == job]
        assert own[0] == Event(job)
        assert [event.what for event in own[1:-1]] == ["doubling"] * (len(own) - 2)
        assert (own[1].share, own[-2].share) == (0.0, 1.0)
        assert 4 <= len(own) < 20, "not every step is told"
    assert children() == []
    assert list(tmp_path.iterdir()) == []


def test_two_runs_at_the_same_time(tmp_path):
    found = outcomes(LocalExecutor(2, at_the_same_time), jobs(tmp_path, "abc"))
    assert {key: outcome.error for key, outcome in found.items()} == {"0": "", "1": "", "2": ""}


def test_what_fails_is_recorded_and_the_rest_goes_on(tmp_path, capfd):
    names = ["fine", "mend", "killed", "bug", "fine", "exit", "silent bug", "killed", "fine"]
    found = outcomes(LocalExecutor(2, by_name), jobs(tmp_path, names))
    told = [found[str(i)] for i in range(len(names))]
    assert [outcome.record.get("name") for outcome in told] == [n if n == "fine" else None for n in names]
    mended, bug, silent = told[1], told[3], told[6]
    assert (mended.error, mended.detail) == ("no such file x.tsv; choose another", "")
    assert bug.error == "ZeroDivisionError: a bug"
    assert "line" in bug.detail and "by_name" in bug.detail
    assert silent.error == "ValueError"
    for killed in (told[2], told[7]):
        assert killed.error.startswith("its process was killed (signal 9): out of memory?")
        assert killed.detail == "before killed\n"
    assert (told[5].error, told[5].detail) == ("its process ended (exit code 3)", "before exit\n")
    assert capfd.readouterr() == ("", ""), "what runs print is not shown"
    assert list(tmp_path.iterdir()) == []
    assert children() == []


def test_killed_at_random_moments_only_those_runs_are_lost(tmp_path):
    """Idle, in the midst of a run, while a large outcome is on its way: no kill stops the others."""
    chance, killed, ended = random.Random(5), [], threading.Event()

    def kill():
        while not ended.wait(chance.uniform(0.05, 0.3)):
            if pids := children():
                killed.append(pids := chance.choice(pids))
                os.kill(int(pids), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        found = outcomes(LocalExecutor(3, large), jobs(tmp_path, ["x"] * 60))
    finally:
        ended.set()
        killer.join()
    lost = [outcome.error for outcome in found.values() if outcome.error]
    assert len(found) == 60
    assert len(killed) >= 3
    assert len(lost) <= len(killed)
    assert all("killed (signal 9)" in error for error in lost)
    assert all(len(outcome.predictions[0]["text"]) == 400_000 for outcome in found.values() if not outcome.error)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_each_run_has_its_share_of_cores(tmp_path, n_threads):
    found = outcomes(LocalExecutor(1, threads), [Job("0", "", None, tmp_path, n_threads)])
    assert found["0"].record == {"torch_before": False, "told": str(n_threads), "threads": n_threads}


def test_what_the_caller_raises_stops_all(tmp_path):
    class FullError(Exception):
        pass

    def told(event):
        if event.outcome:
            raise FullError

    with pytest.raises(FullError):
        LocalExecutor(2, doubled).run(jobs(tmp_path, "abcd"), told)
    assert children() == []


CALLER = """
import sys
from pathlib import Path

from pipeline.benchmark.execution.jobs import Job
from pipeline.benchmark.execution.local import LocalExecutor
from test_benchmark_execution import endless, stubborn

if __name__ == "__main__":
    work = Path(sys.argv[1])
    executor = LocalExecutor(2, {"endless": endless, "stubborn": stubborn}[sys.argv[2]])
    if "--early" in sys.argv:
        print("ready", flush=True)
    try:
        executor.run([Job(str(i), "", None, work) for i in range(5)], lambda event: None)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        raise
"""


@pytest.fixture
def caller(tmp_path):
    """Starts a program that makes runs which do not end, in a session of its own."""
    script = tmp_path / "caller.py"
    script.write_text(CALLER)
    started = []

    def start(conduct, *more):
        work = tmp_path / "work"
        work.mkdir()
        path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[3])])
        process = subprocess.Popen([sys.executable, script, work, conduct, *more], text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path},
                                   start_new_session=True)
        started.append(process)
        if not more:
            wait_for(lambda: len(list(work.glob("*.pid"))) == 2)
        return process, work

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def pids(work):
    return [int(path.stem) for path in work.glob("*.pid")]


@pytest.mark.parametrize("conduct", ["endless", "stubborn"])
def test_an_interrupt_stops_all_processes(caller, conduct):
    process, work = caller(conduct)
    start = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to everyone
    output, errors = process.communicate(timeout=10)
    assert time.monotonic() - start < 3
    assert output == "interrupted\n"
    assert errors.count("Traceback") == 1, errors
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert not any(map(alive, pids(work)))
    assert list(work.glob("temporary-*")) == []


def test_an_interrupt_while_processes_start_shows_no_other_traceback(caller):
    for delay in (0.0, 0.1, 0.2):
        process, work = caller("endless", "--early")
        assert process.stdout.readline() == "ready\n"
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=10)
        assert (output, errors.count("Traceback")) == ("interrupted\n", 1), errors
        assert "semaphore" not in errors
        assert not any(map(alive, pids(work)))
        for path in work.iterdir():
            path.unlink()
        work.rmdir()


def test_processes_end_when_the_one_that_started_them_is_killed(caller):
    process, work = caller("stubborn")
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(alive, pids(work))), seconds=2)
