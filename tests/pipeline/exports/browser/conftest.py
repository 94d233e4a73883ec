"""A real browser, Debian's Chromium, without a network."""

import os
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium; without it the tests are skipped, and fail under ``make test-browser``."""
    if not CHROMIUM.exists():
        required = os.environ.get("VECFORMER_BROWSER") == "required"
        (pytest.fail if required else pytest.skip)(f"no {CHROMIUM} (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """A function that opens a file offline; at the end there was no error, and no request but that for the file."""
    contexts, problems = [], []

    def open_file(path, **options):
        context = chromium.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: request.url == path.as_uri() or problems.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("#classify:enabled")
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert problems == []
