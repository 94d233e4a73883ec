"""The commands of docs/serving.md that need a running server."""

import json
import re
import shlex

from tests.pipeline.serving.server_of_runs import ROOT, serving

PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def test_the_requests_of_the_documentation_are_answered(paths):
    (block,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    with serving({"support": paths["support"]}) as (_, client):
        for line in block.splitlines():
            words = shlex.split(line)
            assert words[:2] == ["curl", "-s"]
            path = words[2].removeprefix("localhost:8000")
            body = json.loads(words[words.index("-d") + 1]) if "-d" in words else None
            status, _, answer = client.ask("POST" if body else "GET", path, body)
            assert status == 200, line
            assert answer, line


def test_the_limits_of_the_documentation_are_the_defaults():
    from pipeline.cli.serve import serve_command
    from pipeline.serving.limits import Limits

    described = dict(re.findall(r"^\| `(--[a-z-]+)` \| ([\d,]+) \|", PAGE, re.MULTILINE))
    options = {option.opts[0]: option.default for option in serve_command.params}
    for name, value in described.items():
        assert float(value.replace(",", "")) == options[name] == getattr(Limits(), name[2:].replace("-", "_")), name
    assert f"{Limits().max_connections:,} connections" in PAGE
    assert f"at most {Limits().max_tokens:,} tokens" in PAGE
