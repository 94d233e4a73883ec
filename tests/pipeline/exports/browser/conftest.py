"""Pages opened from disk in a real browser, without a network."""

import pytest


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
