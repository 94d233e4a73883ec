"""The exponential moving average of the weights."""

import pytest
import torch
from small_training import model
from torch import nn
from torch.optim.swa_utils import AveragedModel

from transformer.training.dense_adamw import DenseAdamW
from transformer.training.weight_average import WeightAverage


def steps(network, average, n=25):
    """Add noise to the weights in every step, and update their averages as the optimizer does."""
    weights = dict(network.named_parameters())
    averages = {weights[name]: tensor for name, tensor in average.averages.items()}
    optimizer = DenseAdamW([{"params": [*averages], "peak_lr": 0.0, "weight_decay": 0.0}], averages)
    torch.manual_seed(2)
    for _ in range(n):
        with torch.no_grad():
            for weight in network.parameters():
                if weight.requires_grad:
                    weight.add_(torch.randn_like(weight))
        optimizer.step(average.advance())
        yield


def test_average_equals_torch():
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    ours = WeightAverage(network, 0.6)

    def mix(average, weight, n_averaged):
        decay = min(0.6, (n_averaged + 1) / (n_averaged + 10))
        return decay * average + (1 - decay) * weight

    theirs = AveragedModel(network, avg_fn=mix)
    for number, _ in enumerate(steps(network, ours)):
        theirs.n_averaged.fill_(number)
        if not number:  # PyTorch copies the weights at 0, so the first step is made by hand
            with torch.no_grad():
                for average, weight in zip(theirs.module.parameters(), network.parameters(), strict=True):
                    average.copy_(mix(average, weight, 0))
        else:
            theirs.update_parameters(network)
    ours.apply()
    for weight, expected in zip(network.parameters(), theirs.module.parameters(), strict=True):
        torch.testing.assert_close(weight, expected)


def test_without_decay_the_average_is_the_last_weights():
    network = model(dropout=0.0)
    average = WeightAverage(network, 0.0)
    list(steps(network, average))
    last = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    average.apply()
    assert all(torch.equal(tensor, last[name]) for name, tensor in network.state_dict().items())


def test_averages_are_applied_inside_the_block_only():
    network = model(dropout=0.0)
    average = WeightAverage(network, 0.9)
    list(steps(network, average))
    weight = network.head.output.weight
    original = weight.clone()
    with pytest.raises(KeyError), average.applied():
        assert not torch.equal(weight, original)
        raise KeyError
    assert torch.equal(weight, original)


def test_frozen_weights_do_not_change():
    network = model(dropout=0.0)
    network.encoder.embedding.weight.requires_grad_(False)
    before = network.encoder.embedding.weight.clone()
    average = WeightAverage(network, 0.9)
    list(steps(network, average))
    average.apply()
    assert torch.equal(network.encoder.embedding.weight, before)


def test_weights_frozen_later_keep_the_sign_of_zeros():
    network = nn.Linear(3, 3)
    nn.init.constant_(network.weight, -0.0)
    average = WeightAverage(network, 0.9)
    network.weight.requires_grad_(False)
    list(steps(network, average))
    average.apply()
    assert network.weight.signbit().all()
    network.weight.requires_grad_(True)
    list(steps(network, average, n=1))
    average.apply()
    assert network.weight.all()
