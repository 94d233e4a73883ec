"""The command ``explain`` and its page."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from click.testing import CliRunner

from pipeline.cli.main import cli
from pipeline.commands.pages.explanation import _pieces
from pipeline.explanation.explanation import Token

TEXT = "The courier lost my <b>package</b> & nobody xqztw helps."
SMALL = ["--source", "glove", "--epochs", "2", "--set", "model.d_model=16", "--set", "model.n_heads=2", "--set",
         "model.d_ff=32", "--set", "data.unseen_words=2000", "--baselines", "none", "-q"]


def call(*args):
    return CliRunner().invoke(cli, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def path(tmp_path_factory, support):
    out = tmp_path_factory.mktemp("explained") / "<i>run"
    assert call("run", "--data", support, *SMALL, "--out", out).exit_code == 0
    return out


def test_the_tables(path):
    done = call("explain", path, TEXT, "--examples", 2)
    assert done.exit_code == 0, done.output
    summary, words, ngrams, changes, examples = done.output.strip().split("\n\n")
    assert re.search(r"^contributions  sum [+-][\d.]+, \d\.\d\d% from the difference \(\d+ steps\)$", summary, re.M)
    assert "n-gram branch" in summary
    assert [line.split()[0] for line in words.splitlines()[1:]] == [
        "The", "courier", "lost", "my", "<", "b", ">", "package", "<", "/", "b", ">", "&", "nobody", "xqztw", "helps",
        "."]
    assert re.search(r"^xqztw .* missing, not in training$", words, re.M)
    assert ngrams.splitlines()[0].split() == ["n-gram", "of", "contribution"]
    assert changes.startswith("without the word")
    assert len(examples.splitlines()) == 4
    assert "read from" in examples


def test_json_is_what_python_returns(path):
    from pipeline import load_run
    from pipeline.explanation.explain import explain

    done = call("explain", path, TEXT, "--json", "--label", "billing", "--steps", "16")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == json.loads(json.dumps(
        explain(load_run(path), TEXT, label="billing", steps=16).to_json()))


def test_the_page_is_one_file_without_markup_of_the_text(path, tmp_path):
    page = tmp_path / "why.html"
    assert call("explain", path, TEXT, "--html", page).output.endswith(f"wrote {page}\n")
    html = page.read_text()
    assert "<b>package" not in html
    assert "<i>run" not in html
    shown = re.search(r'<p class="text">(.*?)</p>', html, re.S)[1]
    assert re.sub(r"<mark[^>]*>|</mark>", "", shown) == TEXT.replace("&", "&amp;").replace("<", "&lt;").replace(
        ">", "&gt;")
    assert not re.search(r'(?:src|href)="(?!#)|https?://|@import', html)
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])
    (block,) = data["blocks"]
    assert len(block["words"]) == 17
    assert html.count("text\">") >= 3  # both together, the Transformer, the n-grams


def test_an_existing_page_is_kept(path, tmp_path):
    page = tmp_path / "why.html"
    page.write_text("mine")
    done = call("explain", path, TEXT, "--html", page)
    assert done.exit_code == 1
    assert "--overwrite" in done.output
    assert page.read_text() == "mine"
    assert call("explain", path, TEXT, "--html", page, "--overwrite", "--json").exit_code == 0
    assert page.read_text() != "mine"


def test_errors_are_one_message(path):
    for args, message in ((["none", TEXT], "no such run"), ([path, ""], "has no word"),
                          ([path, TEXT, "--label", "bill"], "Did you mean"),
                          ([path, TEXT, "--context", "x"], "leave out --context"),
                          ([path, TEXT, "--train-data", "none.tsv"], "none.tsv")):
        done = call("explain", *args)
        assert done.exit_code == 1, done.output
        assert message in done.output
        assert "Traceback" not in done.output


def test_colours_follow_the_contributions():
    tokens = [Token("b", 2, 3, "text", -0.5, 0.0, "exact", True), Token("a", 0, 1, "text", 1.0, 0.0, "exact", True)]
    pieces = _pieces("a b!", tokens, lambda token: token.contribution, 1.0)
    assert [piece.text for piece in pieces] == ["a", " ", "b", "!"]
    assert [piece.colour for piece in pieces] == ["rgba(245, 133, 24, 0.500)", "", "rgba(76, 120, 168, 0.250)", ""]
    assert [piece.value for piece in pieces] == ["+1.000", "", "−0.500", ""]


@pytest.mark.browser
@pytest.mark.parametrize("width", [360, 1000])
def test_the_page_in_a_browser(path, tmp_path, chromium, width):
    """No error, no request, no sideways scrolling, nothing that axe-core reports; heads can be chosen."""
    page_file = tmp_path / "why.html"
    assert call("explain", path, TEXT, "--html", page_file).exit_code == 0
    problems = []
    for scheme in ("light", "dark"):
        page = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.append(request.url) if request.url.startswith("http") else None)
        page.goto(page_file.as_uri())
        page.get_by_title("layer 1, head 1").click()
        assert page.locator("#chosen").text_content() == "encoder, layer 1, head 1"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert [one["id"] for one in Axe().run(page).response["violations"]] == []
        page.close()
    assert problems == []


def test_words_are_coloured_on_a_terminal_and_the_text_stays_readable(path, monkeypatch):
    plain = call("explain", path, TEXT).output
    monkeypatch.setenv("FORCE_COLOR", "1")
    first, *rest = call("explain", path, TEXT).output.splitlines()
    assert re.sub(r"\x1b\[\d+m", "", first) == TEXT
    assert "\x1b[32m" in first or "\x1b[31m" in first
    assert re.sub(r"\x1b\[\d+m", "", "\n".join(rest)).split() == plain.split()
