"""Parameter groups, their learning rates, and the schedule."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_training import examples, loss, model, train
from torch import nn

from transformer import TokenEmbedding, TrainingConfig
from transformer.layers.positions import LearnedPositions
from transformer.training.optimizer import Optimizer
from transformer.training.schedule import depths_below_top, lr_factor, parameter_groups, resolve_epochs, trained_tables


def settings_by_name(network, **config):
    """Return learning rate and weight decay of every trained parameter."""
    names = {id(weight): name for name, weight in network.named_parameters()}
    groups = parameter_groups(network, TrainingConfig(**config))
    listed = [(names[id(weight)], group["lr"], group["weight_decay"]) for group in groups for weight in group["params"]]
    assert len({name for name, *_ in listed}) == len(listed)
    return {name: (lr, decay) for name, lr, decay in listed}


def test_weight_decay_excludes_biases_norms_and_word_vectors():
    network = model(dim=10)
    settings = settings_by_name(network, weight_decay=0.5)
    weights = dict(network.named_parameters())
    assert settings.keys() == weights.keys()
    assert settings["encoder.embedding.projection.weight"] == (1e-3, 0.5)
    for name, (_, decay) in settings.items():
        assert decay == (0.5 if weights[name].ndim >= 2 and name != "encoder.embedding.weight" else 0.0), name


def test_table_has_its_own_group_and_learning_rate():
    network = model()
    settings = settings_by_name(network, lr=0.1, table_lr=0.003)
    assert settings.pop("encoder.embedding.weight") == (0.003, 0.0)
    assert {lr for lr, _ in settings.values()} == {0.1}
    table, *_ = (group for group in parameter_groups(network, TrainingConfig())
                 if network.encoder.embedding.weight in set(group["params"]))
    assert len(table["params"]) == 1


def test_frozen_table_is_in_no_group():
    network = model(freeze=True)
    assert "encoder.embedding.weight" not in settings_by_name(network)
    assert trained_tables(network) == []


class Tied(nn.Module):
    """Encoder and decoder that share a table, which is also the output layer; positions and token types are learned."""

    def __init__(self):
        super().__init__()
        self.output = nn.Linear(4, 9, bias=True)
        self.source_embedding = TokenEmbedding(n_words=4, dim=4, d_model=4)
        self.target_embedding = self.source_embedding
        self.output.weight = self.source_embedding.weight
        self.positions = LearnedPositions(d_model=4, max_positions=3)
        self.token_types = nn.Embedding(2, 4)
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(nn.Linear(4, 4) for _ in range(3))})
        self.decoder = nn.ModuleDict({"layers": nn.ModuleList(nn.Linear(4, 4) for _ in range(1))})


def test_shared_and_tied_table_is_listed_once():
    network = Tied()
    assert len(trained_tables(network)) == 1
    settings = settings_by_name(network, weight_decay=0.5, table_lr=0.02)
    assert settings["output.weight"] == (0.02, 0.0)
    assert settings["positions.weight"] == settings["token_types.weight"] == (1e-3, 0.0)


def test_lower_layers_have_lower_learning_rates():
    network = Tied()
    network.output = nn.Linear(4, 9)
    depths = depths_below_top(network)
    assert {name: depth for name, depth in depths.items() if not name.endswith("bias")} == {
        "output.weight": 0, "source_embedding.weight": 4, "positions.weight": 4, "token_types.weight": 4,
        "encoder.layers.2.weight": 1, "encoder.layers.1.weight": 2, "encoder.layers.0.weight": 3,
        "decoder.layers.0.weight": 1,
    }
    settings = settings_by_name(network, lr=1.0, layer_decay=0.5)
    assert all(settings[name][0] == 0.5**depth for name, depth in depths.items())


def test_learning_rates_of_a_classifier():
    network = model(dim=10)
    settings = settings_by_name(network, lr=1.0, layer_decay=0.5)
    assert settings["head.output.weight"][0] == settings["encoder.norm.weight"][0] == 1.0
    assert settings["encoder.layers.1.attention.query.weight"][0] == 0.5
    assert settings["encoder.layers.0.attention_norm.bias"][0] == 0.25
    assert settings["encoder.embedding.weight"][0] == settings["encoder.embedding.projection.weight"][0] == 0.125


def test_each_weight_is_updated_with_its_learning_rate():
    """The first step of AdamW has the size of the learning rate, for any gradient."""
    network = model()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    optimizer = Optimizer(network, TrainingConfig(lr=1e-3, layer_decay=0.5, table_lr=1e-5, weight_decay=0.0, clip=1e9))
    optimizer.set_lr(0.5)
    loss(network, examples()).backward()
    optimizer.clip()
    optimizer.step()
    optimizer.close()
    change = {name: (weight - before[name]).abs().max().item() for name, weight in network.named_parameters()}
    for name, rate in (("head.output.weight", 1e-3), ("encoder.layers.1.feedforward.output.weight", 5e-4),
                       ("encoder.layers.0.feedforward.output.weight", 2.5e-4), ("encoder.embedding.weight", 1e-5)):
        assert change[name] == pytest.approx(rate / 2, rel=0.02), name


def test_history_contains_the_learning_rate_of_the_top():
    _, result = train(layer_decay=0.5, schedule="constant", table_lr=1e-6, epochs=1)
    assert result.history[0]["lr"] == 3e-3


@pytest.mark.parametrize(
    ("schedule", "decay"),
    [("linear", [1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0]), ("constant", [1.0] * 7),
     ("cosine", [(1 + math.cos(math.pi * i / 6)) / 2 for i in range(7)])],
)
def test_warm_up_and_decay(schedule, decay):
    config = TrainingConfig(warmup=0.4, schedule=schedule)
    rates = [lr_factor(step, config, n_steps=10) for step in range(11)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, *decay])


@pytest.mark.parametrize(
    ("epochs", "steps_per_epoch", "expected"),
    [(0, 0, 20), (0, 3, 20), (0, 50, 20), (0, 80, 12), (0, 100, 10), (0, 5000, 10), (3, 3, 3), (40, 5000, 40)],
)
def test_default_number_of_epochs_depends_on_the_steps(epochs, steps_per_epoch, expected):
    assert resolve_epochs(TrainingConfig(epochs=epochs), steps_per_epoch) == expected


@given(st.integers(1, 200), st.floats(0, 1), st.sampled_from(["linear", "cosine", "constant"]))
def test_learning_rate_rises_and_then_does_not_rise_again(n_steps, warmup, schedule):
    config = TrainingConfig(warmup=warmup, schedule=schedule)
    rates = torch.tensor([lr_factor(step, config, n_steps) for step in range(n_steps)])
    top = int(rates.argmax())
    assert ((rates > 0) & (rates <= 1)).all()
    assert (rates[: top + 1].diff() > 0).all()
    assert (rates[top:].diff() <= 0).all()
