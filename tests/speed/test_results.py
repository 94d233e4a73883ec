"""results.json and RESULTS.md: contents, and updates of single sections."""

import json
import re

import pytest
import results
import run

SETTING = run.Setting(datasets=None, peer_python="", runs=1, threads=1)
FOUND = {
    "what": "Ours and theirs.", "date": "2026-11-25", "commit": "abc1234", "machine": "Abacus 9", "command": "count",
    "figures": [
        {"figure": "ours", "median": 1234.5, "least": 1200.0, "most": 1300.0},
        {"figure": "times", "ratio": 4.2, "least": 3.9, "most": 4.4, "at_least": 4},
        {"figure": "peak, MB", "n_words": 20_000, "median": 612.0, "least": 611.0, "most": 613.0},
        {"figure": "beyond", "difference": 0.61, "at_most": 0.5},
    ],
    "printed": "",
}
GROWN = {"figure": "documents", "measure": "time", "unit": "s", "sizes": [100, 200], "values": [0.5, 1.0],
         "exponent": 1.0, "expected": "1", "why": "Each once."}


def test_a_section_has_context_figures_and_thresholds():
    page = results.page({"training": FOUND})
    assert "## training\n\nOurs and theirs.\n\n2026-11-25, commit abc1234, `count`; Abacus 9.\n" in page
    rows = re.findall(r"^\| (?!---)(.+) \|$", page, re.MULTILINE)
    assert rows == [
        " | median or ratio | min | max | threshold | met",
        "ours | 1,234 | 1,200 | 1,300 |  | ",
        "times, ratio | 4.2 | 3.9 | 4.4 | at least 4 | yes",
        "peak, MB, n_words 20,000 | 612 | 611 | 613 |  | ",
        "beyond, difference | 0.61 |  |  | at most 0.5 | **no**",
    ]


def test_growth_has_a_separate_table():
    page = results.page({"growth": {**FOUND, "figures": [GROWN]}})
    assert "| documents | 100 to 200 | time, s | 0.5 · 1 | 1.00 | 1 | Each once. |" in page
    assert "threshold" not in page


def test_output_of_a_script_is_shown_verbatim():
    assert "```\nrow  1\n```" in results.page({"intrinsic": {**FOUND, "figures": [], "printed": "row  1\n"}})


def test_measuring_one_section_keeps_the_others(tmp_path, monkeypatch, capsys):
    old = dict.fromkeys(("growth, avx2", "training, avx2", "training, amx_bf16"), FOUND)
    results.save(old, ["training", "growth"], tmp_path)
    monkeypatch.setattr(run.measuring, "kind", lambda: "avx2")
    again = [{"figure": "predict one text, excluding import torch, s", "difference": 0.25}]
    monkeypatch.setitem(run.COMPARISONS, "cold_start", run.Comparison("Start.", lambda _: again))
    monkeypatch.setitem(run.COMPARISONS, "intrinsic", run.Comparison("Scores.", lambda _: "printed"))
    run.run(SETTING, ["cold_start", "intrinsic"], tmp_path, command="again")
    kept = json.loads((tmp_path / "results.json").read_text())
    assert list(kept) == ["training, amx_bf16", "training, avx2", "cold_start, avx2", "growth, avx2", "intrinsic, avx2"]
    assert {name: kept[name] for name in old} == old
    assert kept["cold_start, avx2"]["figures"] == [{**again[0], "at_most": 0.5}]
    assert (kept["cold_start, avx2"]["command"], kept["intrinsic, avx2"]["printed"]) == ("again", "printed")
    assert (tmp_path / "RESULTS.md").read_text() == results.page(kept)
    assert "| at most 0.5 | yes |" in capsys.readouterr().out


def test_a_failing_comparison_does_not_stop_the_others(tmp_path, monkeypatch):
    def fails(_):
        raise RuntimeError("no peer")

    monkeypatch.setitem(run.COMPARISONS, "training", run.Comparison("Speed.", lambda _: [GROWN]))
    monkeypatch.setitem(run.COMPARISONS, "peak", run.Comparison("Peak.", fails))
    with pytest.raises(RuntimeError, match="no peer"):
        run.run(SETTING, ["peak", "training"], tmp_path)
    assert [name.split(",")[0] for name in results.load(tmp_path)] == ["training"]


def test_a_section_of_the_same_commit_command_and_machine_is_not_measured_again(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setitem(run.COMPARISONS, "training", run.Comparison("Speed.", lambda _: calls.append(1) or [GROWN]))
    monkeypatch.setattr(run.measuring, "commit", lambda: "abc")
    for options, n_calls in (({}, 1), ({}, 1), ({"again": True}, 2), ({"command": "other"}, 3), ({}, 4)):
        run.run(SETTING, ["training"], tmp_path, **options)
        assert len(calls) == n_calls
    monkeypatch.setattr(run.measuring, "commit", lambda: "abc-dirty")
    for n_calls in (5, 6):
        run.run(SETTING, ["training"], tmp_path)
        assert len(calls) == n_calls


def test_thresholds_apply_to_ratios_only():
    threshold = {"at_most": 1.2}
    assert run.with_threshold({"figure": "peak memory, MiB", "ratio": 1.1}) == {
        "figure": "peak memory, MiB", "ratio": 1.1, **threshold}
    assert "at_most" not in run.with_threshold({"figure": "peak memory, MiB", "n_words": 20_000, "median": 612.0})


def test_comparisons_are_selected_by_name():
    assert run.names("peak,growth") == ["peak", "growth"]
    with pytest.raises(Exception, match="unknown comparison 'grwth'; comparisons: training, prediction"):
        run.names("grwth")
    assert set(run.THRESHOLDS) == {"predict one text, excluding import torch, s", "peak memory, MiB",
                                   "time per step, ms"}
