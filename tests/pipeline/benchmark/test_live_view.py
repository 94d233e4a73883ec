"""Live view of a benchmark, on a recording console with a simulated clock."""

import io
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from pipeline.benchmark.execution.jobs import Event, Job, Outcome
from pipeline.benchmark.execution.live_view import BenchmarkProgress, format_duration, live_view, render


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def planned(n_seeds=4, starts=("random", "glove"), conditions=("20 texts", "50 texts"), smaller=False):
    runs = [{"key": f"{start}/{condition}/{seed}", "start": start, "condition": condition, "seed": seed}
            for seed in range(1, n_seeds + 1) for condition in conditions for start in starts]
    return {"measure": "accuracy", "smaller_is_better": smaller, "runs": runs,
            "conditions": [{"name": condition} for condition in conditions]}


def job(key):
    start, condition, seed = key.split("/")
    return Job(key, f"{start}, {condition}, seed {seed}", None, None)


def scored(value):
    return Outcome({"test": {"accuracy": value}})


def run(on_event, clock, key, seconds, outcome):
    on_event(Event(job(key)))
    clock.now += seconds
    on_event(Event(job(key), outcome=outcome))


def console(width=100, terminal=False):
    return Console(file=io.StringIO(), width=width, force_terminal=terminal, legacy_windows=False)


def drawn(progress, width=100):
    shown = console(width)
    shown.print(render(progress))
    return shown.file.getvalue()


def test_without_a_terminal_each_finished_run_is_a_line():
    clock, shown = Clock(), console(width=20)
    earlier = {"random/20 texts/1": {"status": "done", "test": {"accuracy": 0.3}},
               "glove/20 texts/1": {"status": "failed", "error": "x"}, "of another grid": {"status": "done"}}
    with live_view(planned(), earlier, console=shown, clock=clock) as on_event:
        run(on_event, clock, "glove/20 texts/1", 13, scored(0.87594))
        run(on_event, clock, "random/50 texts/1", 13, Outcome(error="no space [left]: free some"))
        run(on_event, clock, "glove/50 texts/1", 47, scored(0.9))
    assert shown.file.getvalue().splitlines() == [
        "2/16  glove, 20 texts, seed 1: 0.8759 in 13 s; about 3 min left",
        "3/16  random, 50 texts, seed 1: failed: no space [left]: free some; about 3 min left",
        "4/16  glove, 50 texts, seed 1: 0.9 in 47 s; about 6 min left",
    ]


def test_quiet_shows_nothing():
    shown = console(terminal=True)
    with live_view(planned(), {}, quiet=True, console=shown) as on_event:
        run(on_event, Clock(), "glove/20 texts/1", 1, Outcome(error="bad"))
    assert shown.file.getvalue() == ""


def test_time_left_is_estimated_by_cell_and_subtracts_elapsed_time():
    clock = Clock()
    progress = BenchmarkProgress(planned(n_seeds=2), {}, clock)
    assert progress.seconds_left() is None
    run(progress.update, clock, "random/20 texts/1", 10, scored(0.2))
    assert progress.seconds_left() == 7 * 10
    run(progress.update, clock, "glove/20 texts/1", 30, scored(0.8))
    assert progress.seconds_left() == 10 + 30 + 4 * 20  # one run of each of these cells, four of other cells
    progress.update(Event(job("random/20 texts/2")))
    progress.update(Event(job("glove/20 texts/2")))
    assert progress.seconds_left() == (10 + 30 + 4 * 20) / 2  # two at a time
    clock.now += 15
    assert progress.seconds_left() == (0 + 15 + 4 * 20) / 2


def test_best_initialisation_of_each_condition_by_mean():
    earlier = {"random/20 texts/1": {"status": "done", "test": {"accuracy": 0.9}},
               "random/20 texts/2": {"status": "done", "test": {"accuracy": 0.1}},
               "glove/20 texts/1": {"status": "done", "test": {"accuracy": 0.6}}}
    for smaller, best in ((False, ("glove", 0.6, 1)), (True, ("random", 0.5, 2))):
        progress = BenchmarkProgress(planned(smaller=smaller), earlier, Clock())
        assert progress.best() == [("20 texts", *best)]
        run(progress.update, Clock(), "glove/50 texts/1", 0, scored(0.7))
        assert progress.best() == [("20 texts", *best), ("50 texts", "glove", 0.7, 1)]
    assert f"{best[0]}  0.5 (mean of 2)" in drawn(progress)


def test_the_view_lists_running_jobs_and_counts():
    clock = Clock()
    progress = BenchmarkProgress(planned(), {}, clock)
    assert drawn(progress).split("\n")[0].rstrip() == "0 of 16 runs done, 16 left"
    run(progress.update, clock, "glove/50 texts/1", 120, scored(0.75))
    run(progress.update, clock, "glove/50 texts/2", 5, Outcome(error="bad"))
    progress.update(Event(job("random/20 texts/3")))
    progress.update(Event(job("random/20 texts/3"), "training", 0.43))
    progress.update(Event(job("glove/20 texts/3")))
    text = drawn(progress)
    assert "1 of 16 runs done, 1 failed, 14 left; about 14 min left" in text
    assert [" ".join(line.replace("━", "").split()) for line in text.splitlines()[1:3]] == [
        "random, 20 texts, seed 3 training ╸ 43%", "glove, 20 texts, seed 3 0%"]


def test_on_a_terminal_only_failures_are_printed_permanently(monkeypatch):
    clock, shown = Clock(), console(terminal=True)
    with live_view(planned(n_seeds=1), {}, console=shown, clock=clock) as on_event:
        run(on_event, clock, "random/20 texts/1", 5, scored(0.5))
        run(on_event, clock, "glove/20 texts/1", 5, Outcome(error="bad"))
    text = shown.file.getvalue()
    assert "2/4  glove, 20 texts, seed 1: failed: bad" in text
    assert "seed 1: 0.5 in" not in text
    assert "runs done" in text


@given(width=st.integers(2, 220), names=st.lists(st.text(max_size=60), min_size=1, max_size=4, unique=True),
       share=st.floats(0, 1))
def test_the_view_fits_any_width_and_name(width, names, share):
    runs = [{"key": str(i), "start": name, "condition": name, "seed": 1} for i, name in enumerate(names)]
    plan = {"measure": "accuracy", "smaller_is_better": False, "runs": runs,
            "conditions": [{"name": name} for name in names]}
    progress = BenchmarkProgress(plan, {}, Clock())
    for i, name in enumerate(names):
        progress.update(Event(Job(str(i), name, None, None), name, share))
    progress.update(Event(Job("0", names[0], None, None), outcome=scored(0.5)))
    assert all(cell_len(line) <= width for line in drawn(progress, width).split("\n"))


def test_the_view_can_be_rendered_during_updates():
    progress, ended, wrong = BenchmarkProgress(planned(n_seeds=300), {}, Clock()), threading.Event(), []

    def draw():
        while not ended.is_set():
            try:
                drawn(progress)
            except Exception as error:
                wrong.append(error)

    drawing = threading.Thread(target=draw)
    drawing.start()
    for planned_run in planned(n_seeds=300)["runs"]:
        run(progress.update, Clock(), planned_run["key"], 0, scored(0.5))
    ended.set()
    drawing.join()
    assert wrong == []
    assert progress.n_done == 1200


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "0 s"), (13.4, "13 s"), (59.4, "59 s"), (59.6, "1 min"), (540, "9 min"), (3569, "59 min"), (3600, "1 h 00 min"),
    (7500, "2 h 05 min"),
])
def test_durations_are_formatted(seconds, text):
    assert format_duration(seconds) == text
