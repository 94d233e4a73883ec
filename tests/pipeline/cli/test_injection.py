"""Labels, texts and words of users' files cannot inject terminal sequences, bidirectional overrides or markup."""

import json
import re

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.cli.common import echo_blocks, echo_pieces, table
from pipeline.cli.main import cli
from pipeline.drawing.prediction import prediction_lines
from pipeline.drawing.terminal import STYLES, csv_line, to_json, visible

TINY = ["--source", "random", "--epochs", "1", "--recipe", "plain", "--baselines", "none", "--set",
        "model.n_layers=1", "--set", "model.d_model=16", "--set", "model.n_heads=2", "--set", "model.d_ff=32"]
HOSTILE = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202eevil\u2066\x08\x7f [bold red]markup[/] <script>alert(1)</script>"
COLOURS = re.compile(r"\x1b\[(?:0|1|2|7|3[0-7]|9[0-7])m")  # that the program itself prints
TEXTS = st.text(st.one_of(st.sampled_from("\x1b\x9b\x07\x08\r\n\t\x7f\x00\x85\u2028\u202e\u2066\u2069[]m;/\\<"),
                          st.characters(exclude_categories=["Cs"])), max_size=30)


def is_safe(printed):
    return visible(COLOURS.sub("", printed)) == COLOURS.sub("", printed)


@pytest.fixture(scope="module", params=["", "1"])
def colour(request):
    """Plain output, and output in colour."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NO_COLOR", raising=False)
        patch.setenv("TERM", "xterm")
        patch.setenv("FORCE_COLOR", request.param)
        yield bool(request.param)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run whose labels, words and texts are hostile, and a file to evaluate and predict."""
    folder = tmp_path_factory.mktemp("injection")
    rows = [{"text": f"{HOSTILE} word{i % 7}\x1b[2J number {i}", "label": f"{HOSTILE}{'ab'[i % 2]}"} for i in range(24)]
    (folder / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = CliRunner().invoke(cli, ["run", "--data", str(folder / "x.jsonl"), *TINY, "--out", str(folder / "run")])
    assert done.exit_code == 0, done.output
    again = ["run", "--data", str(folder / "x.jsonl"), *TINY, "--seed", "2", "--out", str(folder / "other"), "-v"]
    assert is_safe(done.output)
    assert is_safe(CliRunner().invoke(cli, again).output)
    return folder


@pytest.mark.parametrize("arguments", [
    ["evaluate", "run", "--data", "x.jsonl"], ["evaluate", "run", "--data", "x.jsonl", "--json"],
    ["predict", "run", "--file", "x.jsonl"], ["predict", "run", "--file", "x.jsonl", "--json"],
    ["predict", "run", "--file", "x.jsonl", "--csv"], ["predict", "run", HOSTILE], ["inspect", "run"],
    ["inspect", "run", "--text", HOSTILE], ["inspect", "run", "--json"], ["compare", "run", "other"],
    ["compare", "run", "other", "--json"], ["evaluate", "run", "--data", "x.jsonl", "--label-column", HOSTILE],
])
def test_commands_print_no_sequence_of_a_file(arguments, place, colour, monkeypatch):
    monkeypatch.chdir(place)
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == (1 if arguments[-1] == HOSTILE and "--label-column" in arguments else 0), done.output
    assert is_safe(done.output)
    assert colour or not COLOURS.search(done.output)
    if arguments[0] == "predict":
        assert "[bold red]markup[/]" in done.output  # is text


@given(TEXTS)
@settings(max_examples=8)
def test_any_text_is_predicted_on_one_line(place, colour, text):
    text = f"a{text}".replace("\x00", "")
    for options, n_lines in (([], 1), (["--json"], 1), (["--csv"], None)):
        done = CliRunner().invoke(cli, ["predict", str(place / "run"), *options, "--", text])
        assert done.exit_code == 0, done.output
        assert is_safe(done.stdout)
        assert n_lines is None or done.stdout.count("\n") == n_lines
        if options == ["--json"]:
            assert json.loads(done.stdout)["text"] == text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, TEXTS, st.sampled_from(["", *STYLES]))
def test_any_text_in_tables_and_pieces(colour, capsys, one, two, style):
    echo_blocks(table([one, two], [[two, one]]))
    echo_pieces([(one, style), (two, "")])
    assert is_safe(capsys.readouterr().out)
    assert is_safe(to_json({one: [two]}))
    assert is_safe(visible(csv_line([one, two])))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, TEXTS, TEXTS)
def test_any_text_in_entities_and_answers(colour, capsys, before, text, after):
    class Example:
        pass

    tagged, question = Example(), Example()
    tagged.text = question.context = before + text + after
    span = {"start": len(before), "end": len(before) + len(text)}
    entities = {"entities": [{"type": before, "text": text, **span}]}
    for prediction, example in ((entities, tagged), ({"answer": text, **span}, question)):
        (pieces,) = prediction_lines([visible(text)], [prediction], [example])
        echo_pieces(pieces)
    assert is_safe(capsys.readouterr().out)


def test_pages_show_labels_as_text(place):
    page = (place / "run" / "report.html").read_text()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not set("\x1b\x9b\x07\u202e\u2066") & set(page)
