"""Runs of one seed that differ in their source alone begin with the same weights and read the same batches."""

from dataclasses import replace

import pytest
import torch

from embeddings.gensim_training import trainer
from embeddings.progress import silent
from pipeline.config import RunConfig
from pipeline.runs.chain import run_stage_one, run_stage_two
from pipeline.runs.folder import RunFolder
from pipeline.runs.training_batches import TrainingBatches
from pipeline.tasks import base
from pipeline.tasks.base import Tokenizers
from transformer.training.distributed import World

SOURCES = ("random", "file:data/support/vectors.txt", "word2vec,dim=8,epochs=1", "random,dim=12,init=normal")


def begun(source, folder, *, seed=3, shared=None, limit=0):
    """A run's configuration, task, data and stage one."""
    config = RunConfig.from_mapping({
        "source": source, "seed": seed, "data": {"path": "data/support", "limit_train": limit},
        "model": {"d_model": 16, "n_heads": 2, "d_ff": 16, "n_layers": 1}, "training": {"epochs": 1}})
    task = base.find(config.task)
    splits = task.read(config)
    config = task.resolve(config, splits)
    folder.mkdir()
    return config, task, splits, run_stage_one(config, task, splits, RunFolder(folder), silent, shared=shared)


def test_weights_behind_the_table_are_the_same_whatever_the_source(tmp_path):
    starts = []
    for number, source in enumerate(SOURCES):
        folder = tmp_path / str(number)
        config, task, splits, stage_one = begun(source, folder)
        made = run_stage_two(config, task, splits, stage_one, RunFolder(folder), World(), silent)
        starts.append({name: weight for name, weight in made[2].items() if "projection" not in name})
    assert len(starts[0]) > 10
    for other in starts[1:]:
        assert other.keys() == starts[0].keys()
        assert all(torch.equal(other[name], starts[0][name]) for name in other)


def test_batches_are_the_same_whatever_the_source(tmp_path):
    orders = []
    for number, source in enumerate(SOURCES[:2]):
        config, task, splits, stage_one = begun(source, tmp_path / str(number))
        tokenizers = Tokenizers(stage_one.tokenizer, len(stage_one.tokenizer), None)
        epochs = TrainingBatches(task, task.encode_training(splits.train, tokenizers, config), config, World())
        orders.append([batch.where for epoch in (1, 2) for batch in epochs(epoch)])
    assert orders[0] == orders[1]


def test_vectors_of_equal_text_settings_and_seed_are_learned_once(tmp_path, monkeypatch):
    learned = []
    original = trainer.train

    def told(options, request, model):
        learned.append(request.seed)
        return original(options, request, model)

    monkeypatch.setattr("embeddings.sources.word2vec.train", told)
    tables = [
        begun("word2vec,dim=8,epochs=1", tmp_path / f"{seed}-{limit}", seed=seed, limit=limit,
              shared=tmp_path / "shared")[3].table
        for seed, limit in ((3, 20), (3, 30), (4, 20), (3, 20 + 1))
    ]
    assert learned == [3, 4]  # which texts are labelled does not matter: the others are read without their labels
    alone = begun("word2vec,dim=8,epochs=1", tmp_path / "alone", seed=3, limit=20)[3].table
    assert alone.words == tables[0].words
    assert (alone.vectors == tables[0].vectors).all()
    begun("word2vec,dim=9,epochs=1", tmp_path / "wider", seed=3, limit=20, shared=tmp_path / "shared")
    assert learned == [3, 4, 3, 3]


@pytest.mark.parametrize("epochs", [1, 5, 8])
def test_a_probe_is_measured_now_and_then_and_decides_nothing(tmp_path, epochs):
    config, task, splits, stage_one = begun("random", tmp_path / "a", limit=30)
    assert not splits.dev
    config = replace(config, training=replace(config.training, epochs=epochs))
    made = [run_stage_two(config, task, splits, stage_one, RunFolder(tmp_path / "a"), World(), silent, probe=probe)
            for probe in ((), splits.test[:10])
            if not (tmp_path / "a" / "training.checkpoint").unlink(missing_ok=True)]
    (plain, _, _), (probed, result, _) = made
    assert all(torch.equal(one, other) for one, other in zip(plain.model.parameters(), probed.model.parameters(),
                                                             strict=True))
    seen = [line["epoch"] for line in result.history if "probe_accuracy" in line]
    assert seen == sorted({epoch for epoch in (1, 2, 4, 8) if epoch <= epochs} | {epochs})
