"""Every form and head: what is trained gets a gradient, what is frozen stays, and sequences can be learned."""

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from small_models import FORMS, OPTIONS, stirred
from torch import Tensor

from transformer import Trainer, TrainingConfig
from transformer.config import ModelConfig
from transformer.layers.embedding import TokenEmbedding
from transformer.models.models import EncoderDecoder
from transformer.models.stack import Cache, Decoder, Encoder

EVERY_FORM = pytest.mark.parametrize("form", FORMS)


@dataclass
class Once:
    """One batch that a form brings itself."""

    n_tokens: int = 1
    n_targets: int = 1
    where: tuple[str, ...] = ("here",)

    def to(self, _device):
        return self


def train(model, forward, epochs=3, **config):
    torch.manual_seed(1)
    Trainer(model=model, batches=lambda _: [Once()] * 2, loss=lambda model, _: forward(model).pow(2).mean(),
            evaluate=None, config=TrainingConfig(epochs=epochs, lr=1e-2, **config)).run()


@EVERY_FORM
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: f"{options['positions']}-{options['norm']}")
def test_every_weight_gets_a_gradient(form, options):
    make, forward = FORMS[form]
    torch.manual_seed(0)
    model = stirred(make(dim=10, **options))
    outputs = forward(model)
    (outputs * torch.randn_like(outputs)).sum().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        if not name.endswith("key.bias"):  # it shifts all scores of a query alike, so softmax takes it away
            assert weight.grad.abs().max() > 0, name


@EVERY_FORM
def test_from_its_zeros_every_weight_is_moved_within_a_few_steps(form):
    make, forward = FORMS[form]
    torch.manual_seed(0)
    model = make(dim=10)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    train(model, forward)
    for name, weight in model.named_parameters():
        assert not torch.equal(weight, before[name]), name


@EVERY_FORM
@pytest.mark.parametrize("dim", [16, 10])
def test_a_frozen_table_keeps_its_bytes(form, dim):
    make, forward = FORMS[form]
    torch.manual_seed(0)
    model = make(dim=dim, freeze=True)
    tables = {name: weight for name, weight in model.named_parameters() if name.endswith("embedding.weight")}
    assert not any(weight.requires_grad for weight in tables.values())
    before = {name: weight.detach().numpy().tobytes() for name, weight in tables.items()}
    train(model, forward, weight_decay=0.1)
    assert tables
    for name, weight in tables.items():
        assert weight.detach().numpy().tobytes() == before[name], name


def test_learned_positions_beyond_the_texts_stay():
    make, forward = FORMS["tagger"]
    model = make(positions="learned", max_positions=9)
    before = model.encoder.positions.weight.detach().clone()
    train(model, forward, weight_decay=0.0)
    moved = (model.encoder.positions.weight != before).any(dim=1)
    assert moved.tolist() == [True] * 6 + [False] * 3


@dataclass
class Sequences:
    """Sources and what they are to become."""

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


def sequences(how, n, seed):
    """Random symbols, and the same again or backwards behind a start."""
    source = torch.randint(5, 5 + SYMBOLS, (n, LONGEST), generator=torch.Generator().manual_seed(seed))
    again = source.flip(1) if how == "reverse" else source
    return Sequences(source, torch.cat([torch.full((n, 1), START), again], dim=1))


def written(model, source):
    """The likeliest symbol each time, with a cache."""
    target, cache = torch.full((len(source), 1), START), Cache()
    memory = model.encoder(source).memory
    for _ in range(LONGEST):
        scores = model.decode(target[:, -1:], memory=memory, cache=cache)
        target = torch.cat([target, scores[:, -1:].argmax(dim=-1)], dim=1)
    return target


@pytest.mark.parametrize("how", ["copy", "reverse"])
def test_sequences_are_learned_to_the_last_symbol(how):
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

    Trainer(model=model, batches=lambda epoch: [sequences(how, 64, 1000 * epoch + i) for i in range(100)], loss=loss,
            evaluate=None, config=TrainingConfig(epochs=6, lr=3e-3)).run()
    held_out = sequences(how, 200, 999)
    seen = {tuple(row) for epoch in range(1, 7) for i in range(100)
            for row in sequences(how, 64, 1000 * epoch + i).source.tolist()}
    new = torch.tensor([tuple(row) not in seen for row in held_out.source.tolist()])
    assert new.sum() > 100
    with torch.no_grad():
        assert torch.equal(written(model, held_out.source)[new], held_out.target[new])
