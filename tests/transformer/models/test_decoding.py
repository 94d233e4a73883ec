"""Text generation: greedy decoding, sampling, beam search, the cache and the window."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from embeddings import EmbeddingTable
from embeddings.special_tokens import END_ID, START_ID
from transformer import EmbeddingConfig, Encoder, ModelConfig, TokenEmbedding
from transformer.models.decoding import (
    NEVER_WRITTEN,
    Writer,
    beam_search,
    greedy,
    sample,
    top_k_filter,
    top_p_filter,
)
from transformer.models.generation import GenerationConfig
from transformer.models.models import EncoderDecoder, LanguageModel
from transformer.models.stack import Decoder

N_WORDS = 12
OPTIONS = [{"positions": positions, "norm": norm} for positions in ("sinusoidal", "learned", "rotary", "none")
         for norm in ("pre", "post")]


def embedding(seed, n_words, d_model):
    vectors = np.random.default_rng(seed).normal(0, 1, (n_words, d_model)).astype(np.float32)
    table = EmbeddingTable.known([f"w{i}" for i in range(n_words)], vectors, "here")
    return TokenEmbedding.from_table(table, d_model=d_model, config=EmbeddingConfig())


def make(kind, n_words=N_WORDS, seed=0, **options):
    """Make a small model with random weights."""
    config = ModelConfig(**{"d_model": 16, "n_heads": 2, "d_ff": 32, **options})
    torch.manual_seed(seed)
    if kind == "language":
        model = LanguageModel(decoder=Decoder(config=config, embedding=embedding(seed, n_words, 16)), config=config)
    else:
        model = EncoderDecoder(
            encoder=Encoder(config=config, embedding=embedding(seed + 1, 9, 16)),
            decoder=Decoder(config=config, embedding=embedding(seed, n_words, 16), cross=True), config=config)
    for weight in model.parameters():
        if weight.ndim > 1 and len(weight) not in (5 + n_words, 5 + 9):
            nn.init.normal_(weight, std=0.4)
    return model.eval()


def prompts(*texts):
    """Make a batch of prompts, padded on the left."""
    longest = max(map(len, texts))
    return torch.tensor([[0] * (longest - len(text)) + list(text) for text in texts])


def writer(model, start=((START_ID,), (5, 6, 7), (9, 6)), **options):
    if isinstance(model, LanguageModel):
        return Writer.continuing(model, prompts(*start), **options)
    return Writer.translating(model, torch.tensor([[5, 6, 7], [8, 3, 0], [9, 9, 12]]), **options)


def generate_all(model, end=END_ID, **options):
    """Generate texts greedily, by sampling and by beam search."""
    config = GenerationConfig(max_tokens=9, temperature=1.3, top_k=8, top_p=0.95)
    generated = (greedy(writer(model, **options), max_tokens=9, end=end),
                 sample(writer(model, **options), config=config, seed=3, end=end),
                 beam_search(writer(model, **options), beam=3, length_penalty=0.6, max_tokens=9, end=end))
    return [[text.ids for text in texts] for texts in generated]


@pytest.mark.parametrize("kind", ["language", "translation"])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options.values()))
def test_cache_does_not_change_the_text(kind, options):
    for seed in range(3):
        model = make(kind, seed=seed, **options)
        assert generate_all(model) == generate_all(model, use_cache=False)
        assert generate_all(model, end=None) == generate_all(model, end=None, use_cache=False)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options.values()))
def test_batch_of_prompts_equals_single_prompts(options):
    model = make("language", **options)
    starts = [(START_ID,), (5, 6, 7, 8, 5), (9, 6), (16,), (10, 11, 12)]
    together = greedy(writer(model, starts), max_tokens=8, end=None)
    assert together == [
        (pytest.approx(text.ids), pytest.approx(text.log_probability, abs=1e-4), text.ended)
        for start in starts for text in greedy(writer(model, [start]), max_tokens=8, end=None)
    ]
    searched = beam_search(writer(model, starts), beam=3, length_penalty=1.0, max_tokens=8)
    alone = [beam_search(writer(model, [start]), beam=3, length_penalty=1.0, max_tokens=8)[0] for start in starts]
    assert [text.ids for text in searched] == [text.ids for text in alone]


def test_batch_of_sources_equals_single_sources():
    model = make("translation")
    sources = torch.tensor([[5, 6, 7, 3], [8, 3, 0, 0], [9, 9, 12, 3]])
    together = beam_search(Writer.translating(model, sources), beam=3, length_penalty=1.0, max_tokens=8)
    alone = [beam_search(Writer.translating(model, row[row > 0][None]), beam=3, length_penalty=1.0, max_tokens=8)[0]
             for row in sources]
    assert [text.ids for text in together] == [text.ids for text in alone]


@pytest.mark.parametrize("kind", ["language", "translation"])
def test_greedy_takes_the_most_probable_token(kind):
    model = make(kind)
    start = prompts((5, 6, 7)) if kind == "language" else torch.tensor([[START_ID]])
    ids, total = start, 0.0
    for _ in range(7):
        source = torch.tensor([[5, 6, 7]])
        scores = (model(ids) if kind == "language" else model(source, ids))[0, -1].clone()
        scores[list(NEVER_WRITTEN)] = -torch.inf
        total += scores.log_softmax(-1).max().item()
        ids = torch.cat([ids, scores.argmax()[None, None]], dim=1)
    first = Writer.continuing(model, start) if kind == "language" else Writer.translating(model, source)
    (text,) = greedy(first, max_tokens=7, end=None)
    assert text.ids == ids[0, start.shape[1]:].tolist()
    assert text.log_probability == pytest.approx(total, abs=1e-4)


@pytest.mark.parametrize("kind", ["language", "translation"])
def test_beam_of_one_is_greedy(kind):
    for seed in range(5):
        model = make(kind, seed=seed)
        for penalty in (0.0, 1.0):
            found = beam_search(writer(model), beam=1, length_penalty=penalty, max_tokens=9)
            expected = greedy(writer(model), max_tokens=9)
            assert [(text.ids, text.ended) for text in found] == [(text.ids, text.ended) for text in expected]
            assert [text.log_probability for text in found] == pytest.approx(
                [text.log_probability for text in expected], abs=1e-4)


@pytest.mark.parametrize("penalty", [0.0, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("kind", ["language", "translation"])
def test_wide_beam_finds_the_best_of_all_texts(kind, penalty):
    n_words, max_tokens = 3, 4
    for seed in range(3):
        model = make(kind, n_words=n_words, seed=seed)
        words = range(5, 5 + n_words)
        texts = [text for n in range(max_tokens) for text in itertools.product(words, repeat=n)]
        log = log_probability(model)
        totals = {text: log([*text, END_ID]) for text in texts}
        best = max(texts, key=lambda text: totals[text] / (len(text) + 1) ** penalty)
        start = writer(model, [(5, 6)]) if kind == "language" else Writer.translating(model, torch.tensor([[5, 6]]))
        (found,) = beam_search(start, beam=300, length_penalty=penalty, max_tokens=max_tokens)
        assert tuple(found.ids) == best
        assert found.ended
        assert found.log_probability == pytest.approx(totals[best], abs=1e-4)


def log_probability(model):
    def compute(text):
        before = [5, 6] if isinstance(model, LanguageModel) else [START_ID]
        ids = torch.tensor([[*before, *text[:-1]]])
        scores = model(ids) if isinstance(model, LanguageModel) else model(torch.tensor([[5, 6]]), ids)
        scores = scores[0, -len(text):].detach().clone()
        scores[:, list(NEVER_WRITTEN)] = -torch.inf
        return scores.log_softmax(-1)[range(len(text)), text].sum().item()

    return compute


def test_special_tokens_are_not_generated():
    model = make("language", n_words=2)
    start, config = [(START_ID,), (5, 6)], GenerationConfig(max_tokens=200, temperature=5.0)
    texts = sample(writer(model, start), config=config, seed=0, end=None)
    assert {word for text in texts for word in text.ids} == {END_ID, 5, 6}
    unknown = sample(writer(model, start, forbidden=(0, START_ID, 4)), config=config, seed=0, end=None)
    assert {word for text in unknown for word in text.ids} == {1, END_ID, 5, 6}


def test_text_ends_at_the_end_token_or_is_cut_off():
    def always(token):
        def decode(ids, memory, cache):
            return torch.nn.functional.one_hot(torch.full_like(ids, token), 8).float() * 50

        return Writer(decode, prompts((START_ID,), (5, 6)), use_cache=False)

    assert [(text.ids, text.ended) for text in greedy(always(END_ID), max_tokens=4)] == [([], True)] * 2
    assert [(text.ids, text.ended) for text in greedy(always(6), max_tokens=4)] == [([6] * 4, False)] * 2
    for token, expected in ((END_ID, ([], True)), (6, ([6] * 4, False))):
        found = beam_search(always(token), beam=1, length_penalty=1.0, max_tokens=4)
        assert [(text.ids, text.ended) for text in found] == [expected] * 2


def test_seed_determines_the_sample():
    model, config = make("language"), GenerationConfig(max_tokens=20)
    first, again, other = (sample(writer(model), config=config, seed=seed, end=None) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("temperature", [0.0, 5e-324, 1e-40, 1e-7, 2e-6])  # the division by less overflows
def test_sampling_at_temperature_zero_is_greedy(temperature):
    model = make("language")
    cold = sample(writer(model), config=GenerationConfig(max_tokens=9, temperature=temperature), seed=1)
    single = sample(writer(model), config=GenerationConfig(max_tokens=9, top_k=1), seed=1)
    assert cold == single == greedy(writer(model), max_tokens=9)


def test_tokens_are_sampled_by_their_probability():
    log_probs = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()

    def decode(ids, memory, cache):
        return log_probs.expand(*ids.shape, 4)

    def shares(**config):
        (text,) = sample(Writer(decode, prompts((1,)), use_cache=False, window=1, forbidden=()), seed=0, end=None,
                         config=GenerationConfig(max_tokens=4000, **config))
        return np.bincount(text.ids, minlength=4) / 4000

    np.testing.assert_allclose(shares(), [0.5, 0.3, 0.15, 0.05], atol=0.03)
    np.testing.assert_allclose(shares(top_k=2), [0.625, 0.375, 0, 0], atol=0.03)
    np.testing.assert_allclose(shares(top_p=0.9), np.array([0.5, 0.3, 0.15, 0]) / 0.95, atol=0.03)
    squared = np.array([0.25, 0.09, 0.0225, 0.0025])
    np.testing.assert_allclose(shares(temperature=0.5), squared / squared.sum(), atol=0.03)


SCORES = st.lists(st.integers(-40, 40), min_size=2, max_size=12, unique=True).map(
    lambda row: torch.tensor([row]) / 10)


@given(SCORES, st.integers(1, 14), st.floats(0.01, 0.999))
def test_top_k_and_top_p_equal_transformers(scores, k, p):
    from transformers.generation.logits_process import TopKLogitsWarper, TopPLogitsWarper

    assert torch.equal(top_k_filter(scores, k), TopKLogitsWarper(k)(None, scores))
    shares = scores.softmax(-1).sort(descending=True).values.cumsum(-1)
    if (shares - p).abs().min() > 1e-5:  # close to p, rounding decides
        assert torch.equal(top_p_filter(scores, p), TopPLogitsWarper(p)(None, scores))
        both = TopPLogitsWarper(p)(None, TopKLogitsWarper(k)(None, scores))
        kept = top_k_filter(scores, k).softmax(-1).sort(descending=True).values.cumsum(-1)
        if (kept - p).abs().min() > 1e-5:
            assert torch.equal(top_p_filter(top_k_filter(scores, k), p), both)


@pytest.mark.parametrize("p", [5e-324, 1e-46, 1e-9])
def test_the_most_probable_token_is_kept_for_every_p(p):
    assert top_p_filter(torch.tensor([[0.1, 0.5, 0.4]]).log(), p).softmax(-1).tolist() == [[0, 1, 0]]


@settings(max_examples=20)
@given(st.integers(2, 9), st.integers(1, 12), st.sampled_from(["sinusoidal", "learned", "rotary"]))
def test_full_window_continues_from_its_last_half(window, n_prompt, positions):
    model = make("language", positions=positions, max_positions=window)
    start = [tuple(5 + i % N_WORDS for i in range(n_prompt))]
    (cached,) = greedy(writer(model, start, window=window), max_tokens=25, end=None)
    (plain,) = greedy(writer(model, start, window=window, use_cache=False), max_tokens=25, end=None)
    assert len(cached.ids) == 25
    assert cached.ids == plain.ids


def test_each_token_is_computed_once_with_a_cache():
    model, lengths = make("language"), []

    def decode(ids, memory, cache):
        lengths.append(ids.shape[1])
        return model(ids, cache=cache)

    greedy(Writer(decode, prompts((5, 6, 7))), max_tokens=5, end=None)
    assert lengths == [3, 1, 1, 1, 1]


def test_generation_equals_gpt2_of_transformers():
    """Greedy and beam search generate the same tokens as GPT2LMHeadModel.generate, with the same weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    model = make("language", like="gpt2", positions="learned", activation="gelu-tanh", max_positions=32)
    theirs = GPT2LMHeadModel(GPT2Config(
        vocab_size=5 + N_WORDS, n_positions=32, n_embd=16, n_layer=2, n_head=2, n_inner=32, bos_token_id=START_ID,
        eos_token_id=END_ID, pad_token_id=0, attn_implementation="eager")).eval()
    theirs.load_state_dict(gpt2_state(model.decoder), strict=False)
    start = prompts((5, 6, 7), (9, 6), (16, 12, 11))
    options = {"attention_mask": (start != 0).long(), "max_new_tokens": 10, "do_sample": False,
               "bad_words_ids": [[word] for word in NEVER_WRITTEN]}
    for beam, penalty in ((1, 1.0), (3, 0.0), (3, 0.2)):
        expected = theirs.generate(start, num_beams=beam, length_penalty=penalty, **options)[:, start.shape[1]:]
        expected = [list(itertools.takewhile(lambda word: word not in (0, END_ID), row)) for row in expected.tolist()]
        texts = Writer.continuing(model, start)
        found = greedy(texts, max_tokens=10) if beam == 1 else beam_search(
            texts, beam=beam, length_penalty=penalty, max_tokens=10)
        assert [text.ids for text in found] == expected


def gpt2_state(decoder):
    state = {"transformer.wte.weight": decoder.embedding.weight, "lm_head.weight": decoder.embedding.weight,
             "transformer.wpe.weight": decoder.positions.weight}
    linear = {"transformer.ln_f": decoder.norm}
    for i, layer in enumerate(decoder.layers):
        at, to = layer.attention, f"transformer.h.{i}"
        linear |= {f"{to}.ln_1": layer.attention_norm, f"{to}.ln_2": layer.feedforward_norm}
        for part in ("weight", "bias"):
            joined = torch.cat([getattr(one, part) for one in (at.query, at.key, at.value)])
            state[f"{to}.attn.c_attn.{part}"] = joined.T if part == "weight" else joined
        for name, one in (("attn.c_proj", at.output), ("mlp.c_fc", layer.feedforward.inner),
                          ("mlp.c_proj", layer.feedforward.output)):
            state |= {f"{to}.{name}.weight": one.weight.T, f"{to}.{name}.bias": one.bias}
    return state | {f"{name}.{part}": getattr(one, part) for name, one in linear.items() for part in ("weight", "bias")}
