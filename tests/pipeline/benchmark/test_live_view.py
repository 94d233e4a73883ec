"""What is shown of a benchmark under way, on a recording console with a clock of the test's own."""

import io
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from pipeline.benchmark.execution.jobs import Event, Job, Outcome
from pipeline.benchmark.execution.live_view import Standing, _view, spoken, watch


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def planned(n_seeds=4, starts=("random", "glove"), conditions=("20 texts", "50 texts"), smaller=False):
    runs = [{"key": f"{start}/{condition}/{seed}", "start": start, "condition": condition, "seed": seed}
            for seed in range(1, n_seeds + 1) for condition in conditions for start in starts]
    return {"measure": "accuracy", "smaller_is_better": smaller, "runs": runs}


def job(key):
    start, condition, seed = key.split("/")
    return Job(key, f"{start}, {condition}, seed {seed}", None, None)


def scored(value):
    return Outcome({"test": {"accuracy": value}})


def made(told, clock, key, seconds, outcome):
    told(Event(job(key)))
    clock.now += seconds
    told(Event(job(key), outcome=outcome))


def console(width=100, terminal=False):
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, legacy_windows=False)


def drawn(standing, width=100):
    shown = console(width)
    shown.print(_view(standing))
    return shown.file.getvalue()


def test_without_a_terminal_a_line_for_each_run_that_ended():
    clock, shown = Clock(), console(width=20)
    earlier = {"random/20 texts/1": {"status": "done", "test": {"accuracy": 0.3}},
               "glove/20 texts/1": {"status": "failed", "error": "x"}, "of another grid": {"status": "done"}}
    with watch(planned(), earlier, console=shown, clock=clock) as told:
        made(told, clock, "glove/20 texts/1", 13, scored(0.87594))
        made(told, clock, "random/50 texts/1", 13, Outcome(error="no space [left]: free some"))
        made(told, clock, "glove/50 texts/1", 47, scored(0.9))
    assert shown.file.getvalue().splitlines() == [
        "2/16  glove, 20 texts, seed 1: 0.8759 in 13 s; about 3 min left",
        "3/16  random, 50 texts, seed 1: failed: no space [left]: free some; about 3 min left",
        "4/16  glove, 50 texts, seed 1: 0.9 in 47 s; about 6 min left",
    ]


def test_quiet_shows_nothing():
    shown = console(terminal=True)
    with watch(planned(), {}, quiet=True, console=shown) as told:
        made(told, Clock(), "glove/20 texts/1", 1, Outcome(error="bad"))
    assert shown.file.getvalue() == ""


def test_time_left_is_by_runs_of_the_same_kind_and_counts_what_has_passed():
    clock = Clock()
    standing = Standing(planned(n_seeds=2), {}, clock)
    assert standing.seconds_left() is None
    made(standing.hear, clock, "random/20 texts/1", 10, scored(0.2))
    assert standing.seconds_left() == 7 * 10
    made(standing.hear, clock, "glove/20 texts/1", 30, scored(0.8))
    assert standing.seconds_left() == 10 + 30 + 4 * 20  # one of each kind is left, and four of kinds not seen
    standing.hear(Event(job("random/20 texts/2")))
    standing.hear(Event(job("glove/20 texts/2")))
    assert standing.seconds_left() == (10 + 30 + 4 * 20) / 2  # two at a time
    clock.now += 15
    assert standing.seconds_left() == (0 + 15 + 4 * 20) / 2


def test_the_best_start_of_each_condition_by_its_mean():
    earlier = {"random/20 texts/1": {"status": "done", "test": {"accuracy": 0.9}},
               "random/20 texts/2": {"status": "done", "test": {"accuracy": 0.1}},
               "glove/20 texts/1": {"status": "done", "test": {"accuracy": 0.6}}}
    for smaller, best in ((False, ("glove", 0.6, 1)), (True, ("random", 0.5, 2))):
        standing = Standing(planned(smaller=smaller), earlier, Clock())
        assert standing.best() == [("20 texts", *best)]
        made(standing.hear, Clock(), "glove/50 texts/1", 0, scored(0.7))
        assert standing.best() == [("20 texts", *best), ("50 texts", "glove", 0.7, 1)]
    assert f"{best[0]}  0.5 (mean of 2)" in drawn(standing)


def test_the_view_says_what_runs_and_what_is_left():
    clock = Clock()
    standing = Standing(planned(), {}, clock)
    assert drawn(standing).split("\n")[0].rstrip() == "0 of 16 runs done, 16 left"
    made(standing.hear, clock, "glove/50 texts/1", 120, scored(0.75))
    made(standing.hear, clock, "glove/50 texts/2", 5, Outcome(error="bad"))
    standing.hear(Event(job("random/20 texts/3")))
    standing.hear(Event(job("random/20 texts/3"), "training", 0.43))
    standing.hear(Event(job("glove/20 texts/3")))
    text = drawn(standing)
    assert "1 of 16 runs done, 1 failed, 14 left; about 14 min left" in text
    assert [" ".join(line.replace("━", "").split()) for line in text.splitlines()[1:3]] == [
        "random, 20 texts, seed 3 training ╸ 43%", "glove, 20 texts, seed 3 0%"]


def test_on_a_terminal_only_failures_stay(monkeypatch):
    clock, shown = Clock(), console(terminal=True)
    with watch(planned(n_seeds=1), {}, console=shown, clock=clock) as told:
        made(told, clock, "random/20 texts/1", 5, scored(0.5))
        made(told, clock, "glove/20 texts/1", 5, Outcome(error="bad"))
    text = shown.file.getvalue()
    assert "2/4  glove, 20 texts, seed 1: failed: bad" in text
    assert "seed 1: 0.5 in" not in text
    assert "runs done" in text


@given(width=st.integers(2, 220), names=st.lists(st.text(max_size=60), min_size=1, max_size=4, unique=True),
       share=st.floats(0, 1))
def test_no_width_and_no_name_breaks_the_view(width, names, share):
    runs = [{"key": str(i), "start": name, "condition": name, "seed": 1} for i, name in enumerate(names)]
    standing = Standing({"measure": "accuracy", "smaller_is_better": False, "runs": runs}, {}, Clock())
    for i, name in enumerate(names):
        standing.hear(Event(Job(str(i), name, None, None), name, share))
    standing.hear(Event(Job("0", names[0], None, None), outcome=scored(0.5)))
    assert all(cell_len(line) <= width for line in drawn(standing, width).split("\n"))


def test_the_view_may_be_drawn_while_it_is_told():
    standing, ended, wrong = Standing(planned(n_seeds=300), {}, Clock()), threading.Event(), []

    def draw():
        while not ended.is_set():
            try:
                drawn(standing)
            except Exception as error:
                wrong.append(error)

    drawing = threading.Thread(target=draw)
    drawing.start()
    for run in planned(n_seeds=300)["runs"]:
        made(standing.hear, Clock(), run["key"], 0, scored(0.5))
    ended.set()
    drawing.join()
    assert wrong == []
    assert standing.n_done == 1200


@pytest.mark.parametrize(("seconds", "said"), [
    (0, "0 s"), (13.4, "13 s"), (59.4, "59 s"), (59.6, "1 min"), (540, "9 min"), (3569, "59 min"), (3600, "1 h 00 min"),
    (7500, "2 h 05 min"),
])
def test_times_are_spoken(seconds, said):
    assert spoken(seconds) == said
