import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from pipeline.tasks.ngrams.fusion import DEFAULT, MIN_EXAMPLES, SPREAD, Fusion, log_odds, tuned_weights

LABELS = ("a", "b", "c")


def drawn(n=400, *, confident=4.0):
    """Logits of a Transformer and log-probabilities of a branch, both informative, the first overconfident."""
    random = np.random.default_rng(0)
    gold = random.integers(0, 3, n)
    hot = np.eye(3)[gold]
    transformer = confident * (hot + random.normal(size=(n, 3)))
    branch = hot + random.normal(size=(n, 3))
    return (torch.tensor(transformer, dtype=torch.float32),
            torch.tensor(branch, dtype=torch.float32).log_softmax(dim=-1), gold)


def penalised(weights, transformer, branch, gold):
    scores = (weights[0] * transformer.double().log_softmax(-1) + weights[1] * branch.double()).log_softmax(-1).numpy()
    return -scores[np.arange(len(gold)), gold].sum() + sum((np.array(weights) - DEFAULT) ** 2) / (2 * SPREAD**2)


def test_tuned_weights_minimise_the_penalised_cross_entropy():
    data = drawn()
    found = tuned_weights(*data)
    theirs = minimize(penalised, [1.0, 1.0], args=data, method="Nelder-Mead", options={"xatol": 1e-5}).x
    assert found == pytest.approx(theirs, abs=1e-3)


def test_an_overconfident_transformer_has_a_small_weight():
    assert tuned_weights(*drawn(confident=8.0))[0] < 0.5 * tuned_weights(*drawn(confident=2.0))[0]


def test_weights_are_not_negative():
    transformer, branch, gold = drawn(2000)
    wrong = (gold + 1) % 3
    a, b = tuned_weights(transformer, branch, wrong)
    assert a >= 0
    assert b >= 0
    assert a < 0.01


def test_few_examples_have_the_default_and_more_are_drawn_to_it():
    transformer, branch, gold = drawn(MIN_EXAMPLES)
    assert tuned_weights(transformer[:-1], branch[:-1], gold[:-1]) == DEFAULT
    unknown = gold.copy()
    unknown[0] = -1
    assert tuned_weights(transformer, branch, unknown) == DEFAULT
    few, many = (np.linalg.norm(np.subtract(tuned_weights(*(part[:n] for part in drawn(4000))), DEFAULT))
                 for n in (MIN_EXAMPLES, 4000))
    assert 0 < few < many


def test_fused_scores_are_the_weighted_sum_of_log_probabilities():
    transformer, branch, _ = drawn(10)
    fused = Fusion(lambda rows: branch[list(rows)], (0.25, 0.5))([3, 1], transformer[[3, 1]])
    torch.testing.assert_close(fused, 0.25 * transformer[[3, 1]].log_softmax(-1) + 0.5 * branch[[3, 1]])


def test_the_share_is_what_the_branch_adds_to_the_log_odds():
    transformer, branch, _ = drawn(10)
    fusion = Fusion(lambda rows: branch[list(rows)], (0.25, 0.5))
    fused = fusion(range(10), transformer)
    chosen = fused.argmax(dim=1)
    shares = [one["ngrams"] for one in fusion.with_shares([{"label": LABELS[i]} for i in chosen], fused, transformer,
                                                          LABELS)]
    with_it, without = (scores.softmax(-1)[range(10), chosen].logit()
                        for scores in (fused, 0.25 * transformer.log_softmax(-1)))
    np.testing.assert_allclose(shares, (with_it - without).numpy(), rtol=1e-3, atol=1e-4)
    silent = Fusion(lambda rows: branch[list(rows)] * 0, (0.25, 0.5))
    assert silent.with_shares([{"label": "a"}], 0.25 * transformer[:1].log_softmax(-1), transformer[:1],
                              LABELS)[0]["ngrams"] == pytest.approx(0, abs=1e-6)


def test_log_odds_of_a_certain_label_are_finite():
    scores = torch.tensor([[0.0, -500.0], [3.0, 3.0]])
    assert log_odds(scores, torch.tensor([0, 1])).tolist() == [500.0, 0.0]
