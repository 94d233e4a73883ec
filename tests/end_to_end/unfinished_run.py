"""Waiting for a run that other processes train."""

import time

SECONDS = 120


def wait_for_checkpoint(out, process):
    """Wait until the run that writes to a folder has a checkpoint, while a process runs."""
    checkpoint = out.with_name(f"{out.name}.unfinished") / "training.checkpoint"
    until = time.monotonic() + SECONDS
    while not checkpoint.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.05)
