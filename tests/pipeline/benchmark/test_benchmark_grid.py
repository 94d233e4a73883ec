"""A benchmark's grid and its plan: what is run, under which key."""

import re

import pytest

from pipeline.benchmark.grid import Grid, read_grid
from pipeline.benchmark.plan import make_plan
from pipeline.cli.benchmark import _grid_options
from pipeline.errors import ConfigError

TINY = {"data": {"path": "data/support"}, "model": {"d_model": 16, "n_heads": 2, "d_ff": 16, "n_layers": 1},
        "training": {"epochs": 1}}


def grid(**values):
    sources = ["random", "file:data/support/vectors.txt"]
    return Grid.from_mapping({"sources": sources, "seeds": 2, "run": TINY, **values})


def test_without_anything_it_is_the_default_on_bbc():
    made = read_grid(None, {})
    assert [start.name for start in made.starts] == ["random", "word2vec", "fasttext", "glove"]
    assert [condition.limit_train for condition in made.conditions] == [20, 50]
    assert (made.seeds, made.run["data"]["path"]) == (10, "bbc")


def test_with_data_of_ones_own_all_examples_are_trained_on():
    made = read_grid(None, {"run": {"data.path": "data/support"}})
    assert [condition.limit_train for condition in made.conditions] == [0]
    assert made.run == {"data": {"path": "data/support"}}


def test_starts_are_every_combination_and_the_baseline_comes_first():
    made = grid(sources=["glove"], transforms=["none", "center+unit"], freeze=[False, True])
    assert [start.name for start in made.starts] == [
        "random", "random | frozen", "random | center | unit", "random | center | unit | frozen",
        "glove", "glove | frozen", "glove | center | unit", "glove | center | unit | frozen"]


def test_a_source_may_bring_transforms_of_its_own():
    made = grid(sources=["glove", "glove | standardize,to=xavier | frozen"], freeze=[False])
    assert [(start.source, start.transforms, start.frozen) for start in made.starts] == [
        ("random", (), False), ("glove", (), False), ("glove", ("standardize,to=xavier",), True)]
    assert made.starts[2].name == "glove | standardize,to=xavier | frozen"


def test_a_source_may_bring_keys_of_its_own():
    reference = "random | center | frozen | training.precision=float32"
    made = grid(sources=["random"], baseline=reference)
    assert [start.name for start in made.starts] == [reference, "random"]
    assert (made.starts[0].transforms, made.starts[0].frozen) == (("center",), True)
    theirs, ours = (run.config.training.precision for run in make_plan(made, command="").runs[:2])
    assert (theirs, ours) == ("float32", "auto")


@pytest.mark.parametrize(("source", "values", "message"), [
    ("random | training.precison=float32", {}, "Did you mean 'training.precision'"),
    ("random | embedding.freeze=true", {}, "chosen by freeze of the grid"),
    ("random | training.lr=0.1", {"tune": {"training.lr": [0.1, 0.2]}}, "training.lr is in tune or vary"),
    ("random | training.lr=0.1", {"vary": {"training.lr": [0.1, 0.2]}}, "training.lr is in tune or vary"),
])
def test_keys_of_a_source_must_be_free_ones(source, values, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        grid(sources=[source], **values)


def test_controls_match_each_source_frozen_and_trained():
    made = grid(sources=["glove+word2vec,dim=50"], controls=True)
    controls = [start for start in made.starts if start.control]
    assert {(start.control, start.frozen) for start in controls} == {
        (kind, frozen) for kind in ("matched", "covariance", "shuffled") for frozen in (False, True)}
    assert controls[0].source == "random,init=matched:(glove+word2vec,dim=50)"
    assert {start.control_of for start in controls} == {"glove+word2vec,dim=50"}


def test_a_grid_reads_what_it_wrote(tmp_path):
    made = grid(limit_train=[50, "all"], tune={"training.lr": [1e-3, 3e-3]}, vary={"model.norm": ["pre", "post"]},
                freeze=[True, False], target=0.5)
    path = tmp_path / "grid.toml"
    path.write_text(made.to_toml())
    assert read_grid(path, {}) == made


def test_nested_tables_of_a_file_are_keys_too():
    assert grid(vary={"model": {"norm": ["pre", "post"]}}).vary == {"model.norm": ("pre", "post")}


def test_options_beat_the_file(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text('seeds = 3\nsources = ["glove"]\n[run.data]\npath = "a"\nmax_length = 9\n')
    made = read_grid(path, {"seeds": 4, "run": {"data.path": "b"}})
    assert (made.seeds, made.sources, made.run["data"]) == (4, ("glove",), {"path": "b", "max_length": 9})


@pytest.mark.parametrize(
    ("values", "told"),
    [({"source": ["glove"]}, "Did you mean 'sources'?"), ({"sources": ["glov"]}, "glove"), ({"seeds": 0}, "seeds"),
     ({"transforms": ["standardise"]}, "standardize"), ({"limit_train": [0]}, "limit_train"),
     ({"tune": {"training.rl": [1]}}, "training.lr"), ({"vary": {"seed": [1, 2]}}, "seeds"),
     ({"tune": {"training.lr": [1]}, "vary": {"training.lr": [1]}}, "both"), ({"sources": []}, "needs a source"),
     ({"run": {"model": {"d_modl": 3}}}, "model.d_model"), ({"freeze": []}, "freeze is empty")],
)
def test_a_wrong_grid_is_told_what_is_wrong(values, told):
    with pytest.raises((ConfigError, ValueError), match=re.escape(told)):
        grid(**values)


def test_options_of_the_command_line():
    made = read_grid(None, _grid_options({
        "data": "data/support", "sources": ("glove",), "freeze": "yes,no", "limit_train": "50,all", "seeds": 3,
        "tune": ("lr=1e-3,3e-3",), "vary": ("model.norm=pre,post",), "assignments": ("model.d_model=32",)}))
    assert (made.freeze, made.limit_train, made.seeds) == ((True, False), (50, "all"), 3)
    assert (made.tune, made.vary) == ({"training.lr": (1e-3, 3e-3)}, {"model.norm": ("pre", "post")})
    assert made.run == {"data": {"path": "data/support"}, "model": {"d_model": 32}}


def test_each_run_has_a_key_of_its_own_that_stays():
    made = make_plan(grid(limit_train=[20, "all"], freeze=[False, True]), command="")
    assert len(made.runs) == len({run.key for run in made.runs}) == 2 * 2 * 2 * 2
    again = make_plan(grid(limit_train=[20, "all"], freeze=[False, True]), command="")
    assert [run.key for run in again.runs] == [run.key for run in made.runs]


def test_a_key_changes_with_the_contents_of_data_and_of_vectors(tmp_path):
    vectors, data = tmp_path / "vectors.txt", tmp_path / "data.tsv"
    vectors.write_text("good 1 2\nbad 2 1\n")
    rows = [f"good {i}\tyes\nbad {i}\tno\n" for i in range(40)]
    data.write_text("text\tlabel\n" + "".join(rows))

    def keys():
        made = make_plan(grid(sources=[f"random,init=matched:file:{vectors}"], seeds=1,
                              run={**TINY, "data": {"path": str(data)}}), command="")
        return {run.start.name: run.key for run in made.runs}

    first = keys()
    vectors.write_text("good 1 2\nbad 2 3\n")
    second = keys()
    assert first["random"] == second["random"]
    assert len({*first.values(), *second.values()}) == 3
    data.write_text("text\tlabel\n" + "".join(rows).replace("good 1\t", "great 1\t"))
    assert not set(keys().values()) & {*first.values(), *second.values()}


def test_tuning_needs_a_dev_set(tmp_path):
    data = tmp_path / "data.tsv"
    data.write_text("text\tlabel\n" + "".join(f"good {i}\tyes\nbad {i}\tno\n" for i in range(40)))
    with pytest.raises(ConfigError, match=r"no dev set to choose training\.lr by"):
        make_plan(grid(tune={"training.lr": [1e-3, 1e-2]}, run={**TINY, "data": {"path": str(data)}}), command="")
