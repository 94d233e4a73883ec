"""Pages show labels, words and names as text, whatever they contain."""

import json
import re

from click.testing import CliRunner

from pipeline.cli.main import cli

TINY = ["--source", "random", "--epochs", "1", "--set", "model.n_layers=1", "--set", "model.d_model=16", "--set",
        "model.n_heads=2", "--set", "model.d_ff=32"]
LABELS = ("</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"' onload=alert(1) x='", "$\\frac$")


def call(*args):
    result = CliRunner().invoke(cli, [str(arg) for arg in args])
    assert result.exit_code == 0, result.output
    return result.output


def test_no_page_contains_an_element_of_a_label_or_word(tmp_path):
    rows = [{"text": f"word{i} <blink>{'<script>' * (i % 2)}</script> &amp; alert(1)", "label": LABELS[i % 4]}
            for i in range(64)]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run = tmp_path / "<i>run & 'x'"
    call("run", "--data", tmp_path / "x.jsonl", *TINY, "--out", run)
    call("inspect", run, "--text", rows[1]["text"], "--html", tmp_path / "attention.html")
    call("embed", "map", run, "--out", tmp_path / "map.html", "--method", "pca")
    for page in (run / "report.html", tmp_path / "attention.html", tmp_path / "map.html"):
        text = page.read_text()
        elements = re.findall(r"<(\w+)[^>]*>", re.sub(r"(?s)<script[^>]*>.*?</script>", "", text))
        assert not {"img", "blink", "i"} & set(elements), page.name
        assert not re.search(r"<script>\s*alert|<[^>]*\son\w+=", text), page.name
        for data in re.findall(r'(?s)<script type="application/json"[^>]*>(.*?)</script>', text):
            json.loads(data)
    report = (run / "report.html").read_text()
    assert "&lt;img src=x onerror=alert(1)&gt;" in report
    assert "&lt;i&gt;run &amp; &#39;x&#39;" in report
