"""Tags and answers: which word is explained, in which window, with which features."""

import pytest
import torch

from pipeline.baselines.tagging import shape
from pipeline.explanation.explain import explain
from pipeline.explanation.scores import ScoreRule
from pipeline.explanation.subjects.base import Place, framed_places
from pipeline.tasks.tagging import spans_of
from pipeline.tasks.tags.features import hashed_features, hashed_names, word_features
from pipeline.tasks.tags.scores import branch_scores, fused, transformer_scores

NAMES = "On Monday Anna Schmidt flew from Paris to Berlin and met the director of Siemens there in the old town."
QUESTION = "Where is the tower?"
CONTEXT = ("The old man is in the garden. The tower is located in Paris, near the river. It was built in 1889 by "
           "Gustave Eiffel for a fair.")


@pytest.mark.parametrize("word", ["Anna", "Paris", "Siemens", "town", "0", "19"])
def test_the_tag_of_any_word(word, runs):
    """Words of all windows of a long text; the probabilities are those of the window that tags the word."""
    trained = runs("entities")
    found = explain(trained, NAMES, word=word)
    (prediction,) = trained.predict([NAMES])
    number = int(word) if word.isdecimal() else prediction["words"].index(word)
    assert found.word == prediction["words"][number]
    assert found.label == prediction["tags"][number]
    assert any("windows" in note for note in found.notes)
    assert len(found.tokens) <= 12
    assert found.word in [token.token for token in found.tokens]
    features = list(word_features(prediction["words"]))[number]
    assert {one.ngram for one in found.ngrams.contributions} <= set(features)
    assert {f"suffix1={found.word[-1].lower()}", f"shape={shape(found.word)}"} <= set(features)
    assert found.word not in [one.token for one in found.without_word]


def test_the_probabilities_of_a_tag_are_those_that_predictions_are_made_of(runs):
    trained = runs("entities")
    found = explain(trained, NAMES, word="Berlin")
    prepared = trained.prepare([trained.example(NAMES)])
    words = [[span.word for span in spans_of(prepared.examples[0], prepared.tokenizers.source)]]
    resolved = trained.setup.resolved
    scores = fused(transformer_scores(trained.model, prepared, trained.setup),
                   branch_scores(trained.model, prepared, words), resolved.feature_weights)[0]
    scores[:, resolved.labels.index("O")] -= resolved.outside_penalty
    expected = scores[words[0].index("Berlin")].softmax(dim=-1)
    torch.testing.assert_close(torch.tensor(list(found.probabilities.values())).float(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", ["start", "end"])
def test_the_answer_is_explained(side, runs):
    trained = runs("questions")
    (prediction,) = trained.predict([QUESTION], contexts=[CONTEXT])
    found = explain(trained, QUESTION, context=CONTEXT, label=side)
    answer = prediction["answer"]
    assert answer.startswith(found.word) if side == "start" else answer.endswith(found.word)
    assert any("windows" in note for note in found.notes)
    assert {token.part for token in found.tokens} == {"text", "context"}
    assert f"{found.word} ({prediction['start']})" in found.probabilities or side == "end"
    assert sum(found.probabilities.values()) == pytest.approx(1)


def test_the_answer_of_a_short_context(runs):
    """With one window, the product of both probabilities is that of the candidate, up to the normalisation."""
    trained = runs("questions")
    context = "The tower is in Paris."
    (prediction,) = trained.predict([QUESTION], contexts=[context])
    found = {side: explain(trained, QUESTION, context=context, label=side) for side in ("start", "end")}
    best = prediction["candidates"][:2]
    product = found["start"].probability * found["end"].probability
    first, last = (found[side].probabilities for side in ("start", "end"))
    other = next(name for name in first if name.endswith(f"({best[1]['start']})")), [
        name for name in last if "question" not in name and "</s>" not in name
        and (int(name.rpartition("(")[2][:-1]) if "(" in name else -1) < best[1]["end"]][-1]
    expected = first[other[0]] * last[other[1]]
    assert product / expected == pytest.approx(best[0]["probability"] / best[1]["probability"], rel=1e-3)


def test_places_of_a_pair():
    assert framed_places([2, 9, 8, 3, 7, 3]) == (None, Place(0, 0), Place(0, 1), None, Place(1, 0), None)
    assert framed_places([9, 1]) == (Place(0, 0), Place(0, 1))
    assert framed_places([2, 9, 3]) == (None, Place(0, 0), None)


def test_scores_of_each_kind():
    scores = torch.tensor([[1.0, -2.0, 0.5]])
    rule = ScoreRule("one of")
    probability = scores.softmax(dim=-1)[0, 1]
    assert float(rule.score(scores, 1)) == pytest.approx(float(torch.log(probability / (1 - probability))), abs=1e-6)
    assert rule.probabilities(scores)[0].sum() == pytest.approx(1)
    assert float(ScoreRule("any of").score(scores, 1)) == -2
    value = ScoreRule("value", factor=2.0, offset=3.0)
    assert float(value.score(scores, 0)) == float(value.probabilities(scores)[0, 0]) == 5


def test_the_combination_has_the_log_odds_of_the_log_probabilities():
    torch.manual_seed(0)
    outputs, linear, bias = torch.randn(4, 3), torch.randn(4, 3), torch.randn(3)
    rule = ScoreRule("one of", (0.3, 0.6), bias)
    fused = 0.3 * outputs.log_softmax(dim=-1) + 0.6 * (linear + bias).log_softmax(dim=-1)
    torch.testing.assert_close(rule.probabilities(rule.combined(outputs, linear)), fused.double().softmax(dim=-1),
                               rtol=0, atol=1e-6)


def test_the_bucket_of_a_feature_is_that_of_the_branch():
    words = ["Anna", "lives", "in", "\ud800"]
    rows = hashed_features([words], 256).toarray()
    for row, features in zip(rows, word_features(words), strict=True):
        counts = torch.bincount(torch.from_numpy(hashed_names(features, 256)), minlength=256)
        assert counts.tolist() == row.tolist()
