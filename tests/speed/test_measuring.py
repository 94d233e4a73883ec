"""Medians, ratios, thresholds, alternation, and the description of a machine."""

import json
import re

import measuring
import pytest
from growth import exponent
from hypothesis import given
from hypothesis import strategies as st


def test_spread_is_median_minimum_and_maximum():
    found = measuring.spread("speed", [3.0, 1.0, 8.0], at_least=2)
    assert found == {"figure": "speed", "median": 3.0, "least": 1.0, "most": 8.0, "values": [3.0, 1.0, 8.0],
                     "at_least": 2}


def test_ratio_of_medians_with_extremes_of_single_runs():
    found = measuring.ratio("times", [10, 40, 30], [10, 10, 5], at_least=3)
    assert found == {"figure": "times", "ratio": 3.0, "least": 1.0, "most": 6.0, "at_least": 3}


@pytest.mark.parametrize(("figure", "expected"), [
    ({"ratio": 4.0, "at_least": 4}, True), ({"ratio": 3.9, "at_least": 4}, False),
    ({"difference": 0.5, "at_most": 0.5}, True), ({"median": 0.6, "at_most": 0.5}, False), ({"median": 1.0}, None),
])
def test_thresholds(figure, expected):
    assert measuring.meets_threshold(figure) is expected


def test_measurements_alternate():
    order = []

    def measure(name):
        order.append(name)
        return len(order)

    found = measuring.alternate({"a": lambda: measure("a"), "b": lambda: measure("b")}, runs=3)
    assert order == ["a", "b"] * 3
    assert found == {"a": [1, 3, 5], "b": [2, 4, 6]}


@pytest.mark.parametrize(("value", "text"), [(98_123.4, "98,123"), (185.4, "185"), (3.456, "3.46"), (0.0312, "0.0312")])
def test_number_format(value, text):
    assert measuring.formatted(value) == text


@given(st.floats(-2, 3), st.floats(0.01, 1000))
def test_exponent_of_a_power_law(power, factor):
    sizes = [25, 50, 100, 200, 400]
    assert exponent(sizes, [factor * size**power for size in sizes]) == pytest.approx(power, abs=1e-9)


def test_exponent_of_a_sum_is_between_its_terms():
    assert 1 < exponent([1, 2, 4, 8, 16], [size + size**2 for size in (1, 2, 4, 8, 16)]) < 2


def test_machine_description(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Abacus 9\nflags\t\t: fpu avx512f amx_bf16\n\n")
    assert re.fullmatch(r"Abacus 9, \d+ cores, \d+ GiB, avx512f amx_bf16, torch 2\.\S+", measuring.machine(cpuinfo))
    cpuinfo.write_text("model name\t: Abacus 8\nflags\t\t: fpu\n")
    assert "none of avx2 avx512f avx512_bf16 amx_bf16" in measuring.machine(cpuinfo)
    assert "cores" in measuring.machine(tmp_path / "none")


def test_commit():
    assert re.fullmatch(r"[0-9a-f]{7,}(-dirty)?|unknown", measuring.commit())


def test_texts_can_be_written_and_read(tmp_path):
    texts = [("tab\tand \"quote\"", "a"), ("Ẹ káàbọ̀\u2028line", "b")]
    assert measuring.read_texts(measuring.write_texts(tmp_path / "texts.jsonl", texts)) == texts


def test_a_script_runs_in_a_separate_process(tmp_path, monkeypatch):
    (tmp_path / "script.py").write_text(
        "import json, os, sys\nprint('ignored')\nprint(json.dumps([os.environ['OMP_NUM_THREADS'], sys.argv[1:]]))")
    monkeypatch.setattr(measuring, "HERE", tmp_path)
    assert measuring.in_process("script.py", "a", 2, threads=3) == ["3", ["a", "2", "--threads", "3"]]
    assert json.dumps(measuring.assigned("a=1", "b=2")) == '["--set", "a=1", "--set", "b=2"]'
