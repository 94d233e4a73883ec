"""What must change nothing: padding, company, later words, a cache; to 1e-9 in float64, where rounding hides less."""

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
    stirred,
    tagger,
)

from transformer.models.stack import Cache

TEXTS = st.lists(st.lists(st.integers(1, N_ROWS - 1), min_size=1, max_size=9), min_size=1, max_size=4)
EVERY = pytest.mark.parametrize("options", OPTIONS, ids=lambda options: f"{options['positions']}-{options['norm']}")


def made(make, **options):
    torch.manual_seed(0)
    return stirred(make(**options)).double().eval()


def padded(texts, left=0, right=0):
    """Texts as a batch: the shorter ones filled up at the right, all of them at either side."""
    width = max(map(len, texts))
    return torch.tensor([[0] * left + text + [0] * (width - len(text) + right) for text in texts])


def at_words(values, batch):
    """The rows of the words, padding left out. *Shape:* ``(n_words, ...)``."""
    return values[batch != 0]


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=0)


@EVERY
@settings(max_examples=15)
@given(texts=TEXTS, left=st.integers(0, 4), right=st.integers(0, 4))
def test_padding_and_company_change_nothing(options, texts, left, right):
    plain, wider = padded(texts), padded(texts, left, right)
    for make in (encoder, lambda **more: language_model(**more).decoder):
        stack = made(make, **options)
        with torch.no_grad():
            together = at_words(stack(plain).hidden, plain)
            close(at_words(stack(wider).hidden, wider), together)
            close(torch.cat([stack(padded([text])).hidden[0] for text in texts]), together)
            backwards = padded(texts[::-1])
            in_order = [row[place != 0] for row, place in zip(stack(backwards).hidden, backwards, strict=True)]
            close(torch.cat(in_order[::-1]), together)


@EVERY
@settings(max_examples=10)
@given(texts=TEXTS, left=st.integers(0, 4), right=st.integers(0, 4))
def test_padding_of_either_text_changes_no_score(options, texts, left, right):
    model, source = made(encoder_decoder, **options), [text[::-1] for text in texts]
    plain, wider = padded(texts), padded(texts, left, right)
    with torch.no_grad():
        scores = at_words(model(padded(source), plain), plain)
        close(at_words(model(padded(source), wider), wider), scores)
        close(at_words(model(padded(source, left, right), plain), plain), scores)


@EVERY
@settings(max_examples=10)
@given(texts=TEXTS, left=st.integers(0, 4), right=st.integers(0, 4))
def test_padding_changes_no_label_tag_or_guess(options, texts, left, right):
    plain, wider = padded(texts), padded(texts, left, right)
    with torch.no_grad():
        model = made(classifier, **options)
        close(model(wider), model(plain))
        model = made(tagger, **options)
        close(at_words(model(wider), wider), at_words(model(plain), plain))
        model = made(masked_language_model, **options)
        close(model(wider, wider != 0), model(plain, plain != 0))


@EVERY
def test_a_causal_model_does_not_see_what_comes(options):
    model, two = made(language_model, **options), made(encoder_decoder, **options)
    first = ids(8)
    for t in range(1, 8):
        other = torch.cat([first[:, :t], ids(8 - t, seed=t)], dim=1)
        assert (other[:, t:] != first[:, t:]).any()
        with torch.no_grad():
            close(model(other)[:, :t], model(first)[:, :t])
            close(two(first, other)[:, :t], two(first, first)[:, :t])
            assert (model(other)[:, t:] - model(first)[:, t:]).abs().max() > 1e-4


@EVERY
@pytest.mark.parametrize("left", [0, 2])
def test_a_cache_changes_no_score(options, left):
    model, two = made(language_model, **options), made(encoder_decoder, **options)
    texts = padded([[3, 4, 5, 6, 7, 8], [9, 10, 11, 12, 13, 14]], left)
    texts[0, : left + 1] = 0  # of different lengths, ending together
    with torch.no_grad():
        memory = two.encoder(ids(5, batch=2)).memory
        readers = {"one text": (lambda cut, cache: model(cut, cache=cache)),
                   "two texts": (lambda cut, cache: two.decode(cut, memory=memory, cache=cache))}
        for read in readers.values():
            whole = read(texts, None)
            for cuts in ([left + 3, 1, 1, 1], [left + 2, 4], [left + 6]):
                cache = Cache()
                parts = torch.cat([read(cut, cache) for cut in texts.split(cuts, dim=1)], dim=1)
                close(at_words(parts, texts), at_words(whole, texts))


@EVERY
def test_a_caches_rows_can_be_chosen_anew(options):
    model = made(language_model, **options)
    start, rows, end = ids(4), torch.tensor([2, 0, 0, 1]), ids(2, batch=4, seed=1)
    with torch.no_grad():
        cache = Cache()
        model(start, cache=cache)
        cache.select(rows)
        close(model(end, cache=cache), model(torch.cat([start[rows], end], dim=1))[:, 4:])


def test_word_order_matters_only_through_positions():
    ordered, mixed = torch.tensor([[6, 7, 8, 9]]), torch.tensor([[8, 6, 9, 7]])  # ALiBi cannot tell a reversed text
    for options in OPTIONS:
        model = made(classifier, **options)
        difference = (model(ordered) - model(mixed)).abs().max()
        assert (difference < 1e-5) if options["positions"] == "none" else (difference > 1e-4), options


def test_a_text_without_words_has_finite_scores():
    for options in OPTIONS:
        empty = torch.zeros(2, 3, dtype=torch.long)
        assert made(classifier, **options)(empty).isfinite().all()
        assert made(language_model, **options)(empty).isfinite().all()
        assert made(encoder_decoder, **options)(empty, empty).isfinite().all()
