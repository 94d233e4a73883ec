"""Tiny runs of all tasks."""

import pytest
from click.testing import CliRunner

from pipeline.cli.main import cli

TINY = ["--source", "random", "--epochs", "1", "--baselines", "none", "--set", "model.n_layers=1", "--set",
        "model.d_model=16", "--set", "model.n_heads=2", "--set", "model.d_ff=32"]


@pytest.fixture(scope="session")
def runs(tmp_path_factory, support):
    """One tiny run of each task, trained when it is first used."""
    folder, data = tmp_path_factory.mktemp("runs"), support.parent
    options = {
        "classification": ["--data", support, "--recipe", "plain", "--set", "data.max_length=40"],
        "pairs": ["--data", data / "pairs"],
        "question-answering": ["--data", data / "questions", "--task", "question-answering"],
        "translation": ["--data", data / "phrases", "--task", "translation", "--set", "generation.beam=1", "--set",
                        "generation.max_tokens=5"],
        "tagging": ["--data", data / "entities", "--task", "tagging"],
        "multi-label": ["--data", data / "hotels", "--task", "multi-label", "--limit-train", "60"],
        "regression": ["--data", data / "ratings", "--task", "regression", "--limit-train", "60"],
        "language-model": ["--data", data / "stories", "--task", "language-model"],
        "masked-language-model": ["--data", data / "stories", "--task", "masked-language-model"],
    }

    def run(name):
        path = folder / name
        if not path.exists():
            done = CliRunner().invoke(cli, ["run", *map(str, options[name]), *TINY, "--out", str(path), "-q"])
            assert done.exit_code == 0, done.output
        return path

    return run
