"""A benchmark until its comparisons are settled: which runs are executed, continuing, refusals."""

import random

import pytest
from click.testing import CliRunner

from pipeline.benchmark.driver import benchmark
from pipeline.benchmark.execution.jobs import Event, Outcome
from pipeline.benchmark.grid import Grid
from pipeline.cli.benchmark import format_result
from pipeline.cli.main import cli
from pipeline.errors import ConfigError
from tests.pipeline.benchmark.test_benchmark_summary import make_plan, make_records, start

TEMPLATE = make_records(make_plan([start("random")], sizes={"24 training examples": 24}, seeds=[1]))[0]


class Simulated:
    """Executor whose runs have scores around a level by source.

    Args:
        levels: mean score by the source's name.
        fails: names of runs that fail.
        interrupted_after: number of runs until KeyboardInterrupt.
    """

    def __init__(self, levels, *, spread=0.01, fails=(), interrupted_after=None):
        self.levels, self.spread, self.fails, self.left = levels, spread, fails, interrupted_after
        self.ran = []

    def run(self, jobs, on_event):
        for job in jobs:
            if self.left is not None and len(self.ran) >= self.left:
                raise KeyboardInterrupt
            self.ran.append(job.name)
            on_event(Event(job))
            source = job.name.split(",")[0]
            noise = random.Random(job.key)
            score = self.levels[source] + noise.gauss(0, self.spread)
            record = {key: TEMPLATE[key] for key in TEMPLATE if key not in ("key", "status", "name", "start", "trial",
                                                                            "condition", "seed")}
            outcome = (Outcome(error="no memory") if job.name in self.fails else
                       Outcome({**record, "test": {"accuracy": score, "n": 24}, "dev": {"accuracy": score}}))
            on_event(Event(job, outcome=outcome))


@pytest.fixture
def sources(support):
    vectors = f"file:{support / 'vectors.txt'}"
    return {"random": 0.3, f"{vectors} | standardize": 0.8, vectors: 0.8}


def grid(support, sources, **values):
    return Grid.from_mapping({"sources": list(sources)[1:] or ["random"], "limit_train": [24], "until_settled": True,
                              "max_seeds": 20, "run": {"data": {"path": str(support)}}, **values})


def test_only_unsettled_comparisons_get_more_seeds(support, sources, tmp_path):
    executor = Simulated(sources, spread=0.05)
    found = benchmark(grid(support, sources), tmp_path / "out", executor=executor)
    n_runs = {cell["start"]: cell["n"] for cell in found.summary["cells"]}
    assert list(n_runs.values()) == [10, 20, 20]  # the baseline is not needed for the pair of sources
    assert len(executor.ran) == len(set(executor.ran)) == found.summary["n_runs"]["planned"] == 50
    printed = format_result(found)
    assert printed.count("after 10 seeds") == 3  # two comparisons, and the sentence
    assert "2 of 3 comparisons are settled" in printed
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "not with 20 seeds" in page
    assert "Not settled with 20 seeds" in page


def test_continuing_gives_the_same_summary(support, sources, tmp_path):
    made = grid(support, sources)
    once = benchmark(made, tmp_path / "once", executor=Simulated(sources, spread=0.05))
    with pytest.raises(KeyboardInterrupt, match="the same command continues"):
        benchmark(made, tmp_path / "again", executor=Simulated(sources, spread=0.05, interrupted_after=37))
    rest = Simulated(sources, spread=0.05)
    again = benchmark(made, tmp_path / "again", executor=rest)
    assert len(rest.ran) == 50 - 37
    assert (again.path / "summary.json").read_bytes() == (once.path / "summary.json").read_bytes()
    idle = Simulated(sources)
    benchmark(made, tmp_path / "again", executor=idle)
    assert not idle.ran


def test_a_larger_budget_continues(support, sources, tmp_path):
    benchmark(grid(support, sources, max_seeds=12), tmp_path / "out", executor=Simulated(sources, spread=0.05))
    more = Simulated(sources, spread=0.05)
    found = benchmark(grid(support, sources), tmp_path / "out", executor=more)
    assert len(more.ran) == 20
    assert [one["n_seeds"] for one in found.summary["comparisons"]] == [10, 10]


def test_with_a_margin_no_seed_is_added_to_what_is_equal(support, sources, tmp_path):
    executor = Simulated(sources)
    found = benchmark(grid(support, sources, margin=5), tmp_path / "out", executor=executor)
    assert len(executor.ran) == 30
    assert "3 of 3 comparisons are settled, after 8 to 10 seeds." in format_result(found)
    assert found.summary["ranking"]["pairs"][0]["verdict"] == "practically equal"


def test_no_seeds_are_added_after_a_failure(support, sources, tmp_path):
    made = grid(support, sources)
    executor = Simulated(sources, spread=0.05, fails=["random, 24 training examples, seed 3"])
    found = benchmark(made, tmp_path / "out", executor=executor)
    assert found.summary["n_runs"] == {"planned": 24, "done": 23, "failed": 1}
    rest = Simulated(sources, spread=0.05)
    assert benchmark(made, tmp_path / "out", executor=rest).summary["n_runs"]["failed"] == 0
    assert rest.ran[0] == "random, 24 training examples, seed 3"
    assert len(rest.ran) == 50 - 23


def test_refusals(support, sources, tmp_path):
    with pytest.raises(ConfigError, match="is too small: the first look at the comparisons is with 8 seeds"):
        benchmark(grid(support, sources, max_seeds=7), tmp_path / "out", executor=Simulated(sources))
    with pytest.raises(ConfigError, match="no comparisons to settle"):
        benchmark(grid(support, {}), tmp_path / "out", executor=Simulated(sources))
    assert not (tmp_path / "out").exists()
    found = CliRunner().invoke(cli, ["benchmark", "--seeds", "8", "--until-settled"])
    assert found.exit_code == 2
    assert "--max-seeds limits its seeds" in found.output
    found = CliRunner().invoke(cli, ["benchmark", "--max-seeds", "8"])
    assert found.exit_code == 2
    assert "--max-seeds needs --until-settled" in found.output
