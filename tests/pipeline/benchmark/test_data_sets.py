"""A benchmark on several data sets: its folder, the results over all of them, refusals."""

import json
from statistics import fmean

import pytest
from click.testing import CliRunner

from pipeline.benchmark.analysis.over_data_sets import summarize_data_sets
from pipeline.benchmark.analysis.random_effects import TOO_FEW_DATA
from pipeline.benchmark.analysis.statistics import BETTER, NO_DIFFERENCE, as_family
from pipeline.benchmark.analysis.summary import summarize
from pipeline.benchmark.driver import benchmark
from pipeline.benchmark.grid import Grid, read_grid
from pipeline.benchmark.store import BenchmarkFolder
from pipeline.cli.benchmark_tables import format_result
from pipeline.cli.main import cli
from pipeline.errors import ConfigError, DataError, RunFolderError
from tests.pipeline.benchmark.test_benchmark_summary import make_plan, make_records, start
from tests.pipeline.benchmark.test_until_settled import Simulated

NAMES = ("news", "films", "shops")
CONDITION = "12 training examples"


@pytest.fixture
def paths(support, tmp_path):
    """Three data sets with the same texts."""
    (tmp_path / "data").mkdir()
    for name in NAMES:
        (tmp_path / "data" / f"{name}.tsv").write_bytes((support / "train.tsv").read_bytes())
    return [str(tmp_path / "data" / f"{name}.tsv") for name in NAMES]


@pytest.fixture
def levels(support):
    vectors = f"file:{support / 'vectors.txt'}"
    return {"random": 0.3, vectors: 0.8, f"{vectors} | standardize": 0.5}


def grid(paths, levels, **values):
    return Grid.from_mapping({"sources": list(levels)[1:], "limit_train": [12], "seeds": 8, "data": paths, **values})


def test_each_data_set_has_a_benchmark_of_its_own(paths, levels, tmp_path):
    executor = Simulated(levels)
    found = benchmark(grid(paths, levels), tmp_path / "out", executor=executor)
    assert len(executor.ran) == 3 * 3 * 8
    assert found.summary["n_runs"] == {"planned": 72, "done": 72, "failed": 0}
    assert found.summary["data_sets"] == list(NAMES) == list(found.data_sets)
    for name in NAMES:
        folder = BenchmarkFolder(tmp_path / "out" / "datasets" / name)
        assert json.loads(folder.summary.read_text(encoding="utf-8"))["data"] == name
        assert folder.report.exists()
    best, other = list(levels)[1:]
    mean = f"{fmean(cell['mean'] for cell in found.summary['cells'] if cell['start'] == best):.1%}"
    assert found.summary["sentences"] == [{"condition": CONDITION, "sentence": (
        f"Over 3 data sets, {best} has the best mean of 2 sources ({mean}, mean rank 1.0): it is better than {other} "
        "and random.")}]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert all(f'href="datasets/{name}/report.html"' in page for name in NAMES)
    assert "Over 3 data sets" in page
    assert page.count("<svg") == 1
    printed = format_result(found)
    assert printed.count("films, accuracy, 8 seeds") == 1
    assert "over 3 data sets, accuracy" in printed
    assert str(tmp_path / "out" / "report.html") in printed


def test_continuing_executes_nothing_twice(paths, levels, tmp_path):
    made = grid(paths, levels)
    with pytest.raises(KeyboardInterrupt, match="the same command continues"):
        benchmark(made, tmp_path / "out", executor=Simulated(levels, interrupted_after=30))
    rest = Simulated(levels)
    again = benchmark(made, tmp_path / "out", executor=rest)
    assert len(rest.ran) == 72 - 30
    once = benchmark(made, tmp_path / "once", executor=Simulated(levels))
    assert (again.path / "summary.json").read_bytes() == (once.path / "summary.json").read_bytes()
    more = Simulated(levels)
    assert len(benchmark(grid(paths, levels, seeds=9), tmp_path / "out", executor=more).summary["seeds"]) == 9
    assert len(more.ran) == 3 * 3
    assert read_grid(tmp_path / "out" / "grid.toml", {}) == grid(paths, levels, seeds=9)


def made_summaries(levels, names=NAMES, **differing):
    """A summary for each data set, whose scores vary around levels plus an effect of the data set."""
    found = {}
    for number, name in enumerate(names):
        plan = make_plan(tuple(map(start, levels)), sizes={CONDITION: 12}, seeds=range(1, 9), **differing)
        shifted = {source: level + 0.01 * number * (source != "random") for source, level in levels.items()}
        found[name] = summarize(plan, make_records(plan, shifted))
    return found


def test_comparisons_and_ranks_over_data_sets():
    summaries = made_summaries({"random": 0.3, "glove": 0.8, "word2vec": 0.5, "fasttext": 0.5})
    found = summarize_data_sets(summaries)
    assert [one["verdict"] for one in found["comparisons"]] == [BETTER] * 3
    glove = found["comparisons"][0]
    each = {name: fmean(one["comparisons"][0]["differences"]) for name, one in summaries.items()}
    assert glove["by_data_set"] == pytest.approx(each)
    assert (glove["n"], glove["difference"]) == (3, pytest.approx(fmean(each.values())))
    best = found["ranking"]["ranks"][0]
    assert (best["start"], best["first"], best["last"]) == ("glove", 1, 1)
    assert {(one["first"], one["last"]) for one in found["ranking"]["ranks"][1:]} == {(2, 3)}
    ranks = {cell["start"]: cell["mean_rank"] for cell in found["cells"]}
    assert (ranks["glove"], ranks["random"], sum(ranks.values())) == (1, 4, 10)
    assert found["sentences"][0]["sentence"].startswith("Over 3 data sets, glove has the best mean of 3 sources (")


def test_two_data_sets_have_no_verdict():
    found = summarize_data_sets(made_summaries({"random": 0.3, "glove": 0.8}, NAMES[:2]))
    assert found["comparisons"][0]["verdict"] == TOO_FEW_DATA
    assert found["sentences"][0]["sentence"].endswith("2 data sets are too few for verdicts over data sets; at least 3 "
                                                      "are needed.")


def test_a_difference_on_one_of_several_data_sets_is_not_shown_over_them():
    summaries = made_summaries({"random": 0.5, "glove": 0.5})
    summaries["news"] = made_summaries({"random": 0.3, "glove": 0.8}, ["news"])["news"]
    assert as_family([summaries["news"]["comparisons"][0]["differences"]])[0].verdict == BETTER
    (one,) = summarize_data_sets(summaries)["comparisons"]
    assert one["verdict"] == NO_DIFFERENCE
    assert one["spread"] > 0.1


@pytest.mark.parametrize(("key", "value"), [("task", "regression"), ("measure", "macro_f1")])
def test_other_tasks_and_measures_are_refused(key, value):
    summaries = made_summaries({"random": 0.3, "glove": 0.8})
    summaries["films"] = {**summaries["films"], key: value}
    with pytest.raises(ConfigError, match=f"news and films differ in their {key}: .*{value}"):
        summarize_data_sets(summaries)


def test_refusals_before_the_first_run(paths, levels, support, tmp_path):
    executor = Simulated(levels)
    with pytest.raises(DataError, match="none"):
        benchmark(grid([*paths, str(tmp_path / "none.tsv")], levels), tmp_path / "out", executor=executor)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "news.tsv").write_bytes((support / "train.tsv").read_bytes())
    with pytest.raises(ConfigError, match="two data sets have the name news"):
        benchmark(grid([*paths, str(tmp_path / "other" / "news.tsv")], levels), tmp_path / "out", executor=executor)
    assert not executor.ran
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="fewer than two different"):
        grid([paths[0], paths[0]], levels)
    with pytest.raises(ConfigError, match="must be a list of several data sets"):
        grid(paths[0], levels)
    with pytest.raises(ConfigError, match="cannot be combined"):
        grid(paths, levels, run={"data": {"path": paths[0]}})


def test_one_and_several_data_sets_have_different_folders(paths, levels, tmp_path):
    one = grid([], levels, run={"data": {"path": paths[0]}}, seeds=1)
    benchmark(one, tmp_path / "one", executor=Simulated(levels))
    with pytest.raises(RunFolderError, match="contains a benchmark on one data set"):
        benchmark(grid(paths, levels, seeds=1), tmp_path / "one", executor=Simulated(levels))
    benchmark(grid(paths, levels, seeds=1), tmp_path / "several", executor=Simulated(levels))
    with pytest.raises(RunFolderError, match="contains a benchmark on several data sets"):
        benchmark(one, tmp_path / "several", executor=Simulated(levels))


def test_options_replace_the_data_of_a_file(paths, tmp_path):
    file = tmp_path / "several.toml"
    file.write_text(f"data = {json.dumps(paths[:2])}\n", encoding="utf-8")
    assert read_grid(file, {}).data == tuple(paths[:2])
    assert read_grid(file, {"data": paths[1:]}).data == tuple(paths[1:])
    single = read_grid(file, {"run": {"data.path": paths[2]}})
    assert (single.data, single.run["data"]["path"]) == ((), paths[2])
    file.write_text(f"[run.data]\npath = {json.dumps(paths[0])}\nmax_length = 64\n", encoding="utf-8")
    several = read_grid(file, {"data": paths[1:]})
    assert (several.data, several.run["data"]) == (tuple(paths[1:]), {"max_length": 64})


def test_the_command_names_each_data_set(paths, levels, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.benchmark.execution.local.LocalExecutor", lambda n_jobs: Simulated(levels))
    done = CliRunner().invoke(cli, ["benchmark", "--data", paths[0], "--data", paths[1], "--source", list(levels)[1],
                                    "--limit-train", "12", "--seeds", "2", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "2 data sets are too few for verdicts" in done.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["data_sets"] == list(NAMES[:2])
    assert summary["command"].startswith(f"vecformer benchmark --data {paths[0]} --data {paths[1]} --source ")


def test_a_grid_of_the_user_beside_a_folder_of_data_is_kept(paths, levels, tmp_path):
    """The folder ``datasets`` may be the user's; only results in it are those of a benchmark."""
    (tmp_path / "mine" / "datasets" / "news").mkdir(parents=True)
    own = 'sources = ["glove"]  # mine\n'
    (tmp_path / "mine" / "grid.toml").write_text(own)
    with pytest.raises(RunFolderError, match="another grid, of which this folder has no results"):
        benchmark(grid(paths, levels), tmp_path / "mine", executor=Simulated(levels))
    assert (tmp_path / "mine" / "grid.toml").read_text() == own
