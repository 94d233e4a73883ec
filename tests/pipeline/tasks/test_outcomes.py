"""How well each example was predicted, and how far a measure would move with another test set."""

import math
import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import RunConfig
from pipeline.data.examples import Answer, Example, QuestionExample, TaggedExample, TranslationExample
from pipeline.errors import DataError
from pipeline.runs.sampling_error import MANY, MAX_GROUPS_OF_MANY, sampling_error
from pipeline.tasks.base import TASKS, find, setup_from
from pipeline.tasks.classification import Labels
from pipeline.tasks.resolved import Setup

LABELS = ("business", "sport", "tech")


def labelled(n, share_right, seed=0):
    """Examples, predictions of which about that share is right, and the configuration."""
    drawn = random.Random(seed)
    examples = [Example("a text", drawn.choice(LABELS), f"f:{i}") for i in range(n)]
    predictions = []
    for example in examples:
        wrong = drawn.choice([label for label in LABELS if label != example.label])
        label = example.label if drawn.random() < share_right else wrong
        predictions.append({"label": label, "probabilities": {one: 0.8 if one == label else 0.1 for one in LABELS}})
    return find("classification"), examples, predictions, with_labels(LABELS)


def with_labels(labels):
    return Setup(RunConfig(), Labels(labels=labels))


def tagged(n, seed=0):
    drawn = random.Random(seed)
    labels = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
    examples, predictions = [], []
    for i in range(n):
        tags = tuple(drawn.choice(("O", "O", "B-PER", "B-LOC")) for _ in range(drawn.randint(1, 12)))
        examples.append(TaggedExample(tuple("w" for _ in tags), tags, f"f:{i}"))
        said = [tag if drawn.random() < 0.7 else drawn.choice(("O", "B-PER", "B-LOC")) for tag in tags]
        predictions.append({"tags": said, "words": ["w"] * len(tags)})
    return find("tagging"), examples, predictions, with_labels(labels)


def translated(n, seed=0):
    drawn = random.Random(seed)
    words = [f"word{i}" for i in range(300)]
    examples = [TranslationExample("a text", " ".join(drawn.choices(words, k=drawn.randint(3, 20))), f"f:{i}")
                for i in range(n)]
    predictions = []
    for example in examples:
        kept = drawn.uniform(0.3, 1.0)  # some texts are harder than others
        said = (word if drawn.random() < kept else drawn.choice(words) for word in example.target.split())
        predictions.append({"translation": " ".join(said)})
    return find("translation"), examples, predictions, setup_from(RunConfig(task="translation"))


def bootstrapped(task, examples, predictions, config, name, n=150):
    random = np.random.default_rng(1)
    values = []
    for _ in range(n):
        rows = random.integers(0, len(examples), len(examples))
        values.append(task.measure([examples[i] for i in rows], [predictions[i] for i in rows], config)[name])
    return float(np.std(values, ddof=1))


# The jackknife of 50 groups knows a standard error to a tenth or so (one in the square root of 2 * 49).
@pytest.mark.parametrize("share", [0.55, 0.8, 0.97])
def test_the_error_of_an_accuracy_is_the_binomial_one(share):
    task, *rest = labelled(900, share)
    p = task.measure(*rest)["accuracy"]
    assert sampling_error(task, *rest)["accuracy"] == pytest.approx(math.sqrt(p * (1 - p) / 900), rel=0.25)


def test_on_average_over_test_sets_it_is_the_binomial_one_exactly():
    found, true = [], []
    for seed in range(20):
        task, *rest = labelled(60, 0.7, seed)
        p = task.measure(*rest)["accuracy"]
        found.append(sampling_error(task, *rest)["accuracy"] ** 2)
        true.append(p * (1 - p) / 60)
    assert np.mean(found) == pytest.approx(np.mean(true), rel=0.1)


def test_with_an_example_a_group_it_is_the_standard_error_of_the_mean():
    task, *rest = labelled(30, 0.6)
    right = [task.outcome(example.gold, said) for example, said in zip(rest[0], rest[1], strict=True)]
    assert sampling_error(task, *rest)["accuracy"] == pytest.approx(np.std(right, ddof=1) / math.sqrt(30))


@pytest.mark.parametrize(("made", "names"), [
    (tagged(200), ("f1", "recall")), (labelled(300, 0.7), ("macro_f1", "loss"))], ids=["tagging", "classification"])
def test_the_error_of_other_measures_is_that_of_a_bootstrap(made, names):
    found = sampling_error(*made)
    for name in names:
        assert found[name] == pytest.approx(bootstrapped(*made, name), rel=0.35)


def test_the_error_of_a_corpus_bleu_is_that_of_a_bootstrap():
    task, *rest = translated(80)
    found = sampling_error(task, *rest)
    assert found.keys() == {"bleu", "chrf"}
    assert found["bleu"] == pytest.approx(bootstrapped(task, *rest, "bleu", n=60), rel=0.35)


def test_many_examples_have_fewer_groups():
    task, *rest = labelled(MANY, 0.7)
    measured = 0

    class Counting(type(task)):
        def measure(self, *args):
            nonlocal measured
            measured += 1
            return super().measure(*args)

    sampling_error(Counting(), *rest)
    assert measured == MAX_GROUPS_OF_MANY


def test_it_is_quick_and_always_the_same():
    task, *rest = labelled(532, 0.8)
    before = time.process_time()
    first = sampling_error(task, *rest)
    assert time.process_time() - before < 5
    assert first == sampling_error(task, *rest)
    assert first.keys() == {"accuracy", "macro_f1", "balanced_accuracy", "mcc", "loss", "calibration_error"}


def test_too_few_examples_have_no_error():
    assert sampling_error(*labelled(1, 0.5)) == {}
    assert sampling_error(*labelled(2, 0.5)).keys() >= {"accuracy"}


def test_a_measure_that_is_undefined_for_a_group_is_left_out():
    """Without the only question that has an answer there is no F1 of answerable questions."""
    task, config = find("question-answering"), setup_from(RunConfig(task="question-answering"))
    questions = [QuestionExample(str(i), "q?", "text", (Answer("text", 0),) if i == 0 else (), f"f:{i}")
                 for i in range(5)]
    predictions = [{"answer": ""}] * 5
    assert "answerable_f1" in task.measure(questions, predictions, config)
    assert sampling_error(task, questions, predictions, config) == {
        "exact_match": pytest.approx(0.2), "f1": pytest.approx(0.2), "unanswerable_exact_match": 0.0,
        "unanswerable_f1": 0.0}


def test_without_anything_to_measure_there_is_no_error():
    """A masked-word test set whose only word to guess is in one example."""
    task, config = find("masked-language-model"), setup_from(RunConfig(task="masked-language-model"))
    predictions = [{"guesses": [], "log_probabilities": [-1.0], "right": [True]},
                   {"guesses": [], "log_probabilities": [], "right": []}]
    examples = [Example("a", "", "f:1"), Example("b", "", "f:2")]
    with pytest.raises(DataError):
        task.measure(examples[1:], predictions[1:], config)
    assert sampling_error(task, examples, predictions, config) == {}


def predictions_of(name):
    """A right answer and any prediction of a task."""
    words, tags = st.text("ab ,.", max_size=20), st.sampled_from(("O", "B-PER", "I-PER"))
    logs = st.floats(-500, 0)
    return {
        "classification": st.tuples(st.sampled_from(LABELS), st.fixed_dictionaries({"label": st.sampled_from(LABELS)})),
        "multi-label": st.tuples(st.lists(st.sampled_from(LABELS), unique=True), st.fixed_dictionaries(
            {"labels": st.lists(st.sampled_from(LABELS), unique=True)})),
        "regression": st.tuples(st.floats(-1e9, 1e9), st.fixed_dictionaries(
            {"value": st.floats(-1e300, 1e300), "training_std": st.floats(1e-9, 1e9)})),
        "tagging": st.integers(0, 6).flatmap(lambda n: st.tuples(
            st.lists(tags, min_size=n, max_size=n),
            st.fixed_dictionaries({"tags": st.lists(tags, min_size=n, max_size=n), "words": st.just(["w"] * n)}))),
        "question-answering": st.tuples(st.lists(words, max_size=3), st.fixed_dictionaries({"answer": words})),
        "translation": st.tuples(words, st.fixed_dictionaries({"translation": words})),
        "language-model": st.tuples(st.just(""), st.fixed_dictionaries({"log_probability": logs,
                                                                        "n": st.integers(0, 50)})),
        "masked-language-model": st.tuples(st.just(""), st.lists(st.booleans(), max_size=5).map(
            lambda right: {"right": right, "guesses": [{"a": 0.5, "b": 0.1} for _ in right]})),
    }[name]


@pytest.mark.parametrize("name", TASKS.available)
def test_every_outcome_is_a_share_and_every_prediction_has_a_text(name):
    task = find(name)

    @given(predictions_of(name))
    def check(pair):
        gold, prediction = pair
        assert 0.0 <= task.outcome(gold, prediction) <= 1.0
        assert all(isinstance(text, str) for text in task.in_words(gold, prediction))

    check()


@pytest.mark.parametrize(("name", "gold", "prediction", "outcome", "words"), [
    ("classification", "sport", {"label": "sport"}, 1.0, ("sport", "sport")),
    ("classification", "sport", {"label": "tech"}, 0.0, ("sport", "tech")),
    ("multi-label", ["tech", "sport"], {"labels": ["sport"]}, 2 / 3, ("sport, tech", "sport")),
    ("multi-label", [], {"labels": []}, 1.0, ("no label", "no label")),
    ("multi-label", [], {"labels": ["sport"]}, 0.0, ("no label", "sport")),
    ("regression", 2.0, {"value": 3.0, "training_std": 1.0}, 0.5, ("2", "3")),
    ("tagging", ["B-LOC", "I-LOC", "O"], {"tags": ["B-LOC", "I-LOC", "O"], "words": ["New", "York", "is"]}, 1.0,
     ("New York (LOC)", "New York (LOC)")),
    ("tagging", ["B-LOC", "I-LOC", "B-PER"], {"tags": ["B-LOC", "O", "O"], "words": ["New", "York", "Ann"]}, 0.0,
     ("New York (LOC), Ann (PER)", "New (LOC)")),
    ("tagging", ["O"], {"tags": ["O"], "words": ["is"]}, 1.0, ("no entity", "no entity")),
    ("question-answering", ["the red car", "a car"], {"answer": "red car"}, 1.0, ("the red car / a car", "red car")),
    ("question-answering", ["one two"], {"answer": "two three"}, 0.5, ("one two", "two three")),
    ("question-answering", [], {"answer": ""}, 1.0, ("no answer", "no answer")),
    ("question-answering", [], {"answer": "x"}, 0.0, ("no answer", "x")),
    ("translation", "ein Haus", {"translation": "ein Haus"}, 1.0, ("ein Haus", "ein Haus")),
    ("language-model", "", {"log_probability": math.log(0.25) * 3, "n": 3}, 0.25, ("", "perplexity 4.0")),
    ("masked-language-model", "", {"right": [True, False], "guesses": [{"a": 0.5, "b": 0.1}, {"c": 0.3}]}, 0.5,
     ("", "a c")),
])
def test_outcomes_and_words_of_each_task(name, gold, prediction, outcome, words):
    task = find(name)
    assert task.outcome(gold, prediction) == pytest.approx(outcome)
    assert task.in_words(gold, prediction) == words


def test_the_outcome_of_a_translation_is_its_chrf():
    from sacrebleu import sentence_chrf

    found = find("translation").outcome("the cat sat on the mat", {"translation": "a cat on the mat"})
    assert found == pytest.approx(sentence_chrf("a cat on the mat", ["the cat sat on the mat"]).score / 100)


def test_the_mean_of_outcomes_is_the_measure_where_that_is_a_mean():
    task, examples, predictions, config = labelled(40, 0.6)
    outcomes = [task.outcome(example.gold, said) for example, said in zip(examples, predictions, strict=True)]
    assert np.mean(outcomes) == pytest.approx(task.measure(examples, predictions, config)["accuracy"])
