"""All architectures: gradients of all weights, frozen tables, and learning of sequences."""

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from small_models import ARCHITECTURES, OPTIONS, perturbed
from torch import Tensor

from transformer import Trainer, TrainingConfig
from transformer.config import ModelConfig
from transformer.layers.embedding import TokenEmbedding
from transformer.models.models import EncoderDecoder
from transformer.models.stack import Cache, Decoder, Encoder

EVERY_ARCHITECTURE = pytest.mark.parametrize("architecture", ARCHITECTURES)


@dataclass
class EmptyBatch:
    """A batch without data; the texts are part of the test function of an architecture."""

    n_tokens: int = 1
    n_targets: int = 1
    where: tuple[str, ...] = ("here",)

    def to(self, _device):
        return self


def train(model, forward, epochs=3, **config):
    torch.manual_seed(1)
    Trainer(model=model, batches=lambda _: [EmptyBatch()] * 2, loss=lambda model, _: forward(model).pow(2).mean(),
            evaluate=None, config=TrainingConfig(epochs=epochs, lr=1e-2, **config)).run()


@EVERY_ARCHITECTURE
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: f"{options['positions']}-{options['norm']}")
def test_all_weights_have_gradients(architecture, options):
    make, forward = ARCHITECTURES[architecture]
    torch.manual_seed(0)
    model = perturbed(make(dim=10, **options))
    outputs = forward(model)
    (outputs * torch.randn_like(outputs)).sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        if not name.endswith("key.bias"):  # it shifts all scores of a query equally, which softmax ignores
            assert weight.grad.abs().max() > 0, name


@EVERY_ARCHITECTURE
def test_all_weights_change_in_a_few_steps(architecture):
    make, forward = ARCHITECTURES[architecture]
    torch.manual_seed(0)
    model = make(dim=10)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    train(model, forward)
    for name, weight in model.named_parameters():
        assert not torch.equal(weight, before[name]), name


@EVERY_ARCHITECTURE
@pytest.mark.parametrize("dim", [16, 10])
def test_frozen_table_does_not_change(architecture, dim):
    make, forward = ARCHITECTURES[architecture]
    torch.manual_seed(0)
    model = make(dim=dim, freeze=True)
    tables = {name: weight for name, weight in model.named_parameters() if name.endswith("embedding.weight")}
    assert not any(weight.requires_grad for weight in tables.values())
    before = {name: weight.detach().numpy().tobytes() for name, weight in tables.items()}
    train(model, forward, weight_decay=0.1)
    assert tables
    for name, weight in tables.items():
        assert weight.detach().numpy().tobytes() == before[name], name


def test_unused_learned_positions_do_not_change():
    make, forward = ARCHITECTURES["tagger"]
    model = make(positions="learned", max_positions=9)
    before = model.encoder.positions.weight.detach().clone()
    train(model, forward, weight_decay=0.0)
    moved = (model.encoder.positions.weight != before).any(dim=1)
    assert moved.tolist() == [True] * 6 + [False] * 3


@dataclass
class Sequences:
    """A batch of source and target sequences."""

    source: Tensor
    target: Tensor
    where: tuple[str, ...] = ("here",)

    @property
    def n_tokens(self):
        return self.source.numel() + self.target.numel()

    @property
    def n_targets(self):
        return self.target[:, 1:].numel()

    def to(self, _device):
        return self


START, SYMBOLS, LONGEST = 2, 8, 6


def sequences(task, n, seed):
    """Make random source sequences; the target is a start symbol and the same sequence, or its reverse."""
    source = torch.randint(5, 5 + SYMBOLS, (n, LONGEST), generator=torch.Generator().manual_seed(seed))
    output = source.flip(1) if task == "reverse" else source
    return Sequences(source, torch.cat([torch.full((n, 1), START), output], dim=1))


def generate(model, source):
    """Generate the most probable symbols with a cache."""
    target, cache = torch.full((len(source), 1), START), Cache()
    memory = model.encoder(source).memory
    for _ in range(LONGEST):
        scores = model.decode(target[:, -1:], memory=memory, cache=cache)
        target = torch.cat([target, scores[:, -1:].argmax(dim=-1)], dim=1)
    return target


@pytest.mark.parametrize("task", ["copy", "reverse"])
def test_sequences_are_learned_without_errors(task):
    torch.manual_seed(0)
    config = ModelConfig(d_model=32, n_heads=4, n_layers=1, d_ff=64, dropout=0.0)
    embeddings = [TokenEmbedding(n_words=SYMBOLS, dim=32, d_model=32) for _ in range(2)]
    for layer in embeddings:
        torch.nn.init.normal_(layer.weight[1:])
    model = EncoderDecoder(encoder=Encoder(config=config, embedding=embeddings[0]),
                           decoder=Decoder(config=config, embedding=embeddings[1], cross=True), config=config)

    def loss(model, batch):
        scores = model(batch.source, batch.target[:, :-1])
        return F.cross_entropy(scores.flatten(0, 1), batch.target[:, 1:].flatten())

    Trainer(model=model, batches=lambda epoch: [sequences(task, 64, 1000 * epoch + i) for i in range(100)], loss=loss,
            evaluate=None, config=TrainingConfig(epochs=6, lr=3e-3)).run()
    held_out = sequences(task, 200, 999)
    seen = {tuple(row) for epoch in range(1, 7) for i in range(100)
            for row in sequences(task, 64, 1000 * epoch + i).source.tolist()}
    new = torch.tensor([tuple(row) not in seen for row in held_out.source.tolist()])
    assert new.sum() > 100
    with torch.no_grad():
        assert torch.equal(generate(model, held_out.source)[new], held_out.target[new])
