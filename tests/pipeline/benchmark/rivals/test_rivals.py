"""Rivals: what they predict, which of them are missing, their results in a benchmark and their comparisons."""

import json
import random
from collections import Counter

import pytest

from embeddings.progress import silent
from pipeline.baselines.classification import tfidf_chars
from pipeline.baselines.hashed_ngrams import hashed_ngrams
from pipeline.benchmark.analysis.rivals import rival_sentences, with_baseline
from pipeline.benchmark.analysis.statistics import as_family
from pipeline.benchmark.analysis.summary import costs, summarize
from pipeline.benchmark.driver import benchmark
from pipeline.benchmark.execution.jobs import Event
from pipeline.benchmark.execution.worker import attempt, run_job
from pipeline.benchmark.grid import Grid
from pipeline.benchmark.plan import make_plan
from pipeline.benchmark.rivals import base
from pipeline.benchmark.rivals.base import RIVALS, Training, find, identity, missing_packages
from pipeline.benchmark.rivals.tfidf import TfIdf
from pipeline.benchmark.store import BenchmarkFolder
from pipeline.cli.benchmark import _grid_options, format_result
from pipeline.errors import ConfigError

WORDS = {"sport": ["match", "team", "goal", "player", "coach"], "money": ["bank", "share", "price", "market", "profit"],
         "film": ["actor", "scene", "director", "screen", "award"]}
FILLERS = ["the", "of", "and", "to", "a", "in", "that", "it", "was", "for"]


def texts(n, seed):
    """Texts with three words of their label's among fillers, so that every classifier can learn the label."""
    draw = random.Random(seed)
    labels = [list(WORDS)[i % len(WORDS)] for i in range(n)]
    return [" ".join(draw.sample(FILLERS, 4) + draw.sample(WORDS[label], 3)) for label in labels], labels


TRAIN, TEST = texts(60, 1), texts(30, 2)
ALWAYS = ("tfidf", "fasttext")


def installed(name):
    return not missing_packages(find(name))


@pytest.mark.parametrize("name", [*ALWAYS, "minilm", "model2vec"])
def test_a_rival_learns_the_labels_and_the_seed_decides_its_predictions(name):
    if not installed(name):
        pytest.skip(f"{name} is not installed")
    first, second = (find(name).fit(Training(*TRAIN, seed=3))(TEST[0]) for _ in range(2))
    assert first == second
    assert sum(map(str.__eq__, first, TEST[1])) >= 27


def test_setfit_learns_the_labels():
    pytest.importorskip("setfit")
    from pipeline.benchmark.rivals.setfit import SetFit

    predicted = SetFit(max_steps=10).fit(Training(*TRAIN, seed=3))(TEST[0])
    assert sum(map(str.__eq__, predicted, TEST[1])) >= 27


def test_those_without_further_packages_are_always_there():
    assert set(ALWAYS) <= set(RIVALS.available)
    for name in ALWAYS:
        assert not set(find(name).packages) - {"scikit-learn"}


def test_tfidf_is_the_baseline_where_the_regularisation_cannot_be_selected():
    labels = [*TRAIN[1][:-1], "once"]
    assert TfIdf().fit(Training(TRAIN[0], labels, seed=1))(TEST[0]) == tfidf_chars(TRAIN[0], labels, TEST[0], seed=1)


def test_tfidf_selects_the_regularisation_by_cross_validation():
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline

    from pipeline.baselines.linear import SAGA, tfidf_chars_features

    draw = random.Random(4)  # one label in five is wrong, so that the values of C differ
    labels = [draw.choice(list(WORDS)) if draw.random() < 0.2 else label for label in TRAIN[1]]
    search = GridSearchCV(make_pipeline(tfidf_chars_features(), LogisticRegression(random_state=5, **SAGA)),
                          {"logisticregression__C": TfIdf().values}, scoring="accuracy",
                          cv=StratifiedKFold(TfIdf().folds, shuffle=True, random_state=5)).fit(TRAIN[0], labels)
    best = search.best_params_["logisticregression__C"]
    assert TfIdf()._regularisation(Training(TRAIN[0], labels, seed=5)) == best
    assert TfIdf().fit(Training(TRAIN[0], labels, seed=5))(TEST[0]) == list(search.predict(TEST[0]))


def test_without_the_library_fasttext_is_the_baseline_with_the_same_model(monkeypatch):
    monkeypatch.setattr("pipeline.benchmark.rivals.fasttext.find_spec", lambda name: None)
    assert find("fasttext").fit(Training(*TRAIN, seed=2))(TEST[0]) == hashed_ngrams(*TRAIN, TEST[0], seed=2)


def test_the_library_of_fasttext_gets_one_line_for_each_text():
    pytest.importorskip("fasttext")
    broken = [text.replace(" ", "\n", 1) for text in TRAIN[0]]
    predicted = find("fasttext").fit(Training(broken, TRAIN[1], seed=2))(["", *TEST[0]])
    assert sum(map(str.__eq__, predicted[1:], TEST[1])) >= 27


def grid(support, *rivals, **values):
    return Grid.from_mapping({
        "sources": [f"file:{support / 'vectors.txt'}"], "seeds": 2, "limit_train": [20], "rivals": list(rivals),
        "run": {"data": {"path": str(support)}, "training": {"epochs": 1}, "baselines": ["none"],
                "model": {"d_model": 16, "n_heads": 2, "d_ff": 16, "n_layers": 1}}, **values})


def test_an_unknown_rival_is_an_error_that_lists_the_known_ones(support):
    with pytest.raises(ConfigError, match=r"no rival is called 'tfdif'. Did you mean 'tfidf'.*There are: fasttext"):
        grid(support, "tfdif")


def test_rivals_are_for_labels(support):
    ratings = support.parent / "ratings"
    with pytest.raises(ConfigError, match="the rival tfidf is for classification and not for regression; leave out "
                                          "--rival"):
        make_plan(grid(support, "tfidf", run={"task": "regression", "data": {"path": str(ratings)}}), command="")


def test_missing_rivals_are_named_with_the_command_that_installs_them(support, monkeypatch, caplog):
    known = base._version
    monkeypatch.setattr(base, "_version", lambda package: None if package == "setfit" else known(package))
    plan = make_plan(grid(support, "tfidf", "setfit"), command="")
    assert "rival setfit left out: it needs setfit, which is not installed. Type: pip install 'vecformer[rivals]'" in (
        caplog.text)
    assert plan.to_dict()["missing_rivals"] == [
        {"rival": "setfit", "packages": ["setfit"], "command": "pip install 'vecformer[rivals]'"}]
    assert Counter(run.rival for run in plan.runs) == {"": 4, "tfidf": 2}
    assert [one["name"] for one in plan.to_dict()["rivals"]] == ["rival tfidf"]


def test_all_rivals(support):
    assert grid(support, "all").rival_names == tuple(RIVALS.available)
    assert grid(support, "tfidf", "fasttext", "tfidf").rival_names == ("tfidf", "fasttext")
    assert _grid_options({"rivals": ("tfidf, fasttext", "minilm")})["rivals"] == ["tfidf", "fasttext", "minilm"]


def test_conditions_with_the_same_data_share_the_result_of_a_rival(support):
    plan = make_plan(grid(support, "tfidf", vary={"model.norm": ["pre", "post"]}), command="")
    of_rival = {(run.condition.name, run.seed): run.key for run in plan.runs if run.rival}
    assert len(of_rival) == 4
    assert len(set(of_rival.values())) == 2


def test_settings_and_versions_decide_the_key(support, monkeypatch):
    before = [run.key for run in make_plan(grid(support, "tfidf"), command="").runs]
    monkeypatch.setattr(base, "_version", lambda package: "0.0")
    after = [run.key for run in make_plan(grid(support, "tfidf"), command="").runs]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False] * 2
    assert identity(find("tfidf"))["settings"]["values"] == (1.0, 10.0, 100.0)


class InThisProcess:
    """Executes jobs one after another; those of some rivals fail."""

    def __init__(self, *failing):
        self.failing, self.executed = failing, []

    def run(self, jobs, on_event):
        for job in jobs:
            self.executed.append(job.name)
            on_event(Event(job))
            on_event(Event(job, outcome=attempt(self._fail if job.rival in self.failing else run_job, job, silent)))

    def _fail(self, job, progress):
        raise MemoryError("too much")


@pytest.fixture(scope="module")
def finished(support, tmp_path_factory):
    """A benchmark in which one rival failed at first, and its summary at that time."""
    out = tmp_path_factory.mktemp("rivals") / "out"
    executor = InThisProcess("fasttext")
    first = benchmark(grid(support, "tfidf", "fasttext"), out, executor=executor)
    again = InThisProcess()
    return first, benchmark(grid(support, "tfidf", "fasttext"), out, executor=again), again.executed


def test_a_failed_rival_loses_no_other_result_and_is_repeated(finished):
    first, second, repeated = finished
    assert first.summary["n_runs"] == {"planned": 8, "done": 6, "failed": 2}
    assert {one["error"] for one in first.summary["failures"]} == {"MemoryError: too much"}
    assert repeated == [f"rival fasttext, 20 training examples, seed {seed}" for seed in (1, 2)]
    assert second.summary["n_runs"]["done"] == 8
    cells = {cell["start"]: cell for cell in second.summary["cells"]}
    assert all(cells[name]["n"] == 2 for name in ("rival tfidf", "rival fasttext"))


def test_rivals_have_the_data_and_the_test_examples_of_the_sources(finished):
    folder = BenchmarkFolder(finished[1].path)
    by_seed = {}
    for key, record in folder.read().items():
        lines = folder.predictions_of(key, record)
        assert sum(line["outcome"] for line in lines) / len(lines) == pytest.approx(record["test"]["accuracy"])
        by_seed.setdefault(record["seed"], []).append(
            (record["data"], [(line["where"], line["text"], line["gold"]) for line in lines]))
    assert [len(runs) for runs in by_seed.values()] == [4, 4]
    for runs in by_seed.values():
        assert all(run == runs[0] for run in runs)


def test_rivals_are_in_the_table_and_on_the_page(finished):
    printed = format_result(finished[1])
    page = (finished[1].path / "report.html").read_text(encoding="utf-8")
    for name in ("rival tfidf", "rival fasttext"):
        assert f"\n{name}" in printed
        assert f'<th scope="row">{name}</th>' in page
    assert "[rivals]" not in page  # nothing is missing


# The comparisons, on synthetic scores

SEEDS = list(range(1, 11))
LEVELS = {"random": 0.3, "glove": 0.8, "word2vec": 0.8, "rival tfidf": 0.79, "rival minilm": 0.9}


def plan_of(names, rivals):
    runs = [{"key": f"{name} {seed}", "start": name, "condition": "all training examples", "trial": {}, "seed": seed}
            for seed in SEEDS for name in (*names, *rivals)]
    return {"task": "classification", "data": "news", "counted": "texts", "measure": "accuracy", "is_share": True,
            "smaller_is_better": False, "margin": None, "baseline": "random", "seeds": SEEDS, "tuned": {},
            "starts": [{"name": name, "source": name, "transforms": [], "frozen": False, "control": None,
                        "control_of": None, "settings": []} for name in names],
            "rivals": [{"name": name, "rival": name.removeprefix("rival "), "description": ""} for name in rivals],
            "missing_rivals": [], "target": None, "runs": runs, "command": "",
            "conditions": [{"name": "all training examples", "limit_train": 0, "vary": {}}]}


def records_of(plan):
    draw = random.Random(7)
    return [{**run, "status": "done", "name": run["key"], "config": {}, "test": {"accuracy": draw.gauss(
                LEVELS[run["start"]], 0.01), "n": 500}, "dev": {}, "data": {"sizes": {"train": 100}}, "coverage": {},
             "baselines": {}, "sampling_error": {"accuracy": 0.01}, "training": {}, "curve": {
                 "measure": "", "on": "", "points": []},
             "costs": {stage: {"seconds": 1.0, "peak_memory_mb": 1.0}
                       for stage in ("vectors", "training", "prediction")}}
            for run in plan["runs"]]


SOURCES, THEIRS = ("random", "glove", "word2vec"), ("rival tfidf", "rival minilm")
PLAN = plan_of(SOURCES, THEIRS)
RECORDS = records_of(PLAN)
SUMMARY = summarize(PLAN, RECORDS)


def test_rivals_change_no_verdict_on_the_sources():
    without = summarize(plan_of(SOURCES, ()), [one for one in RECORDS if one["start"] in SOURCES])
    for part in ("comparisons", "ranking", "n_comparisons", "seeds_needed", "steps"):
        assert SUMMARY[part] == without[part]
    assert without["rivals"]["comparisons"] == []


def test_each_source_is_compared_with_each_rival_as_one_family():
    scores = {name: [one["test"]["accuracy"] for one in RECORDS if one["start"] == name] for name in LEVELS}
    pairs = [*((name, "random") for name in THEIRS), *((source, name) for source in ("glove", "word2vec")
                                                       for name in THEIRS)]
    expected = as_family([[a - b for a, b in zip(scores[one], scores[other], strict=True)] for one, other in pairs])
    found = SUMMARY["rivals"]["comparisons"]
    assert [(one["start"], one["reference"]) for one in found] == pairs
    for one, tested in zip(found, expected, strict=True):
        assert (one["verdict"], one["p_holm"], tuple(one["interval"])) == (
            tested.verdict, tested.p_holm, tested.difference.interval)
    assert SUMMARY["rivals"]["n_comparisons"] == 6


def test_the_sentence_names_what_the_best_source_is_compared_with():
    best = SUMMARY["ranking"]["ranks"][0]["start"]
    verdicts = {one["reference"]: one["verdict"] for one in SUMMARY["rivals"]["comparisons"] if one["start"] == best}
    assert verdicts["rival minilm"] == "worse"
    (answer,) = rival_sentences(SUMMARY)
    assert answer["sentence"].startswith(f"{best} ")
    assert "is worse than rival minilm" in answer["sentence"]
    assert answer["sentence"].count("rival tfidf") == 1


def test_the_gain_of_a_rival_is_that_over_the_baseline():
    compared = with_baseline(SUMMARY)
    assert compared["rival minilm", "all training examples"]["difference"] == pytest.approx(0.6, abs=0.02)
    assert {name for name, _ in compared} == set(LEVELS) - {"random"}


def test_costs_and_the_summary_are_json():
    assert json.loads(json.dumps(SUMMARY)) == SUMMARY
    spent = {cell["start"]: cell for cell in costs(PLAN, RECORDS)["cells"]}
    assert spent["rival tfidf"]["tokens_per_second"] is None
