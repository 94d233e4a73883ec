"""Runs that differ in their source only start from the same weights and have the same batches."""

from dataclasses import replace

import pytest
import torch

from embeddings.gensim_training import trainer
from pipeline.benchmark.execution.evaluation import watch_probe
from pipeline.config import RunConfig
from pipeline.runs.chain import run_stage_one, run_stage_two
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.runs.training_batches import TrainingBatches
from pipeline.tasks import base
from pipeline.tasks.base import Tokenizers
from pipeline.tasks.resolved import Setup
from transformer.training.distributed import World

SOURCES = ("random", "file:data/support/vectors.txt", "word2vec,dim=8,epochs=1", "random,dim=12,init=normal")


def start_run(source, folder, *, seed=3, shared=None, limit=0):
    """Return setup, task, data and stage one of a run."""
    config = RunConfig.from_mapping({
        "source": source, "seed": seed, "data": {"path": "data/support", "limit_train": limit},
        "model": {"d_model": 16, "n_heads": 2, "d_ff": 16, "n_layers": 1}, "training": {"epochs": 1}})
    task = base.find(config.task)
    splits = task.reader.read(config.data, seed=config.seed)
    setup = Setup(config, task.resolve(config, splits))
    folder.mkdir()
    return setup, task, splits, run_stage_one(setup, task, splits, RunFolder(folder), RunContext(), shared=shared)


def test_initial_weights_other_than_the_table_do_not_depend_on_the_source(tmp_path):
    starts = []
    for number, source in enumerate(SOURCES):
        folder = tmp_path / str(number)
        setup, task, splits, stage_one = start_run(source, folder)
        made = run_stage_two(setup, task, splits, stage_one, RunFolder(folder), RunContext())
        starts.append({name: weight for name, weight in made[2].items() if "projection" not in name})
    assert len(starts[0]) > 10
    for other in starts[1:]:
        assert other.keys() == starts[0].keys()
        assert all(torch.equal(other[name], starts[0][name]) for name in other)


def test_batches_do_not_depend_on_the_source(tmp_path):
    orders = []
    for number, source in enumerate(SOURCES[:2]):
        setup, task, splits, stage_one = start_run(source, tmp_path / str(number))
        tokenizers = Tokenizers(stage_one.tokenizer, len(stage_one.tokenizer), None)
        epochs = TrainingBatches(task, task.encode(splits.train, tokenizers, setup, training=True), setup, World())
        orders.append([batch.where for epoch in (1, 2) for batch in epochs(epoch)])
    assert orders[0] == orders[1]


def test_equal_vectors_are_trained_once(tmp_path, monkeypatch):
    learned = []
    original = trainer.train

    def told(options, request, model):
        learned.append(request.seed)
        return original(options, request, model)

    monkeypatch.setattr("embeddings.sources.word2vec.train", told)
    tables = [
        start_run("word2vec,dim=8,epochs=1", tmp_path / f"{seed}-{limit}", seed=seed, limit=limit,
              shared=tmp_path / "shared")[3].table
        for seed, limit in ((3, 20), (3, 30), (4, 20), (3, 20 + 1))
    ]
    assert learned == [3, 4]  # which texts are labelled does not matter: the others are read without their labels
    alone = start_run("word2vec,dim=8,epochs=1", tmp_path / "alone", seed=3, limit=20)[3].table
    assert alone.words == tables[0].words
    assert (alone.vectors == tables[0].vectors).all()
    start_run("word2vec,dim=9,epochs=1", tmp_path / "wider", seed=3, limit=20, shared=tmp_path / "shared")
    assert learned == [3, 4, 3, 3]


@pytest.mark.parametrize("epochs", [1, 5, 8])
def test_a_probe_is_evaluated_at_powers_of_two_without_influence(tmp_path, epochs):
    setup, task, splits, stage_one = start_run("random", tmp_path / "a", limit=30)
    assert not splits.dev
    setup = replace(setup, config=replace(setup.config, training=replace(setup.config.training, epochs=epochs)))
    made = [run_stage_two(setup, task, splits, stage_one, RunFolder(tmp_path / "a"), RunContext(), watch=watch)
            for watch in (None, watch_probe(splits.test, 10, seed=1))
            if not (tmp_path / "a" / "training.checkpoint").unlink(missing_ok=True)]
    (plain, _, _), (probed, result, _) = made
    assert all(torch.equal(one, other) for one, other in zip(plain.model.parameters(), probed.model.parameters(),
                                                             strict=True))
    seen = [line["epoch"] for line in result.history if "probe_accuracy" in line]
    assert seen == sorted({epoch for epoch in (1, 2, 4, 8) if epoch <= epochs} | {epochs})
