"""Worker processes: order, failures, kills at random moments, Ctrl-C, cleanup."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from embeddings.progress import silent
from pipeline.benchmark.execution import worker
from pipeline.benchmark.execution.jobs import Event, Job, Outcome
from pipeline.benchmark.execution.local import LocalExecutor
from pipeline.errors import PipelineError

ROOT = Path(__file__).parents[3]
TIMEOUT = 15.0  # seconds to start a process on a loaded machine


def doubled(job, progress):
    progress("doubling", 0.0)
    for i in range(50):
        progress("doubling", i / 50)
    progress("doubling", 1.0)
    return Outcome({"value": 2 * int(job.key), "pid": os.getpid()}, [{"where": job.name}])


def by_name(job, progress):
    """Behave according to the job's name."""
    print("before", job.name, flush=True)
    if job.name == "user error":
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
    import torch
    from threadpoolctl import threadpool_info

    pools = {pool["num_threads"] for pool in threadpool_info()}
    return Outcome({"pools": sorted(pools), "limit": os.environ["OMP_NUM_THREADS"], "torch": torch.get_num_threads()})


def environment(job, progress):
    return Outcome({"variable": os.environ.get("VECFORMER_TEST"), "folder": str(Path.cwd())})


def at_the_same_time(job, progress):
    """End once another job is running at the same time."""
    (job.work / job.key).touch()
    end = time.monotonic() + TIMEOUT
    while len(list(job.work.glob("[0-9]"))) < 2:
        if time.monotonic() > end:
            raise TimeoutError("alone")
        time.sleep(0.01)
    return Outcome({"key": job.key})


def endless(job, progress):
    """Write a PID file, and keep a temporary folder until terminated."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=job.work, prefix="temporary-"):
        (job.work / f"{os.getpid()}.pid").touch()
        while True:
            time.sleep(0.05)


def stubborn(job, progress):
    """Ignore SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (job.work / f"{os.getpid()}.pid").touch()
    time.sleep(600)


def large(job, progress):
    """Return an outcome larger than a pipe's buffer, after many updates."""
    for i in range(20):
        progress(f"part {i}", 0.5)
        time.sleep(0.005)
    return Outcome({"key": job.key}, [{"text": "x" * 400_000}])


def jobs(work, names):
    return [Job(str(i), name, None, work) for i, name in enumerate(names)]


def outcomes(executor, made):
    found = {}

    def on_event(event):
        if event.outcome is not None:
            assert event.job.key not in found
            found[event.job.key] = event.outcome

    executor.run(made, on_event)
    return found


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children_of(parent):
    """Yield the process IDs and command lines of the children of a process."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(parent):
                yield stat.parent.name, (stat.parent / "cmdline").read_bytes()


def server():
    """Return the process ID of the server that forks the workers."""
    return next((pid for pid, command in children_of(os.getpid()) if b"multiprocessing.forkserver" in command), None)


def children():
    return [pid for pid, _ in children_of(server())]


def wait_for(condition, seconds=TIMEOUT):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


def test_jobs_run_in_order_and_events_arrive_in_the_calling_thread(tmp_path):
    events, where = [], set()

    def on_event(event):
        where.add((os.getpid(), threading.get_ident()))
        events.append(event)

    LocalExecutor(1, doubled).run(made := jobs(tmp_path, ["a", "b", "c"]), on_event)
    assert where == {(os.getpid(), threading.get_ident())}
    assert [event.job for event in events if event.outcome] == made
    assert [event.outcome.record["value"] for event in events if event.outcome] == [0, 2, 4]
    assert [event.outcome.predictions for event in events if event.outcome] == [[{"where": n}] for n in "abc"]
    pids = {event.outcome.record["pid"] for event in events if event.outcome}
    assert len(pids) == 1, "one process executes all jobs"
    assert os.getpid() not in pids
    for job in made:
        own = [event for event in events if event.job == job]
        assert own[0] == Event(job)
        assert [event.stage for event in own[1:-1]] == ["doubling"] * (len(own) - 2)
        assert (own[1].fraction, own[-2].fraction) == (0.0, 1.0)
        assert 4 <= len(own) < 20, "updates are throttled"
    assert children() == []
    assert list(tmp_path.iterdir()) == []


def test_two_jobs_run_concurrently(tmp_path):
    found = outcomes(LocalExecutor(2, at_the_same_time), jobs(tmp_path, "abc"))
    assert {key: outcome.error for key, outcome in found.items()} == {"0": "", "1": "", "2": ""}


def test_failures_are_recorded_and_other_jobs_continue(tmp_path, capfd):
    names = ["fine", "user error", "killed", "bug", "fine", "exit", "silent bug", "killed", "fine"]
    found = outcomes(LocalExecutor(2, by_name), jobs(tmp_path, names))
    made = [found[str(i)] for i in range(len(names))]
    assert [outcome.record.get("name") for outcome in made] == [n if n == "fine" else None for n in names]
    user_error, bug, silent = made[1], made[3], made[6]
    assert (user_error.error, user_error.detail) == ("no such file x.tsv; choose another", "")
    assert bug.error == "ZeroDivisionError: a bug"
    assert "line" in bug.detail and "by_name" in bug.detail
    assert silent.error == "ValueError"
    for killed in (made[2], made[7]):
        assert killed.error.startswith("the process was killed (signal 9): out of memory?")
        assert killed.detail == "before killed\n"
    assert (made[5].error, made[5].detail) == ("the process ended (exit code 3)", "before exit\n")
    assert capfd.readouterr() == ("", ""), "the output of jobs is captured"
    assert list(tmp_path.iterdir()) == []
    assert children() == []


def test_kills_at_random_moments_lose_only_the_killed_jobs(tmp_path):
    """Workers are killed while idle, during a job, and while sending a large outcome."""
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
def test_threads_are_limited(tmp_path, n_threads):
    found = outcomes(LocalExecutor(1, threads), [Job("0", "", None, tmp_path, n_threads)])
    assert found["0"].record == {"pools": [n_threads], "limit": str(n_threads), "torch": n_threads}
    assert len(list(Path(f"/proc/{server()}/task").iterdir())) == 1, "threads would not be forked"


def test_workers_have_the_environment_and_the_folder_of_this_moment(tmp_path, monkeypatch):
    for value in ("first", "second"):
        (tmp_path / value).mkdir()
        monkeypatch.chdir(tmp_path / value)
        monkeypatch.setenv("VECFORMER_TEST", value)
        found = outcomes(LocalExecutor(1, environment), jobs(tmp_path, ["x"]))
        assert found["0"].record == {"variable": value, "folder": str(tmp_path / value)}


def test_a_dead_server_is_replaced(tmp_path):
    outcomes(LocalExecutor(1, doubled), jobs(tmp_path, ["x"]))
    os.kill(int(server()), signal.SIGKILL)
    assert outcomes(LocalExecutor(1, doubled), jobs(tmp_path, ["x"]))["0"].error == ""


def test_a_dead_server_that_is_not_reported_yet_is_replaced(tmp_path, monkeypatch):
    """The socket of a killed process is closed before ``waitpid`` reports its end."""
    outcomes(LocalExecutor(1, doubled), jobs(tmp_path, ["x"]))
    os.kill(int(server()), signal.SIGKILL)
    reports, waitpid = iter([(0, 0)] * 5), os.waitpid
    monkeypatch.setattr("multiprocessing.forkserver.os.waitpid", lambda *args: next(reports, None) or waitpid(*args))
    assert outcomes(LocalExecutor(1, doubled), jobs(tmp_path, ["x"]))["0"].error == ""
    assert next(reports, None) is None


def test_without_a_server_there_is_a_message(tmp_path, monkeypatch):
    def refused(*_):
        raise ConnectionRefusedError("Connection refused")

    monkeypatch.setattr("multiprocessing.forkserver.connect_to_new_process", refused)
    monkeypatch.setattr("pipeline.benchmark.execution.processes.SECONDS_OF_ATTEMPTS", 0.2)
    with pytest.raises(PipelineError, match=r"cannot start a process \(Connection refused\); close other programs"):
        LocalExecutor(1, doubled).run(jobs(tmp_path, ["x"]), lambda event: None)


def test_a_script_is_not_run_again_by_its_workers(tmp_path):
    """Scripts need no ``if __name__ == "__main__"``, which multiprocessing would require."""
    (tmp_path / "script.py").write_text(f"""
import vecformer

print("once")
made = vecformer.benchmark(vecformer.Grid.from_mapping({{
    "sources": ["random,dim=8"], "seeds": 2, "limit_train": [12], "baselines": False,
    "run": {{"data": {{"path": {str(ROOT / "data" / "support")!r}}}, "training": {{"epochs": 1}}}},
}}), "benchmark")
print(made.summary["n_runs"]["done"], "done")
""")
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, text=True, capture_output=True)
    assert (done.stdout, done.returncode) == ("once\n4 done\n", 0), done.stderr
    assert "Traceback" not in done.stderr


def test_an_exception_of_the_handler_stops_all_jobs(tmp_path):
    class FullError(Exception):
        pass

    def on_event(event):
        if event.outcome:
            raise FullError

    with pytest.raises(FullError):
        LocalExecutor(2, doubled).run(jobs(tmp_path, "abcd"), on_event)
    assert children() == []


CALLER = """
import sys
from pathlib import Path

from pipeline.benchmark.execution.jobs import Job
from pipeline.benchmark.execution.local import LocalExecutor
from test_benchmark_execution import endless, stubborn

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
    """Start a program with endless jobs in a new session."""
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
    os.killpg(process.pid, signal.SIGINT)  # like a terminal: to the whole group
    output, errors = process.communicate(timeout=10)
    assert time.monotonic() - start < 5  # one second of grace, and the ends of the processes on a busy machine
    assert output == "interrupted\n"
    assert errors.count("Traceback") == 1, errors
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert not any(map(alive, pids(work)))
    assert list(work.glob("temporary-*")) == []


def test_an_interrupt_during_startup_prints_a_single_traceback(caller):
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


def test_workers_end_if_their_parent_is_killed(caller):
    process, work = caller("stubborn")
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(alive, pids(work))), seconds=2)


def test_a_job_whose_output_cannot_be_written_fails_with_a_message(tmp_path):
    (tmp_path / "work").write_text("a file where the folder of the work should be")
    job = SimpleNamespace(work=tmp_path / "work", key="key")
    outcome = worker.attempt(partial(worker._redirected, lambda *_: pytest.fail("the job began")), job, silent)
    assert outcome.error.startswith("FileExistsError")
