"""Padding, the batch, later tokens and a cache do not change results; tested to 1e-9 in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import (
    N_ROWS,
    OPTIONS,
    classifier,
    encoder,
    encoder_decoder,
    ids,
    language_model,
    masked_language_model,
    perturbed,
    tagger,
)

from transformer.models.stack import Cache

TEXTS = st.lists(st.lists(st.integers(1, N_ROWS - 1), min_size=1, max_size=9), min_size=1, max_size=4)
ALL_OPTIONS = pytest.mark.parametrize("options", OPTIONS,
                                     ids=lambda options: f"{options['positions']}-{options['norm']}")


def make_model(make, **options):
    torch.manual_seed(0)
    return perturbed(make(**options)).double().eval()


def padded(texts, left=0, right=0):
    """Make a batch: texts are padded to equal length, and with further padding on both sides."""
    width = max(map(len, texts))
    return torch.tensor([[0] * left + text + [0] * (width - len(text) + right) for text in texts])


def without_padding(values, batch):
    """Select the values of real tokens. *Shape:* ``(n_tokens, ...)``."""
    return values[batch != 0]


def assert_close(ours, expected):
    torch.testing.assert_close(ours, expected, atol=1e-9, rtol=0)


@ALL_OPTIONS
@settings(max_examples=15)
@given(texts=TEXTS, left=st.integers(0, 4), right=st.integers(0, 4))
def test_padding_and_batch_do_not_change_hidden_states(options, texts, left, right):
    plain, wider = padded(texts), padded(texts, left, right)
    for make in (encoder, lambda **more: language_model(**more).decoder):
        stack = make_model(make, **options)
        with torch.no_grad():
            together = without_padding(stack(plain).hidden, plain)
            assert_close(without_padding(stack(wider).hidden, wider), together)
            assert_close(torch.cat([stack(padded([text])).hidden[0] for text in texts]), together)
            backwards = padded(texts[::-1])
            in_order = [row[row_ids != 0] for row, row_ids in zip(stack(backwards).hidden, backwards, strict=True)]
            assert_close(torch.cat(in_order[::-1]), together)


@ALL_OPTIONS
@settings(max_examples=10)
@given(texts=TEXTS, left=st.integers(0, 4), right=st.integers(0, 4))
def test_padding_of_source_or_target_does_not_change_scores(options, texts, left, right):
    model, source = make_model(encoder_decoder, **options), [text[::-1] for text in texts]
    plain, wider = padded(texts), padded(texts, left, right)
    with torch.no_grad():
        scores = without_padding(model(padded(source), plain), plain)
        assert_close(without_padding(model(padded(source), wider), wider), scores)
        assert_close(without_padding(model(padded(source, left, right), plain), plain), scores)


@ALL_OPTIONS
@settings(max_examples=10)
@given(texts=TEXTS, left=st.integers(0, 4), right=st.integers(0, 4))
def test_padding_does_not_change_predictions(options, texts, left, right):
    plain, wider = padded(texts), padded(texts, left, right)
    with torch.no_grad():
        model = make_model(classifier, **options)
        assert_close(model(wider), model(plain))
        model = make_model(tagger, **options)
        assert_close(without_padding(model(wider), wider), without_padding(model(plain), plain))
        model = make_model(masked_language_model, **options)
        assert_close(model(wider, wider != 0), model(plain, plain != 0))


@ALL_OPTIONS
def test_causal_models_do_not_depend_on_later_tokens(options):
    model, two = make_model(language_model, **options), make_model(encoder_decoder, **options)
    first = ids(8)
    for t in range(1, 8):
        other = torch.cat([first[:, :t], ids(8 - t, seed=t)], dim=1)
        assert (other[:, t:] != first[:, t:]).any()
        with torch.no_grad():
            assert_close(model(other)[:, :t], model(first)[:, :t])
            assert_close(two(first, other)[:, :t], two(first, first)[:, :t])
            assert (model(other)[:, t:] - model(first)[:, t:]).abs().max() > 1e-4


@ALL_OPTIONS
@pytest.mark.parametrize("left", [0, 2])
def test_cache_does_not_change_scores(options, left):
    model, two = make_model(language_model, **options), make_model(encoder_decoder, **options)
    texts = padded([[3, 4, 5, 6, 7, 8], [9, 10, 11, 12, 13, 14]], left)
    texts[0, : left + 1] = 0  # different lengths, padded on the left
    with torch.no_grad():
        memory = two.encoder(ids(5, batch=2)).memory
        decoders = {"one text": (lambda cut, cache: model(cut, cache=cache)),
                    "two texts": (lambda cut, cache: two.decode(cut, memory=memory, cache=cache))}
        for decode in decoders.values():
            whole = decode(texts, None)
            for cuts in ([left + 3, 1, 1, 1], [left + 2, 4], [left + 6]):
                cache = Cache()
                parts = torch.cat([decode(cut, cache) for cut in texts.split(cuts, dim=1)], dim=1)
                assert_close(without_padding(parts, texts), without_padding(whole, texts))


@ALL_OPTIONS
def test_rows_of_a_cache_can_be_reordered(options):
    model = make_model(language_model, **options)
    start, rows, end = ids(4), torch.tensor([2, 0, 0, 1]), ids(2, batch=4, seed=1)
    with torch.no_grad():
        cache = Cache()
        model(start, cache=cache)
        cache.select(rows)
        assert_close(model(end, cache=cache), model(torch.cat([start[rows], end], dim=1))[:, 4:])


def test_token_order_only_matters_with_positions():
    ordered, mixed = torch.tensor([[6, 7, 8, 9]]), torch.tensor([[8, 6, 9, 7]])  # ALiBi is invariant to reversal
    for options in OPTIONS:
        model = make_model(classifier, **options)
        difference = (model(ordered) - model(mixed)).abs().max()
        assert (difference < 1e-5) if options["positions"] == "none" else (difference > 1e-4), options


def test_empty_text_has_finite_scores():
    for options in OPTIONS:
        empty = torch.zeros(2, 3, dtype=torch.long)
        assert make_model(classifier, **options)(empty).isfinite().all()
        assert make_model(language_model, **options)(empty).isfinite().all()
        assert make_model(encoder_decoder, **options)(empty, empty).isfinite().all()
