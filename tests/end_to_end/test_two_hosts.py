"""Two hosts train together, and resume after one of them is lost. The hosts are network namespaces, which need root."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from unfinished_run import wait_for_checkpoint

VECFORMER = Path(sys.executable).with_name("vecformer")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--no-python"]
HOSTS = ("vecformer-a", "vecformer-b")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
PORT = 29577
RUN = ["--source", "random", "--epochs", "12", "--quiet", "--baselines", "none", "--set", "training.batch_size=2",
       "--set", "training.checkpoint_seconds=0"]

pytestmark = pytest.mark.slow


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True)


@contextmanager
def network():
    """Two namespaces that are connected by a virtual cable."""
    try:
        for host in HOSTS:
            ip("netns", "add", host)
        ip("link", "add", "cable", "netns", HOSTS[0], "type", "veth", "peer", "name", "cable", "netns", HOSTS[1])
        for host, address in zip(HOSTS, ADDRESSES, strict=True):
            ip("-n", host, "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", host, "link", "set", device, "up")
        yield
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "delete", host], check=False, capture_output=True)


@pytest.fixture
def hosts():
    try:
        with network():
            yield
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces: {getattr(error, 'stderr', '') or error}")


def start(host, *arguments):
    """Start vecformer on a host, as one of two."""
    command = ["ip", "netns", "exec", HOSTS[host], *TORCHRUN, "--nnodes", "2", "--nproc-per-node", "1", "--node-rank",
               host, "--master-addr", ADDRESSES[0], "--master-port", PORT, VECFORMER, "run", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "cable"}
    return subprocess.Popen(list(map(str, command)), env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def on_both(*arguments):
    processes = [start(host, *arguments) for host in range(2)]
    printed = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed


@pytest.mark.usefixtures("hosts")
def test_a_run_that_loses_a_host_resumes_to_the_same_bytes(tmp_path, support):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    on_both("--data", support, "--out", whole, *RUN)
    first, second = (start(host, "--data", support, "--out", killed, *RUN) for host in range(2))
    wait_for_checkpoint(killed, first)
    for process in ip("netns", "pids", HOSTS[1]).stdout.split():
        os.kill(int(process), signal.SIGKILL)
    second.communicate()
    printed = first.communicate(timeout=300)[0]
    assert first.returncode != 0
    assert "the connection to another process of this training is lost" in printed
    assert not killed.exists()
    on_both("--resume", killed, "--quiet")
    for file in ("model.safetensors", "predictions.jsonl"):
        assert (killed / file).read_bytes() == (whole / file).read_bytes()
