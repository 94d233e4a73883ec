"""Execution on a real Ray cluster of two nodes, started by Ray's command."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipeline.benchmark.driver import benchmark
from pipeline.benchmark.execution.jobs import Job, Outcome
from pipeline.benchmark.execution.ray import Inputs, RayExecutor, _execute
from pipeline.benchmark.grid import Grid
from pipeline.config import RunConfig
from pipeline.errors import PipelineError

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray, of the extra cluster")
UNSHARE = ["unshare", "--mount"]
TIMEOUT = 60.0  # seconds on a loaded machine
RAY = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", "--node-ip-address=127.0.0.1",
       "--object-store-memory=80000000", "--disable-usage-stats"]


def killed_once(job, progress):
    """Return the node and the attempt; the first attempt of ``victim`` waits to be killed."""
    import ray

    mine = job.work / f"{job.key}.{len(list(job.work.glob(f'{job.key}.*')))}"
    mine.write_text(str(os.getpid()))
    print("captured")
    while job.name == "victim" and mine.suffix == ".0":
        time.sleep(0.05)
    time.sleep(0.2)
    return Outcome({"key": job.key, "node": ray.get_runtime_context().get_node_id(), "attempt": mine.suffix,
                    "threads": os.environ["OMP_NUM_THREADS"]}, [{"text": "x" * 300_000}])


def by_name(job, progress):
    if job.name == "user error":
        raise PipelineError("no such file")
    if job.name == "bug":
        raise ZeroDivisionError("a bug")
    if job.name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome({"work": str(job.work), "here": str(Path.cwd())})


def endless(job, progress):
    (job.work / f"{job.key}.pid").write_text(str(os.getpid()))
    while True:
        time.sleep(0.05)


def reading(job, progress):
    """Return the node and the data, once both jobs run at the same time, so that each node has one."""
    import ray

    read = Path(job.config.data.path).read_text()
    (job.work / job.key).touch()
    wait_for(lambda: len(list(job.work.glob("[01]"))) == 2)
    return Outcome({"node": ray.get_runtime_context().get_node_id(), "read": read})


def wait_for(condition, seconds=TIMEOUT):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture(scope="module")
def head_only(tmp_path_factory):
    """A folder whose files only the head node has, or None without the right to hide them, which root has."""
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        return None
    return tmp_path_factory.mktemp("head")


@pytest.fixture(scope="module")
def address(head_only):
    """A cluster of two nodes with one core each, which can import this file."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # contains sockets, whose paths must be short
    at = f"127.0.0.1:{free_port()}"
    started = []

    def start(name, *options, before=()):
        log = folder / f"{name}.txt"
        with log.open("w") as file:
            started.append(subprocess.Popen([*before, *RAY, *options], stdout=file, stderr=file, start_new_session=True,
                                            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)}))
        wait_for(lambda: "Ray runtime started" in log.read_text() or started[-1].poll() is not None)
        assert started[-1].poll() is None, log.read_text()

    try:
        start("head", "--head", f"--port={at.rpartition(':')[2]}", f"--temp-dir={folder}", "--include-dashboard=false")
        hide = ["sh", "-c", f'mount -t tmpfs none "{head_only}" && exec "$@"', "sh"]
        start("node", f"--address={at}", before=[*UNSHARE, *hide] if head_only else ())
        yield at
    finally:
        for process in reversed(started):
            process.terminate()  # ends the node's other processes, like Ctrl-C
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def run(executor, jobs):
    started, found = [], {}

    def on_event(event):
        assert threading.current_thread() is threading.main_thread()
        if event.outcome is None:
            started.append(event.job.key)
        else:
            assert event.job.key not in found
            found[event.job.key] = event.outcome

    executor.run(jobs, on_event)
    return started, found


def test_the_job_of_a_killed_worker_is_repeated(address, tmp_path, capfd):
    jobs = [Job(str(i), "victim" if i == 3 else "other", RunConfig(), tmp_path) for i in range(8)]
    mine = tmp_path / "3.0"

    def kill():
        wait_for(lambda: mine.exists() and mine.read_text())
        os.kill(int(mine.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    started, found = run(RayExecutor(address, killed_once), jobs)
    killer.join()
    assert started == [str(i) for i in range(8)]
    assert {key: outcome.error for key, outcome in found.items()} == {str(i): "" for i in range(8)}
    assert all(outcome.record["key"] == key for key, outcome in found.items())
    assert {key: outcome.record["attempt"] for key, outcome in found.items()} == {
        str(i): ".1" if i == 3 else ".0" for i in range(8)}
    assert len({outcome.record["node"] for outcome in found.values()}) == 2
    assert {outcome.record["threads"] for outcome in found.values()} == {"1"}
    assert all(len(outcome.predictions[0]["text"]) == 300_000 for outcome in found.values())
    assert capfd.readouterr() == ("", ""), "Ray's messages are not printed"


def test_failures_are_recorded_and_an_inaccessible_folder_is_replaced(address, tmp_path, capfd):
    names = ["user error", "killed", "bug", "fine"]
    work = tmp_path / "not here" / "work"
    _, found = run(RayExecutor(address, by_name), [Job(name, name, RunConfig(), work) for name in names])
    assert (found["user error"].error, found["user error"].detail) == ("no such file", "")
    assert found["bug"].error == "ZeroDivisionError: a bug"
    assert "by_name" in found["bug"].detail
    assert found["killed"].error.startswith("the process was lost 4 times")
    assert found["fine"].record["work"] == str(Path(tempfile.gettempdir()) / f"vecformer-benchmark-{os.getuid()}")
    assert capfd.readouterr() == ("", "")


def test_relative_paths_work_and_threads_are_capped_at_the_cores_of_a_node(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, found = run(RayExecutor(address, by_name), [Job("0", "fine", RunConfig(), tmp_path / "work", 4)])
    assert found["0"].record == {"work": str(tmp_path / "work"), "here": str(tmp_path)}


def test_a_node_without_the_files_gives_the_same_benchmark(address, head_only, tmp_path, monkeypatch, support):
    if head_only is None:
        pytest.skip("files of one node can only be hidden by root")
    (head_only / "here").mkdir()
    for file in ("train.tsv", "test.tsv", "vectors.txt"):
        shutil.copy(support / file, head_only)
    monkeypatch.chdir(head_only / "here")
    tiny = {"data": {"path": ".."}, "model": {"d_model": 16, "n_heads": 2, "d_ff": 16, "n_layers": 1},
            "training": {"epochs": 1}, "baselines": ["none"]}
    grid = Grid.from_mapping({"sources": ["file:../vectors.txt"], "seeds": 2, "run": tiny})
    sent = benchmark(grid, tmp_path / "sent", executor=RayExecutor(address), n_threads=1)
    local = benchmark(grid, tmp_path / "local", n_jobs=1, n_threads=1)
    assert sent.summary["n_runs"] == {"planned": 4, "done": 4, "failed": 0}
    assert (sent.path / "summary.json").read_bytes() == (local.path / "summary.json").read_bytes()
    assert not list(Path(tempfile.gettempdir()).glob("vecformer-inputs-*"))


def test_files_are_sent_to_the_node_that_lacks_them(address, head_only, tmp_path, monkeypatch):
    if head_only is None:
        pytest.skip("files of one node can only be hidden by root")
    (head_only / "data.txt").write_text("a b")
    monkeypatch.chdir(head_only)
    config = RunConfig.from_mapping({"data": {"path": "data.txt"}})
    _, found = run(RayExecutor(address, reading), [Job(str(i), "", config, tmp_path) for i in range(2)])
    assert [outcome.record.get("read") for outcome in found.values()] == ["a b", "a b"], found
    assert len({outcome.record["node"] for outcome in found.values()}) == 2


def test_absolute_paths_have_to_be_shared(tmp_path):
    file = tmp_path / "none.txt"
    outcome = _execute(reading, Job("0", "", RunConfig(), tmp_path), Inputs(tmp_path, [file], []), True)
    assert outcome.error.startswith(f"{file}: not on the node {socket.gethostname()}; name it by a path relative to")


def test_an_interrupt_ends_running_jobs(address, tmp_path):
    def on_event(event):
        assert event.outcome is None
        if event.job.key == "1":
            wait_for(lambda: len([path for path in tmp_path.glob("*.pid") if path.read_text()]) == 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RayExecutor(address, endless).run([Job(str(i), "", RunConfig(), tmp_path) for i in range(4)], on_event)
    pids = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), seconds=5)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense"])
def test_no_cluster_is_one_message(address):
    with pytest.raises(PipelineError, match=f"no Ray cluster at {address}: .* `ray start --head`"):
        RayExecutor(address).run([], lambda event: None)


def test_without_ray_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PipelineError, match=r"pip install 'vecformer\[cluster\]'"):
        RayExecutor().run([], lambda event: None)
