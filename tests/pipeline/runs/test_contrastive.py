"""Contrastive training, and the output layer that is fitted before training."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from pipeline import RunConfig
from pipeline.data.features.batching import Batch, Feature
from pipeline.errors import ConfigError
from pipeline.runs.context import RunContext
from pipeline.runs.contrastive import TextVectors, _drawn, pair_loss, train_on_pairs
from pipeline.runs.output_layer import fit_output_layer
from pipeline.tasks.classification import Labels
from pipeline.tasks.resolved import Setup
from transformer.config import ModelConfig
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import MeanHead
from transformer.models.models import TransformerModel
from transformer.models.stack import Encoder

SHAPE = {"d_model": 16, "n_heads": 2, "d_ff": 32, "n_layers": 1, "dropout": 0.0, "pooling": "mean"}


def setup_of(**values):
    config = RunConfig.from_mapping({"model": SHAPE, "contrastive": {"steps": 40, "lr": 0.01, **values}})
    return Setup(config, Labels(labels=("a", "b", "c")))


def model_of(n_labels=3):
    torch.manual_seed(1)
    embedding = TokenEmbedding(n_words=30, dim=16, d_model=16)
    with torch.no_grad():
        embedding.weight[1:].normal_()
    return TransformerModel(encoder=Encoder(config=ModelConfig(**SHAPE), embedding=embedding),
                            head=MeanHead(d_model=16, n_classes=n_labels))


def features_of(n_labels=3, each=4):
    """Texts of random words, of which every label has some of its own."""
    random = np.random.default_rng(1)
    return [Feature(np.concatenate([random.integers(5, 15, 4), random.integers(15 + 5 * label, 20 + 5 * label, 2)]
                                   ).astype(np.int32), np.array(label), i, f"line {i}")
            for i, label in enumerate(np.arange(n_labels).repeat(each))]


def vectors(model, features):
    with torch.no_grad():
        return torch.cat([TextVectors(model.encoder, 16)(torch.tensor(one.ids[None].astype(np.int64)))
                          for one in features])


def test_the_loss_of_three_texts_by_hand():
    """Unit vectors at 0, 60 and 90 degrees; the first two have the same label."""
    angles = torch.tensor([0.0, torch.pi / 3, torch.pi / 2])
    given = torch.stack([angles.cos(), angles.sin()], dim=1)
    batch = Batch(ids=torch.zeros(3, 1, dtype=torch.long), targets=torch.tensor([7, 7, 8]), n_tokens=3, n_targets=3,
                  where=("", "", ""))
    together, apart = (1 - 0.5) ** 2, (0.0 + 0.75) / 2  # cosines of 60, 90 and 30 degrees
    assert float(pair_loss(lambda _ids, _types: given, batch)) == pytest.approx((together + apart) / 2, abs=1e-6)


def test_texts_of_a_label_move_together():
    model, features = model_of(), features_of()
    before = vectors(model, features)
    train_on_pairs(setup_of(), model, features, RunContext())
    after = vectors(model, features)
    same = torch.tensor(np.equal.outer(*[[int(one.target) for one in features]] * 2))
    for found in (before, after):
        assert found.norm(dim=1) == pytest.approx(torch.ones(len(found)))
    gaps = [float((found @ found.T)[same].mean() - (found @ found.T)[~same].mean()) for found in (before, after)]
    assert gaps[1] > gaps[0] + 0.2


def test_the_same_seed_gives_the_same_weights():
    found = []
    for _ in range(2):
        model = model_of()
        train_on_pairs(setup_of(steps=3), model, features_of(), RunContext())
        found.append(vectors(model, features_of()))
    assert torch.equal(*found)


def test_nothing_is_trained_without_steps():
    model = model_of()
    before = vectors(model, features_of())
    train_on_pairs(setup_of(steps=0), model, features_of(), RunContext())
    assert torch.equal(vectors(model, features_of()), before)


@pytest.mark.parametrize("counts", [(5, 5), (1, 2, 9), (2, 1, 1, 1), (3,) * 40])
def test_batches_have_pairs_of_both_kinds_without_repetition(counts):
    labels = np.arange(len(counts)).repeat(counts)
    for seed in range(20):
        rows = _drawn(labels, 8, np.random.default_rng(seed))
        assert len(set(rows)) == len(rows) <= max(8, 2 * len(set(labels[rows])))
        assert np.bincount(labels[rows]).max() >= 2
        assert len(set(labels[rows].tolist())) >= 2


@pytest.mark.parametrize("features", [features_of(n_labels=1), features_of(each=1)])
def test_texts_without_pairs_are_refused(features):
    with pytest.raises(ConfigError, match=r"contrastive\.steps=40: pairs of texts .* label more texts"):
        train_on_pairs(setup_of(), model_of(), features, RunContext())


@pytest.mark.parametrize("n_labels", [2, 3])
def test_the_output_layer_is_the_logistic_regression_of_scikit_learn(n_labels):
    model, features = model_of(n_labels), features_of(n_labels)
    fit_output_layer(setup_of(head_first=True), model, features)
    inputs, labels = vectors(model, features).numpy(), [int(one.target) for one in features]
    theirs = LogisticRegression(C=10, max_iter=1000).fit(inputs, labels)
    with torch.no_grad():
        logits = torch.cat([model(torch.tensor(one.ids[None].astype(np.int64))) for one in features])
    assert F.softmax(logits, dim=-1).numpy() == pytest.approx(theirs.predict_proba(inputs), abs=1e-4)


def test_the_output_layer_stays_random_by_default():
    model = model_of()
    before = model.head.output.weight.clone()
    fit_output_layer(setup_of(), model, features_of())
    assert torch.equal(model.head.output.weight, before)
