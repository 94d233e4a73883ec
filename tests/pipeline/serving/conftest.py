"""Fixtures: small runs of every task, and a server of them."""

from __future__ import annotations

import pytest

from tests.pipeline.serving.server_of_runs import TASKS, serving, train


@pytest.fixture(scope="session")
def paths(tmp_path_factory):
    """The folders of a small run of every task."""
    folder = tmp_path_factory.mktemp("runs")
    return {name: train(folder, name) for name in TASKS}


@pytest.fixture(scope="session")
def served(paths):
    """A server of all runs, for tests that change nothing."""
    with serving(paths) as (service, client):
        yield service, client
