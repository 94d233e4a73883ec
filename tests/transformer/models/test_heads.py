"""Heads for classification of texts and pairs, and convolutions."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import N_ROWS, OPTIONS, classifier, encoder, ids, language_model, perturbed, shape, words
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


def without_output(head):
    """Replace the output layer of a head by the identity."""
    head.output = torch.nn.Identity()
    return head.eval()


def padded(texts, left=0, right=0):
    return F.pad(pad_sequence(list(map(torch.tensor, texts)), batch_first=True), (left, right))


def convolved(**options):
    torch.manual_seed(0)
    stack = encoder(convolutions=(3, 5), **options)
    with torch.no_grad():
        for weight in stack.convolutions.parameters():
            weight.add_(0.2 * torch.randn_like(weight))
    return perturbed(stack).double().eval()


def test_mean_max_pooling_equals_calculation_by_hand():
    mask = torch.tensor([[True, True, False], [True, True, True]])
    out = encoded(mask)
    pooled = without_output(ClassificationHead(d_model=4, n_classes=3))(out)
    for i, n in enumerate((2, 3)):
        hidden, embedded = out.hidden[i, :n], out.embedded[i, :n]
        by_hand = torch.cat([hidden.mean(dim=0), hidden.max(dim=0).values, embedded.mean(dim=0)])
        torch.testing.assert_close(pooled[i], by_hand)


def test_features_of_an_empty_text_are_zero():
    out = encoded(torch.ones(1, 3).bool())
    hidden = out.hidden.clone().requires_grad_()
    pooled = pooled_features(hidden, out.embedded, torch.zeros(1, 3).bool())
    assert not pooled.any()
    pooled.sum().backward()
    assert not hidden.grad.any()


def test_cls_head_is_a_tanh_layer_on_the_first_token():
    out, head = encoded(torch.ones(2, 3).bool()), without_output(ClsHead(d_model=4, n_classes=3))
    by_hand = torch.tanh(out.hidden[:, 0] @ head.pooler.weight.T + head.pooler.bias)
    torch.testing.assert_close(head(out), by_hand)


def test_pair_head_compares_difference_and_product():
    mask = torch.tensor([[True, True, True, True, False]])
    out, head = encoded(mask, torch.tensor([[0, 2, 1, 3, 0]])), PairHead(d_model=4, n_classes=3).eval()
    hidden, embedded = out.hidden[0], out.embedded[0]
    a, b = (torch.cat([hidden[text].mean(dim=0), hidden[text].max(dim=0).values, embedded[text].mean(dim=0)])
            for text in (slice(0, 2), slice(2, 4)))
    by_hand = head.output(F.gelu(head.compare(torch.cat([a, b, (a - b).abs(), a * b]))))
    torch.testing.assert_close(head(out)[0], by_hand)


@pytest.mark.parametrize("token_types", [None, torch.tensor([[0, 0, 0]])])
def test_pair_head_with_one_text_has_finite_scores(token_types):
    assert PairHead(d_model=4, n_classes=3)(encoded(torch.ones(1, 3).bool(), token_types)).isfinite().all()


@settings(max_examples=25)
@given(texts=TEXTS, left=st.integers(0, 4), right=st.integers(0, 4))
def test_padding_does_not_change_scores(texts, left, right):
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
def test_convolutions_equal_a_loop_over_positions(length, padding, before):
    torch.manual_seed(length)
    layer = Convolutions(d_model=4, widths=[3, 1]).double()
    torch.nn.init.normal_(layer.output.weight)
    x = torch.randn(1, before + length + padding, 4, dtype=torch.float64)
    mask = torch.zeros(1, x.shape[1]).bool()
    mask[:, before : before + length] = True
    with torch.no_grad():
        outputs = layer(x, padding_mask=mask)[0, before : before + length]
        inputs = x[0, before : before + length]
        normal = layer.norm(inputs)
        for i in range(length):
            near = [normal[j] if 0 <= j < length else torch.zeros(4) for j in (i - 1, i, i + 1)]
            wide = layer.filters[0].bias + sum(layer.filters[0].weight[..., k] @ near[k].double() for k in range(3))
            narrow = layer.filters[1].bias + layer.filters[1].weight[..., 0] @ normal[i]
            torch.testing.assert_close(outputs[i], inputs[i] + layer.output(F.gelu(torch.cat([wide, narrow]))))


def test_untrained_convolutions_are_the_identity():
    stack = Encoder(config=shape(convolutions=(3, 5), positions="none", n_layers=1), embedding=words()).eval()
    stack.norm = torch.nn.Identity()
    out = stack(ids())
    assert torch.equal(out.hidden, out.embedded)


def test_convolutions_depend_on_token_order():
    stack = convolved(positions="none")
    text = padded([[5, 6, 7]])
    with torch.no_grad():
        forward, backward = stack(text).hidden.mean(dim=1), stack(text.flip(1)).hidden.mean(dim=1)
        assert (forward - backward).abs().max() > 1e-3


def test_decoders_have_no_convolutions():
    decoder = language_model(convolutions=(3,)).decoder
    assert decoder.convolutions is None
    text = ids(batch=1)
    whole = decoder.eval()(text).hidden
    cache = Cache()
    steps = [decoder(text[:, i : i + 1], cache=cache).hidden for i in range(text.shape[1])]
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=1e-5, rtol=0)
    assert Decoder(config=shape(convolutions=(5,)), embedding=words(), cross=True).convolutions is None


def test_kind_and_depth_of_convolution_weights():
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
def test_convolution_widths_must_be_odd(widths):
    with pytest.raises(ValueError, match=r"model\.convolutions must .*odd"):
        shape(convolutions=widths)


@pytest.mark.parametrize("like", [
    {"like": "bert", "norm": "post", "embedding_norm": True, "norm_eps": 1e-12, "pooling": "cls"},
    {"like": "gpt2", "activation": "gelu-tanh"},
], ids=["bert", "gpt2"])
def test_bert_and_gpt2_have_no_convolutions(like):
    shape(**like)
    with pytest.raises(ValueError, match=r"needs model\.convolutions="):
        shape(**like, convolutions=(3,))


@pytest.mark.parametrize("options", [*OPTIONS, {"norm": "post", "embedding_norm": True}, {"convolutions": (3,)}],
                         ids=str)
@settings(max_examples=10)
@given(texts=TEXTS, typed=st.booleans())
def test_first_token_alone_equals_the_full_computation(options, texts, typed):
    model = TransformerModel(encoder=encoder(token_types=2 * typed, **options),
                             head=ClsHead(d_model=16, n_classes=3)).double().eval()
    model, ids = perturbed(model), padded(texts)
    token_types = ids % 2 if typed else None
    scores = model(ids, token_types), model.head(model.encoder(ids, token_types))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    alone, among_all = (torch.autograd.grad(each.square().sum(), weights) for each in scores)
    for one, other in zip([scores[0], *alone], [scores[1], *among_all], strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_first_token_alone_in_every_precision(dtype):
    model = perturbed(classifier(head=ClsHead, n_heads=1)).eval()
    ids = torch.tensor([[5, 6, 7, 8], [9, 3, 0, 0]])
    with autocast(torch.device("cpu"), dtype):
        torch.testing.assert_close(model(ids), model.head(model.encoder(ids)).float(), atol=0.1, rtol=0.05)


def test_hooks_receive_all_tokens_of_the_last_layer():
    model, seen = perturbed(classifier(head=ClsHead)), []
    expected = model.eval()(ids := torch.tensor([[5, 6, 7, 8]]))
    model.encoder.layers[-1].attention.query.register_forward_hook(lambda *args: seen.append(args[2].shape))
    model.encoder.layers[-1].register_forward_hook(lambda *args: seen.append(args[2].shape))
    torch.testing.assert_close(model(ids), expected)
    assert seen[-1] == (1, 4, 16)
