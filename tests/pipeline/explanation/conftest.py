"""Small runs of every task that can be explained, trained once."""

from __future__ import annotations

import pytest

from pipeline import load_run, run
from pipeline.config import resolve

SMALL = (("source", "glove"), ("model.d_model", 32), ("model.n_heads", 2), ("model.d_ff", 64), ("training.epochs", 3),
         ("data.unseen_words", 3000), ("baselines", ["none"]))
RUNS = {
    "support": (),
    "plain": (("recipe", "plain"),),
    "pairs": (),
    "hotels": (("task", "multi-label"),),
    "ratings": (("task", "regression"),),
    "entities": (("task", "tagging"), ("data.max_length", 12), ("data.stride", 4)),
    "questions": (("task", "question-answering"), ("data.max_length", 24), ("data.stride", 6)),
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory, support):
    """The folder of each run, trained when it is first used."""
    place = tmp_path_factory.mktemp("explained")

    def trained(name):
        if not (place / name).exists():
            data = support.parent / (name if name != "plain" else "support")
            run(resolve(None, [("data.path", str(data)), *SMALL, *RUNS[name]]), place / name)
        return place / name

    return trained


@pytest.fixture(scope="session")
def runs(folders):
    """Each run, loaded when it is first used."""
    loaded = {}

    def of(name):
        if name not in loaded:
            loaded[name] = load_run(folders(name))
        return loaded[name]

    return of
