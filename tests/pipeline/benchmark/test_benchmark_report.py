"""The HTML report of a benchmark: self-contained, complete, and without empty sections."""

import io
import re
import struct
import time
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from pipeline.benchmark.analysis.ranking import rank
from pipeline.benchmark.analysis.statistics import p_value
from pipeline.benchmark.report.page import write_benchmark
from pipeline.benchmark.report.plots import spread_out
from pipeline.drawing.notation import Notation, plain, wrapped

SOURCES = ("random", "word2vec", "fasttext", "glove")
WORTH = {"random": 0.0, "word2vec": 0.42, "fasttext": 0.37, "glove": 0.58}
INJECTION = "<script>alert('x')</script>& $x_1$"


def start(name, source=None, frozen=False, control=None, control_of=None):
    return {"name": name, "source": source or name, "transforms": [], "frozen": frozen, "control": control,
            "control_of": control_of, "settings": []}


def made(starts=None, sizes=(20, 50), n=10, measure="accuracy", share=True, smaller=False, controls=False, tuned=None,
         vary=({},)):
    """Summary and costs of a benchmark with realistic random numbers."""
    draw = np.random.default_rng(0)
    starts = starts or [start(name) for name in SOURCES]
    if controls:
        starts = [start(name + " | frozen" * frozen, name, frozen) for name in SOURCES for frozen in (False, True)]
        starts += [start(f"random,init={kind}:{source}" + " | frozen" * frozen, f"random,init={kind}:{source}", frozen,
                         kind, source)
                   for kind in ("matched", "covariance", "shuffled") for source in SOURCES[1:]
                   for frozen in (False, True)]
    conditions = [{"name": ", ".join((f"{size:,} training examples" if size else "all training examples",
                                      *(f"{key.rpartition('.')[2]}={value}" for key, value in chosen.items()))),
                   "limit_train": size, "vary": chosen} for size in sizes for chosen in vary]
    plain_ones = [one for one in starts if not one["control"]]
    cells, comparisons, steps, curves, size_curves, best_of, costed = [], [], [], [], [], [], []
    for condition, one in product(conditions, starts):
        size, place = condition["limit_train"], {"start": one["name"], "condition": condition["name"]}
        worth = WORTH.get(one["source"], 0.03) * (0.8 if one["frozen"] else 1)
        level = (0.22 + worth + 0.02 * np.log(size or 2000)) if share else 190 * (1 - 0.4 * worth)
        scores = level + draw.normal(0, 0.015 if share else 3, n)
        error = 0.02 if share else 4.1
        cells.append({**place, "n": n, "scores": scores.tolist(), "mean": scores.mean(),
                      "spread": scores.std(ddof=1) if n > 1 else None, "sampling_error": error,
                      "dev_mean": level, "coverage": 0.97 - 0.1 * (one["source"] == "glove") - 0.01 * draw.random(),
                      "chosen": {"lr=0.001": 7, "lr=0.003": 3} if tuned else None,
                      "measures": {measure: scores.mean(), "loss": 1.234},
                      "baselines": {"tfidf+logreg": {"mean": level * 0.9, "spread": error},
                                    "majority": {"mean": level * 0.3, "spread": None}},
                      "n_train": size or 2000, "steps": 240.0, "epochs": 20.0})
        height = level + (0.3 if share else -60) * (np.linspace(0, 1, 12) ** 0.3 - 1)
        curves.append({**place, "measure": measure, "on": "probe",
                       "points": [{"examples": size * (i + 1), "step": 20 * (i + 1), "mean": value,
                                   "low": value - error / 2, "high": value + error / 2, "n": n}
                                  for i, value in enumerate(height)], "area": height.mean(),
                       "target": {"value": 0.75 if share else 150.0, "reached": 8 if worth > 0.4 else 2, "of": n,
                                  "steps": 1260.0 if worth > 0.4 else None,
                                  "examples": 4321.0 if worth > 0.4 else None}})
        top = sorted(scores)
        best_of.append({**place, "chosen_on": "dev" if tuned else "test",
                        "expected": [np.mean(top) + (1 if not smaller else -1) * error * (1 - 1 / k)
                                     for k in range(1, n + 1)]})
        costed.append({**place, "vectors": {"seconds": 2.7, "peak_memory_mb": 512.4},
                       "training": {"seconds": 31.4, "peak_memory_mb": 812.0},
                       "prediction": {"seconds": 0.8, "peak_memory_mb": 800.0},
                       "tokens_per_second": 43210.9, "target_seconds": 12.3 if worth > 0.4 else None})
    found = {(cell["start"], cell["condition"]): cell for cell in cells}

    def difference(better, worse, condition):
        scores = [found[which, condition]["scores"] for which in (better, worse)]
        gaps = np.subtract(*scores) * (-1 if smaller else 1)
        half = 2 * gaps.std() / n**0.5
        interval = [gaps.mean() - half, gaps.mean() + half] if n > 1 else None
        return gaps, {"difference": gaps.mean(), "interval": interval}

    def compare(better, worse, condition, role):
        gaps, cut = difference(better, worse, condition)
        clear = cut["interval"] and cut["interval"][0] * cut["interval"][1] > 0
        verdict = ("too few seeds to say" if n < 8 else "no difference shown" if not clear
                   else "better" if cut["difference"] > 0 else "worse")
        comparisons.append({
            "start": better, "reference": worse, "condition": condition, "role": role, "n": n, **cut,
            "p": 0.00195, "p_holm": 0.01171875 if clear else 0.5, "effect_size": 2.345, "verdict": verdict,
            "differences": gaps.tolist(),
            "sentence": f"With {condition}, {better} and {worse}: {verdict}, {cut['difference']:+.4f}."})

    for condition in [condition["name"] for condition in conditions]:
        for one in plain_ones[1:]:
            compare(one["name"], plain_ones[0]["name"], condition, "baseline")
        for source, frozen in product(SOURCES[1:], (False, True)) if controls else ():
            end = " | frozen" * frozen
            names = ["random" + end, *(f"random,init={kind}:{source}{end}" for kind in ("matched", "shuffled")),
                     source + end]
            for role, (low, high) in zip(("scale", "geometry", "meaning"), pairwise(names), strict=True):
                compare(high, low, condition, role)
            parts = {"total": (names[3], names[0]), "scale": (names[1], names[0]), "geometry": (names[2], names[1]),
                     "meaning": (names[3], names[2]), "covariance": (f"random,init=covariance:{source}{end}", names[1])}
            steps.append({"source": source, "frozen": frozen, "condition": condition,
                          **{part: difference(*pair, condition)[1] for part, pair in parts.items()}})
    for chosen, one in product(vary, starts):
        points = [{"n_train": cell["n_train"], "mean": cell["mean"], "low": cell["mean"] - 0.01,
                   "high": cell["mean"] + 0.01}
                  for condition in conditions if condition["vary"] == chosen
                  for cell in [found[one["name"], condition["name"]]]]
        size_curves.append({"start": one["name"], "vary": chosen, "points": points,
                            "area": 0.4567 if len(points) > 1 else None})
    summary = {
        "task": "classification", "data": "bbc", "measure": measure, "is_share": share, "smaller_is_better": smaller,
        "baseline": starts[0]["name"], "seeds": list(range(1, n + 1)), "starts": starts, "conditions": conditions,
        "tuned": tuned or {}, "command": "vecformer benchmark --data bbc --seeds 10 --out runs/bbc",
        "n_runs": {"planned": len(cells) * n, "done": len(cells) * n, "failed": 0}, "alpha": 0.05,
        "n_comparisons": len(comparisons), "seeds_needed": 8, "cells": cells, "comparisons": comparisons,
        **({"steps": steps} if controls else {}), "curves": curves, "size_curves": size_curves, "best_of": best_of,
        "failures": [],
    }
    scores = {(cell["start"], cell["condition"]): cell["scores"] for cell in cells}
    summary["ranking"] = rank(summary, scores)
    return summary, {"cells": costed, "seconds": 2791.6}


def disagreements_of(summary):
    return [{"start": one["start"], "reference": one["reference"], "condition": one["condition"], "only_start": 312,
             "only_reference": 7, "both": 101, "neither": 112,
             "examples": [{"text": "The striker said he would stay at the club until the end of the season, whatever "
                                   "others had written.", "gold": "sport", "start": "sport", "reference": "business",
                           "where": "bbc/sport/104.txt", "times_start": 0.9, "times_reference": 0.1}] * 3}
            for one in summary["comparisons"] if one["role"] == "baseline"]


CONFIGS = [{"name": "glove, 20 training examples", "toml": 'source = "glove"\nseed = 1\n\n[data]\nlimit_train = 20\n'}]


def written(folder, summary, costs, disagreements=(), configs=()):
    write_benchmark(folder, summary, costs, disagreements, configs)
    return (folder / "report.html").read_text(encoding="utf-8")


def headings(page):
    return re.findall(r"<h2>(.*?)</h2>", page)


def text_of(page):
    """Visible text in one line."""
    parts = []

    class Reader(HTMLParser):
        hidden = 0

        def handle_starttag(self, tag, attrs):
            self.hidden += tag in ("style", "svg")
            parts.extend([" "] if tag in ("td", "th", "li", "p") else [])

        def handle_endtag(self, tag):
            self.hidden -= tag in ("style", "svg")

        def handle_data(self, data):
            parts.extend([] if self.hidden else [data])

    Reader().feed(page)
    return " ".join("".join(parts).split())


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    folder = tmp_path_factory.mktemp("default")
    summary, costs = made()
    began = time.process_time()
    page = written(folder, summary, costs, disagreements_of(summary), CONFIGS)
    return folder, summary, page, time.process_time() - began


def test_writing_is_fast(default):
    assert default[3] < 6


def test_the_page_is_self_contained(default):
    folder, _, page, _ = default
    assert not re.search(r"""(?:src|href)\s*=\s*(?!["']?#)|url\((?!#)|@import|<link|<script""", page)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert 'name="viewport"' in page
    assert not list(folder.rglob("*.unfinished"))


def test_the_page_contains_the_summary(default):
    _, summary, page, _ = default
    text = text_of(page)
    for cell in summary["cells"]:
        assert f"{cell['mean']:.1%} {cell['spread'] * 100:.1f} {cell['sampling_error'] * 100:.1f}" in text
        assert f"{cell['coverage']:.1%}" in text
        assert f"{cell['baselines']['tfidf+logreg']['mean']:.1%}" in text
    for one in summary["comparisons"]:
        low, high = (f"{end * 100:+.1f}".replace("-", "−") for end in one["interval"])
        assert f"▲ {one['difference'] * 100:+.1f} {low} to {high} 0.012 2.35" in text
        assert one["sentence"] in text
    for expected in ("8 of 10 1,260 4,321 12.3", "2 of 10 – – –", "43,211", "2,792 s", "312 7 101 112",
                     "business 10%", "The striker said", 'source = "glove"', summary["command"],
                     "corrected for 6 comparisons", "needs at least 8 seeds; the benchmark has 10",
                     "10 seeds, 80 runs."):
        assert expected in text, expected


def test_order_of_sections(default):
    page = default[2]
    assert headings(page) == [
        "Recommendation", "Verdicts", "Scores", "Sources compared with one another", "Differences from the baseline",
        "Number of training examples", "Learning curves",
        "Training time to the target", "Scores by initialisation and condition", "Coverage and gain",
        "Disagreements on test examples", "Expected best of several trials", "Simpler models", "Time and memory",
        "Configurations", "Reproduce"]


def test_plots_are_saved(default):
    folder, _, page, _ = default
    names = {"forest", "size_curves", "learning_curves", "heat_map", "coverage", "best_of_n"}
    assert {file.name for file in (folder / "plots").iterdir()} == {f"{name}.{kind}" for name in names
                                                                   for kind in ("svg", "png")}
    for name in names:
        svg = (folder / "plots" / f"{name}.svg").read_text(encoding="utf-8")
        inches = [float(side) / 72 for side in re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', svg).groups()]
        assert ElementTree.fromstring(svg).tag.endswith("svg")
        assert svg in page
        png = (folder / "plots" / f"{name}.png").read_bytes()
        assert np.allclose(struct.unpack(">II", png[16:24]), np.multiply(inches, 200), atol=1)  # pixels
        assert (imread(io.BytesIO(png))[0, 0] == 1).all()  # on white


def test_the_heat_map_contains_values(default):
    folder, summary, *_ = default
    svg = (folder / "plots" / "heat_map.svg").read_text(encoding="utf-8")
    for cell in summary["cells"]:
        assert f">{cell['mean']:.1%}<" in svg
        assert f">{cell['start']}<" in svg


def test_the_report_is_deterministic(default, tmp_path):
    folder, summary, page, _ = default
    assert written(tmp_path, summary, made()[1], disagreements_of(summary), CONFIGS) == page
    for file in (folder / "plots").iterdir():
        assert file.read_bytes() == (tmp_path / "plots" / file.name).read_bytes()


def test_sections_without_data_are_omitted(tmp_path):
    summary, costs = made(sizes=(0,), n=1)
    for key in ("curves", "size_curves", "best_of", "comparisons"):
        summary[key] = []
    summary["ranking"] = {"pairs": [], "ranks": [], "n_comparisons": 0, "seeds_needed": 6}
    for cell in summary["cells"]:
        cell.update(baselines={}, measures={}, coverage=None, chosen=None, sampling_error=None)
    costs = {"cells": [], "seconds": 0}
    assert headings(written(tmp_path, summary, costs)) == ["Scores", "Reproduce"]
    assert not list((tmp_path / "plots").iterdir())


def test_plots_of_an_earlier_report_are_deleted_and_other_files_kept(tmp_path):
    summary, costs = made(sizes=(0,))
    (tmp_path / "plots").mkdir()
    for name in ("heat_map.svg", "learning_curves_2.png", "learning_curves_of_loss_3.svg", "steps.txt",
                 "steps_mine.png"):
        (tmp_path / "plots" / name).write_text("old")
    written(tmp_path, summary, costs)
    kept = {file.name for file in (tmp_path / "plots").iterdir() if file.read_bytes() == b"old"}
    assert kept == {"steps.txt", "steps_mine.png"}


def test_gains_are_decomposed_into_scale_geometry_and_meaning(tmp_path):
    summary, costs = made(controls=True, n=10)
    page = written(tmp_path, summary, costs)
    text = text_of(page)
    assert "Scale, geometry, meaning" in headings(page)
    assert (tmp_path / "plots" / "steps.svg").exists()
    notation = Notation.of(summary)
    for step in summary["steps"]:
        cut = ", ".join(f"{part} {notation.difference(step[part]['difference'])} "
                        f"({notation.interval(step[part]['interval'])})" for part in ("scale", "geometry", "meaning"))
        assert cut in text
    for one in summary["comparisons"]:
        assert one["sentence"] in text
    assert "matched" not in (tmp_path / "plots" / "learning_curves_1.svg").read_text(encoding="utf-8")


def test_failures_pending_runs_and_empty_cells(tmp_path):
    summary, costs = made(n=5, tuned={"training.lr": [0.001, 0.003]})
    summary["n_runs"] = {"planned": 80, "done": 77, "failed": 1}
    summary["failures"] = [{"name": "glove, seed 3", "key": "k", "error": "the loss became nan at step 34"}]
    summary["cells"][3].update(n=0, scores=[None] * 5, mean=None, spread=None, sampling_error=None, coverage=None,
                               chosen=None, measures={}, baselines={})
    summary["comparisons"][2].update(n=0, difference=None, interval=None, p=None, p_holm=None, effect_size=None)
    summary["comparisons"][1].update(interval=None, effect_size=None)
    for curve in (summary["curves"][3], summary["size_curves"][3]):
        curve.update(points=[], area=None)
    summary["best_of"][3].update(expected=[])
    for stage in ("vectors", "training", "prediction"):
        costs["cells"][3][stage] = {"seconds": None, "peak_memory_mb": None}
    page = written(tmp_path, summary, costs)
    text = text_of(page)
    assert "80 runs: 77 done, 1 failed, 2 pending." in text
    assert "Failed runs" in headings(page)
    assert "glove, seed 3 the loss became nan at step 34" in text
    assert "training.lr = 0.001, 0.003" in text
    assert "lr=0.001 (7), lr=0.003 (3)" in text
    assert "? too few seeds to say" in text
    assert "None" not in text
    assert "nan" not in text.replace("became nan", "")


def test_smaller_is_better_in_numbers_and_text(tmp_path):
    summary, costs = made(sizes=(0,), measure="perplexity", share=False, smaller=True)
    page = written(tmp_path, summary, costs)
    text = text_of(page)
    assert "smaller is better ↓" in text
    assert "points" not in text
    assert all(f"{cell['mean']:.1f} {cell['spread']:.2f} 4.10" in text for cell in summary["cells"])
    assert all(f"+{one['difference']:.2f} +{one['interval'][0]:.2f}" in text for one in summary["comparisons"])
    assert "reduction of perplexity" in (tmp_path / "plots" / "forest.svg").read_text(encoding="utf-8")
    assert not {"Scores by initialisation and condition", "Number of training examples"} & set(headings(page))


def test_a_curve_of_another_measure_is_not_a_percentage(tmp_path):
    summary, costs = made()
    for curve in summary["curves"]:
        curve["measure"], curve["on"] = "loss", "dev"
    assert "0.750 8 of 10" in text_of(written(tmp_path, summary, costs))
    assert ">loss<" in (tmp_path / "plots" / "learning_curves.svg").read_text(encoding="utf-8")


def test_a_wide_range_of_values_uses_a_logarithmic_axis(tmp_path):
    summary, costs = made(sizes=(0,), measure="perplexity", share=False, smaller=True)
    for curve in summary["curves"]:
        curve["points"][0].update(mean=40_000.0, low=39_000.0, high=41_000.0)
    written(tmp_path, summary, costs)
    assert ">10,000<" in (tmp_path / "plots" / "learning_curves.svg").read_text(encoding="utf-8")


def test_names_from_users_are_escaped(tmp_path):
    starts = [start("random"), start(f"file:{INJECTION}.vec"), start("_hidden 字")]
    summary, costs = made(starts=starts, vary=({"data.name": INJECTION},))
    summary.update(data=INJECTION, command=INJECTION, failures=[{"name": INJECTION, "key": "", "error": INJECTION}])
    disagreements = disagreements_of(summary)
    for pair in disagreements:
        for example in pair["examples"]:
            example.update(text=INJECTION, gold=INJECTION, start=INJECTION, reference=INJECTION, where=INJECTION)
    page = written(tmp_path, summary, costs, disagreements, [{"name": INJECTION, "toml": INJECTION}])
    assert "<script" not in page
    assert text_of(page).count(INJECTION) > 20
    for file in (tmp_path / "plots").glob("*.svg"):
        svg = file.read_text(encoding="utf-8")
        names = "".join(ElementTree.fromstring(svg).itertext())
        assert "<script" not in svg
        assert file.stem == "heat_map" or "_hidden 字" in names
    assert "$x_1$" in "".join(ElementTree.parse(tmp_path / "plots" / "forest.svg").getroot().itertext())


def test_many_initialisations_and_conditions(tmp_path):
    starts = [start(name) for name in ("random", *(f"glove:vectors/{'long-' * 8}.txt | all-but-the-top,n={number}:"
                                                   for number in range(11)))]
    summary, costs = made(starts=starts, sizes=(20, 50, 0), n=3)
    page = written(tmp_path, summary, costs)
    assert text_of(page).count("In sentences:") == 3
    drawn = {file.stem for file in (tmp_path / "plots").iterdir()}
    assert {"learning_curves_1", "learning_curves_2", "size_curves_1", "size_curves_2"} <= drawn
    svg = (tmp_path / "plots" / "learning_curves_2.svg").read_text(encoding="utf-8")
    assert svg.count(">training step<") == 3
    shown = "".join(ElementTree.fromstring((tmp_path / "plots" / "coverage.svg").read_bytes()).itertext())
    assert all(shown.count(f",n={number}:") == 3 for number in range(11))


@given(st.lists(st.floats(0, 0.9), max_size=12), st.floats(0.001, 0.07))
def test_labels_are_moved_apart_in_order(places, gap):
    places = sorted(places)
    moved = spread_out(places, gap)
    assert len(moved) == len(places)
    assert all(high - low >= gap * (1 - 1e-9) for low, high in pairwise(moved))
    assert all(place <= 0.97 for place in moved)
    if all(high - low >= gap for low, high in pairwise(places)):
        assert moved == pytest.approx(places)


@given(st.text("ab ,|:=/", max_size=60), st.integers(4, 30), st.integers(1, 3))
def test_names_are_wrapped_to_the_width(name, width, lines):
    made = wrapped(name, width, lines).split("\n")
    assert len(made) <= lines
    assert all(len(line) <= width for line in made)
    if "…" not in "".join(made):
        assert "".join("".join(made).split()) == "".join(name.split())
    if len(name) <= width:
        assert made == [name.strip()]


def test_number_formats():
    shares, numbers = Notation("accuracy", True, False), Notation("perplexity", False, True)
    assert (shares.value(0.5), shares.size(0.0123), shares.difference(-0.05)) == ("50.0%", "1.2", "−5.0")
    assert (numbers.value(1234.56), numbers.size(2.345), numbers.difference(-0.5)) == ("1,234.6", "2.35", "−0.500")
    assert shares.interval([-0.011, -0.00001]) == "−1.1 to +0.0"
    assert (shares.value(None), shares.size(None), shares.difference(None), shares.interval(None)) == ("",) * 4
    assert (p_value(None), p_value(0.0004), p_value(0.0123), plain(None)) == ("", "< 0.001", "0.012", "")
