"""``vecformer predict``: texts from arguments, lines, tables and files of the tasks; flags; refusals."""

import gzip
import json

import pytest
from click.testing import CliRunner

from pipeline.cli.main import cli
from pipeline.runs.trained import load_run

TINY = ["--source", "random", "--epochs", "1", "--set", "model.n_layers=1", "--set", "model.d_model=16", "--set",
        "model.n_heads=2", "--set", "model.d_ff=32"]
EMPTY, UNKNOWN = "the text is empty", "the text has no known word"


def call(*args, **more):
    return CliRunner().invoke(cli, [str(arg) for arg in args], **more)


def predicted(run, *args, **more):
    """Return the predictions of ``--json``, and the lines of the other output."""
    found = call("predict", run, *args, "--json", **more)
    shown = call("predict", run, *args, **more)
    assert (found.exit_code, shown.exit_code) == (0, 0), found.output
    return list(map(json.loads, found.stdout.splitlines())), shown.stdout.splitlines()


def refused(run, *args, **more):
    result = call("predict", run, *args, **more)
    assert (result.exit_code, result.stdout) == (1, "")
    return result.stderr


def same(prediction):
    """Compare with a prediction of another batch, whose floating-point numbers differ in the last digits."""
    return {name: pytest.approx(value, rel=1e-5) if isinstance(value, float | dict) else value
            for name, value in prediction.items()}


CSV = 'id,Message,label\n1,"My parcel\nnever came, ""ever""",delivery\n2,,x\n3,zzqq wwxx !,y\n'


def test_a_csv_file_is_read_by_its_column(runs, tmp_path):
    (tmp_path / "x.csv").write_text(CSV)
    found, lines = predicted(runs("classification"), "--file", tmp_path / "x.csv", "--text-column", "Message")
    assert [one["text"] for one in found] == ['My parcel\nnever came, "ever"', "", "zzqq wwxx !"]
    assert [one.get("warning") for one in found] == [None, EMPTY, UNKNOWN]
    assert [line.split("\t")[2:] for line in lines] == [
        ['My parcel\\nnever came, "ever"'], ["", f"warning: {EMPTY}"], ["zzqq wwxx !", f"warning: {UNKNOWN}"]]
    assert "--text-column" in refused(runs("classification"), "--file", tmp_path / "x.csv")
    assert "'Message'" in refused(runs("classification"), "--file", tmp_path / "x.csv", "--text-column", "Massage")


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl", "x.json", "x.csv.gz", "x.jsonl.gz", "x.parquet",
                                  "excel.csv"])
def test_every_table_gives_the_same_texts(name, runs, tmp_path):
    texts = ["the parcel never arrived", "my card was charged twice"]
    path = tmp_path / name
    records = [{"n": i, "text": text, "label": "billing"} for i, text in enumerate(texts)]
    content = {
        ".csv": "n,text,label\n" + "".join(f'{i},"{text}",billing\n' for i, text in enumerate(texts)),
        ".tsv": "n\ttext\tlabel\n" + "".join(f"{i}\t{text}\tbilling\n" for i, text in enumerate(texts)),
        ".jsonl": "\n".join(map(json.dumps, records)),
        ".json": json.dumps({"data": records}),
    }
    if name == "x.parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), path)
    elif name == "excel.csv":
        path.write_bytes(content[".csv"].replace(",", ";").encode("utf-8-sig"))
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(content[path.with_suffix("").suffix].encode()))
    else:
        path.write_text(content[path.suffix])
    found, _ = predicted(runs("classification"), "--file", path)
    by_argument, _ = predicted(runs("classification"), *texts)
    assert found == by_argument


@pytest.mark.parametrize("name", ["x.txt", "x.txt.gz", "x"])
def test_other_files_are_read_by_lines(name, runs, tmp_path):
    content = "the parcel, never arrived\n\nmy \"card\"\n".encode("utf-16" if name == "x.txt" else "utf-8")
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found, _ = predicted(runs("classification"), "--file", tmp_path / name)
    assert [one["text"] for one in found] == ["the parcel, never arrived", "", 'my "card"']
    assert [one.get("warning") for one in found] == [None, EMPTY, None]


def test_lines_in_the_format_of_fasttext_have_no_label(runs, tmp_path):
    (tmp_path / "x.txt").write_text("__label__billing my card was charged\n__label__delivery no parcel\n")
    found, _ = predicted(runs("classification"), "--file", tmp_path / "x.txt")
    assert [one["text"] for one in found] == ["my card was charged", "no parcel"]


@pytest.mark.parametrize("content", ["text\tlabel\r\nMy parcel\tx\r\n", '{"text": "My parcel", "label": "x"}\n'])
def test_a_table_that_is_called_a_text_file_has_no_label_in_its_texts(content, runs, tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(content.encode("utf-16"))
    assert [one["text"] for one in predicted(runs("classification"), "--file", path)[0]] == ["My parcel"]
    assert "standard input is a table" in refused(runs("classification"), input=content)


def test_several_columns_are_joined(runs, tmp_path):
    (tmp_path / "x.csv").write_text("Subject,Message\nparcel,never came\n")
    found, _ = predicted(runs("classification"), "--file", tmp_path / "x.csv", "--text-column", "Subject",
                         "--text-column", "Message")
    assert found[0]["text"] == "parcel\nnever came"


def test_pairs(runs, tmp_path):
    run = runs("pairs")
    (tmp_path / "x.csv").write_text("sentence1,sentence2,label\nA man sleeps,A man is awake,entailment\nA man,,x\n")
    found, lines = predicted(run, "--file", tmp_path / "x.csv")
    by_argument, _ = predicted(run, "A man sleeps", "--context", "A man is awake")
    assert found[0] == same(by_argument[0])
    assert found[1]["warning"] == "the second text is empty"
    assert lines[0].split("\t")[2:] == ["A man sleeps", "A man is awake"]
    assert predicted(run, "A man sleeps")[0][0]["warning"] == "the second text is empty"
    (tmp_path / "y.csv").write_text("text,other\nA man sleeps,A man is awake\n")
    assert "--context-column" in refused(run, "--file", tmp_path / "y.csv")
    assert predicted(run, "--file", tmp_path / "y.csv", "--context-column", "other")[0] == by_argument


def test_questions(runs, tmp_path, support):
    run = runs("question-answering")
    context = "The tower is in Paris."
    by_argument, _ = predicted(run, "Where is the tower?", "--context", context)
    (tmp_path / "x.jsonl").write_text(json.dumps({"question": "Where is the tower?", "context": context}))
    (tmp_path / "x.csv").write_text(f"question,passage\nWhere is the tower?,{context}\n")
    for name in ("x.jsonl", "x.csv"):
        assert predicted(run, "--file", tmp_path / name)[0] == by_argument
    squad = support.parent / "questions" / "test.json"
    questions = [question["question"] for article in json.loads(squad.read_text())["data"]
                 for paragraph in article["paragraphs"] for question in paragraph["qas"]]
    assert [one["text"] for one in predicted(run, "--file", squad)[0]] == questions
    assert "--context" in refused(run, "Where is the tower?")
    flagged, _ = predicted(run, "zzqq wwxx", "--context", context)
    assert flagged[0]["warning"] == "the question has no known word"


def test_translation(runs, tmp_path):
    run = runs("translation")
    (tmp_path / "x.csv").write_text("de,en\nguten Morgen,good morning\n,\nzzqq wwxx,y\n")
    (tmp_path / "y.csv").write_text("source,target\nguten Morgen,good morning\n")
    found, lines = predicted(run, "--file", tmp_path / "x.csv")
    by_argument, _ = predicted(run, "guten Morgen")
    assert [one["text"] for one in found] == ["guten Morgen", "", "zzqq wwxx"]
    assert [one.get("warning") for one in found] == [None, EMPTY, UNKNOWN]
    assert lines[1] == ""  # a blank line for a blank line
    assert found[0] == same(by_argument[0])
    assert predicted(run, "--file", tmp_path / "y.csv")[0] == by_argument


def test_tagging(runs, tmp_path):
    run = runs("tagging")
    (tmp_path / "x.conll").write_text("Anna\tB-person\nlives\tO\nhere\tO\n\nAnna\tO\nzzqq\tO\n")
    (tmp_path / "x.tsv").write_bytes((tmp_path / "x.conll").read_bytes())
    (tmp_path / "x.csv").write_text("id,text\n1,Anna lives here\n")
    (tmp_path / "x.jsonl").write_text(json.dumps({"text": ["Anna", "lives", "here"]}))
    for name, n in (("x.conll", 2), ("x.tsv", 2), ("x.csv", 1), ("x.jsonl", 1)):
        found, lines = predicted(run, "--file", tmp_path / name)
        assert (len(found), len(lines)) == (n, n), name
        assert found[0]["words"] == ["Anna", "lives", "here"]
    found, lines = predicted(run, "", "zzqq")
    assert [one["warning"] for one in found] == [EMPTY, UNKNOWN]
    assert lines[0] == "" and lines[1].endswith(f"\twarning: {UNKNOWN}")


def test_language_models(runs, tmp_path):
    (tmp_path / "x.jsonl").write_text('{"text": "Once upon a time"}\n{"text": ""}\n')
    found, lines = predicted(runs("language-model"), "--file", tmp_path / "x.jsonl")
    assert [one.get("warning") for one in found] == [None, EMPTY]
    assert lines[1].endswith(f"\twarning: {EMPTY}")
    masked = runs("masked-language-model")
    (tmp_path / "y.csv").write_text('text\n"Once upon <mask> time"\n')
    assert "warning" not in predicted(masked, "--file", tmp_path / "y.csv")[0][0]
    assert predicted(masked, "<mask>")[0][0]["warning"] == EMPTY
    (tmp_path / "z.csv").write_text("text\nOnce upon <mask> time\nOnce\n")
    assert f"{tmp_path / 'z.csv'}:3: " in refused(masked, "--file", tmp_path / "z.csv")


def test_the_number_of_flagged_and_truncated_texts_is_one_warning(runs):
    long = "parcel " * 60
    result = call("predict", runs("classification"), "", "zzqq", long, "the parcel")
    assert result.stderr.splitlines() == [
        "2 of 4 texts empty or without a known word; their predictions are marked; 1 of 4 texts longer than "
        "data.max_length = 40 tokens; they are truncated"]
    assert call("predict", runs("classification"), "", "zzqq", long, "-q").stderr == ""
    assert call("predict", runs("classification"), "the parcel " * 20).stderr == ""  # 40 words fit


def test_ordinary_predictions_are_as_before(runs):
    found, lines = predicted(runs("classification"), "The parcel never arrived.")
    assert list(found[0]) == ["text", "label", "probabilities"]
    label = found[0]["label"]
    assert lines == [f"{label}\t{found[0]['probabilities'][label]:.4f}\tThe parcel never arrived."]


def test_a_text_is_one_line_of_columns(runs):
    _, lines = predicted(runs("classification"), "the\tparcel\r\nnever\x1b[31m \u202e arrived")
    assert len(lines) == 1
    assert lines[0].split("\t")[2:] == ["the\\tparcel\\r\\nnever\\x1b[31m \\u202e arrived"]


@pytest.mark.parametrize(("args", "message"), [
    (["a", "--file", "x.csv"], "both texts and --file are given"),
    (["a", "--text-column", "text"], "--text-column is for tables"),
    (["--file", "x.txt", "--separator", ";"], "--separator is for tables"),
    (["a", "--context", "b"], "reads single texts"),
    (["--file", "x.csv", "--context", "b"], "reads single texts"),
    (["--file", "x.csv", "--context-column", "text"], "reads single texts"),
    (["--file", "."], "is a folder"),
    (["--file", "none.csv"], "no such file"),
    (["--file", "empty.txt"], "no text"),
    (["--file", "binary.txt"], "binary.txt"),
    ([], "no text"),
])
def test_refusals(args, message, runs, tmp_path, monkeypatch):
    run = runs("classification")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("text\na\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "binary.txt").write_bytes(bytes(range(256)) * 40)
    assert message in refused(run, *args, input=b"")


def test_predictions_of_a_run_are_flagged(tmp_path):
    (tmp_path / "data").mkdir()
    rows = "".join(f"good word{i}\ta\nbad word{i}\tb\n" for i in range(10))
    (tmp_path / "data" / "train.tsv").write_text(f"text\tlabel\n{rows}")
    (tmp_path / "data" / "test.tsv").write_text("text\tlabel\ngood one\ta\nzzqq\tb\n")
    done = call("run", "--data", tmp_path / "data", *TINY, "--out", tmp_path / "run", "-q")
    assert done.exit_code == 0, done.output
    lines = map(json.loads, (tmp_path / "run" / "predictions.jsonl").read_text().splitlines())
    assert [one.get("warning") for one in lines] == [None, UNKNOWN]


@pytest.mark.parametrize(("texts", "message"), [
    ("a string", r"not one string; write \[text\]"),
    (b"bytes", r"not one string"),
    (["a", None], r"texts\[1\] is None"),
    ([float("nan")], r"texts\[0\] is nan"),
    (["a", "b", 3], r"texts\[2\] is of type int"),
    ({"a": 1}, "not dict; choose one column"),
])
def test_the_python_api_refuses_other_things_than_texts(texts, message, runs):
    with pytest.raises(TypeError, match=message):
        load_run(runs("classification")).predict(texts)


def test_the_python_api(runs):
    run = load_run(runs("pairs"))
    assert run.predict([]) == []
    assert run.predict(text for text in ["A man"])[0]["warning"] == "the second text is empty"
    with pytest.raises(TypeError, match=r"contexts must be a list"):
        run.predict(["A man"], contexts="A man")
    with pytest.raises(ValueError, match="1 contexts for 2 texts"):
        run.predict(["A man", "A dog"], contexts=["A man"])
    with pytest.raises(ValueError, match="reads single texts"):
        load_run(runs("classification")).predict(["A man"], contexts=["A dog"])
