"""``vecformer predict --out``: the table with predictions, for every task; refusals; other output of ``predict``."""

import csv
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from pipeline.cli.main import cli

CSV = "id;text;label\r\n1;My parcel never came;x\r\n\r\n2;zzqq wwxx;y\r\n;;\r\n3;charged twice;\r\n"


def call(*args, **more):
    return CliRunner().invoke(cli, [str(arg) for arg in args], **more)


def predicted(run, *args):
    done = call("predict", run, *args)
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture
def table(tmp_path):
    (tmp_path / "a.csv").write_bytes(CSV.encode("utf-8-sig"))
    return tmp_path / "a.csv"


def test_rows_and_columns_are_kept_in_order(runs, table, tmp_path):
    run, result = runs("classification"), tmp_path / "r.csv"
    done = predicted(run, "--file", table, "--out", result)
    assert done.stdout == (f"wrote {result}: 3 rows, added columns label (vecformer), probability, warning; "
                           "1 with a warning\n")
    one, two, three = (json.loads(line) for line in predicted(
        run, "--json", "My parcel never came", "zzqq wwxx", "charged twice").stdout.splitlines())

    def added(of):
        probability = f"{of['probabilities'][of['label']]:.4f}".replace(".", ",")
        return f"{of['label']};{probability};{of.get('warning', '')}"

    assert result.read_bytes().decode("utf-8-sig") == (
        "id;text;label;label (vecformer);probability;warning\r\n"
        f"1;My parcel never came;x;{added(one)}\r\n\r\n2;zzqq wwxx;y;{added(two)}\r\n;;;;;\r\n"
        f"3;charged twice;;{added(three)}\r\n")
    assert two["warning"] == "the text has no known word"


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl", ".json", ".ndjson", ".xlsx", ".parquet", ".arrow"])
def test_any_format_becomes_any_other(suffix, runs, table, tmp_path):
    run, result, back = runs("classification"), tmp_path / f"r{suffix}", tmp_path / "back.csv"
    predicted(run, "--file", table, "--out", result)
    predicted(run, "--file", result, "--out", back)
    direct = tmp_path / "direct.csv"
    predicted(run, "--file", table, "--out", direct)
    rows = list(csv.DictReader(back.read_text("utf-8").splitlines()))
    expected = list(csv.DictReader(direct.read_text("utf-8-sig").splitlines(), delimiter=";"))
    for row, original in zip([one for one in rows if one["text"]], [one for one in expected if one["text"]],
                             strict=True):
        assert row["label (vecformer)"] == row["label (vecformer 2)"] == original["label (vecformer)"]
        assert (row["id"], row["text"], row["label"]) == (original["id"], original["text"], original["label"])
        assert row["probability (vecformer)"] == original["probability"].replace(",", ".")


COLUMNS = {
    "classification": ["label", "probability"],
    "pairs": ["label", "probability"],
    "multi-label": ["labels", "probabilities"],
    "regression": ["value"],
    "tagging": ["tags", "entities"],
    "question-answering": ["answer", "probability", "start", "end"],
    "translation": ["translation"],
    "language-model": ["perplexity", "log_probability"],
    "masked-language-model": ["words", "probabilities"],
}


def test_every_task_is_tried():
    from pipeline.tasks import base

    assert set(COLUMNS) - {"pairs"} == set(base.TASKS.available)


@pytest.mark.parametrize("task", COLUMNS)
def test_the_columns_of_every_task(task, runs, tmp_path):
    rows = [{"n": 1, "text": "a parcel <mask> came"}, {"n": 2, "text": ""}, {"n": 3, "text": "zzqq"}]
    if task == "masked-language-model":  # which predicts for texts with the mask only
        rows = [{"n": 1, "text": "a parcel <mask> came"}, {"n": 2, "text": "<mask>"}, {"n": 3, "text": "zzqq <mask>"}]
    if task in ("question-answering", "pairs"):
        names = ("question", "context") if task == "question-answering" else ("sentence1", "sentence2")
        rows = [{"n": row["n"], names[0]: row["text"], names[1]: "it is in Paris"} for row in rows]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run = runs(task)
    for name in ("r.jsonl", "r.xlsx"):
        predicted(run, "--file", tmp_path / "a.jsonl", "--out", tmp_path / name)
    found = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [{name: row[name] for name in rows[0]} for row in found] == rows
    assert [list(row) for row in found] == [[*rows[0], *COLUMNS[task], "warning"]] * 3
    plain = [json.loads(line) for line in predicted(run, "--file", tmp_path / "a.jsonl", "--json").stdout.splitlines()]
    assert [row["warning"] for row in found] == [one.get("warning") for one in plain]
    lines = predicted(run, "--file", tmp_path / "a.jsonl", "--csv").stdout.splitlines()
    assert next(csv.reader(lines)) == ["text", *COLUMNS[task], "warning"]
    assert len(list(csv.reader(lines))) == 4


def test_texts_that_are_not_from_a_table_become_one(runs, tmp_path):
    (tmp_path / "lines.txt").write_text("the parcel\nmy card\n")
    predicted(runs("classification"), "--file", tmp_path / "lines.txt", "--out", tmp_path / "r.csv")
    predicted(runs("classification"), "the parcel", "my card", "--out", tmp_path / "s.csv")
    assert (tmp_path / "r.csv").read_text() == (tmp_path / "s.csv").read_text()
    assert (tmp_path / "r.csv").read_text().startswith("text,label,probability,warning\nthe parcel,")
    predicted(runs("question-answering"), "Where?", "--context", "In Paris.", "--out", tmp_path / "q.jsonl")
    assert json.loads((tmp_path / "q.jsonl").read_text())["context"] == "In Paris."


def test_results_are_not_written_over_other_files(runs, table, tmp_path):
    run = runs("classification")
    (tmp_path / "r.csv").write_text("mine")
    (tmp_path / "link.csv").hardlink_to(table)
    (tmp_path / "soft.csv").symlink_to(table)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for result, message, *more in [
        ("r.csv", "exists already"), ("a.csv", "the table that is read", "--overwrite"),
        ("link.csv", "the table that is read", "--overwrite"), ("soft.csv", "the table that is read", "--overwrite"),
        ("r.xls", "write .xlsx"), ("r.doc", "its suffix must be one of"), ("r.csv.gz", "leave out .gz"),
        ("none/r.csv", "mkdir -p"), ("r", "without a suffix"), ("r.txt", "cannot be written"),
    ]:
        done = call("predict", run, "--file", table, "--out", tmp_path / result, *more)
        assert (done.exit_code, done.stdout) == (1, ""), result
        assert message in done.stderr, result
    bad = tmp_path / "b.csv"
    bad.write_text("text,n\na,1\nb\n")
    assert call("predict", run, "--file", bad, "--out", tmp_path / "s.csv").exit_code == 1
    bad.unlink()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    predicted(run, "--file", table, "--out", tmp_path / "r.csv", "--overwrite")
    assert "probability" in (tmp_path / "r.csv").read_text("utf-8-sig")
    for wrong in (["--json"], ["--csv"]):
        assert call("predict", run, "--file", table, "--out", tmp_path / "x.csv", *wrong).exit_code == 2
    assert call("predict", run, "x", "--overwrite").exit_code == 2
    assert call("predict", run, "x", "--json", "--csv").exit_code == 2


def test_column_options_of_run_evaluate_and_predict_are_the_same(runs, tmp_path):
    options = {}
    for name in ("run", "evaluate", "predict"):
        command = cli.get_command(None, name)
        options[name] = {option for parameter in command.params for option in parameter.opts
                         if option.endswith(("-column", "-separator")) or option in ("--separator", "--encoding")}
    assert options["run"] == options["evaluate"] == options["predict"]
    (tmp_path / "a.csv").write_text("s1;s2;gold\nA man sleeps;A man is awake;entailment\n", encoding="utf-16")
    columns = ["--text-column", "s1", "--context-column", "s2", "--label-column", "gold", "--separator", ";",
               "--encoding", "utf-16"]
    run = runs("pairs")
    assert json.loads(call("evaluate", run, "--data", tmp_path / "a.csv", *columns, "--json").stdout)["n"] == 1
    assert json.loads(predicted(run, "--file", tmp_path / "a.csv", *columns, "--json").stdout)["text"] == "A man sleeps"



def test_lines_of_standard_input_are_predicted_as_they_arrive(runs):
    code = "from pipeline.cli.main import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code, "predict", str(runs("classification")), "--json"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    for text in ("my parcel", "Grüße", "my card"):
        process.stdin.write(f"{text}\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["text"] == text  # before the next line is written
    process.stdin.close()
    assert process.wait(30) == 0


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals")
def test_colours_on_a_terminal_and_plain_text_in_a_pipe(runs, monkeypatch):
    import pty

    def shown(task, *args, **variables):
        code = "from pipeline.cli.main import main; main()"
        leader, follower = pty.openpty()
        environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
        done = subprocess.run([sys.executable, "-c", code, "predict", str(runs(task)), *args], stdout=follower,
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True,
                              env={**environment, "TERM": "xterm", **variables})
        assert done.returncode == 0
        os.close(follower)
        made = os.read(leader, 65536).decode()
        os.close(leader)
        return made

    assert "\x1b[" in shown("classification", "my parcel")
    assert "\x1b" not in shown("classification", "my parcel", NO_COLOR="1")
    assert "\x1b" not in shown("classification", "my parcel", TERM="dumb")
    answer = shown("question-answering", "Where?", "--context", "It is in Paris today.")
    assert "\x1b[7m" in answer
    assert answer.count("today") >= 1
    assert "\x1b" not in predicted(runs("question-answering"), "Where?", "--context", "It is in Paris.").stdout


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals")
def test_lines_go_to_standard_output_while_a_bar_is_on_the_terminal(runs, tmp_path):
    code = "from pipeline.cli.main import main; main()"
    (tmp_path / "a.txt").write_text("my parcel\n" * 5000)  # more than one batch
    leader, follower = os.openpty()
    done = subprocess.run([sys.executable, "-c", code, "predict", str(runs("classification")), "--file",
                           tmp_path / "a.txt"], stdout=subprocess.PIPE, stderr=follower, check=True, text=True,
                          env={**os.environ, "TERM": "xterm"})
    os.close(follower)
    os.close(leader)
    assert len(done.stdout.splitlines()) == 5000
    assert "\x1b" not in done.stdout


def test_generated_text_is_printed_in_parts_that_make_the_text(runs, monkeypatch):
    import pipeline.cli.generate as module

    parts = []
    monkeypatch.setattr(module, "echo", lambda text="", nl=True, **_: parts.append(text + "\n" * nl))
    run = runs("language-model")
    for prompt in ("A fox", "A fox said: \"", ""):
        parts.clear()
        assert call("generate", run, prompt, "--max-tokens", "30", "--n", "2").exit_code == 0
        shown, n_parts = "".join(parts), len(parts)
        parts.clear()
        assert call("generate", run, prompt, "--max-tokens", "30", "--n", "2", "--json").exit_code == 0
        texts = [json.loads(line)["text"] for line in "".join(parts).splitlines()]
        assert shown == "\n\n".join(texts) + "\n"
        assert n_parts > 20
