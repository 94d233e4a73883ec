"""Small data and settings for estimators."""

import csv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(scope="session")
def messages():
    """Texts and labels of the small sample."""
    with (ROOT / "data" / "support" / "train.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [row["text"] for row in rows], [row["label"] for row in rows]


@pytest.fixture
def small():
    """Parameters of a classifier that is trained in half a second."""
    return {"source": "random,dim=16", "recipe": "plain", "epochs": 2,
            "settings": {"model.d_model": 16, "model.n_layers": 1, "model.n_heads": 1, "model.d_ff": 16,
                         "embedding.scale": "unit", "training": {"lr": 0.02}}}
