"""A small model and its training, for tests of the training loop."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings import EmbeddingTable
from transformer import (
    ClassificationHead,
    EmbeddingConfig,
    Encoder,
    ModelConfig,
    TokenEmbedding,
    Trainer,
    TrainingConfig,
    TransformerModel,
)


def model(dim=16, dropout=0.0, n_words=30, **embedding):
    torch.manual_seed(0)
    vectors = np.random.default_rng(0).normal(0, 0.5, (n_words, dim)).astype(np.float32)
    table = EmbeddingTable.known([f"w{i}" for i in range(n_words)], vectors, "here")
    shape = ModelConfig(d_model=16, n_heads=4, n_layers=2, d_ff=32, dropout=dropout)
    layer = TokenEmbedding.from_table(table, d_model=16, config=EmbeddingConfig(**embedding))
    made = TransformerModel(
        encoder=Encoder(config=shape, embedding=layer), head=ClassificationHead(d_model=16, n_classes=3)
    )
    for layer in made.encoder.layers:  # initially zero
        nn.init.normal_(layer.attention.output.weight, std=0.3)
        nn.init.normal_(layer.feedforward.output.weight, std=0.3)
    return made.eval()


@dataclass
class Batch:
    ids: Tensor
    targets: Tensor
    where: tuple[str, ...] = ()

    @property
    def n_tokens(self):
        return self.ids.numel()

    @property
    def n_targets(self):
        return len(self.targets)

    def to(self, _device):
        return self

    def cut(self, *sizes):
        """Split the examples into several batches."""
        return [Batch(*parts) for parts in zip(self.ids.split(sizes), self.targets.split(sizes), strict=True)]


def examples(seed=1, n=8):
    random = torch.Generator().manual_seed(seed)
    return Batch(torch.randint(2, 32, (n, 4), generator=random), torch.arange(n) % 3,
                 tuple(f"a.tsv:{line}" for line in range(1, n + 1)))


def loss(network, batch):
    return F.cross_entropy(network(batch.ids), batch.targets)


def train(evaluate=None, dropout=0.1, batches=lambda _: [examples()] * 4, fields=None, embedding=None, **config):
    """Train a small model.

    Further fields of the trainer are in ``fields``, options of the embedding in ``embedding``.
    """
    network = model(dropout=dropout, **(embedding or {}))
    settings = TrainingConfig(**{"epochs": 3, "lr": 3e-3, "precision": "float32", **config})
    torch.manual_seed(5)
    trainer = Trainer(model=network, batches=batches, loss=loss, evaluate=evaluate, config=settings, **(fields or {}))
    return network, trainer.run()


def same_weights(first, second):
    pairs = zip(first.state_dict().items(), second.state_dict().items(), strict=True)
    return all(name == other and torch.equal(a, b) for (name, a), (other, b) in pairs)


def without_seconds(history):
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in history]
