"""The model of rankings, its evaluation by leaving data sets out, and the stored results."""

import csv
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import binomtest

from pipeline.benchmark.forecast import stored_runs
from pipeline.benchmark.forecast.choice_model import ChoiceModel, fit, matrix
from pipeline.benchmark.forecast.evaluation import (
    clustered_interval,
    evaluate,
    fixed_order,
    forecast_of,
    hit_rate,
    model_features,
)
from pipeline.benchmark.forecast.features import WITH_LABELS, WITHOUT_LABELS
from pipeline.benchmark.forecast.stored_runs import COLUMNS, Forecastable, settings_of, stored_rows

NAMES = ("first", "second")


def made_up(n, seed, n_sources=5, names=NAMES, noise=0.3, n_data=4):
    """Settings in which the first feature decides, with noise."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(n):
        features = {f"s{i}": dict(zip(names, random.standard_normal(len(names)), strict=True))
                    for i in range(n_sources)}
        scores = {source: 0.5 + 0.1 * values[names[0]] + 0.1 * noise * random.standard_normal()
                  for source, values in features.items()}
        made.append(Forecastable(f"data {number % n_data}", 50, number, features, scores))
    return made


def log_likelihood(weights, settings):
    """The product of the choices, place by place, with plain loops."""
    total = 0.0
    for one in settings:
        left = list(one.ranking)
        while len(left) > 1:
            exponents = {source: np.exp(sum(weight * one.features[source][name]
                                            for weight, name in zip(weights, NAMES, strict=True))) for source in left}
            total += np.log(exponents[left[0]] / sum(exponents.values()))
            left.pop(0)
    return total


def test_the_weights_maximise_the_penalised_likelihood():
    settings = made_up(30, seed=1)
    model = fit(settings, NAMES, penalty=1.0)
    scale = np.sqrt(np.mean([matrix([one.features[s] for s in one.scores], NAMES).var(axis=0) for one in settings],
                            axis=0))

    def value(weights):
        return log_likelihood(weights, settings) - float(np.sum((weights * scale) ** 2)) / 2

    best = value(model.weights)
    for step in ([0.05, 0], [-0.05, 0], [0, 0.05], [0, -0.05]):
        assert value(model.weights + np.array(step)) < best
    assert model.weights[0] > 5 * abs(model.weights[1])


def test_probabilities_are_those_of_being_first_in_a_random_ranking():
    model = ChoiceModel(NAMES, np.array([1.0, -0.5]), np.full(2, -9.0), np.full(2, 9.0))
    features = [{"first": 0.2, "second": 1.0}, {"first": 1.5, "second": 0.3}, {"first": -1.0, "second": -2.0}]
    strengths = np.exp(model.scores(features))
    expected = np.zeros(3)
    for order in permutations(range(3)):
        left, probability = list(order), 1.0
        while left:
            probability *= strengths[left[0]] / strengths[left].sum()
            left.pop(0)
        expected[order[0]] += probability
    np.testing.assert_allclose(model.probabilities(features), expected)


def test_a_feature_without_differences_has_no_weight():
    settings = [Forecastable(one.data, 50, one.seed, {source: {**values, "second": 3.0} for source, values in
                                                     one.features.items()}, one.scores) for one in made_up(10, seed=2)]
    assert fit(settings, NAMES).weights[1] == 0


def test_scores_do_not_depend_on_the_other_sources():
    model = fit(made_up(20, seed=3), NAMES)
    features = [{"first": 1.0, "second": 0.0}, {"first": 0.0, "second": 1.0}, {"first": 0.5, "second": 0.5}]
    np.testing.assert_allclose(model.scores(features)[:2], model.scores(features[:2]))


def test_rankings_are_by_score_and_ties_by_name():
    one = Forecastable("data", 50, 1, {}, {"b": 0.5, "a": 0.5, "c": 0.7})
    assert one.ranking == ("c", "a", "b")


def test_features_beyond_the_fitted_range_count_as_its_ends():
    settings = made_up(20, seed=3)
    model = fit(settings, NAMES)
    greatest = max(values["first"] for one in settings for values in one.features.values())
    at_end, beyond = model.scores([{"first": greatest, "second": 0.0}, {"first": 1e9, "second": 0.0}])
    assert beyond == at_end


def test_a_fixed_order_is_that_of_the_mean_ranks():
    settings = [Forecastable("d", 50, 1, {}, {"a": 0.9, "b": 0.8, "c": 0.1}),
                Forecastable("e", 50, 1, {}, {"a": 0.2, "b": 0.9, "c": 0.1}),
                Forecastable("f", 50, 1, {}, {"a": 0.5, "b": 0.6, "c": 0.1})]
    assert fixed_order(settings) == ["b", "a", "c"]


def test_hits_close_and_loss_are_counted():
    settings = [Forecastable("d", 50, 1, {}, {"a": 0.9, "b": 0.8}),
                Forecastable("d", 50, 2, {}, {"a": 0.895, "b": 0.9}),
                Forecastable("e", 50, 1, {}, {"a": 0.3, "b": 0.3})]
    found = hit_rate(settings, {0: "a", 1: "a", 2: "b"})
    assert (found.hits, found.n, found.close) == (2, 3, 3)  # of equal sources both are the best
    assert found.loss == pytest.approx(0.005 / 3)


FULL = model_features(labels=True)


def test_a_forecast_from_an_informative_feature_is_better_than_a_fixed_order():
    found = evaluate(made_up(48, seed=4, names=FULL))
    assert found["forecast"]["rate"] > 0.5 > found["fixed"]["rate"]
    assert found["difference"]["mean"] > 0
    assert (found["n_data"], found["n_sources"], round(found["chance"], 9)) == (4, 5, 0.2)


def test_the_data_set_of_a_forecast_is_left_out_of_its_model(monkeypatch):
    seen = []

    def recorded(settings, names):
        seen.append({one.data for one in settings})
        return fit(settings, names)

    monkeypatch.setattr("pipeline.benchmark.forecast.evaluation.fit", recorded)
    evaluate(made_up(12, seed=5, names=FULL))
    assert sorted(map(sorted, seen)) == sorted(sorted({f"data {i}" for i in range(4)} - {f"data {left}"})
                                               for left in range(4))


def test_scores_of_the_left_out_data_have_no_influence_on_its_forecast():
    settings = made_up(12, seed=6, names=FULL)
    rest = [one for one in settings if one.data != "data 0"]
    changed = [Forecastable(one.data, 50, one.seed, one.features, {s: 1 - v for s, v in one.scores.items()})
               if one.data == "data 0" else one for one in settings]
    again = [one for one in changed if one.data != "data 0"]
    assert forecast_of(fit(rest, FULL), settings[0]) == forecast_of(fit(again, FULL), changed[0])


@pytest.mark.parametrize("clusters", [[[True] * 6, [False] * 6] * 4, [[True]] * 8, [[False] * 5] * 3])
def test_intervals_of_few_clusters_are_wide(clusters):
    low, high = clustered_interval(clusters)
    observed = sum(map(sum, clusters)), sum(map(len, clusters))
    plain = binomtest(*observed).proportion_ci(method="exact")
    assert 0 <= low <= observed[0] / observed[1] <= high <= 1
    assert high - low >= plain.high - plain.low - 1e-9


def test_independent_observations_have_nearly_the_interval_of_clopper_and_pearson():
    random = np.random.default_rng(1)
    observed = [[bool(one)] for one in random.random(200) < 0.4]
    plain = binomtest(sum(map(sum, observed)), 200).proportion_ci(method="exact")
    assert clustered_interval(observed) == pytest.approx((plain.low, plain.high), abs=0.002)


def test_intervals_of_dependent_observations_cover_what_they_say():
    random = np.random.default_rng(2)
    covered = []
    for _ in range(600):
        rates = random.beta(2, 2, 8)  # of data sets: the observations of one correlate by 0.2
        low, high = clustered_interval([list(random.random(8) < rate) for rate in rates])
        covered.append(low <= 0.5 <= high)
    assert np.mean(covered) >= 0.93


def test_the_stored_results_are_complete():
    rows = stored_rows()
    settings = settings_of(rows)
    assert len({(one.data, one.n_labels) for one in settings}) >= 24
    assert len({one.data for one in settings}) >= 8
    assert len(settings[0].scores) >= 8
    for row in rows:
        assert tuple(row) == COLUMNS
        assert 0 <= row["accuracy"] <= 1
        assert 0 <= row["macro_f1"] <= 1
        assert 400 <= row["n_test"] <= 1000
        assert 0 <= row["linear"] <= 1
        assert 0 <= row["types"] <= 1
        assert 0 <= row["tokens"] <= 1
        assert row["random"] == (row["source"] == "random")
        assert row["trained"] == any(name in row["source"] for name in ("word2vec", "fasttext"))
    assert len({(row["data"], row["n_labels"], row["seed"], row["source"]) for row in rows}) == len(rows)


def test_draws_with_different_sources_are_refused():
    rows = stored_rows()[:-1]
    with pytest.raises(ValueError, match="sources are missing"):
        settings_of(rows)


def test_the_stored_results_belong_to_the_package():
    """Their pattern is among the files of the package, so that a wheel contains them."""
    import tomllib
    from fnmatch import fnmatch
    from pathlib import Path

    root = Path(stored_runs.__file__).parents[3]
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    assert any(fnmatch(stored_runs.FILE, pattern) for pattern in patterns)
    path = Path(stored_runs.__file__).parent / stored_runs.FILE
    assert path.stat().st_size < 1_000_000
    with path.open(newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS == (
            "data", "n_labels", "seed", "source", "accuracy", "macro_f1", "dev_accuracy", "n_test", *WITH_LABELS,
            *WITHOUT_LABELS)
