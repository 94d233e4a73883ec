"""The scripts on tiny inputs, with the peers replaced by stubs."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import busy
import growth
import large
import measuring
import prediction
import processes
import pytest
import rivals
import share_of_peak
import train_ours
import training
import whole_run
from documents import write_documents

from pipeline.errors import ConfigError

ROOT = Path(__file__).parents[2]
SMALL = (("model.d_model", 16), ("model.d_ff", 16), ("model.n_heads", 2))


@pytest.fixture(scope="module")
def texts(support, tmp_path_factory):
    rows = measuring.read_texts(support / "train.tsv")
    return measuring.write_texts(tmp_path_factory.mktemp("texts") / "texts.jsonl", rows[:16] + rows[-16:])


def stub_processes(monkeypatch, module, speeds):
    """Replace separate processes by a function, and record their arguments."""
    calls = []

    def in_process(script, *arguments, **_):
        calls.append((script, *map(str, arguments)))
        return speeds(script, *map(str, arguments))

    monkeypatch.setattr(module, "in_process", in_process)
    return calls


def test_every_token_is_trained_on_once(texts):
    lengths = [min(len(text.split()), 5) for text, _ in measuring.read_texts(texts)]
    found = train_ours.train(texts, [*SMALL, ("data.max_length", 5), ("training.batch_size", 8)])
    assert found["tokens"] >= sum(lengths)
    assert found["tokens"] <= 5 * 32
    assert found["steps"] == 4
    assert found["tokens_per_second"] == pytest.approx(found["tokens"] / found["seconds"])


def test_special_tokens_are_not_counted(texts):
    plain, around = (train_ours.train(texts, [*SMALL, ("data.max_length", 500), *more])
                     for more in ((), [("model.pooling", "cls")]))
    assert around["tokens"] == plain["tokens"]


def test_synthetic_words_add_rows_and_no_tokens(texts):
    plain, wide = (train_ours.train(texts, SMALL, more_words=more) for more in (0, 5000))
    assert wide["vocabulary"] - plain["vocabulary"] == 5000
    assert wide["tokens"] == plain["tokens"]


def test_share_of_peak_is_consistent(texts):
    found = train_ours.train(texts, SMALL, warm=True, with_peak=True)
    assert 0 < found["share_of_peak"] < 1
    assert found["share_of_peak"] == found["operations_per_second"] / found["peak"]


def test_an_unknown_key_is_an_error(texts):
    with pytest.raises(ConfigError, match=r"no key 'training\.batch_sise'"):
        train_ours.train(texts, [("training.batch_sise", 3)])


@pytest.mark.parametrize("length", [3, 40, 2000])
def test_documents_have_the_given_length(texts, tmp_path, length):
    made = measuring.read_texts(write_documents(texts, tmp_path / "made.jsonl", number=9, length=length))
    assert [len(text.split()) for text, _ in made] == [length] * 9
    assert len({label for _, label in made}) > 1
    first = " ".join(text for text, _ in measuring.read_texts(texts)).split()
    assert made[0][0].split()[:20] == first[: min(length, 20)]


def test_training_is_compared_with_the_peers_faster_precision(monkeypatch, datasets_of_two):
    def speeds(script, *arguments):
        if "hf_trainer" in script:
            return {"tokens_per_second": 20 if "--bfloat16" in arguments else 10}
        if "model.like=bert" not in arguments:
            of_default = 100 if training.PEER_BATCHES[-1] in arguments else 60
            return {"tokens_per_second": 70 if "model.convolutions=[3,5]" in arguments else of_default}
        return {"tokens_per_second": 80 if training.PEER_BATCHES[-1] in arguments else 120}

    monkeypatch.setattr(training.measuring, "kind", lambda: "avx512_bf16")
    calls = stub_processes(monkeypatch, training, speeds)
    found = training.measure(datasets_of_two, peer_python="", runs=2, cases=[training.Case("news")])
    assert [figure.get("median", figure.get("ratio")) for figure in found] == [
        80, 120, 60, 100, 70, 10, 20, 4, 6, 3, 5, 3.5]
    assert [measuring.meets_threshold(figure) for figure in found][-5:] == [True, True, None, False, False]
    assert len(calls) == 14
    assert {"--d-model", "128"} <= set(calls[5])
    monkeypatch.setattr(training.measuring, "kind", lambda: "avx2")
    found = training.measure(datasets_of_two, peer_python="", runs=1, cases=[training.Case("news")])
    assert [figure["ratio"] for figure in found[-4:]] == [12, 6, 10, 7]


def test_busy_processes_end_and_speeds_are_compared_with_an_idle_machine(monkeypatch, tmp_path):
    (tmp_path / "masakhanews_yor").mkdir()
    (tmp_path / "masakhanews_yor" / "train.tsv").write_text("text\tlabel\na b\tx\nc d\ty\n")
    running = []

    def speeds(script, *_, threads):
        n_busy = sum(process.poll() is None for process in running)
        return {"tokens_per_second": (100 if "ours" in script else 50) * (1 if threads == 2 else 0.6) / (1 + n_busy)}

    class Recorded(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            running.append(self)

    monkeypatch.setattr(busy.subprocess, "Popen", Recorded)
    monkeypatch.setattr(busy, "in_process", lambda script, *_, threads, **__: speeds(script, threads=threads))
    found = {figure["figure"]: figure for figure in busy.measure(tmp_path, peer_python="", runs=1)}
    assert found["vecformer, 1 busy process, share of the idle speed"]["ratio"] == pytest.approx(1 / 2)
    assert found["Trainer, 2 busy processes, share of the idle speed"]["ratio"] == pytest.approx(1 / 3)
    assert found["vecformer, 2 busy processes, 2 threads compared with one"]["ratio"] == pytest.approx(1 / 0.6)
    assert not measuring.meets_threshold(found["vecformer, 1 busy process, share of the idle speed"])
    assert len(running) == 9
    assert all(process.poll() is not None for process in running)


def test_processes_share_the_batches_and_are_compared_with_threads(monkeypatch, tmp_path):
    started = []

    def run(command, *, check, env, **_):
        n = int(command[command.index("--nproc-per-node") + 1]) if "--nproc-per-node" in command else 1
        started.append((n, env["OMP_NUM_THREADS"], command[-1]))
        out = Path(command[command.index("--out") + 1])
        out.mkdir(exist_ok=True)
        (out / "metrics.json").write_text(json.dumps({"training": {"seconds": 8.0 if n == 1 else 10.0}}))

    monkeypatch.setattr(processes.subprocess, "run", run)
    found = processes.measure(tmp_path, runs=2, data=["news"])
    assert started[:2] == [(1, "2", "training.batch_size=16"), (2, "1", "training.batch_size=8")]
    assert started[-1] == (2, "1", "training.batch_size=32")
    assert len(started) == 8
    assert found[2]["ratio"] == pytest.approx(0.8)
    assert not measuring.meets_threshold(found[2])


def test_whole_runs_are_compared_with_both_peers(monkeypatch, tmp_path):
    (tmp_path / "news").mkdir()
    for part in ("train", "dev", "test"):
        rows = "".join(f"text {i} of {part}\t{'xy'[i % 2]}\n" for i in range(6))
        (tmp_path / "news" / f"{part}.tsv").write_text(f"text\tlabel\n{rows}")
    commands = []

    def timed(command, *, threads):
        commands.append(list(map(str, command)))
        if "run" not in commands[-1]:
            return (60.0 if "hf_whole_run.py" in commands[-1][1] else 2.0), ""
        assert len(measuring.read_texts(Path(commands[-1][commands[-1].index("--data") + 1]) / "train.jsonl")) == 4
        if "--profile" in commands[-1]:
            return 1000.0, "starting  1.00  10.0%\nbaselines   3.00   30.0%\n"
        return (10.0 if "auto" in commands[-1] else 20.0), ""

    monkeypatch.setattr(whole_run, "timed", timed)
    found = {figure["figure"]: figure for figure in whole_run.measure(
        tmp_path, peer_python="python", runs=2, first=4, cases=[whole_run.Case("news")])}
    assert found["news: vecformer run, s"]["values"] == [10, 10]
    fast, slow = (found[f"news: {name}, speed-up over Hugging Face"] for name in ("vecformer run", "--recipe plain"))
    assert (fast["ratio"], slow["ratio"]) == (6, 3)
    assert (measuring.meets_threshold(fast), measuring.meets_threshold(slow)) == (True, False)
    assert found["news: vecformer run, time compared with fastText"]["ratio"] == 5
    share = found["news: share of the baselines, --recipe auto"]
    assert share["median"] == pytest.approx(0.3)
    assert not measuring.meets_threshold(share)
    assert len(commands) == 10


def test_large_runs_have_costs_exponents_and_limits(monkeypatch, tmp_path):
    (tmp_path / "ag_news").mkdir()
    rows = "".join(f"{' '.join(f'w{i}{k}' for k in range(40))}\t{'xy'[i % 2]}\n" for i in range(6))
    for part in ("train", "dev"):
        (tmp_path / "ag_news" / f"{part}.tsv").write_text(f"text\tlabel\n{rows}")

    def cost(command, *, threads, stdin=None):
        if stdin:
            return large.Cost(1.0, 100.0 + len(stdin.read_text().splitlines()) / 10)
        data = next(one for one in command if isinstance(one, Path) and one.name == "data")
        texts = measuring.read_texts(data / "train.jsonl")
        assert {len(text.split()) for text, _ in texts} == {37}
        return large.Cost(len(texts) ** (2 if "run" in command else 1), 2_000.0)

    monkeypatch.setattr(large, "cost", cost)
    monkeypatch.setattr(large, "LIMITS", {8: {"MB": 1_000}})
    found = {figure["figure"]: figure for figure in large.measure(tmp_path, peer_python="", sizes=(4, 8),
                                                                 lines=(10, 100))}
    assert found["8 texts, s"]["median"] == 64
    assert measuring.meets_threshold(found["8 texts, MB"]) is False
    assert measuring.meets_threshold(found["4 texts, MB"]) is None
    assert found["vecformer, exponent of the time"]["median"] == pytest.approx(2)
    assert found["fastText, exponent of the time"]["median"] == pytest.approx(1)
    growth_of_memory = found["memory for 100 lines compared with 10"]
    assert growth_of_memory["ratio"] == pytest.approx(110 / 101)
    assert not measuring.meets_threshold(growth_of_memory)


def test_recombined_texts_are_the_same_in_every_call(texts):
    one, other = (list(large.recombined(texts, 5)) for _ in range(2))
    assert one == other
    assert len({text for text, _ in one}) == 5


def test_the_cost_of_a_process_is_its_own(tmp_path):
    (tmp_path / "in.txt").write_text("x" * 10)
    code = "import sys; assert len(sys.stdin.read()) == 10; held = bytearray(200_000_000); held[::4096] = b'x' * 48829"
    spent = large.cost([sys.executable, "-c", code], threads=1, stdin=tmp_path / "in.txt")
    assert 200 < spent.memory_mb < 260
    assert spent.seconds > 0
    with pytest.raises(subprocess.CalledProcessError):
        large.cost([sys.executable, "-c", "raise SystemExit(3)"], threads=1)


def test_prediction_uses_the_peers_fastest_setting(monkeypatch, texts):
    def speeds(script, *arguments):
        if "predict_ours" in script:
            quick = 300 if "auto" in arguments else 500 if "bert" in arguments[0] else 400
            return {"documents_per_second": quick, "same": 0.998, "difference": 0.02}
        return {"documents_per_second": int(arguments[2]) * (2 if "--bfloat16" in arguments else 1)}

    calls = stub_processes(monkeypatch, prediction, speeds)
    monkeypatch.setattr(prediction.subprocess, "run", lambda *_, **__: None)
    found = {figure["figure"]: figure for figure in prediction.measure(peer_python="", runs=3, data=texts)}
    assert found["pipeline, --batch-size 64 --bfloat16, documents/s"]["median"] == 128
    assert found["BERT, int8: speed-up over pipeline"]["ratio"] == 500 / 128
    assert not measuring.meets_threshold(found["BERT, int8: speed-up over pipeline"])
    assert found["BERT, auto: speed-up over pipeline"]["ratio"] == 300 / 128
    assert found["default model, int8: speed-up over pipeline"]["ratio"] == 400 / 128
    assert found["int8: labels that differ from float32, per 1,000"]["median"] == pytest.approx(2)
    assert found["int8: maximum difference of a probability"]["median"] == 0.02
    assert sum("--compare" in call for call in calls) == 1


@pytest.mark.parametrize(("processor", "threshold"), [("amx_bf16", 3.0), ("avx2", 2.0)])
def test_rivals_have_their_fastest_batch_size_and_precision(monkeypatch, texts, processor, threshold):
    def speeds(script, *arguments):
        given = dict(pairwise(arguments))
        if "--labels" in given:
            number = 0 if "predict_ours" in script or given["--precision"] == "float32" else 1
            Path(given["--labels"]).write_text(f"[{number}, 0]", encoding="utf-8")
        if "predict_ours" in script:
            return {"documents_per_second": {"float32": 100, "auto": 200, "int8": 400}[given["--precision"]]}
        size, is_int8 = int(given["--batch-size"]), given["--precision"] == "int8"
        best = 1 if given["--runtime"] == "openvino" else 8
        return {"documents_per_second": (100 if size == best else 10) + 50 * is_int8 - best}

    calls = stub_processes(monkeypatch, rivals, speeds)
    monkeypatch.setattr(rivals.subprocess, "run", lambda *_, **__: None)
    monkeypatch.setattr(rivals, "kind", lambda: processor)
    found = {figure["figure"]: figure for figure in rivals.measure(
        peer_python="", runs=2, texts=measuring.read_texts(texts))}
    int8 = found["int8: speed-up over openvino, int8"]
    assert (int8["ratio"], int8["at_least"]) == (400 / 149, threshold)
    assert measuring.meets_threshold(int8) is (threshold == 2.0)
    assert found["onnxruntime, float32, documents/s"]["median"] == 92
    differing = {name.partition(":")[0]: figure["median"] for name, figure in found.items() if "labels" in name}
    assert differing == {"vecformer, auto": 0, "vecformer, int8": 0, "onnxruntime, float32": 0, "onnxruntime, int8": 1,
                         "openvino, float32": 0, "openvino, bfloat16": 1, "openvino, int8": 1}
    assert len(calls) == 3 + 5 * 4 + 2 * 8


def test_a_slow_precision_is_not_measured_further(monkeypatch):
    tried = []

    def peer(*options):
        tried.append(options)
        return 10 if "--bfloat16" in options else 100

    assert prediction.best_options(peer) == ("--batch-size", "1")
    assert sum("--bfloat16" in options for options in tried) == 1


def test_growth_has_five_points_per_variable(monkeypatch, texts):
    def costs(_, *arguments):
        given = dict(setting.split("=", 1) for setting in arguments if "=" in str(setting))
        width = int(given["model.d_model"])
        return {"seconds": width**2, "memory_mb": 1.0 + int(arguments[arguments.index("--more-words") + 1])}

    calls = stub_processes(monkeypatch, growth, costs)
    found = growth.measure(texts, runs=1, scale=0.05)
    assert [(figure["figure"], figure["measure"]) for figure in found] == [
        (name, measure) for name in ("documents", "length", "vocabulary", "width") for measure in ("time", "memory")]
    assert all(figure["sizes"][-1] == 16 * figure["sizes"][0] for figure in found)
    assert len(calls) == 20
    assert [round(figure["exponent"], 2) for figure in found] == [0, 0, 0, 0, 0, 1, 2, 0]


def test_share_of_peak_has_a_threshold(monkeypatch, texts):
    found = {"operations_per_second": 4e9, "peak": 1e10, "share_of_peak": 0.4}
    stub_processes(monkeypatch, share_of_peak, lambda *_: found)
    for kind, precision in (("avx512_bf16", "bfloat16"), ("avx2", "float32")):
        monkeypatch.setattr(measuring, "kind", lambda kind=kind: kind)
        speed, peak, share = share_of_peak.measure(texts, runs=2, documents=4, length=8)
        assert (speed["median"], peak["median"], share["median"]) == (4, 10, 0.4)
        assert speed["figure"] == f"training, {precision}, GFLOP/s"
        assert measuring.meets_threshold(share)


def test_training_in_a_separate_process(texts):
    settings = measuring.assigned(*(f"{key}={value}" for key, value in SMALL))
    assert measuring.in_process("train_ours.py", texts, *settings, threads=1)["steps"] == 2


def test_prediction_in_a_separate_process(support, texts, tmp_path):
    run = [sys.executable, "-c", "from pipeline.cli.main import main; main()", "run", "--data", support, "--source",
           "random", "--epochs", "1", "--out", tmp_path / "run", "-q"]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    found = measuring.in_process("predict_ours.py", tmp_path / "run", texts, threads=1)
    assert found["documents"] == 32
    assert found["documents_per_second"] > 1


@pytest.mark.parametrize("script", ["run.py", "training.py", "prediction.py", "growth.py", "share_of_peak.py",
                                    "whole_run.py", "large.py", "busy.py", "processes.py",
                                    "train_ours.py", "train_in_turns.py", "predict_ours.py", "cold_start.py",
                                    "pretrained_prediction.py", "rivals.py",
                                    "table_size.py", "sequential.py", "data_sets.py"])
def test_each_script_prints_its_usage(script):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, ROOT / "speed" / script, "--help"], env=environment, check=True,
                          capture_output=True, text=True)
    assert f"usage: python speed/{script}" in done.stdout


@pytest.fixture
def datasets_of_two(tmp_path):
    (tmp_path / "news").mkdir()
    (tmp_path / "news" / "train.tsv").write_text("text\tlabel\na b\tx\nc d\ty\n")
    return tmp_path
