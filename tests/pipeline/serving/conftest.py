"""Fixtures: small runs of every task, and a server of them."""

from __future__ import annotations

import pytest

from tests.pipeline.serving.server_of_runs import TASKS, serving, train


class Runs(dict):
    """The folders of small runs by name; each is trained when it is first used."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def __missing__(self, name):
        self[name] = train(self.folder, name)
        return self[name]


@pytest.fixture(scope="session")
def paths(tmp_path_factory):
    """The folders of a small run of every task."""
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def served(paths):
    """A server of all runs, for tests that change nothing."""
    with serving({name: paths[name] for name in TASKS}) as (service, client):
        yield service, client
