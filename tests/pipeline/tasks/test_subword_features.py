"""Features of subwords: tags at first tokens, masks of whole words, token types, counts of words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings.special_tokens import MASK_ID, N_SPECIAL
from pipeline import RunConfig
from pipeline.data.examples import Example, TaggedExample
from pipeline.data.features.batching import IGNORED
from pipeline.tasks import base
from pipeline.tasks.base import Tokenizers
from pipeline.tasks.resolved import Setup
from pipeline.tasks.tagging import RawText, shape_of, spans_of
from pipeline.tasks.tags.scores import TagLabels
from tests.embeddings.tokenization.subword_samples import TEXTS, made

LABELS = ("O", "B-x", "I-x")


@pytest.fixture(scope="module", params=["wordpiece", "bpe", "unigram"])
def tokenizer(request):
    return made(request.param)


def setup_of(task, resolved=None, **data):
    config = RunConfig.from_mapping({"task": task, "data": {"units": "subwords", **data},
                                     "model": {"pooling": data.pop("pooling", "mean-max")}})
    return Setup(config, resolved or base.find(task).resolved_type.from_config(config))


words = st.lists(st.text(st.sampled_from("abehlstTE.,0\u200d"), min_size=1, max_size=9), max_size=12)


@settings(max_examples=80, deadline=None)
@given(words=words, tags=st.lists(st.sampled_from(LABELS), min_size=12, max_size=12), room=st.integers(1, 12),
       overlap=st.integers(0, 6))
def test_every_word_is_tagged_once_at_its_first_token(tokenizer, words, tags, room, overlap):
    """However windows divide a sentence, and a word without tokens of its own included."""
    example = TaggedExample(tuple(words), tuple(tags[:len(words)]), "here")
    setup = setup_of("tagging", TagLabels(token_types=6, labels=LABELS), max_length=room, stride=overlap)
    features = base.find("tagging").encode([example], Tokenizers(tokenizer, len(tokenizer)), setup)
    found = [LABELS[i] for feature in features for i in feature.target[feature.origin]]
    assert found == list(example.tags)
    assert sum(int((feature.target != IGNORED).sum()) for feature in features) == len(words)
    assert all(len(feature) <= room and feature.n_targets == len(feature.origin) for feature in features)
    (pieces,) = tokenizer.encode_words([words])
    if len(features) == 1 and words:
        assert features[0].ids.tolist() == pieces.ids.tolist()
        assert features[0].token_types.tolist() == [shape_of(words[number]) for number in pieces.words]


def test_a_text_is_split_into_words_before_subwords(tokenizer):
    raw = RawText((), (), "given", "The testers' box,  broken.")
    spans = spans_of(raw, tokenizer)
    assert [span.word for span in spans] == ["The", "testers", "'", "box", ",", "broken", "."]
    assert all(raw.text[span.start:span.end] == span.word for span in spans)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.01, 0.15, 0.5, 0.99]))
def test_masks_are_of_whole_words(tokenizer, seed, share):
    config = RunConfig.from_mapping({"task": "masked-language-model", "data": {"units": "subwords"},
                                     "pretraining": {"masked_share": share}})
    task = base.find("masked-language-model")
    setup = Setup(config, task.resolved_type.from_config(config))
    features = task.encode_texts(TEXTS[:2], Tokenizers(tokenizer, len(tokenizer)), setup)
    batch = task.batch(features, setup, np.random.default_rng(seed))
    for row, feature in enumerate(features):
        numbers = np.cumsum(tokenizer.begins_words(feature.ids))
        can_be, selected = feature.ids >= N_SPECIAL, (batch.targets[row] != IGNORED).numpy()[:len(feature)]
        chosen = np.unique(numbers[selected])
        assert (selected == (np.isin(numbers, chosen) & can_be)).all()
        assert len(chosen) == max(1, round(share * len(np.unique(numbers[can_be]))))
        assert batch.targets[row].numpy()[:len(feature)][selected].tolist() == feature.ids[selected].tolist()
        assert not (batch.ids[row].numpy()[:len(feature)][~selected] == MASK_ID).any()


def test_language_models_count_words_and_never_train_the_unknown_token(tokenizer):
    task = base.find("language-model")
    counted = tokenizer.with_vocabulary(dict.fromkeys(tokenizer.vocabulary()[N_SPECIAL:], 1))
    examples = [Example(text, "", "here") for text in TEXTS[:2]]
    features = task.encode(examples, Tokenizers(counted, len(counted)), setup_of("language-model"), training=True)
    assert not any(feature.origin.rare.any() for feature in features)
    measures = task.measure(examples, [{"log_probability": -10.0, "n": 21, "n_words": 10},
                                       {"log_probability": -10.0, "n": 21}], setup_of("language-model"))
    assert measures["n"] == 42
    assert measures["bits_per_word"] == pytest.approx(20 / np.log(2) / 30)
