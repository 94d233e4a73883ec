import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from embeddings.table import EmbeddingTable
from embeddings.tokenization.tokenizer import WordTokenizer
from pipeline import RunConfig, load_run, run
from pipeline.data.config import DataConfig
from pipeline.data.examples import Answer, QuestionExample, Splits
from pipeline.data.features.windows import windows
from pipeline.errors import ConfigError, DataError
from pipeline.measures.question_answering import exact_match, f1
from pipeline.tasks import base
from pipeline.tasks.base import Prepared, Tokenizers
from pipeline.tasks.resolved import Setup
from pipeline.tasks.span_scores import SpanScores
from pipeline.word_vectors import StageOne
from tests.conftest import ROOT
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import SpanHead, TokenHead

TASK = base.find("question-answering")
TEXT = "The Tower, built in 1889, is in Paris. It is tall."
WORDS = ["where", "is", "the", "tower", "when", "was", "it", "built", "in", "1889", "paris", "tall", ",", ".", "?"]
TOKENIZERS = Tokenizers(WordTokenizer(WORDS), 5 + len(WORDS))


def asked(question="Where is the tower?", answer="Paris", context=TEXT):
    answers = (Answer(answer, context.index(answer)),) if answer else ()
    return QuestionExample("q", question, context, answers, "file:q")


def config(examples=(), **data):
    values = RunConfig.from_mapping({"task": "question-answering", "data": data})
    splits = Splits("made", tuple(examples) or (asked(),), (asked(),), (), ())
    return Setup(values, TASK.resolve(values, splits))


def encode(*examples, **data):
    return TASK.encode(examples, TOKENIZERS, config(examples, **data))


class Pointer(nn.Module):
    """Says that answers start at one word and end at another, for every text alike."""

    def __init__(self, start, end, sure=5.0):
        super().__init__()
        self.places, self.scale = (start, end), nn.Parameter(torch.tensor(sure))

    def forward(self, ids, token_types):
        scores = torch.zeros(*ids.shape, 2)
        for side, place in enumerate(self.places):
            scores[:, place, side] = self.scale
        return scores


def predict(model, *examples, **data):
    made = config(examples if any(e.answers for e in examples) else (), **data)
    return TASK.predict(model, Prepared(examples, TASK.encode(examples, TOKENIZERS, made), TOKENIZERS), made)


def test_question_and_context_have_special_tokens_and_token_types():
    (feature,) = encode(asked())
    names = TOKENIZERS.source.vocabulary()
    assert " ".join(names[i] for i in feature.ids) == (
        "<s> where is the tower ? </s> the tower , built in 1889 , is in paris . it is tall . </s>")
    assert feature.token_types.tolist() == [0, 0, 2, 2, 2, 0, 0, 3, 3, 1, 1, 1, 1, 1, 3, 1, 1, 1, 1, 3, 1, 1, 1]
    assert feature.target.tolist() == [[16, 16]]
    assert (feature.where, feature.example, feature.n_targets) == ("file:q", 0, 1)


def test_unknown_words_are_matched_too():
    (feature,) = encode(asked("Where is Zyx?", "Paris", "Zyx is in Paris, not Qlm."))
    start = feature.origin.offset
    assert feature.ids[start] == feature.ids[start + 6] == 1
    assert (feature.token_types[start], feature.token_types[start + 6]) == (3, 1)


def test_bert_has_two_token_types_and_another_output_layer():
    bert = RunConfig.from_mapping({"model": {"like": "bert"}})
    made = Setup(bert, TASK.resolve(bert, Splits("made", (asked(),), (), (), ())))
    assert made.model.token_types == 2
    (feature,) = TASK.encode([asked()], TOKENIZERS, made)
    assert feature.token_types.tolist() == [0] * 7 + [1] * 16
    for resolved, kind in ((made, TokenHead), (config(), SpanHead)):
        embedding = TokenEmbedding(n_words=len(WORDS), dim=8, d_model=128)
        assert isinstance(TASK.model(resolved, [embedding]).head, kind)


@given(st.integers(0, 40), st.integers(1, 6), st.integers(1, 30), st.integers(0, 20))
def test_windows_cover_the_context_and_overlap(n_words, n_question, max_length, overlap):
    places = WordTokenizer().spans("w " * n_words)
    made = windows(places, n_question=n_question, max_length=max_length, overlap=overlap)
    room = max(1, max_length - n_question - 3)
    assert sorted({i for w in made for i in range(w.start, w.start + w.n_words)}) == list(range(n_words))
    assert all(window.n_words <= room and window.offset == n_question + 2 for window in made)
    for one, other in pairwise(made):
        assert one.start + one.n_words - other.start == min(overlap, room // 2)


@given(st.text("ab é.ñ\u0301中", min_size=1, max_size=30), st.data())
def test_an_answer_of_whole_words_is_recovered_exactly(text, data):
    places = WordTokenizer().spans(text)
    if not places:
        return
    first = data.draw(st.integers(0, len(places) - 1))
    last = data.draw(st.integers(first, len(places) - 1))
    start, end = places[first].start, places[last].end
    (window,) = windows(places, n_question=2, max_length=100, overlap=0)
    assert window.target(Answer(text[start:end], start)) == (first + 4, last + 4)


def test_the_target_of_a_window_without_the_answer_is_the_start():
    features = encode(asked(), asked("When was it tall?", ""), max_length=14, stride=2)
    names = TOKENIZERS.source.vocabulary()
    told = {0: set(), 1: set()}
    for feature in features:
        assert len(feature) <= 14
        assert feature.n_targets == len(feature.target) == 1
        told[feature.example].add(" ".join(names[feature.ids[place]] for place in feature.target[0]))
    assert told == {0: {"<s> <s>", "paris paris"}, 1: {"<s> <s>"}}


def test_a_long_question_leaves_half_to_the_context():
    features = encode(asked("where is the tower " * 20), max_length=23, stride=3)
    assert all(len(feature) == 23 for feature in features[:-1])
    assert features[0].origin.n_words == 10


def test_one_of_several_answers_is_drawn():
    both = QuestionExample("q", "When?", TEXT, (Answer("1889", 20), Answer("in 1889", 17)), "file:q")
    (feature,) = encode(both)
    assert feature.target.tolist() == [[9, 9], [8, 9]]
    drawn = {tuple(TASK.batch([feature], config(), np.random.default_rng(seed)).targets[0].tolist())
             for seed in range(20)}
    assert drawn == {(9, 9), (8, 9)}


def test_the_loss_is_the_mean_of_starts_and_ends_without_padding():
    short, long = encode(asked(), asked("When was the tower built, tall in Paris?", "1889"))
    batch = TASK.batch([short, long], config(), np.random.default_rng(0))
    model = Pointer(3, 5)
    by_hand = []
    for feature in (short, long):
        scores = model(torch.from_numpy(feature.ids)[None].long(), None)[0]
        by_hand += [-scores[:, side].log_softmax(0)[feature.target[0][side]] for side in (0, 1)]
    assert TASK.loss(model, batch).item() == pytest.approx(torch.stack(by_hand).mean().item())


def test_a_prediction_is_a_span_of_the_original_text():
    (prediction,) = predict(Pointer(8, 10), asked())
    assert prediction["answer"] == "Tower, built" == TEXT[prediction["start"] : prediction["end"]]
    assert prediction["probability"] > 0.8
    assert prediction["candidates"][0] == {key: prediction[key] for key in ("answer", "start", "end", "probability")}
    assert len(prediction["candidates"]) == 5
    json.dumps(prediction)


def test_an_answer_is_inside_the_context_and_not_too_long():
    assert predict(Pointer(1, 2), asked())[0]["start"] >= 0
    (prediction,) = predict(Pointer(8, 12), asked(), max_answer_words=3)
    assert all(len(WordTokenizer().words(c["answer"])) <= 3 for c in prediction["candidates"])
    backwards = predict(Pointer(12, 8), asked())[0]
    assert backwards["start"] < backwards["end"]


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 99))
def test_the_best_spans_are_those_of_exhaustive_search(n_words, max_words, seed):
    text = " ".join("abcdefghi"[:n_words])
    places = WordTokenizer().spans(text)
    made = windows(places, n_question=1, max_length=8, overlap=2)
    random = np.random.default_rng(seed)
    spans, best = SpanScores(text, max_words), {}
    for window in made:
        scores = random.normal(size=(window.n_words + 4, 2))
        spans.add(window, scores)
        for i in range(window.n_words):
            for j in range(i, min(window.n_words, i + max_words)):
                key = places[window.start + i].start, places[window.start + j].end
                score = scores[window.offset + i, 0] + scores[window.offset + j, 1]
                best[key] = max(best.get(key, -math.inf), score)
    prediction = spans.prediction(len(best) + 3, math.inf)
    weights = {key: math.exp(score) for key, score in best.items()}
    expected = sorted(weights, key=weights.__getitem__, reverse=True)
    assert [(c["start"], c["end"]) for c in prediction["candidates"]] == expected
    for candidate in prediction["candidates"]:
        share = weights[candidate["start"], candidate["end"]] / sum(weights.values())
        assert candidate["probability"] == pytest.approx(share)


@pytest.mark.parametrize(("threshold", "answer"), [(-6.0, ""), (6.0, "Tower")])
def test_no_answer_is_predicted_above_the_threshold(threshold, answer):
    nothing = asked("When was the tower?", "")
    (prediction,) = predict(Pointer(8, 8, 2.0), nothing, no_answer_threshold=threshold)
    assert prediction["answer"] == answer
    assert prediction["no_answer"] == pytest.approx(-4.0)
    assert (prediction["start"] is None) == (answer == "")
    total = sum(candidate["probability"] for candidate in prediction["candidates"])
    assert 0 < total + (prediction["probability"] if not answer else 0) < 1


def test_the_threshold_is_found_on_dev_only_where_some_questions_have_no_answer():
    assert config().resolved.no_answer_threshold == math.inf
    either = (asked("Where is the tower?", "Tower"), asked("Why?", ""))
    open_ = config(either)
    assert open_.resolved.no_answer_threshold == "dev"
    prepared = Prepared(either, TASK.encode(either, TOKENIZERS, open_), TOKENIZERS)
    tuned = replace(open_, resolved=TASK.tune(Pointer(8, 8), prepared, open_))
    assert isinstance(tuned.resolved.no_answer_threshold, float)
    assert TASK.develop(Pointer(8, 8), prepared, open_)["f1"] == TASK.measure(
        either, TASK.predict(Pointer(8, 8), prepared, tuned), tuned)["f1"]
    given = config(either, no_answer_threshold=1.5)
    assert TASK.tune(Pointer(8, 8), prepared, given) == given.resolved
    without_dev = TASK.resolve(RunConfig(), Splits("made", either, (), (), ()))
    assert without_dev.no_answer_threshold == 0.0


def test_a_context_without_words_has_no_answer():
    nothing = asked("Why?", "", "\u200b")
    (feature,) = TASK.encode([nothing], TOKENIZERS, config())
    assert feature.origin.n_words == 0
    assert predict(Pointer(0, 0), nothing)[0]["answer"] == ""
    both = (asked("Where is the tower?", "Tower"), asked("Why?", ""), nothing)
    made = config(both)
    prepared = Prepared(both, TASK.encode(both, TOKENIZERS, made), TOKENIZERS)
    assert isinstance(TASK.tune(Pointer(8, 8), prepared, made).no_answer_threshold, float)


def test_measures_and_baselines_are_those_of_squad():
    examples = (asked(), asked("When was it built?", "1889"))
    predictions = [{"answer": "in Paris"}, {"answer": "1889"}]
    measures = TASK.measure(examples, predictions, config())
    assert measures == {"exact_match": 0.5, "f1": pytest.approx((2 / 3 + 1) / 2), "n": 2}
    assert TASK.score(measures) == (measures["f1"], 0.5)
    stage_one = StageOne(WordTokenizer(), EmbeddingTable.known(["a"], np.ones((1, 2), np.float32), "here"))
    baselines = TASK.baselines(Splits("made", (), (), examples, ()), config(), stage_one)
    sentence = "The Tower, built in 1889, is in Paris."
    assert set(baselines) == {"first-sentence", "most-overlap"}
    assert baselines["first-sentence"]["f1"] == pytest.approx(
        np.mean([f1(sentence, example.gold) for example in examples]))
    assert baselines["first-sentence"]["exact_match"] == exact_match(sentence, ["Paris"]) == 0.0


def test_invalid_questions_are_refused():
    with pytest.raises(DataError, match="add it with --context TEXT"):
        TASK.reader.example("Where?", " \n")
    with pytest.raises(ConfigError, match="no_answer_threshold must be dev, inf or another number, not nan"):
        RunConfig.from_mapping({"data": {"no_answer_threshold": math.nan}})
    with pytest.raises(DataError, match="no training question has an answer"):
        TASK.resolve(RunConfig(), Splits("made", (asked("Why?", ""),), (), (), ()))


def test_a_prediction_is_shown_on_a_line():
    example = TASK.reader.example("Where is the tower?", TEXT)
    (prediction,) = predict(Pointer(16, 16), example)
    answer, probability, place, question = TASK.show(example, prediction).split("\t")
    assert (answer, place, question) == ("Paris", "32-37", "Where is the tower?")
    assert float(probability) == pytest.approx(prediction["probability"], abs=1e-4)


def learned(folder, examples, **more):
    """A run on the same few questions for training and test."""
    lines = [json.dumps({"question": e.question, "context": e.context, "answers": e.gold}) for e in examples]
    (folder / "data").mkdir()
    for part in ("train", "dev", "test"):
        (folder / "data" / f"{part}.jsonl").write_text("\n".join(lines) + "\n")
    return run(RunConfig.from_mapping({
        "task": "question-answering", "source": "random,dim=16",
        "data": {"path": str(folder / "data"), **more.pop("data", {})},
        "model": {"d_model": 32, "n_heads": 2, "d_ff": 32, "dropout": 0.0, **more},
        "training": {"epochs": 60, "batch_size": 4, "lr": 5e-3, "ema": 0.0, "patience": 0},
    }), folder / "run")


FACTS = "Ann lives in Rome and has a cat. Bob lives in Oslo and has a dog. Eve lives in Cairo and has a cow."
EIGHT = [asked(f"{word} {name}?", answer, FACTS)
         for word, answers in (("Where is", ("Rome", "Oslo", "Cairo")), ("What has", ("a cat", "a dog", "a cow")))
         for name, answer in zip(("Ann", "Bob", "Eve"), answers, strict=True)]
EIGHT += [asked("Who lives in Oslo?", "Bob", FACTS), asked("Who has a cow?", "Eve", FACTS)]


@pytest.mark.parametrize("more", [{}, {"like": "bert"}, {"data": {"max_length": 20, "stride": 6}}],
                         ids=["plain", "bert", "windows"])
def test_eight_questions_are_learned_by_heart(tmp_path, more):
    measures = learned(tmp_path, EIGHT, **more).metrics["test"]
    assert measures == {"exact_match": 1.0, "f1": 1.0, "n": 8}


def test_unanswerable_questions_are_learned_and_the_threshold_is_saved(tmp_path):
    nobody = [asked("Where is Zoe?", "", FACTS), asked("What has Zoe?", "", FACTS)]
    made = learned(tmp_path, [*EIGHT[:6], *nobody])
    assert made.metrics["test"]["f1"] == 1.0
    assert made.metrics["test"]["unanswerable_n"] == 2
    loaded = load_run(made.path)
    assert isinstance(loaded.setup.resolved.no_answer_threshold, float)
    assert loaded.predict(["Where is Zoe?"], contexts=[FACTS])[0]["answer"] == ""
    assert loaded.predict(["Where is Bob?"], contexts=[FACTS])[0]["answer"] == "Oslo"


@pytest.mark.parametrize(("model", "epochs"), [({}, 10), ({"like": "bert"}, 20)], ids=["plain", "bert"])
def test_the_sample_generalises_to_unseen_entities(tmp_path, model, epochs):
    folder = ROOT / "data" / "questions"
    assert not any("eiffel" in file.read_text(encoding="utf-8").lower() for file in folder.glob("*.json"))
    made = run(RunConfig.from_mapping({
        "task": "question-answering", "data": {"path": str(folder)}, "source": "glove", "model": model,
        "training": {"epochs": epochs},
    }), tmp_path / "run")
    assert made.metrics["test"]["f1"] > 0.65 > 3 * made.metrics["baselines"]["first-sentence"]["f1"]
    (prediction,) = load_run(made.path).predict(
        ["Where is the Eiffel Tower located?"], contexts=["The Eiffel Tower is located in Paris."])
    assert (prediction["answer"], prediction["start"], prediction["end"]) == ("Paris", 31, 36)


@pytest.mark.datasets
def test_every_answer_of_squad_is_inside_a_window(datasets):
    data = DataConfig(path=str(datasets / "squad_v1_devsplit"))
    examples = TASK.reader.read_examples(datasets / "squad_v1_devsplit" / "test.json", data)
    tokenizers = Tokenizers(WordTokenizer(), 5)
    features = TASK.encode(examples, tokenizers, config(examples))
    kept = 0.0
    for feature in features:
        example, window = examples[feature.example], feature.origin
        first, last = feature.target[0] - window.offset + window.start
        text = example.context[window.spans[first].start : window.spans[last].end]
        kept += f1(text, example.gold)
    assert len(features) == len(examples) == 1096
    assert kept / len(features) > 0.99


@pytest.mark.slow
@pytest.mark.datasets
def test_squad_is_learned_better_than_a_sentence_of_the_context(datasets, tmp_path):
    made = run(RunConfig.from_mapping({
        "task": "question-answering", "source": "glove", "embedding": {"freeze": True},
        "data": {"path": str(datasets / "squad_v1_devsplit"), "limit_train": 2500},
        "model": {"positions": "rotary", "convolutions": [3, 5]}, "training": {"epochs": 4, "batch_size": 32},
    }), tmp_path / "run")
    assert made.metrics["test"]["f1"] > 1.5 * max(m["f1"] for m in made.metrics["baselines"].values())
