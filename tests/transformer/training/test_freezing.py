"""Layers that are constant: which ones in each epoch, and that the others are trained the same by every engine."""

import pytest
import torch
from small_training import examples, loss, model, same_weights, train

from transformer import Evaluation, Trainer, TrainingConfig
from transformer.errors import TransformerError
from transformer.training.freezing import Freezing

PLACES = {"inputs": "encoder.embedding.weight", "layer 0": "encoder.layers.0.attention.output.weight",
          "layer 1": "encoder.layers.1.attention.output.weight", "head": "head.output.weight"}


def changed(**config):
    """The places whose weights each epoch changes."""
    network, found = model(), []
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}

    def evaluate():
        now = dict(network.named_parameters())
        found.append({place for place, name in PLACES.items() if not torch.equal(now[name], before[name])})
        before.update({name: weight.detach().clone() for name, weight in now.items()})
        return Evaluation({}, (float(len(found)),))

    Trainer(model=network, batches=lambda _: [examples()] * 3, loss=loss, evaluate=evaluate,
            config=TrainingConfig(**{"lr": 3e-3, "ema": 0.0, "epochs": 2, "schedule": "constant", **config})).run()
    assert all(weight.requires_grad for weight in network.parameters())
    return found


def test_the_lowest_layers_are_constant_with_the_embeddings():
    assert changed(frozen_layers=1) == [{"layer 1", "head"}] * 2
    assert changed(frozen_layers=2) == [{"head"}] * 2
    assert changed() == [set(PLACES)] * 2


def test_layers_are_unfrozen_from_the_top():
    down = [{"head"}, {"head", "layer 1"}, {"head", "layer 1", "layer 0"}, set(PLACES), set(PLACES)]
    assert changed(unfreeze_epochs=1, epochs=5) == down
    assert changed(unfreeze_epochs=2, epochs=5) == [down[0], down[0], down[1], down[1], down[2]]
    assert changed(unfreeze_epochs=1, epochs=4, frozen_layers=1) == [down[0], down[1], down[1], down[1]]
    assert changed(unfreeze_epochs=1, epochs=5, freeze_epochs=4)[3:] == [down[2], set(PLACES)]


def test_weights_that_never_have_a_gradient_stay_constant():
    network = model(freeze=True)
    freezing = Freezing(network, TrainingConfig(unfreeze_epochs=1))
    for epoch in (1, 9):
        freezing.apply(epoch)
        assert not network.encoder.embedding.weight.requires_grad
    freezing.release()
    assert not network.encoder.embedding.weight.requires_grad


def test_more_layers_than_the_model_has():
    with pytest.raises(TransformerError, match=r"training\.frozen_layers=3: the model has 2 layers; freeze at most"):
        train(frozen_layers=3)


@pytest.mark.parametrize("config", [{"frozen_layers": 1}, {"unfreeze_epochs": 1, "epochs": 4}])
def test_engines_train_the_same_weights(config):
    networks = [train(engine=engine, dropout=0.0, ema=0.0, **config)[0] for engine in ("torch", "auto")]
    for first, second in zip(*(network.parameters() for network in networks), strict=True):
        assert first.detach() == pytest.approx(second.detach(), abs=1e-4)
    assert not same_weights(networks[0], model())
