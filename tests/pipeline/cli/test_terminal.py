"""Output to the terminal: no control characters of labels, words, texts and paths; bounded messages."""

import io
import json
import logging

import pytest
from click.testing import CliRunner
from rich.console import Console

from pipeline.benchmark.execution import live_view
from pipeline.cli.common import VisibleFormatter, table
from pipeline.cli.main import cli
from pipeline.drawing.terminal import MAX_MESSAGE, bounded, cell, is_cell, to_json, visible

HOSTILE = "\x1b[31mred\x1b[0m\x07\x08\r\x7f\x9b31m\u202e\u2066\u2028\u2029\x00[red]\udce9"
ACTIVE = set(HOSTILE) - set("[31mred0m]")


def is_safe(printed):
    return not ACTIVE & set(printed)


def call(*args, **more):
    return CliRunner().invoke(cli, [str(arg) for arg in args], **more)


def test_control_characters_are_escapes():
    assert visible("\x1b[31mred") == "\\x1b[31mred"
    assert visible("a\tb\n") == "a\tb\n"
    assert visible("\u202e \udce9 \ud800 \x9b") == "\\u202e \\xe9 \\ud800 \\x9b"
    assert cell("a\tb\r\nc") == "a\\tb\\r\\nc"
    assert is_cell("déjà vu, 你好, 👩‍🚀, עברית \u200f") and not is_cell("\t")
    assert is_safe(visible(HOSTILE)) and is_safe(cell(HOSTILE))


@pytest.mark.parametrize("text", ["déjà vu", "你好", "👩‍🚀", "می‌خواهم", "עברית \u200f", "a\tb\nc"])
def test_ordinary_text_is_unchanged(text):
    assert visible(text) == text
    assert to_json(text) == json.dumps(text, ensure_ascii=False)


def test_json_has_the_same_value_without_control_characters():
    value = {HOSTILE: [HOSTILE, 1.5, None]}
    assert json.loads(to_json(value)) == value
    assert is_safe(to_json(value))


def test_long_messages_are_shortened_and_keep_their_end():
    message = bounded("x" * 100_000 + " use --out")
    assert len(message) < MAX_MESSAGE + 100
    assert message.endswith(" use --out")
    assert "left out" in message
    assert bounded("short") == "short"


def test_tables_have_one_line_a_row():
    lines = table(["label\x1b", "n"], [["a\nb", "1"], [HOSTILE, "2"]]).splitlines()
    assert len(lines) == 3
    assert all(map(is_safe, lines))
    assert len(set(map(len, lines))) == 1


def test_log_messages_and_warnings(capsys):
    record = logging.LogRecord("vecformer", logging.WARNING, __file__, 1, "%s", (HOSTILE,), None)
    assert is_safe(VisibleFormatter("%(message)s").format(record))


@pytest.mark.parametrize("args", [
    ("predict", f"no-such{HOSTILE.replace(chr(0), '')}", "text"),
    ("run", "--data", f"no-such{HOSTILE}"),
    ("run", "--data", "x", "--set", f"{HOSTILE}=1"),
    ("run", "--data", "x", "--source", HOSTILE),
    ("run", "--data", "x", "--task", HOSTILE),
    ("run", "--data", "x", "--transform", HOSTILE),
    ("run", "--data", "x", "--unknown", HOSTILE),
    ("run", f"--{HOSTILE}"),
    (HOSTILE,),
    ("predict", "x", "--precision", HOSTILE),
    ("predict", "x", "--file", f"x{HOSTILE}"),
    ("sources", HOSTILE),
    ("benchmark", "--limit-train", HOSTILE),
    ("benchmark", "--tune", HOSTILE),
    ("embed", "info", HOSTILE),
    ("inspect", "x", "--words", HOSTILE),
])
def test_error_messages(args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*args)
    assert result.exit_code in (1, 2)
    assert is_safe(result.output), result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Error: " in result.output


def test_long_values_give_short_messages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for args in (("run", "--data", "x" * 100_000), ("run", "--data", "x", "--set", "k" * 100_000 + "=1"),
                 ("run", "--data", "x", "--set", "seed=" + "9" * 100_000), ("x" * 100_000,), ("predict", "x" * 100_000),
                 ("run", "--data", "x", "--source", "x" * 100_000), ("run", "--data", "x", "--task", "x" * 100_000)):
        result = call(*args)
        assert result.exit_code in (1, 2), result.output[:200]
        assert isinstance(result.exception, SystemExit), result.exception
        assert len(result.output) < MAX_MESSAGE + 1000


def test_the_live_view_of_a_benchmark():
    shown = io.StringIO()
    live_view._print_line(Console(file=shown, force_terminal=True, color_system="truecolor"), f"1/2 {HOSTILE}")
    assert is_safe(shown.getvalue().rstrip("\n"))
    assert "[red]" in shown.getvalue()


def test_progress_bars(monkeypatch):
    import sys

    from pipeline.telemetry.progress import bars

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with bars() as progress:
        progress(f"[blink]{HOSTILE}", 0.5)
        progress("finished", 1.0)
    shown = sys.stderr.getvalue()
    assert "\x1b[31mred" not in shown
    assert not (ACTIVE - {"\x1b", "\r", "\x07"}) & set(shown)
    assert "[blink]" in shown


def test_commands_print_by_one_function():
    """Every command prints by ``echo`` and ``to_json``; ``click.echo`` would pass control characters on."""
    from pathlib import Path

    folder = Path(__file__).parents[3] / "pipeline" / "cli"
    its_own = {"common.py", "failures.py", "main.py"}
    for file in folder.rglob("*.py"):
        text = file.read_text()
        if file.name not in its_own:
            assert "click.echo(" not in text, f"{file.name}: print by pipeline.cli.common.echo"
            assert "print(" not in text.replace("fingerprint(", ""), file.name
        assert "json.dumps(" not in text, f"{file.name}: write JSON by pipeline.drawing.terminal.to_json"
