"""The batches of an epoch: made when they are read, always the same ones."""

import gc
import weakref

import pytest

from embeddings import WordTokenizer
from pipeline import RunConfig
from pipeline.data.examples import Example
from pipeline.runs.training_batches import TrainingBatches
from pipeline.tasks import base
from pipeline.tasks.base import Tokenizers
from transformer.training.distributed import World

TASK = base.find("classification")
WORDS = [str(i) for i in range(30)]
TOKENIZERS = Tokenizers(WordTokenizer().with_vocabulary(WORDS), 5 + len(WORDS))


class Counting:
    """The task, counting the batches that it makes."""

    def __init__(self):
        self.made = 0

    def batch(self, features, setup, random):
        self.made += 1
        return TASK.batch(features, setup, random)


def batches(task=TASK, **training):
    setup = base.setup_from(RunConfig.from_mapping({
        "data": {"labels": ["a", "b"]}, "training": {"batch_size": 4, **training}}))
    examples = [Example(" ".join(WORDS[: 1 + 7 * i % 11]), "ab"[i % 2], f"f:{i}") for i in range(23)]
    return TrainingBatches(task, TASK.encode(examples, TOKENIZERS, setup, training=True), setup, World())


def ids(batch):
    return batch.ids.tolist()


@pytest.mark.parametrize("training", [{}, {"batch_tokens": 20}])
def test_an_epoch_has_every_text_once_and_always_the_same_batches(training):
    epochs = batches(**training)
    first, second = epochs(1), epochs(2)
    assert sorted(where for batch in first for where in batch.where) == sorted(f"f:{i}" for i in range(23))
    assert len(first) == len(second) == len(list(first))
    assert [ids(batch) for batch in first] == [ids(batch) for batch in first] != [ids(batch) for batch in second]
    assert [ids(batch) for batch in epochs(1)] == [ids(batch) for batch in first]
    assert [ids(batch) for batch in batches(**training)(2)] == [ids(batch) for batch in second]


def test_slices_are_sequences_of_the_same_batches():
    epoch = batches()(1)
    made = [ids(batch) for batch in epoch]
    for part in (slice(2), slice(1, None, 2), slice(None, None, -1), slice(9, 12)):
        assert [ids(batch) for batch in epoch[part]] == made[part]
    assert ids(epoch[1:][-1]) == made[-1]
    with pytest.raises(IndexError):
        epoch[len(epoch)]


def test_a_batch_is_made_when_it_is_read():
    task = Counting()
    epoch = batches(task)(1)
    assert (len(epoch), task.made) == (6, 0)
    assert epoch[2].where
    assert task.made == 1
    assert len(epoch[1:3]) == 2
    assert task.made == 1


def test_each_process_has_its_share():
    epochs = batches()
    epochs.world = type("Second", (), {"size": 2, "rank": 1, "share": staticmethod(lambda rows: rows[1::2])})()
    epoch = epochs(1)
    assert len(epoch) == 3  # batches of 4 texts for each of two processes
    assert sorted(len(batch.where) for batch in epoch) == [3, 4, 4]


def test_the_features_are_freed_as_soon_as_they_are_not_used():
    """Those of many examples are large: garbage collection may come long after training."""
    gc.disable()
    try:
        epochs = batches()
        assert len(epochs(1)) == 6
        features = weakref.ref(epochs.features)
        del epochs
        assert features() is None
    finally:
        gc.enable()
