"""Fixtures that several folders of tests use."""

from __future__ import annotations

import logging
import math
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from embeddings.table.arguments import for_command_line

ROOT = Path(__file__).parent.parent

settings.register_profile("vecformer", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("vecformer")
torch.set_num_threads(1)  # the suite runs on two processes, and so do the commands that it starts
os.environ["OMP_NUM_THREADS"] = "1"
_BEGIN = pytest.StashKey[float]()
_CODE = tempfile.TemporaryDirectory()  # into which transformers copies the code of exported models
os.environ["HF_MODULES_CACHE"] = _CODE.name
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and would pass that on


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the limit of time that ``make check`` sets."""
    parser.addoption("--seconds", type=float, default=math.inf, help="skip the tests that begin later than this")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the time of ``--seconds``."""
    session.config.stash[_BEGIN] = time.monotonic()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that begins too late."""
    if time.monotonic() - item.config.stash[_BEGIN] > item.config.getoption("seconds"):
        pytest.skip("no time left")


@pytest.fixture(autouse=True)
def _log_level() -> None:
    """Restore the log levels, which commands called by tests and fixtures change."""
    logging.getLogger().setLevel(logging.WARNING)
    for name in ("vecformer", "vecformer.data"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def _messages_of_commands(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let messages name options, as commands print them; with the mark ``python_messages``, arguments of Python."""
    with for_command_line(request.node.get_closest_marker("python_messages") is None):
        yield


@pytest.fixture(scope="session")
def support() -> Path:
    """The folder of the small sample."""
    return ROOT / "data" / "support"


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder of the benchmark datasets, which tests marked ``datasets`` need."""
    folder = os.environ.get("VECFORMER_DATASETS")
    if not folder:
        pytest.skip("VECFORMER_DATASETS names no folder of datasets")
    return Path(folder)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium; without it the tests are skipped, and fail under ``make test-browser``."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        required = os.environ.get("VECFORMER_BROWSER") == "required"
        (pytest.fail if required else pytest.skip)("Chromium is not installed (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()
