"""The training loop, its configuration, and saving of weights."""

import pytest
import torch
import torch.nn.functional as F
from small_models import encoder_decoder
from small_training import examples, loss, model, same_weights, train, without_seconds
from torch import nn

from transformer import Evaluation, ModelConfig, Trainer, TrainingConfig
from transformer.checkpoint import load_weights, read_weights, save_weights
from transformer.config import EmbeddingConfig
from transformer.errors import CheckpointError, DivergedError, TransformerError
from transformer.kernels.precision import autocast, choose_precision, training_precision
from transformer.layers.dropout import shared_masks
from transformer.training.distributed import World
from transformer.training.divergence import GPU_STEPS, NonFiniteGuard
from transformer.training.optimizer import Optimizer
from transformer.training.trainer import choose_device


def test_eight_examples_are_memorised():
    network, result = train(epochs=20, dropout=0.0)
    assert (network(examples().ids).argmax(dim=1) == examples().targets).all()
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"] / 10
    assert (result.steps, result.tokens, len(result.history)) == (80, 80 * 32, 20)


@pytest.mark.parametrize(("n_batches", "n_epochs"), [(2, 20), (83, 12)])
def test_default_number_of_epochs_ends_at_learning_rate_zero(n_batches, n_epochs):
    batch, seen = examples(), []
    _, result = train(batches=lambda _: [batch] * n_batches, epochs=0,
                      fields={"watch": lambda epoch, is_last: seen.append((epoch, is_last)) or {}})
    assert len(result.history) == n_epochs
    assert seen == [(epoch, epoch == n_epochs) for epoch in range(1, n_epochs + 1)]
    assert result.history[-1]["lr"] == 0


def test_same_seed_gives_same_weights():
    assert same_weights(train()[0], train()[0])
    assert not same_weights(train()[0], train(dropout=0.2)[0])


def plain_training(network, batches, epochs, lr=3e-3):
    """Train with the default configuration: an independent, minimal implementation of the loop."""
    table = network.encoder.embedding.weight
    decayed = [p for p in network.parameters() if p.ndim >= 2 and p is not table]
    others = [p for p in network.parameters() if p.ndim < 2 or p is table]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01},
                                   {"params": others, "weight_decay": 0.0}], lr=lr)
    n_steps = epochs * len(batches)
    n_warm = round(0.1 * n_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: (step + 1) / n_warm if step < n_warm else (n_steps - step) / (n_steps - n_warm))
    average = [p.detach().clone() for p in network.parameters()]
    history, step = [], 0
    network.train()
    for epoch in range(1, epochs + 1):
        losses = []
        for batch in batches:
            optimizer.zero_grad()
            with shared_masks():
                value = loss(network, batch)
            losses.append(value.item())
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step += 1
            for mean, weight in zip(average, network.parameters(), strict=True):
                mean.lerp_(weight.detach(), 1 - min(0.99, step / (step + 9)))
        history.append({"epoch": epoch, "step": step, "train_loss": sum(losses) / len(losses),
                        "lr": optimizer.param_groups[0]["lr"], "tokens": step * 32})
    with torch.no_grad():
        for mean, weight in zip(average, network.parameters(), strict=True):
            weight.copy_(mean)
    return network, history


def test_default_configuration_equals_a_minimal_loop():
    batches = [examples(seed) for seed in range(7)]
    ours, result = train(batches=lambda _: batches, epochs=5)
    network = model(dropout=0.1)
    torch.manual_seed(5)
    expected, history = plain_training(network, batches, epochs=5)
    for name, weight in ours.state_dict().items():  # including the table with sparse updates
        if not name.endswith("key.bias"):  # its exact gradient is 0
            assert (weight - expected.state_dict()[name]).abs().max() < 2e-6, name
    for entry, expected_entry in zip(without_seconds(result.history), history, strict=True):
        assert entry == pytest.approx(expected_entry, rel=1e-5)


def test_without_evaluation_all_epochs_run():
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
    assert [entry["dev_accuracy"] for entry in result.history] == seen
    scores = iter([0.1, 0.5, 0.0, 0.0, 0.0, 0.0])
    full, _ = train(evaluate, epochs=6, patience=0)  # runs to the end, and also keeps epoch 2
    for name, weight in stopped.state_dict().items():
        assert torch.equal(weight, full.state_dict()[name]), name


def test_non_finite_loss_raises_with_advice():
    network = model()
    trainer = Trainer(model=network, batches=lambda _: [examples()], loss=lambda n, b: loss(n, b) * float("nan"),
                      evaluate=None, config=TrainingConfig(lr=0.5, precision="float32"))
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    message = (r"^the loss became nan in epoch 1, step 1, on a.tsv:1, a.tsv:2, a.tsv:3, a.tsv:4, a.tsv:5 and 3 more: "
               r"try a smaller training.lr \(now 0.5\), a longer training.warmup \(now 0.1\), a smaller training.clip "
               r"\(now 1\), or embedding.scale=unit$")
    with pytest.raises(DivergedError, match=message):
        trainer.run()
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())


class InfiniteGradient(torch.autograd.Function):
    """A function that is 0, with an infinite gradient."""

    @staticmethod
    def forward(_context, x):
        return torch.zeros_like(x)

    @staticmethod
    def backward(_context, grad):
        return grad * float("inf")


def test_non_finite_gradient_raises_with_advice():
    network = model()
    seen = []

    def exploding_loss(network, batch):
        seen.append(batch)
        value = loss(network, batch)
        return value + InfiniteGradient.apply(value) if len(seen) == 3 else value

    trainer = Trainer(model=network, batches=lambda _: [examples(n=2)] * 2, loss=exploding_loss, evaluate=None,
                      config=TrainingConfig(precision="bfloat16"))
    with pytest.raises(DivergedError, match=r"the gradient became (inf|nan) in epoch 2, step 3, on a.tsv:1, a.tsv:2: "
                                            r"try .*embedding.scale=unit, or training.precision=float32$"):
        trainer.run()


def test_steps_are_checked_together_on_a_gpu_and_the_first_failure_is_reported():
    guard = NonFiniteGuard(TrainingConfig(), torch.device("cuda"), World())
    finite, infinite = torch.tensor(1.0), torch.tensor(float("inf"))
    for step in range(GPU_STEPS + 9):
        guard.add(f"step {step}", finite, finite, ["a"])
    guard.add("step x", infinite, finite, ["b", "c"])
    guard.add("step y", infinite, infinite, ["d"])
    with pytest.raises(DivergedError, match="the loss became inf in step x, on b, c: try"):
        guard.check()


def test_epoch_without_targets_raises():
    with pytest.raises(TransformerError, match="no batch of epoch 1 has a target to predict"):
        train(batches=lambda _: [examples(n=0)] * 2)


@pytest.mark.parametrize("cuts", [[(3, 5)], [(1, 2, 5), (8,)], [(8,), (2, 6)]])
def test_accumulated_batches_equal_one_large_batch(cuts, monkeypatch):
    """The batches have unequal sizes, so that the mean over all targets is not the mean of the batch means."""
    gradients = []
    step = Optimizer.step

    def record(self):
        gradients.append(torch.cat([weight.grad.to_dense().flatten() for weight in self._weights.values()]))
        return step(self)

    monkeypatch.setattr(Optimizer, "step", record)
    size = max(len(cut) for cut in cuts)
    whole = [examples(seed) for seed in range(len(cuts))]
    parts = []
    for batch, cut in zip(whole, cuts, strict=True):
        parts += batch.cut(*cut) + [examples(n=0)] * (size - len(cut))
    _, expected = train(dropout=0.0, batches=lambda _: whole, clip=1e9)
    expected_gradients, gradients = gradients, []
    _, result = train(dropout=0.0, batches=lambda _: parts, accumulate=size, clip=1e9)
    assert len(gradients) == len(expected_gradients) == result.steps == 3 * len(cuts)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, other, atol=1e-5, rtol=1e-4)
    for entry, other in zip(without_seconds(result.history), without_seconds(expected.history), strict=True):
        assert entry == pytest.approx(other, rel=1e-5)


def test_last_step_of_an_epoch_may_accumulate_fewer_batches():
    _, result = train(accumulate=3, epochs=2)
    assert [entry["step"] for entry in result.history] == [2, 4]
    assert result.tokens == 2 * 4 * 32


def test_table_is_frozen_in_the_first_epochs():
    tables, trained = [], []
    network = model(dropout=0.0)
    table = network.encoder.embedding.weight
    start = table.detach().clone()

    def evaluate():
        tables.append(table.detach().clone())
        trained.append(table.requires_grad)
        return Evaluation({}, (float(len(tables)),))

    trainer = Trainer(model=network, batches=lambda _: [examples()] * 4, loss=loss, evaluate=evaluate,
                      config=TrainingConfig(epochs=4, lr=3e-3, freeze_epochs=2))
    trainer.run()
    assert trained == [False, False, True, True]
    assert torch.equal(tables[0], start)
    assert torch.equal(tables[1], start)
    assert not torch.equal(tables[2], start)
    assert table.requires_grad


def test_frozen_table_remains_frozen_after_freeze_epochs():
    network, _ = train(freeze_epochs=1, embedding={"freeze": True})
    assert torch.equal(network.encoder.embedding.weight, model(freeze=True).encoder.embedding.weight)
    assert not network.encoder.embedding.weight.requires_grad


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_in_each_precision(precision):
    seen = []

    def checked_loss(network, batch):
        seen.append(network.encoder.layers[0].feedforward.inner(torch.zeros(1, 16)).dtype)
        scores = network(batch.ids)
        assert scores.dtype == torch.float32  # the head computes in float32 in every precision
        return F.cross_entropy(scores, batch.targets)

    network = model(dropout=0.0)
    trainer = Trainer(model=network, batches=lambda _: [examples()] * 4, loss=checked_loss, evaluate=None,
                      config=TrainingConfig(epochs=20, lr=3e-3, precision=precision))
    trainer.run()
    assert set(seen) == {getattr(torch, precision)}
    assert all(weight.dtype == torch.float32 for weight in network.parameters())
    with autocast(torch.device("cpu"), precision):
        assert (network(examples().ids).argmax(dim=1) == examples().targets).all()


def test_autocast_uses_current_weights():
    layer = nn.Linear(4, 4)
    x = torch.ones(1, 4)
    with autocast(torch.device("cpu"), "bfloat16"):
        layer(x)
        with torch.no_grad():
            layer.weight.zero_()
        assert torch.equal(layer(x).float(), layer.bias.detach().bfloat16().float()[None])


def test_automatic_precision_of_a_device(monkeypatch):
    cpu = torch.device("cpu")
    for capabilities in ({}, {"avx512_bf16": False, "amx_bf16": False}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda capabilities=capabilities: capabilities)
        assert choose_precision(cpu, "auto") == "float32"
    for name in ("avx512_bf16", "amx_bf16"):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda name=name: {name: True})
        assert choose_precision(cpu, "auto") == "bfloat16"
        assert choose_precision(cpu, "float32") == "float32"
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # as in older versions of PyTorch
    assert choose_precision(cpu, "auto") == "float32"
    assert choose_precision(cpu, "bfloat16") == "bfloat16"


def test_automatic_precision_of_cross_attention_on_a_cpu_is_float32(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert training_precision(model(), "auto") == "bfloat16"
    assert training_precision(encoder_decoder(), "auto") == "float32"
    assert training_precision(encoder_decoder(), "bfloat16") == "bfloat16"


def test_gradient_is_clipped(monkeypatch):
    norms = []
    step = Optimizer.step

    def record(self):
        grads = [weight.grad.to_dense() for weight in self._weights.values()]
        norms.append(torch.stack([grad.norm() for grad in grads]).norm().item())
        return step(self)

    monkeypatch.setattr(Optimizer, "step", record)
    train(clip=0.01)
    assert max(norms) == pytest.approx(0.01, rel=1e-3)


def test_saved_weights_are_equal_and_reproducible(tmp_path):
    network = model()
    save_weights(network, tmp_path / "a")
    save_weights(model(), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    other = model(dropout=0.1)
    nn.init.normal_(other.head.output.weight)
    load_weights(other, read_weights(tmp_path / "a"), tmp_path / "a")
    assert all(torch.equal(w, network.state_dict()[name]) for name, w in other.state_dict().items())


def test_tied_weights_are_saved_once(tmp_path):
    def tied():
        torch.manual_seed(3)
        pair = nn.ModuleDict({"table": nn.Embedding(5, 4), "output": nn.Linear(4, 5)})
        pair["output"].weight = pair["table"].weight
        return pair

    pair, other = tied(), tied()
    nn.init.normal_(pair["table"].weight)
    save_weights(pair, tmp_path / "tied")
    weights = read_weights(tmp_path / "tied")
    assert set(weights) == {"table.weight", "output.bias"}
    load_weights(other, weights, tmp_path / "tied")
    assert other["output"].weight is other["table"].weight
    assert same_weights(pair, other)


def test_missing_damaged_or_mismatched_weights_raise(tmp_path):
    with pytest.raises(CheckpointError, match="cannot read"):
        read_weights(tmp_path / "none")
    (tmp_path / "garbage").write_bytes(b"garbage")
    with pytest.raises(CheckpointError, match="garbage: cannot read"):
        read_weights(tmp_path / "garbage")
    save_weights(model(n_words=7), tmp_path / "small")
    with pytest.raises(CheckpointError, match="do not match"):
        load_weights(model(), read_weights(tmp_path / "small"), tmp_path / "small")


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (ModelConfig, {"d_model": 0}, "model.d_model"), (ModelConfig, {"n_heads": 3}, "model.n_heads=3"),
        (ModelConfig, {"d_model": 9, "n_heads": 3}, "even"), (ModelConfig, {"dropout": 1.0}, "model.dropout"),
        (ModelConfig, {"n_layers": 0}, "model.n_layers"), (TrainingConfig, {"epochs": -1}, "training.epochs"),
        (TrainingConfig, {"lr": 0}, "training.lr"), (TrainingConfig, {"warmup": 2}, "training.warmup"),
        (TrainingConfig, {"clip": 0}, "training.clip"), (TrainingConfig, {"batch_size": 0}, "training.batch_size"),
        (TrainingConfig, {"patience": -1}, "training.patience"), (TrainingConfig, {"ema": 1.0}, "training.ema"),
        (TrainingConfig, {"device": "tpu"}, "training.device"),
        (TrainingConfig, {"weight_decay": -1}, "training.weight_decay"),
        (TrainingConfig, {"table_lr": -1}, "training.table_lr"), (TrainingConfig, {"layer_decay": 0}, "layer_decay"),
        (TrainingConfig, {"layer_decay": 1.1}, "layer_decay"), (TrainingConfig, {"accumulate": 0}, "accumulate"),
        (TrainingConfig, {"freeze_epochs": -1}, "training.freeze_epochs"),
        (TrainingConfig, {"schedule": "step"}, "linear, cosine or constant, not 'step'"),
        (TrainingConfig, {"precision": "float16"}, "auto, float32 or bfloat16, not 'float16'"),
        (TrainingConfig, {"checkpoint_seconds": -1}, "training.checkpoint_seconds"),
        (EmbeddingConfig, {"scale": "big"}, "'big'"),
        (EmbeddingConfig, {"scale": "match=0"}, "embedding.scale"),
        (EmbeddingConfig, {"scale": "match=-1"}, "embedding.scale"),
    ],
)
def test_invalid_values_are_refused_by_name(cls, values, message):
    with pytest.raises(ValueError, match=message):
        cls(**values)


def test_choice_of_device():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(TransformerError, match="finds no GPU"):
            choose_device("cuda")


def test_averaged_weights_are_evaluated_and_kept():
    seen = []

    def evaluate(network):
        seen.append(network.head.output.weight.clone())
        return Evaluation({"score": 0.0}, (float(len(seen)),))

    networks = {}
    for decay in (0.0, 0.9):
        network = model(dropout=0.0)
        torch.manual_seed(5)
        trainer = Trainer(model=network, batches=lambda _: [examples()] * 4, loss=loss,
                          evaluate=lambda network=network: evaluate(network),
                          config=TrainingConfig(epochs=3, lr=3e-3, ema=decay))
        trainer.run()
        networks[decay] = network.head.output.weight
        assert torch.equal(network.head.output.weight, seen[-1])
    assert not torch.equal(networks[0.0], networks[0.9])
