"""Small classifiers with random weights, whose n-gram branch, if there is one, is fitted."""

from pathlib import Path

import numpy as np
import torch

from embeddings import WordTokenizer
from pipeline import RunConfig
from pipeline.runs.chain import build_model
from pipeline.runs.context import RunContext
from pipeline.runs.trained import TrainedRun
from pipeline.tasks import base
from pipeline.tasks.ngrams.fit import plan
from pipeline.tasks.resolved import Setup
from pipeline.word_vectors import prepare_vectors

SUPPORT = Path(__file__).parents[4] / "data" / "support"
OTHERS = ["zebra", "New-York", "quokka", "ZEBRA", "Über", "日", "🙂"]
"""Words of the vectors that no text of the sample has."""


def write_vectors(path, words, dim):
    """Write random vectors of words."""
    random = np.random.default_rng(0)
    path.write_text("".join(f"{word} {' '.join(f'{x:.4f}' for x in random.normal(0, 0.5, dim))}\n" for word in words),
                    encoding="utf-8")


def random_classifier(folder, *, data=SUPPORT, dim=12, model=None, ngrams=False, folding=None):
    """A classifier whose weights are all random; two of three words of the texts have vectors."""
    vectors = folder / "vectors.txt"
    config = RunConfig.from_mapping({
        "task": "classification", "recipe": "plain", "source": f"file:{vectors}", "ngrams": {"enabled": ngrams},
        "model": {"d_model": 16, "n_heads": 2, "d_ff": 24, **(model or {})},
        "data": {"path": str(data), "max_length": 30, **(folding or {})},
    })
    task = base.find(config.task)
    splits = task.reader.read(config.data, seed=config.seed)
    texts = {part: task.reader.texts(getattr(splits, part)) for part in ("train", "dev", "test")}
    words = list(WordTokenizer().count([*texts["train"], *texts["test"]]))
    write_vectors(vectors, [*words[::3], *words[1::3], *OTHERS], dim)
    fitted = plan(Setup(config, task.resolve(config, splits)), task, splits.train)
    stage_one = prepare_vectors(config, train=texts["train"], held_out=[*texts["dev"], *texts["test"]], unlabelled=(),
                                context=RunContext())
    torch.manual_seed(0)
    network = build_model(fitted.setup, task, stage_one)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    fitted.into(network, checkpoint=folder / "none")
    return TrainedRun(fitted.setup, stage_one, network.eval())
