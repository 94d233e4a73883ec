"""Small models of every architecture, with random weights where the initial weights are zero."""

import pytest
import torch
from torch import nn

from transformer import ClassificationHead, Encoder, ModelConfig, TokenEmbedding, TransformerModel
from transformer.kernels import native
from transformer.models.heads import ClsHead, PairHead, TokenHead
from transformer.models.models import EncoderDecoder, LanguageModel, MaskedLanguageModel
from transformer.models.stack import Decoder

needs_code = pytest.mark.skipif(not native.available(), reason="not built, or not supported here")

N_WORDS = 30
N_ROWS = N_WORDS + 5
OPTIONS = [{"positions": positions, "norm": norm, "activation": activation, **more}
           for positions, activation, more in (("sinusoidal", "gelu", {}),
                                               ("learned", "relu", {"embedding_norm": True}),
                                               ("rotary", "swiglu", {"tied": False}), ("alibi", "gelu", {}),
                                               ("none", "gelu-tanh", {}))
           for norm in ("pre", "post")]


def with_threads(numbers, compute):
    """Return the results of a function with each number of threads."""
    before, found = torch.get_num_threads(), []
    try:
        for n_threads in numbers:
            torch.set_num_threads(n_threads)
            found.append(compute())
    finally:
        torch.set_num_threads(before)
    return found


def assert_threads_change_only_the_order_of_sums(compute):
    """Check that output and gradient of the input have the same bits with any number of threads."""
    def seeded():
        torch.manual_seed(1)
        return compute()

    first, *others = with_threads((1, 2, 3), seeded)
    for other in others:
        assert torch.equal(other["out"], first["out"])
        assert torch.equal(other["x"], first["x"])
        for name, expected in first.items():
            torch.testing.assert_close(other[name], expected, atol=1e-4, rtol=1e-4)


def shape(**options):
    return ModelConfig(**{"d_model": 16, "n_heads": 4, "n_layers": 2, "d_ff": 32, "dropout": 0.0, **options})


def words(dim=16, freeze=False, width=16):
    layer = TokenEmbedding(n_words=N_WORDS, dim=dim, d_model=width, freeze=freeze)
    nn.init.normal_(layer.weight, std=0.5)
    with torch.no_grad():
        layer.weight[0] = 0
    return layer


def perturbed(model):
    """Add noise to all weights of layers and convolutions, so that none is zero or one."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "layers." in name or "convolutions." in name:
                weight.add_(0.2 * torch.randn_like(weight))
    return model


def encoder(*, dim=16, freeze=False, token_types=0, **options):
    config = shape(token_types=token_types, **options)
    return Encoder(config=config, embedding=words(dim, freeze, config.embedding_width))


def classifier(*, head=ClassificationHead, dim=16, freeze=False, **options):
    return TransformerModel(encoder=encoder(dim=dim, freeze=freeze, **options), head=head(d_model=16, n_classes=3))


def tagger(**options):
    return TransformerModel(encoder=encoder(**options), head=TokenHead(d_model=16, n_outputs=3))


def language_model(*, dim=16, freeze=False, **options):
    config = shape(**options)
    return LanguageModel(decoder=Decoder(config=config, embedding=words(dim, freeze, config.embedding_width)),
                         config=config)


def masked_language_model(*, dim=16, freeze=False, **options):
    return MaskedLanguageModel(encoder=encoder(dim=dim, freeze=freeze, **options), config=shape(**options))


def encoder_decoder(*, dim=16, freeze=False, **options):
    config = shape(**options)
    source, target = (words(dim, freeze) for _ in range(2))
    return EncoderDecoder(encoder=Encoder(config=config, embedding=source),
                          decoder=Decoder(config=config, embedding=target, cross=True), config=config)


def ids(length=6, batch=3, seed=0, low=1):
    return torch.randint(low, N_ROWS, (batch, length), generator=torch.Generator().manual_seed(seed))


ARCHITECTURES = {
    "classifier": (classifier, lambda model: model(ids())),
    "first token": (lambda **more: classifier(head=ClsHead, **more), lambda model: model(ids())),
    "pairs": (lambda **more: classifier(token_types=2, **more), lambda model: model(ids(), ids() % 2)),
    "compared pairs": (lambda **more: classifier(head=PairHead, token_types=4, **more),
                       lambda model: model(ids(), ids() % 4)),
    "convolutions": (lambda **more: classifier(convolutions=(3, 5), **more), lambda model: model(ids())),
    "factorised embedding": (lambda **more: classifier(d_embedding=6, **more), lambda model: model(ids())),
    "factorised masked tokens": (lambda **more: masked_language_model(d_embedding=24, **more),
                                 lambda model: model(ids(), ids() % 2 == 0)),
    "factorised language model": (lambda **more: language_model(d_embedding=6, **more), lambda model: model(ids())),
    "tagger": (tagger, lambda model: model(ids())),
    "masked tokens": (masked_language_model, lambda model: model(ids(), ids() % 2 == 0)),
    "language model": (language_model, lambda model: model(ids())),
    "encoder-decoder": (encoder_decoder, lambda model: model(ids(), ids(4, seed=1))),
}
"""Every architecture with a head: a function that makes it, and one that computes its output for some texts."""
