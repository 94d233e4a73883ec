"""The documentation site: complete, without outside resources, usable from disk; a broken link fails the build."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import rich_click as click

ROOT = Path(__file__).parents[2]
PAGES = ("index.html", "tutorials/first-run.html", "reference/commands.html", "reference/python.html", "tasks.html")
OUTSIDE = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)\s*=\s*["']?((?:https?:)?//[^"'\s>]+)""")
IN_STYLE = re.compile(r"""url\(\s*["']?((?:https?:)?//[^"')]+)|@import""")


def build(config, out):
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", str(config), "--site-dir", str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=config.parent,
                          env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def html(site):
    return {str(path.relative_to(site)): path.read_text(encoding="utf-8") for path in site.rglob("*.html")}


def test_every_page_is_built(site):
    written = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    assert written <= {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}


def test_nothing_is_loaded_from_elsewhere(site, html):
    own = {name: text for name, text in html.items() if 'class="md-' in text}
    assert len(own) > 40
    assert {name: OUTSIDE.findall(text) for name, text in html.items() if OUTSIDE.search(text)} == {}
    for path in site.rglob("*.css"):
        assert not IN_STYLE.search(path.read_text(encoding="utf-8")), path


def test_the_reference_has_every_command_option_key_source_and_name(html):
    import vecformer
    from embeddings.specification.sources import SOURCES
    from embeddings.specification.transforms import TRANSFORMS
    from pipeline.cli.main import cli
    from pipeline.config import keys
    from pipeline.tasks.base import TASKS

    def commands(group, prefix):
        for name in group.list_commands(click.Context(group)):
            command = group.get_command(click.Context(group), name)
            yield f"{prefix} {name}", command
            if isinstance(command, click.Group):
                yield from commands(command, f"{prefix} {name}")

    text = html["reference/commands.html"]
    for name, command in commands(cli, "vecformer"):
        section = text.split(f'id="{name.replace(" ", "-")}"', 1)[1].split("<h2", 1)[0]
        for option in command.params:
            if isinstance(option, click.Option):
                assert all(f"<code>{form}" in section or f", {form}" in section for form in option.opts), (name, option)
    assert all(f"<code>{key}</code>" in html["reference/configuration.html"] for key, _ in keys())
    for name in (*SOURCES.available, *TRANSFORMS.available):
        assert re.search(rf"<h3[^>]*><code>{name}(\(A,B\))?</code>", html["reference/sources.html"]), name
    assert all(f'id="{name}"' in html["reference/tasks.html"] for name in TASKS.available)
    python = html["reference/python.html"]
    for name in set(vecformer.__all__) - {"__version__"}:
        assert re.search(rf'<h2 id="[a-z_.]*\.{name}"', python), name
    assert ":class:" not in python
    assert 'class="gp"' in python  # the examples of docstrings are code


@pytest.fixture
def copy(tmp_path):
    """A copy of what the site is built from, whose pages can be changed."""
    for path in ROOT.iterdir():
        if path.name not in (".git", ".venv", "site", "docs", "mkdocs.yml", "README.md", "runs"):
            (tmp_path / path.name).symlink_to(path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("mkdocs.yml", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_broken_links_anchors_and_forgotten_pages_fail_the_build(copy):
    with (copy / "docs" / "recipe.md").open("a") as page:
        page.write("\n[page](no-such-page.md) [anchor](training.md#no-such-anchor) [file](../no-such-file.py)\n"
                   "[`code`](no-such-code.md) `[not](a-link.md)`\n\n```text\n[not](a-link.md)\n```\n")
    with (copy / "README.md").open("a") as page:
        page.write("\n[page](docs/removed.md) [anchor](docs/training.md#no-such-section)\n")
    (copy / "docs" / "forgotten.md").write_text("# Forgotten\n")
    done = build(copy / "mkdocs.yml", copy / "out")
    assert done.returncode != 0
    for expected in ("no-such-page.md", "no-such-anchor", "no-such-file.py", "no-such-code.md", "removed.md",
                     "no-such-section", "forgotten.md"):
        assert re.search(rf"WARNING.*{expected}|- {expected}", done.stderr, re.DOTALL), done.stderr
    assert "a-link.md" not in done.stderr


@pytest.fixture
def opened(chromium, site):
    """Open a page from disk; afterwards nothing was requested from elsewhere, and no script failed."""
    problems, contexts = [], []

    def open_page(name, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: None if request.url.startswith(("file:", "data:", "about:", "blob:"))
                else problems.append(request.url))
        page.goto((site / name).as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


@pytest.mark.browser
def test_the_search_works_from_disk(opened):
    page = opened("index.html", viewport={"width": 1200, "height": 900})
    page.get_by_placeholder("Search").first.click()
    page.keyboard.type("all-but-the-top")
    link = page.locator(".md-search-result__link", has_text="all-but-the-top").first
    link.wait_for(timeout=20_000)
    link.click()
    page.wait_for_url(re.compile("sources|word-vectors|own-vectors|query"))


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_are_accessible(opened, scheme):
    from axe_playwright_python.sync_playwright import Axe

    for name in PAGES:
        page = opened(name, viewport={"width": 390, "height": 844}, color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
        used = page.locator("body").get_attribute("data-md-color-scheme")
        assert used == {"light": "default", "dark": "slate"}[scheme]
        found = Axe().run(page, options={"preload": False}).response["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], name
