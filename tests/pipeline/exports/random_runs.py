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

SMALL = {"d_model": 16, "n_heads": 2, "d_ff": 24}
NGRAMS = {"ngrams": {"enabled": True, "buckets": 8192}}
TAGGING = {"tagging": {"features": True, "buckets": 1024, "decoding": "constrained", "tune_outside": True}}

ARCHITECTURES = {
    "classification": {"task": "classification", "data": "support", "sections": NGRAMS,
                       "model": {**SMALL, "positions": "alibi", "convolutions": [3, 5]}},
    "cls": {"task": "classification", "data": "support", "model": {**SMALL, "pooling": "cls", "norm": "post"}},
    "pairs": {"task": "classification", "data": "pairs", "model": {**SMALL, "positions": "rotary"},
              "sections": NGRAMS, "narrow": False},
    "multi-label": {"task": "multi-label", "data": "hotels", "model": {**SMALL, "activation": "swiglu"}},
    "regression": {"task": "regression", "data": "ratings",
                   "model": {**SMALL, "positions": "learned", "d_embedding": 10}},
    "tagging": {"task": "tagging", "data": "entities", "model": SMALL, "sections": TAGGING, "max_length": 5,
                "stride": 2},
    "plain tagging": {"task": "tagging", "data": "entities", "model": {**SMALL, "pooling": "cls", "like": "bert",
                      "norm": "post", "embedding_norm": True, "norm_eps": 1e-12}},
    "question-answering": {"task": "question-answering", "data": "questions", "model": SMALL, "max_length": 24,
                           "stride": 6},
    "masked-language-model": {"task": "masked-language-model", "data": "stories", "model": SMALL},
    "language-model": {"task": "language-model", "data": "stories", "model": {**SMALL, "tied": False}},
}
"""Runs of every task, with each kind of positions, norm, pooling and branch."""


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
