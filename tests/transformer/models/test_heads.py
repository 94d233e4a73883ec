"""Heads that label texts and pairs, and the convolutions below them."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import N_ROWS, OPTIONS, classifier, encoder, ids, language_model, shape, stirred, words
from torch.nn.utils.rnn import pad_sequence

from transformer.inspect.census import kind_of
from transformer.kernels.precision import autocast
from transformer.layers.convolution import Convolutions
from transformer.models.heads import ClassificationHead, ClsHead, PairHead
from transformer.models.models import TransformerModel
from transformer.models.outputs import Encoded, pooled_features
from transformer.models.stack import Cache, Decoder, Encoder
from transformer.training.schedule import depths_below_top

TEXTS = st.lists(st.lists(st.integers(1, N_ROWS - 1), min_size=1, max_size=9), min_size=1, max_size=4)


def encoded(mask, token_types=None, width=4, seed=0):
    random = torch.Generator().manual_seed(seed)
    hidden, embedded = torch.randn(2, *mask.shape, width, generator=random)
    return Encoded(hidden, embedded, mask, token_types)


def blind(model):
    """A head that hands on what it has pooled."""
    model.output = torch.nn.Identity()
    return model.eval()


def padded(texts, left=0, right=0):
    return F.pad(pad_sequence(list(map(torch.tensor, texts)), batch_first=True), (left, right))


def convolved(**options):
    torch.manual_seed(0)
    stack = encoder(convolutions=(3, 5), **options)
    with torch.no_grad():
        for weight in stack.convolutions.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return stirred(stack).double().eval()


def test_a_text_is_mean_maximum_and_mean_of_its_word_vectors():
    mask = torch.tensor([[True, True, False], [True, True, True]])
    read = encoded(mask)
    pooled = blind(ClassificationHead(d_model=4, n_classes=3))(read)
    for i, n in enumerate((2, 3)):
        hidden, embedded = read.hidden[i, :n], read.embedded[i, :n]
        by_hand = torch.cat([hidden.mean(dim=0), hidden.max(dim=0).values, embedded.mean(dim=0)])
        torch.testing.assert_close(pooled[i], by_hand)


def test_features_of_no_tokens_are_zero_and_have_a_gradient():
    read = encoded(torch.ones(1, 3).bool())
    hidden = read.hidden.clone().requires_grad_()
    pooled = pooled_features(hidden, read.embedded, torch.zeros(1, 3).bool())
    assert not pooled.any()
    pooled.sum().backward()
    assert not hidden.grad.any()


def test_the_first_word_goes_through_a_tanh_layer():
    read, head = encoded(torch.ones(2, 3).bool()), blind(ClsHead(d_model=4, n_classes=3))
    by_hand = torch.tanh(read.hidden[:, 0] @ head.pooler.weight.T + head.pooler.bias)
    torch.testing.assert_close(head(read), by_hand)


def test_a_pair_is_both_texts_their_difference_and_their_product():
    mask = torch.tensor([[True, True, True, True, False]])
    read, head = encoded(mask, torch.tensor([[0, 2, 1, 3, 0]])), PairHead(d_model=4, n_classes=3).eval()
    hidden, embedded = read.hidden[0], read.embedded[0]
    a, b = (torch.cat([hidden[text].mean(dim=0), hidden[text].max(dim=0).values, embedded[text].mean(dim=0)])
            for text in (slice(0, 2), slice(2, 4)))
    by_hand = head.output(F.gelu(head.compare(torch.cat([a, b, (a - b).abs(), a * b]))))
    torch.testing.assert_close(head(read)[0], by_hand)


@pytest.mark.parametrize("token_types", [None, torch.tensor([[0, 0, 0]])])
def test_a_pair_of_one_text_has_scores(token_types):
    assert PairHead(d_model=4, n_classes=3)(encoded(torch.ones(1, 3).bool(), token_types)).isfinite().all()


@settings(max_examples=25)
@given(texts=TEXTS, left=st.integers(0, 4), right=st.integers(0, 4))
def test_padding_reaches_no_score_of_a_pair_or_text(texts, left, right):
    plain, wider = padded(texts), padded(texts, left, right)
    for head in (ClassificationHead, PairHead, ClsHead):
        model = TransformerModel(encoder=convolved(token_types=4), head=head(d_model=16, n_classes=3)).double().eval()
        with torch.no_grad():
            scores = model(plain, plain % 4)
            torch.testing.assert_close(model(wider, wider % 4), scores, atol=1e-9, rtol=0)
            alone = [model(padded([text]), padded([text]) % 4) for text in texts]
            torch.testing.assert_close(torch.cat(alone), scores, atol=1e-9, rtol=0)


@settings(max_examples=25)
@given(length=st.integers(1, 9), padding=st.integers(0, 5), before=st.integers(0, 5))
def test_convolutions_equal_a_loop_over_neighbours(length, padding, before):
    torch.manual_seed(length)
    layer = Convolutions(d_model=4, widths=[3, 1]).double()
    torch.nn.init.normal_(layer.output.weight)
    x = torch.randn(1, before + length + padding, 4, dtype=torch.float64)
    mask = torch.zeros(1, x.shape[1]).bool()
    mask[:, before : before + length] = True
    with torch.no_grad():
        made = layer(x, padding_mask=mask)[0, before : before + length]
        read = x[0, before : before + length]
        normal = layer.norm(read)
        for i in range(length):
            near = [normal[j] if 0 <= j < length else torch.zeros(4) for j in (i - 1, i, i + 1)]
            wide = layer.filters[0].bias + sum(layer.filters[0].weight[..., k] @ near[k].double() for k in range(3))
            narrow = layer.filters[1].bias + layer.filters[1].weight[..., 0] @ normal[i]
            torch.testing.assert_close(made[i], read[i] + layer.output(F.gelu(torch.cat([wide, narrow]))))


def test_convolutions_begin_as_no_change():
    stack = Encoder(config=shape(convolutions=(3, 5), positions="none", n_layers=1), embedding=words()).eval()
    stack.norm = torch.nn.Identity()
    read = stack(ids())
    assert torch.equal(read.hidden, read.embedded)


def test_convolutions_see_word_order_that_pooling_does_not():
    stack = convolved(positions="none")
    text = padded([[5, 6, 7]])
    with torch.no_grad():
        forward, backward = stack(text).hidden.mean(dim=1), stack(text.flip(1)).hidden.mean(dim=1)
        assert (forward - backward).abs().max() > 1e-3


def test_a_decoder_has_no_convolutions_that_would_look_ahead():
    decoder = language_model(convolutions=(3,)).decoder
    assert decoder.convolutions is None
    text = ids(batch=1)
    whole = decoder.eval()(text).hidden
    cache = Cache()
    steps = [decoder(text[:, i : i + 1], cache=cache).hidden for i in range(text.shape[1])]
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=1e-5, rtol=0)
    assert Decoder(config=shape(convolutions=(5,)), embedding=words(), cross=True).convolutions is None


def test_convolutions_are_counted_as_such_and_learn_as_what_lies_below_the_layers():
    model = TransformerModel(encoder=encoder(convolutions=(3, 5)), head=ClassificationHead(d_model=16, n_classes=3))
    names = [name for name, _ in model.named_parameters() if "convolutions" in name]
    kinds = {name.removeprefix("encoder.convolutions."): kind_of(model, name) for name in names}
    assert kinds == {
        "norm.weight": "layer norm", "norm.bias": "layer norm",
        **{f"{part}.{of}": "convolution" for part in ("filters.0", "filters.1", "output") for of in ("weight", "bias")},
    }
    depths = depths_below_top(model)
    assert {depths[name] for name in names} == {depths["encoder.embedding.weight"]} == {3}


@pytest.mark.parametrize("widths", [(2,), (3, 0), (-1,)])
def test_convolutions_have_a_word_in_the_middle(widths):
    with pytest.raises(ValueError, match=r"model\.convolutions must .*odd"):
        shape(convolutions=widths)


@pytest.mark.parametrize("like", [
    {"like": "bert", "norm": "post", "embedding_norm": True, "norm_eps": 1e-12, "pooling": "cls"},
    {"like": "gpt2", "activation": "gelu-tanh"},
], ids=["bert", "gpt2"])
def test_architectures_of_others_have_no_convolutions(like):
    shape(**like)
    with pytest.raises(ValueError, match=r"needs model\.convolutions="):
        shape(**like, convolutions=(3,))


@pytest.mark.parametrize("options", [*OPTIONS, {"norm": "post", "embedding_norm": True}, {"convolutions": (3,)}],
                         ids=str)
@settings(max_examples=10)
@given(texts=TEXTS, kinds=st.booleans())
def test_a_first_word_is_the_same_without_the_others(options, texts, kinds):
    model = TransformerModel(encoder=encoder(token_types=2 * kinds, **options),
                             head=ClsHead(d_model=16, n_classes=3)).double().eval()
    model, ids = stirred(model), padded(texts)
    token_types = ids % 2 if kinds else None
    scores = model(ids, token_types), model.head(model.encoder(ids, token_types))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    alone, among_all = (torch.autograd.grad(each.square().sum(), weights) for each in scores)
    for one, other in zip([scores[0], *alone], [scores[1], *among_all], strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_first_word_alone_in_every_precision(dtype):
    model = stirred(classifier(head=ClsHead, n_heads=1)).eval()
    ids = torch.tensor([[5, 6, 7, 8], [9, 3, 0, 0]])
    with autocast(torch.device("cpu"), dtype):
        torch.testing.assert_close(model(ids), model.head(model.encoder(ids)).float(), atol=0.1, rtol=0.05)


def test_who_looks_on_sees_all_words_of_the_last_layer():
    model, seen = stirred(classifier(head=ClsHead)), []
    expected = model.eval()(ids := torch.tensor([[5, 6, 7, 8]]))
    model.encoder.layers[-1].attention.query.register_forward_hook(lambda *given: seen.append(given[2].shape))
    model.encoder.layers[-1].register_forward_hook(lambda *given: seen.append(given[2].shape))
    torch.testing.assert_close(model(ids), expected)
    assert seen[-1] == (1, 4, 16)
