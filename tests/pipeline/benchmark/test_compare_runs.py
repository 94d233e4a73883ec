"""Comparison of finished runs."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline.benchmark.analysis.disagreements import CATEGORIES
from pipeline.benchmark.analysis.statistics import as_family
from pipeline.benchmark.compare_runs import compare
from pipeline.cli.compare import compare_command
from pipeline.config import RunConfig, resolve
from pipeline.errors import ConfigError, RunFolderError
from pipeline.runs.folder import RunFolder, write_json, write_lines


def made(
    path, score=0.5, seed=1, *, data="reviews", hashed="", right=(True, False), sampling_error=None, **assignments
):
    """Write the files of a finished run that a comparison reads; ``assignments``: keys with ``__`` for a dot."""
    path.mkdir(parents=True)
    folder = RunFolder(path)
    config = resolve(None, [("seed", seed), *((key.replace("__", "."), value) for key, value in assignments.items())])
    config.save(folder.config)
    test = {"accuracy": score, "macro_f1": score / 2, "n": len(right), "loss": 1 - score, "by_type": {}}
    if config.task == "language-model":
        test = {"perplexity": score, "loss": 1.0, "n": 10}
    if sampling_error is not None:
        write_json(folder.sampling_error, {"accuracy": sampling_error})
    write_json(folder.metrics, {"test": test})
    lines = [{"where": f"{path.name[0]}/test.tsv:{i}", "gold": "yes", "label": "yes" if one else "no",
              "log_probability": -9.0, "n": 3} for i, one in enumerate(right)]
    write_lines(folder.predictions, iter(lines))
    folder.write_manifest({"data": {"name": data, "sha256": hashed or f"{data} cut by {seed}"}})
    return path


def groups(tmp_path, scores, **more):
    """Write runs of each source, one seed for each score."""
    return [made(tmp_path / f"{source}{seed}", score, seed, source=source, **more)
            for source, row in scores.items() for seed, score in enumerate(row, start=1)]


def call(*args):
    return CliRunner().invoke(compare_command, [str(arg) for arg in args])


SCORES = {"random": [0.50, 0.52, 0.48, 0.51, 0.49, 0.50, 0.53, 0.47],
          "glove": [0.60, 0.63, 0.55, 0.61, 0.62, 0.58, 0.64, 0.57],
          "word2vec": [0.51, 0.50, 0.49, 0.50, 0.51, 0.49, 0.52, 0.48]}


def test_groups_are_named_by_their_source_and_paired_by_seed(tmp_path):
    found = compare(groups(tmp_path, SCORES))
    assert (found["task"], found["data"], found["measure"]) == ("classification", "reviews", "accuracy")
    assert (found["reference"], found["n_comparisons"], found["seeds_needed"]) == ("random", 2, 7)
    for group, (source, scores) in zip(found["groups"], SCORES.items(), strict=True):
        assert (group["name"], group["seeds"], group["scores"]) == (source, [*range(1, 9)], scores)
        assert group["mean"] == pytest.approx(np.mean(scores))
        assert group["spread"] == pytest.approx(np.std(scores, ddof=1))
    family = as_family([np.subtract(SCORES[source], SCORES["random"]) for source in ("glove", "word2vec")])
    for one, tested in zip(found["comparisons"], family, strict=True):
        assert (one["n"], one["reference"]) == (8, "random")
        assert one["difference"] == pytest.approx(tested.difference.mean)
        assert one["interval"] == pytest.approx(tested.difference.interval)
        assert (one["p"], one["p_holm"]) == pytest.approx((tested.difference.p, tested.p_holm))
    assert [one["verdict"] for one in found["comparisons"]] == ["better", "no difference shown"]


def test_the_order_of_runs_determines_the_reference_only(tmp_path):
    runs = groups(tmp_path, {name: SCORES[name] for name in ("random", "glove")})
    (one,) = compare(runs)["comparisons"]
    (same,) = compare([runs[0], *reversed(runs[1:])])["comparisons"]
    assert {**same, "difference": pytest.approx(one["difference"]), "interval": pytest.approx(one["interval"], abs=0.01)
            } == one
    (other,) = compare(runs[::-1])["comparisons"]
    assert (other["group"], other["reference"], other["verdict"]) == ("random", "glove", "worse")
    assert other["difference"] == pytest.approx(-one["difference"])


def test_other_measures_and_smaller_is_better(tmp_path):
    runs = groups(tmp_path, {name: SCORES[name] for name in ("random", "glove")})
    by_accuracy, by_loss = compare(runs), compare(runs, "loss")
    assert (by_accuracy["is_share"], by_accuracy["smaller_is_better"]) == (True, False)
    assert (by_loss["is_share"], by_loss["smaller_is_better"]) == (False, True)
    assert by_loss["comparisons"][0]["difference"] == pytest.approx(by_accuracy["comparisons"][0]["difference"])
    assert by_loss["comparisons"][0]["verdict"] == "better"
    assert compare(runs, "macro_f1")["groups"][1]["mean"] == pytest.approx(by_accuracy["groups"][1]["mean"] / 2)


@pytest.mark.parametrize(("first", "second", "names"), [
    ({"source": "random"}, {"source": "glove"}, ["random", "glove"]),
    ({}, {"transforms": ["standardize", "pca:50"]}, ["glove", "glove | standardize | pca:50"]),
    ({}, {"embedding__freeze": True}, ["glove", "glove | frozen"]),
    ({}, {"training__lr": 0.01}, ["lr=0.001", "lr=0.01"]),
    ({"source": "random"}, {"training__lr": 0.01}, ["random, lr=0.001", "glove, lr=0.01"]),
    ({"training__lr": 0.01}, {"pretraining__lr": 0.1},
     ["pretraining.lr=0.001, training.lr=0.01", "pretraining.lr=0.1, training.lr=0.001"]),
    ({}, {"unknown": ["case", "zero"]}, ["unknown=case+digits+subword+random", "unknown=case+zero"]),
    ({"corpus": ["a.txt"]}, {}, ["corpus=a.txt", "corpus=none"]),
])
def test_names_list_the_keys_that_differ(tmp_path, first, second, names):
    found = compare([made(tmp_path / "a", **first), made(tmp_path / "b", **second)])
    assert [group["name"] for group in found["groups"]] == names


def test_data_paths_and_derived_keys_do_not_separate_groups(tmp_path):
    a = made(tmp_path / "a", 0.4, 1, data__path="here", data__labels=["no", "yes"])
    b = made(tmp_path / "b", 0.6, 2, data__path="there", data__labels=["yes", "no"], training__device="cpu")
    found = compare([a, b])
    (group,) = found["groups"]
    assert (group["name"], group["scores"], found["comparisons"]) == ("glove", [0.4, 0.6], [])


def test_disagreements_are_counted_by_majority_vote(tmp_path):
    """Examples are paired by their order, since the runs read the same file from different paths."""
    theirs = [(True, False, True, False), (True, False, True, False), (True, True, False, False)]
    ours = [(True, True, False, False), (False, True, False, False), (True, True, True, False)]
    runs = [made(tmp_path / f"{name}{seed}", seed=seed, source=source, right=right)
            for name, source, rows in (("x", "random", theirs), ("y", "glove", ours))
            for seed, right in enumerate(rows, start=1)]
    (one,) = compare(runs)["comparisons"]
    assert [one["flips"][side] for side in CATEGORIES] == [1, 1, 1, 1]


def test_language_models_have_no_disagreements_and_smaller_is_better(tmp_path):
    runs = [made(tmp_path / f"{source}{seed}", score + seed, seed, source=source, task="language-model")
            for source, score in (("random", 90.0), ("glove", 80.0)) for seed in range(1, 8)]
    found = compare(runs)
    assert (found["is_share"], found["smaller_is_better"]) == (False, True)
    (one,) = found["comparisons"]
    assert (one["flips"], one["verdict"], one["difference"]) == (None, "better", pytest.approx(10.0))


def test_sampling_errors_are_averaged_over_runs(tmp_path):
    runs = [made(tmp_path / "a1", seed=1, sampling_error=0.02), made(tmp_path / "a2", seed=2, sampling_error=0.04),
            made(tmp_path / "b1", seed=1, source="random")]
    assert [group["sampling_error"] for group in compare(runs)["groups"]] == [pytest.approx(0.03), None]
    assert compare(runs, "loss")["groups"][0]["sampling_error"] is None


def test_only_common_seeds_are_paired(tmp_path):
    few = groups(tmp_path, {"random": SCORES["random"][:3], "glove": SCORES["glove"]})
    found = compare(few)
    assert [len(group["seeds"]) for group in found["groups"]] == [3, 8]
    assert (found["comparisons"][0]["n"], found["comparisons"][0]["verdict"]) == (3, "too few seeds to say")
    (none,) = compare([few[0], few[4]])["comparisons"]
    assert (none["n"], none["difference"], none["p"], none["flips"]) == (0, None, None, None)
    assert none["verdict"] == "too few seeds to say"


@pytest.mark.parametrize(("other", "message"), [
    ({"task": "tagging"}, "only runs of the same task"),
    ({"source": "random", "hashed": "another cut"}, "same seed, 1, but different training or test examples"),
    ({"source": "random", "seed": 2, "data": "news"}, "only runs on the same data"),
    ({}, "have the same configuration and the same seed, 1"),
])
def test_incomparable_runs_are_one_message_with_both_paths(tmp_path, other, message):
    a, b = made(tmp_path / "a"), made(tmp_path / "b", **other)
    with pytest.raises(RunFolderError, match=message) as error:
        compare([a, b])
    assert str(a) in str(error.value) and str(b) in str(error.value)


def test_an_unknown_measure_lists_the_known_ones(tmp_path):
    a = made(tmp_path / "a")
    with pytest.raises(ConfigError, match=r"no measure 'acuracy'\. Did you mean 'accuracy'"):
        compare([a], "acuracy")
    for name in ("n", "by_type"):
        with pytest.raises(ConfigError, match="Measures: accuracy, macro_f1, loss"):
            compare([a], name)


def test_a_nonfinite_measure_is_not_compared(tmp_path):
    runs = [made(tmp_path / "a", task="language-model"), made(tmp_path / "b", float("inf"), 2, task="language-model")]
    with pytest.raises(RunFolderError, match="b: perplexity is inf"):
        compare(runs)


@pytest.mark.parametrize(("file", "content"), [
    ("metrics.json", "{"), ("metrics.json", "[]"), ("metrics.json", "{}"), ("manifest.json", "{}"),
    ("manifest.json", "\xff"), ("predictions.jsonl", "{}\n"), ("predictions.jsonl", "no\n"),
    ("config.toml", "source = 3"), ("metrics.json", None), ("manifest.json", None), ("predictions.jsonl", None),
    ("metrics.json", '{"test": {"accuracy": true}}'), ("metrics.json", '{"test": {"accuracy": 1' + "0" * 400 + "}}"),
    ("metrics.json", "[" * 100_000), ("manifest.json", "[" * 100_000), ("predictions.jsonl", "[" * 100_000),
    ("sampling_error.json", '{"accuracy": "much"}'), ("sampling_error.json", "[]"), ("manifest.json", "[]"),
    ("manifest.json", '{"data": {"name": 3, "sha256": "x"}, "files": {}}'), ("predictions.jsonl", '{"where":[]}'),
])
def test_damaged_files_are_one_message(tmp_path, file, content):
    runs = groups(tmp_path, {"random": [0.5], "glove": [0.6]})
    place = runs[1] / file
    place.write_text(content, encoding="latin-1") if content is not None else place.unlink()
    for options in ([], ["--no-verify"]):
        answer = call(*runs, *options)
        assert answer.exit_code in (1, 2)
        assert isinstance(answer.exception, SystemExit), answer.exception
        assert "glove1" in re.sub(r"[\s│]", "", answer.output)


def test_the_table_contains_the_results(tmp_path):
    answer = call(*groups(tmp_path, SCORES, sampling_error=0.021))
    assert answer.exit_code == 0
    lines = {line.split("  ")[0]: line for line in reversed(answer.output.splitlines())}
    assert answer.output.startswith("reviews, accuracy\n")
    assert lines["random"].split() == ["random", "8", "50.0%", "2.0", "2.1"]
    assert lines["glove"].split()[:6] == ["glove", "8", "60.0%", "3.1", "2.1", "8"]
    assert lines["glove"].split()[6] == "+10.0" and lines["glove"].endswith("better")
    assert lines["word2vec"].endswith("no difference shown")
    assert "common seeds." not in answer.output


def test_too_few_seeds_print_the_number_needed(tmp_path):
    runs = groups(tmp_path, {name: scores[:2] for name, scores in SCORES.items()})
    assert "2 comparisons need at least 7 common seeds." in call(*runs).output
    assert "One comparison needs at least 6 common seeds." in call(*runs[:4]).output
    alone = call(*runs[:2])
    assert alone.exit_code == 0 and "common seeds." not in alone.output


def test_json_output_equals_the_return_value(tmp_path):
    runs = groups(tmp_path, SCORES)
    answer = call(*runs, "--json", "--measure", "macro_f1")
    assert json.loads(answer.output) == json.loads(json.dumps(compare(runs, "macro_f1")))


def test_real_runs(tmp_path, support):
    from pipeline.runs.chain import run

    quick = RunConfig()
    quick = replace(quick, data=replace(quick.data, path=str(support), unseen_words=0),
                    training=replace(quick.training, epochs=1))
    for source in ("random,dim=8", "random,dim=16"):
        run(replace(quick, source=source), tmp_path / source)
    shutil.copytree(tmp_path / "random,dim=8", tmp_path / "copy")
    found = compare([tmp_path / "random,dim=8", tmp_path / "random,dim=16"])
    assert [group["name"] for group in found["groups"]] == ["random,dim=8", "random,dim=16"]
    (one,) = found["comparisons"]
    assert one["n"] == 1
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("random,dim=8", "random,dim=16")]
    assert one["difference"] == metrics[1]["test"]["accuracy"] - metrics[0]["test"]["accuracy"]
    sides = one["flips"]
    n = metrics[0]["test"]["n"]
    assert sum(sides.values()) == n
    assert (sides["only_start"] + sides["both"]) / n == pytest.approx(metrics[1]["test"]["accuracy"])
    assert (sides["only_reference"] + sides["both"]) / n == pytest.approx(metrics[0]["test"]["accuracy"])
    with pytest.raises(RunFolderError, match="and the same seed"):
        compare([tmp_path / "random,dim=8", tmp_path / "copy"])
