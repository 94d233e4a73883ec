"""Layers and encoders in int8 are close to float32; the result for a text does not depend on the batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import ARCHITECTURES, classifier, encoder, language_model, perturbed, shape, words

from transformer import Encoder
from transformer.config import ModelConfig
from transformer.errors import TransformerError
from transformer.kernels import native
from transformer.kernels.layer_spec import weights_of
from transformer.kernels.native_engine import call_of
from transformer.kernels.native_layer import compiled
from transformer.kernels.packed_output import PackedEncoded
from transformer.kernels.packing import Packing
from transformer.kernels.precision import autocast
from transformer.layers.embedding import TokenEmbedding, projected_once
from transformer.layers.transformer_layer import PostNormLayer, make_layer

CPU = torch.device("cpu")
needs_code = pytest.mark.skipif(not native.available(torch.int8), reason="not built, or not supported here")


NORMS = pytest.mark.parametrize("norm", ["pre", "post"])


def layer(d, f, heads, norm="pre"):
    torch.manual_seed(d + f)
    made = make_layer(ModelConfig(d_model=d, n_heads=heads, d_ff=f, dropout=0.0, norm=norm)).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(torch.randn(weight.shape) / d**0.5)
    return made


def packed(lengths):
    return Packing(torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None])


@torch.no_grad()
def through(made, x, packing, precision="int8"):
    with autocast(CPU, precision):
        return compiled(x, weights_of(made), call_of(made), packing)


def away(made, x, packing):
    """Return the error of int8, relative to what the layer adds to its input, or to its output if it is post-norm."""
    exact = through(made, x, packing, "float32")
    added = exact if isinstance(made, PostNormLayer) else exact - x
    return float((through(made, x, packing) - exact).norm() / added.norm())


@needs_code
@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 140), min_size=1, max_size=5), st.sampled_from([16, 32, 48, 64, 80]),
       st.sampled_from([16, 48, 96]), st.sampled_from(["pre", "post"]), st.integers(0, 2**31))
def test_layer_of_any_size_is_close_to_float32(lengths, d, f, norm, seed):
    made, packing = layer(d, f, d // 16 if d != 64 else 2, norm), packed(lengths)
    torch.manual_seed(seed)
    assert away(made, torch.randn(packing.n_rows, d), packing) < 0.06


@needs_code
@NORMS
@pytest.mark.parametrize(("lengths", "d", "f", "heads"), [
    ([256, 256, 200], 128, 256, 4), ([1500, 1], 64, 64, 4), ([300], 256, 512, 8), ([5], 512, 1024, 4)])
def test_layer_of_common_sizes_is_close_to_float32(lengths, d, f, heads, norm):
    made, packing = layer(d, f, heads, norm), packed(lengths)
    assert away(made, torch.randn(packing.n_rows, d), packing) < 0.04


@needs_code
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_largest_products_do_not_overflow(sign):
    """All quantised activations and weights are at their limits; a 16-bit sum holds four such products but not more."""
    made, packing = layer(64, 64, 4), packed([40])
    with torch.no_grad():
        for name, weight in made.named_parameters():
            weight.fill_(0.0 if "bias" in name or "norm" in name else sign)
        for norm in (made.attention_norm, made.feedforward_norm):
            norm.bias[1:] = 1.0
    x = torch.randn(40, 64)
    added = through(made, x, packing, "float32") - x
    assert float(added.abs().min()) > 1000
    assert away(made, x, packing) < 0.001


@needs_code
def test_many_small_attention_weights_are_not_lost():
    """The attention weights of 1,023 keys round to zero in 8 bits, but their sum is not negligible."""
    d = 16
    made, packing = layer(d, d, 1), packed([1024])
    with torch.no_grad():
        for weight in made.parameters():
            weight.zero_()
        made.attention_norm.weight.fill_(1.0)
        for part in (made.attention.query, made.attention.key, made.attention.value, made.attention.output):
            part.weight.copy_(torch.eye(d))
        made.attention.query.bias[0] = 14.1
    x = torch.zeros(1024, d)
    x[1:, 1], x[1:, 2], x[0, 0], x[0, 3] = 1.0, -1.0, 1.0, -1.0
    added = through(made, x, packing, "float32")[5] - x[5]
    assert 0.2 < float(added[0]) / float(added[:2].sum()) < 0.4  # share of the first key
    assert away(made, x, packing) < 0.15  # more than 0.7 if they were lost


@needs_code
@pytest.mark.parametrize("x", [torch.zeros(9, 32), torch.full((9, 32), 1e20), torch.full((9, 32), 3.0)])
def test_constant_rows_are_quantised_correctly(x):
    made, packing = layer(32, 32, 2), packed([4, 5])
    torch.testing.assert_close(through(made, x, packing), through(made, x, packing, "float32"), atol=0.2, rtol=0.01)


@needs_code
def test_result_does_not_depend_on_batch_or_number_of_threads():
    made, lengths = layer(64, 96, 4), [33, 1, 64, 7, 100]
    x = torch.randn(sum(lengths), 64)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(through(made, x, packed(lengths)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(found[0], other) for other in found)
    for alone, together in zip(x.split(lengths), found[0].split(lengths), strict=True):
        assert torch.equal(through(made, alone.contiguous(), packed([len(alone)])), together)


@needs_code
@pytest.mark.parametrize("options", [{}, {"positions": "learned"}, {"positions": "none"}, {
    "positions": "learned", "norm": "post", "embedding_norm": True}], ids=str)
@pytest.mark.parametrize("dim", [16, 10])
def test_encoder_equals_its_layers_in_sequence(options, dim):
    model = perturbed(encoder(dim=dim, n_heads=1, **options)).eval()
    ids = torch.randint(5, 30, (4, 40), generator=torch.Generator().manual_seed(1))
    ids[1, 4:], ids[2] = 0, 0  # one text consists of padding only
    with torch.no_grad(), autocast(CPU, "int8"):
        whole = model(ids)
        packing = whole.packing
        embedded = model.embedding(packing.pack(ids))
        x = model.embed(embedded, packing.positions, None)
        for each in model.layers:
            x = compiled(x, weights_of(each), call_of(each), packing)
        with projected_once(model, ids.numel()):
            assert torch.equal(model(ids).rows, whole.rows)
    assert torch.equal(whole.embedded_rows, embedded)
    torch.testing.assert_close(whole.rows, model.norm(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(whole.features, PackedEncoded(whole.rows, embedded, packing).features, atol=1e-5,
                               rtol=1e-5)


@needs_code
@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=4), st.sampled_from([(16, 1), (64, 2), (80, 5)]),
       st.sampled_from([{}, {"norm": "post", "embedding_norm": True}, {"n_layers": 1}]), st.integers(0, 2**31))
def test_first_token_alone_is_close_to_float32(lengths, widths, options, seed):
    d, heads = widths
    torch.manual_seed(seed)
    config = ModelConfig(**{"d_model": d, "n_heads": heads, "d_ff": 32, "dropout": 0.0, **options})
    model = perturbed(Encoder(config=config, embedding=TokenEmbedding(n_words=25, dim=d, d_model=d))).eval()
    ids = torch.randint(5, 30, (len(lengths), max(lengths))) * packed(lengths).padding_mask
    ids = torch.nn.functional.pad(ids, (seed % 3, 0))  # padding on the left as well
    with torch.no_grad():
        exact = model(ids).cls
        with autocast(CPU, "int8"):
            alone, among_all = model(ids, needs="cls"), model(ids)
    assert alone.hidden.shape == (len(lengths), 1, d)
    assert torch.equal(alone.embedded[:, 0], among_all.embedded[:, seed % 3])
    for found in (alone, among_all):
        assert (found.cls - exact).norm() / exact.norm() < 0.1


@needs_code
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_is_close_to_float32(architecture):
    make, run = ARCHITECTURES[architecture]
    model = perturbed(make(n_heads=1)).eval()
    with torch.no_grad():
        exact = run(model)
        with autocast(CPU, "int8"):
            found = run(model)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, atol=0.3, rtol=0.1)
    if architecture in ("language model", "encoder-decoder"):  # causal layers compute in float32
        assert architecture != "language model" or torch.equal(found, exact)


@needs_code
def test_gradients_equal_float32():
    model = perturbed(classifier(n_heads=1))
    ids = torch.randint(5, 30, (3, 11), generator=torch.Generator().manual_seed(1))
    exact = torch.autograd.grad(model(ids).sum(), model.head.output.weight)
    with autocast(CPU, "int8"):
        assert torch.equal(torch.autograd.grad(model(ids).sum(), model.head.output.weight)[0], exact[0])


@needs_code
def test_too_long_text_with_learned_positions_raises():
    model = Encoder(config=shape(positions="learned", max_positions=8, n_heads=1), embedding=words()).eval()
    with torch.no_grad(), autocast(CPU, "int8"), pytest.raises(TransformerError, match="a text has 9 tokens"):
        model(torch.full((1, 9), 7))


def test_missing_library_raises_with_advice(monkeypatch):
    monkeypatch.setattr(native, "available", lambda *_: False)
    with pytest.raises(TransformerError, match="Use precision float32"), autocast(CPU, "int8"):
        pass


def test_embedding_is_projected_once_if_that_is_cheaper():
    model = perturbed(language_model(dim=10))
    table = model.decoder.embedding
    ids = torch.tensor([3, 7, 31])
    with torch.no_grad():
        expected = table(ids)
        for n_ids, once in ((34, False), (35, True)):
            with projected_once(model, n_ids):
                assert (table.projected is not None) == once
                torch.testing.assert_close(table(ids), expected)
            assert table.projected is None
