"""Finished runs with random weights, made without training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from embeddings import WordTokenizer
from pipeline import RunConfig
from pipeline.runs.chain import build_model
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.runs.trained import save_stage_one
from pipeline.tasks import base
from pipeline.tasks.resolved import Setup
from pipeline.word_vectors import prepare_vectors
from transformer.checkpoint import save_weights

DATA = Path(__file__).parents[3] / "data"
OTHERS = ["zebra", "New-York", "quokka", "<mask>", "ZEBRA", "Über"]
"""Words of the vectors that no text of the samples has; two of them are never cut from a text, and two are one."""


def random_run(folder, *, task, data, model, sections=None, narrow=True, **folding):
    """A finished run whose every weight is random, branches included; by default its vectors are narrower than it."""
    config = RunConfig.from_mapping({
        "task": task, "source": f"file:{folder}.txt", "model": model,
        "data": {"path": str(DATA / data), "min_count": 2, "max_length": 60, **folding}, **(sections or {}),
    })
    made = base.find(task)
    splits = made.reader.read(config.data, seed=config.seed)
    resolved = made.resolve(config, splits)
    if config.ngrams.enabled:  # the branch is made when it is fitted
        resolved = replace(resolved, ngram_buckets=config.ngrams.buckets, ngram_weights=(0.7, 0.6))
    setup = Setup(config, resolved)
    texts = {part: made.reader.texts(getattr(splits, part)) for part in ("train", "dev", "test")}
    random = np.random.default_rng(0)
    words = [*list(WordTokenizer().count([*texts["train"], *texts["test"]]))[::2], *OTHERS]
    Path(f"{folder}.txt").write_text("".join(
        f"{word} {' '.join(f'{x:.4f}' for x in random.normal(0, 0.5, 12 if narrow else 16))}\n" for word in words))
    folder.mkdir()
    stage_one = prepare_vectors(config, train=texts["train"], held_out=[*texts["dev"], *texts["test"]], unlabelled=(),
                                context=RunContext())
    torch.manual_seed(0)
    network = build_model(setup, made, stage_one)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
        for branch in (getattr(network, "ngrams", None), getattr(network, "features", None)):
            if branch is not None:
                for weight in branch.buffers():
                    weight.copy_(torch.rand_like(weight))
    run = RunFolder(folder)
    config.save(run.config)
    setup.resolved.save(run.resolved)
    save_stage_one(stage_one, run)
    save_weights(network, run.model)
    run.write_manifest({})
    return folder
