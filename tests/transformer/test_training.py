from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from test_bricks import model
from torch import Tensor, nn

from transformer import Evaluation, ModelConfig, Trainer, TrainingConfig
from transformer.checkpoint import load_weights, read_weights, save_weights
from transformer.config import EmbeddingConfig
from transformer.errors import CheckpointError, DivergedError, TransformerError
from transformer.optimization import make_optimizer, make_schedule
from transformer.training import choose_device


@dataclass
class Batch:
    ids: Tensor
    targets: Tensor

    n_tokens = 32

    def to(self, _device):
        return self


def examples():
    torch.manual_seed(1)
    return Batch(torch.randint(2, 32, (8, 4)), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1]))


def loss(network, batch):
    return F.cross_entropy(network(batch.ids), batch.targets)


def train(evaluate=None, dropout=0.1, **config):
    network, _ = model(dropout=dropout)
    settings = TrainingConfig(**{"epochs": 3, "lr": 3e-3, **config})
    torch.manual_seed(5)
    trainer = Trainer(model=network, batches=lambda _: [examples()] * 4, loss=loss, evaluate=evaluate, config=settings)
    return network, trainer.run()


def test_eight_examples_are_learned_by_heart():
    network, result = train(epochs=20, dropout=0.0)
    assert (network(examples().ids).argmax(dim=1) == examples().targets).all()
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"] / 10
    assert (result.steps, result.tokens, len(result.history)) == (80, 80 * 32, 20)


def test_the_same_seed_gives_the_same_weights():
    first, again = (train()[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_without_an_evaluation_every_epoch_runs():
    _, result = train(epochs=4, patience=1)
    assert (len(result.history), result.best_epoch) == (4, 4)


def test_early_stopping_keeps_the_best_weights():
    scores = iter([0.1, 0.5, 0.3, 0.4, 0.2, 0.9])
    seen = []

    def evaluate():
        score = next(scores)
        seen.append(score)
        return Evaluation({"accuracy": score}, (score,))

    stopped, result = train(evaluate, epochs=6, patience=2)
    assert seen == [0.1, 0.5, 0.3, 0.4]
    assert result.best_epoch == 2
    assert [line["dev_accuracy"] for line in result.history] == seen
    scores = iter([0.1, 0.5, 0.0, 0.0, 0.0, 0.0])
    ran_on, _ = train(evaluate, epochs=6, patience=0)  # runs to the end, and still keeps epoch 2
    for name, weight in stopped.state_dict().items():
        assert torch.equal(weight, ran_on.state_dict()[name]), name


def test_a_loss_that_is_not_finite_stops_with_advice():
    network, _ = model()
    trainer = Trainer(model=network, batches=lambda _: [examples()], loss=lambda n, b: loss(n, b) * float("nan"),
                      evaluate=None, config=TrainingConfig(lr=0.5))
    with pytest.raises(DivergedError, match=r"nan in epoch 1: try a smaller training.lr \(now 0.5\)"):
        trainer.run()


def test_warm_up_and_decay():
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make_schedule(optimizer, TrainingConfig(warmup=0.4), n_steps=10)
    rates = []
    for _ in range(10):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert optimizer.param_groups[0]["lr"] == 0


def test_decay_spares_biases_norms_and_word_vectors():
    network, _ = model(dim=10)
    decayed, others = make_optimizer(network, TrainingConfig(weight_decay=0.5)).param_groups
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.5, 0.0)
    assert "encoder.embedding.weight" in {names[id(p)] for p in others["params"]}
    assert "encoder.embedding.projection.weight" in {names[id(p)] for p in decayed["params"]}
    assert all(p.ndim < 2 or "embedding.weight" in names[id(p)] for p in others["params"])
    assert len(decayed["params"]) + len(others["params"]) == len(names)


def test_long_gradients_are_shortened(monkeypatch):
    lengths = []
    step = torch.optim.AdamW.step

    def record(self, *args):
        grads = [p.grad for group in self.param_groups for p in group["params"]]
        lengths.append(torch.stack([grad.norm() for grad in grads]).norm().item())
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", record)
    train(clip=0.01)
    assert max(lengths) == pytest.approx(0.01, rel=1e-3)


def test_weights_survive_and_equal_weights_are_equal_bytes(tmp_path):
    network, _ = model()
    save_weights(network, tmp_path / "a")
    save_weights(model()[0], tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    other, _ = model(dropout=0.1)
    nn.init.normal_(other.head.output.weight)
    load_weights(other, read_weights(tmp_path / "a"), tmp_path / "a")
    assert all(torch.equal(w, network.state_dict()[name]) for name, w in other.state_dict().items())


def test_weights_that_are_missing_broken_or_of_another_shape(tmp_path):
    with pytest.raises(CheckpointError, match="cannot read"):
        read_weights(tmp_path / "none")
    (tmp_path / "garbage").write_bytes(b"garbage")
    with pytest.raises(CheckpointError, match="garbage: cannot read"):
        read_weights(tmp_path / "garbage")
    save_weights(model(n_words=7)[0], tmp_path / "small")
    with pytest.raises(CheckpointError, match="do not fit"):
        load_weights(model()[0], read_weights(tmp_path / "small"), tmp_path / "small")


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (ModelConfig, {"d_model": 0}, "model.d_model"), (ModelConfig, {"n_heads": 3}, "model.n_heads=3"),
        (ModelConfig, {"d_model": 9, "n_heads": 3}, "even"), (ModelConfig, {"dropout": 1.0}, "model.dropout"),
        (ModelConfig, {"n_layers": 0}, "model.n_layers"), (TrainingConfig, {"epochs": 0}, "training.epochs"),
        (TrainingConfig, {"lr": 0}, "training.lr"), (TrainingConfig, {"warmup": 2}, "training.warmup"),
        (TrainingConfig, {"clip": 0}, "training.clip"), (TrainingConfig, {"batch_size": 0}, "training.batch_size"),
        (TrainingConfig, {"patience": -1}, "training.patience"), (TrainingConfig, {"ema": 1.0}, "training.ema"),
        (TrainingConfig, {"device": "tpu"}, "training.device"),
        (TrainingConfig, {"weight_decay": -1}, "training.weight_decay"), (EmbeddingConfig, {"scale": "big"}, "'big'"),
        (EmbeddingConfig, {"scale": "match=0"}, "embedding.scale"),
        (EmbeddingConfig, {"scale": "match=-1"}, "embedding.scale"),
    ],
)
def test_wrong_values_are_refused_by_name(cls, values, message):
    with pytest.raises(ValueError, match=message):
        cls(**values)


def test_devices():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(TransformerError, match="finds no GPU"):
            choose_device("cuda")


def test_the_averaged_weights_are_measured_and_kept():
    seen = []

    def evaluate(network):
        seen.append(network.head.output.weight.clone())
        return Evaluation({"score": 0.0}, (float(len(seen)),))

    networks = {}
    for decay in (0.0, 0.9):
        network, _ = model(dropout=0.0)
        torch.manual_seed(5)
        trainer = Trainer(model=network, batches=lambda _: [examples()] * 4, loss=loss,
                          evaluate=lambda network=network: evaluate(network),
                          config=TrainingConfig(epochs=3, lr=3e-3, ema=decay))
        trainer.run()
        networks[decay] = network.head.output.weight
        assert torch.equal(network.head.output.weight, seen[-1])
    assert not torch.equal(networks[0.0], networks[0.9])
