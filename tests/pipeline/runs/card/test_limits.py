"""The limits in a card follow from the data and the measures."""

from dataclasses import replace

from pipeline.config import RunConfig
from pipeline.data.examples import Example, MultiLabelExample, Splits, TaggedExample
from pipeline.runs.card.limits import label_counts, limits
from pipeline.tasks.base import Measure, setup_from

COVERED = {"test_tokens": 1.0, "detail": {"test": {"misses": []}}}
ACCURACY = Measure("accuracy")


def examples(n, label="a"):
    return tuple(Example(f"text {i}", label, "x:1") for i in range(n))


def found(counts, *, test=200, dev=10, coverage=COVERED, baselines=None, own=0.5, measure=ACCURACY, n_truncated=0,
          language="English"):
    splits = Splits("x", examples(5), examples(dev), examples(test), ())
    metrics = {"test": {measure.name: own}, "baselines": baselines or {}, "coverage": coverage}
    return "\n".join(limits(setup_from(RunConfig()), splits, metrics, measure, language=language, counts=counts,
                            n_truncated=n_truncated))


def test_labels():
    assert "one of 3 labels" in found({"a": 30, "b": 30, "c": 40})
    assert "Fewer than" not in found({"a": 30, "b": 30})
    assert "Fewer than 20 training examples: `b` (0), `c` (19)." in found({"a": 30, "c": 19, "b": 0, "d": 20})
    assert "and 5 more. Predictions" in found({f"l{i}": 1 for i in range(25)})
    assert "from 20 to 300 examples" in found({"a": 300, "b": 20})
    assert "imbalanced" not in found({"a": 199, "b": 20})


def test_texts_and_words():
    assert "no test text is truncated" in found({})
    assert "such as 12 of the 200 test texts" in found({}, n_truncated=12)
    missing = {"test_tokens": 0.75, "detail": {"test": {"misses": [("xqzt", 4), ("a`b", 1)]}}}
    assert "do not cover 25.0% of the tokens of the test text, such as `xqzt`, ``a`b``" in found({}, coverage=missing)
    assert "only 99 test examples" in found({}, test=99)
    assert "test examples" not in found({}, test=100)
    assert "no dev set" in found({}, dev=0)
    assert "no dev set" not in found({})
    assert "could not be determined" in found({}, language="")


def test_baselines_that_are_as_good_are_named():
    scores = {"weak": {"accuracy": 0.4}, "equal": {"accuracy": 0.5}, "other": {"f1": 1.0}}
    assert "On this test set, `equal` is at least as good (accuracy)" in found({}, baselines=scores)
    assert "at least as good" not in found({}, baselines=scores, own=0.6)
    smaller = replace(ACCURACY, smaller_is_better=True)
    assert "`weak`, `equal` are at least as good" in found({}, baselines=scores, measure=smaller)
    assert "at least as good" not in found({}, baselines=scores, own=float("nan"))


def test_counts_of_labels():
    assert label_counts([*examples(2), Example("x", "", "x:1"), Example("x", "b", "x:1")]) == {"a": 2, "b": 1}
    several = [MultiLabelExample("x", ("a", "b"), ""), MultiLabelExample("y", (), ""), MultiLabelExample("z", None, "")]
    assert label_counts(several) == {"a": 1, "b": 1}
    tagged = TaggedExample(("New", "York", "and", "Bob"), ("B-LOC", "I-LOC", "O", "B-PER"), "x:1")
    assert label_counts([tagged]) == {"LOC": 1, "PER": 1}
    assert label_counts([TaggedExample(("a", "b"), ("NOUN", "NOUN"), "x:1")]) == {"NOUN": 2}
