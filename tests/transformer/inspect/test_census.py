"""Attention weights by head, the census of all architectures, moved words, and recorded attention."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from embeddings import EmbeddingTable
from transformer import EmbeddingConfig, Encoder, ModelConfig, TokenEmbedding, TransformerModel
from transformer.errors import CheckpointError, TransformerError
from transformer.inspect.attention_record import blocks, record_attention
from transformer.inspect.census import ORDER, by_kind, census, kind_of, movement, together
from transformer.layers.attention import MultiHeadAttention
from transformer.models.head_weights import Attentions, effective_rank, product_spectrum
from transformer.models.heads import ClassificationHead, ClsHead, PairHead, SpanHead, TokenHead
from transformer.models.models import EncoderDecoder, LanguageModel, MaskedLanguageModel
from transformer.models.outputs import Encoded
from transformer.models.stack import Cache, Decoder

WORDS = [f"w{i}" for i in range(7)]
IDS = torch.tensor([[2, 5, 6, 7, 3], [2, 8, 9, 3, 0]])
ARCHITECTURES = ("classification", "cls", "pair", "tagging", "span", "masked language model", "language model",
                 "translation")


def table_of(dim):
    return EmbeddingTable.known(WORDS, np.random.default_rng(0).normal(size=(len(WORDS), dim)).astype("f"), "made")


def make(architecture, *, freeze=False, dim=6, **options):
    """Make a model with random weights, so that no branch is zero."""
    torch.manual_seed(0)
    config = ModelConfig(**{"d_model": 12, "n_heads": 3, "d_ff": 16, "dropout": 0.0, **options})

    def embedding():
        return TokenEmbedding.from_table(table_of(dim), d_model=12, config=EmbeddingConfig(freeze=freeze))

    def encoder():
        return Encoder(config=config, embedding=embedding())

    if architecture == "language model":
        model = LanguageModel(decoder=Decoder(config=config, embedding=embedding()), config=config)
    elif architecture == "translation":
        decoder = Decoder(config=config, embedding=embedding(), cross=True)
        model = EncoderDecoder(encoder=encoder(), decoder=decoder, config=config)
    elif architecture == "masked language model":
        model = MaskedLanguageModel(encoder=encoder(), config=config)
    else:
        head = {"classification": lambda: ClassificationHead(d_model=12, n_classes=3),
                "cls": lambda: ClsHead(d_model=12, n_classes=3),
                "pair": lambda: PairHead(d_model=12, n_classes=3), "span": lambda: SpanHead(d_model=12),
                "tagging": lambda: TokenHead(d_model=12, n_outputs=2)}[architecture]()
        model = TransformerModel(encoder=encoder(), head=head)
    for weight in model.parameters():
        if weight.requires_grad:
            nn.init.normal_(weight, std=0.4)
    return model.eval()


def run(model, ids=IDS):
    if isinstance(model, EncoderDecoder):
        return model(ids, ids)
    return model.encoder(ids) if hasattr(model, "encoder") else model(ids)


@given(st.integers(1, 3), st.sampled_from([1, 2, 4]), st.integers(1, 5), st.integers(0, 99))
def test_weights_by_head_equal_the_projections(n_layers, n_heads, d_head, seed):
    torch.manual_seed(seed)
    d_model = n_heads * d_head
    layers = [MultiHeadAttention(d_model=d_model, n_heads=n_heads) for _ in range(n_layers)]
    weights, x = Attentions(layers), torch.randn(2, 4, d_model)
    assert weights.W_Q.shape == weights.W_K.shape == weights.W_V.shape == (n_layers, n_heads, d_model, d_head)
    assert weights.W_O.shape == (n_layers, n_heads, d_head, d_model)
    for number, layer in enumerate(layers):
        projected = layer.project(x)
        for matrix, bias, expected in zip((weights.W_Q, weights.W_K, weights.W_V),
                                          (weights.b_Q, weights.b_K, weights.b_V), projected, strict=True):
            for head in range(n_heads):
                torch.testing.assert_close(x @ matrix[number, head] + bias[number, head], expected[:, head],
                                           atol=1e-5, rtol=0)
        attended = torch.randn(2, 4, n_heads, d_head)
        total = sum(attended[:, :, head] @ weights.W_O[number, head] for head in range(n_heads))
        torch.testing.assert_close(total + weights.b_O[number], layer.output(attended.flatten(2)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("architecture", ARCHITECTURES[:-1])
def test_model_has_the_weights_of_its_stack(architecture):
    model = make(architecture)
    stack = model.decoder if architecture == "language model" else model.encoder
    assert model.W_Q.shape == (2, 3, 12, 4)
    assert model.W_O.shape == (2, 3, 4, 12)
    for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O", "QK", "OV"):
        torch.testing.assert_close(getattr(model, name), getattr(Attentions(stack.attentions()), name), atol=0, rtol=0)
    with pytest.raises(TransformerError, match="no attention layers: only the decoder"):
        _ = Attentions(stack.cross_attentions()).W_Q


def test_encoder_decoder_has_three_blocks():
    model = make("translation")
    assert list(blocks(model)) == ["encoder", "decoder", "cross"]
    found = blocks(model)
    torch.testing.assert_close(found["cross"].W_Q[1, 0],
                               model.decoder.layers[1].cross_attention.query.weight[:4].T, atol=0, rtol=0)
    assert not torch.equal(found["decoder"].W_Q, found["cross"].W_Q)


def test_weights_by_head_propagate_gradients():
    model = make("classification")
    model.W_Q[0, 1].sum().backward()
    gradient = model.encoder.layers[0].attention.query.weight.grad
    assert gradient[4:8].eq(1).all()
    assert gradient[:4].eq(0).all()


@given(st.integers(1, 4), st.integers(0, 8), st.integers(0, 99))
def test_spectrum_equals_that_of_the_product(d_head, more, seed):
    random = torch.Generator().manual_seed(seed)
    left = torch.randn(2, d_head + more, d_head, generator=random, dtype=torch.float64)
    right = torch.randn(2, d_head, d_head + more, generator=random, dtype=torch.float64)
    expected = torch.linalg.svdvals(left @ right)[:, :d_head]
    torch.testing.assert_close(product_spectrum(left, right), expected, atol=1e-10, rtol=0)


def test_effective_rank():
    assert effective_rank(torch.tensor([3.0, 3.0, 3.0, 0.0])) == pytest.approx(3)
    assert effective_rank(torch.tensor([2.0, 0.0])) == pytest.approx(1)
    assert effective_rank(torch.zeros(4)) == 0


def test_circuits_equal_the_products():
    model = make("language model")
    torch.testing.assert_close(model.QK[1, 2], model.W_Q[1, 2] @ model.W_K[1, 2].T)
    torch.testing.assert_close(model.OV[1, 2], model.W_V[1, 2] @ model.W_O[1, 2])


OPTIONS = [
    {"positions": positions, "norm": norm, "activation": activation, "embedding_norm": embedding_norm,
     "token_types": token_types, "convolutions": convolutions, "tied": tied}
    for (positions, activation), norm, (embedding_norm, token_types, convolutions), tied in itertools.product(
        [("sinusoidal", "gelu"), ("learned", "relu"), ("rotary", "swiglu"), ("none", "gelu-tanh")], ["pre", "post"],
        [(False, 0, ()), (True, 2, (1, 3))], [True, False])
]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_census_contains_all_parameters_of_all_architectures(architecture):
    for options, dim in itertools.product(OPTIONS, (6, 12)):
        model = make(architecture, dim=dim, **options)
        entries = census(model, dict(model.named_parameters()))
        weights = {entry.name: entry for entry in entries if entry.count}
        assert set(weights) == {name for name, _ in model.named_parameters()}
        assert {entry.kind for entry in entries} <= set(ORDER)
        assert sum(entry.count for entry in entries) == sum(weight.numel() for weight in model.parameters())
        assert sum(entry.share for entry in entries) == pytest.approx(1)
        kinds = {entry.kind for entry in weights.values()}
        always = {"embedding", "query", "key", "value", "attention output", "feed-forward", "layer norm"}
        assert always <= kinds
        assert ("projection" in kinds) == (dim == 6)
        assert ("positions" in kinds) == (options["positions"] == "learned")
        assert ("token types" in kinds) == (options["token_types"] > 0)
        assert ("convolution" in kinds) == (bool(options["convolutions"]) and architecture != "language model")
        states = {entry.state for entry in entries if not entry.count}
        assert ("fixed: sinusoidal" in states) == (options["positions"] == "sinusoidal")
        assert ("fixed: rotary" in states) == (options["positions"] == "rotary")
        tied = options["tied"] and architecture in ("masked language model", "language model", "translation")
        assert ("tied to the embedding" in states) == tied


def test_kind_depends_on_the_module_and_not_on_the_parameter_name():
    model = make("masked language model", activation="swiglu", convolutions=(3,))
    kinds = {name: kind_of(model, name) for name, _ in model.named_parameters()}
    assert kinds["encoder.layers.0.attention.output.weight"] == "attention output"
    assert kinds["encoder.layers.0.feedforward.output.weight"] == "feed-forward"
    assert kinds["encoder.layers.0.feedforward.gate.bias"] == "feed-forward"
    assert kinds["encoder.convolutions.filters.0.bias"] == kinds["encoder.convolutions.output.weight"] == "convolution"
    assert kinds["encoder.convolutions.norm.weight"] == kinds["encoder.layers.1.attention_norm.bias"] == "layer norm"
    assert kinds["head.norm.weight"] == "layer norm"
    assert kinds["head.transform.weight"] == kinds["head.bias"] == "output"


def test_parameter_of_unknown_kind_raises():
    model = make("classification")
    model.encoder.layers[0].extra = nn.Linear(2, 2)
    with pytest.raises(LookupError, match=r"encoder\.layers\.0\.extra\.weight"):
        census(model, dict(model.named_parameters()))


def test_census_measures_changes_of_weights():
    model = make("classification", freeze=True)
    start = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    query = model.encoder.layers[0].attention.query.weight
    start["head.output.bias"].zero_()
    with torch.no_grad():
        query[0, 0] += 3
        query[1, 1] -= 4
    entries = {entry.name: entry for entry in census(model, start)}
    moved = entries["encoder.layers.0.attention.query.weight"]
    assert moved.moved == pytest.approx(5, abs=1e-5)
    assert moved.norm == pytest.approx(query.norm().item())
    assert moved.moved_share == pytest.approx(5 / moved.norm_start, abs=1e-5)
    assert entries["head.output.bias"].moved_share is None
    assert entries["encoder.embedding.weight"].state == "frozen"
    assert entries["encoder.embedding.weight"].moved == 0
    kinds = {entry.kind: entry for entry in by_kind(list(entries.values()))}
    assert kinds["query"].moved == pytest.approx(5, abs=1e-5)
    assert kinds["query"].count == 2 * (12 * 12 + 12)
    whole = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    assert together(list(entries.values()), kind="all").norm == pytest.approx(float(whole.norm()), rel=1e-5)


@pytest.mark.parametrize(("change", "message"), [
    (lambda start: start.pop("head.output.bias"), "is missing"),
    (lambda start: start.update({"head.output.bias": torch.zeros(9)}), r"has shape \(9,\)"),
])
def test_initial_weights_of_another_model_are_refused(change, message):
    model = make("classification")
    start = dict(model.named_parameters())
    change(start)
    with pytest.raises(CheckpointError, match=rf"do not match the model: head\.output\.bias {message}"):
        census(model, start)


def test_unchanged_words_are_excluded():
    start = torch.tensor([[0.0, 0], [1, 0], [0, 1], [2, 0], [0, 0]])
    now = torch.tensor([[0.0, 0], [1, 0], [1, 0], [5, 0], [0, 0]])
    found = movement(start, now, ["<pad>", "a", "b", "c", "d"], 10)
    assert (found.n_words, found.n_moved) == (4, 2)
    assert [word.word for word in found.most] == ["c", "b"]
    assert [word.distance for word in found.most] == pytest.approx([3, 2**0.5])
    assert [word.cosine for word in found.most] == pytest.approx([1, 0])
    assert found.distance == pytest.approx((3 + 2**0.5) / 2)
    assert len(movement(start, now, "pabcd", 1).most) == 1
    unchanged = movement(start, start, "pabcd", 5)
    assert (unchanged.n_moved, unchanged.cosine, unchanged.distance, unchanged.most) == (0, 1, 0, ())


@pytest.mark.parametrize("architecture", ["classification", "language model", "translation"])
@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary", "alibi"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_recorded_attention_is_what_the_model_computes(architecture, positions, norm):
    model = make(architecture, positions=positions, norm=norm)
    with torch.inference_mode():
        plain = run(model)
        with record_attention(model) as records:
            run(model)
        again = run(model)
    ours, expected = (out.hidden if isinstance(out, Encoded) else out for out in (again, plain))
    torch.testing.assert_close(ours, expected, atol=0, rtol=0)
    names = {"classification": ["encoder"], "language model": ["decoder"],
             "translation": ["encoder", "decoder", "cross"]}[architecture]
    assert {(one.block, one.layer) for one in records} == set(itertools.product(names, (0, 1)))
    assert len(records) == 2 * len(names)
    attentions = {block: heads.attentions() for block, heads in blocks(model).items()}
    for one in records:
        output = attentions[one.block][one.layer].output
        attended = (one.pattern @ one.value).transpose(1, 2).flatten(2)
        torch.testing.assert_close(output(attended)[IDS != 0], one.output[IDS != 0], atol=1e-5, rtol=0)
        torch.testing.assert_close(one.pattern.sum(dim=-1), torch.ones(2, 3, 5), atol=1e-6, rtol=0)
        assert one.pattern[1, :, :4, 4].eq(0).all()  # padding is not attended to
        if one.block == "decoder":
            assert one.pattern.triu(diagonal=1).eq(0).all()
        else:
            assert one.pattern[0].gt(0).all()


def test_recorded_attention_with_a_cache():
    model = make("language model", positions="rotary")
    with torch.inference_mode():
        with record_attention(model) as whole:
            model(IDS[:1])
        cache = Cache()
        model(IDS[:1, :4], cache=cache)
        with record_attention(model) as last:
            model(IDS[:1, 4:], cache=cache)
    for one, of_whole in zip(last, whole, strict=True):
        torch.testing.assert_close(one.pattern, of_whole.pattern[:, :, 4:], atol=1e-5, rtol=0)
        torch.testing.assert_close(one.key, of_whole.key, atol=1e-5, rtol=0)


def test_hooks_are_removed_after_an_error():
    model = make("classification")
    with pytest.raises(IndexError), record_attention(model) as records:
        model.encoder(torch.tensor([[99]]))
    model.encoder(IDS)
    assert records == []
