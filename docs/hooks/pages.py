"""Hook of MkDocs: files of the repository outside ``docs/`` as pages of the site, and the links between all of them.

Links in the documentation are relative to the repository, so that they work there. On the site, a link to a file that
is a page is replaced by a link to the page, and a link to any other file of the repository by its text. A link to a
missing file is not changed, and fails the build.
"""

from __future__ import annotations

import os.path
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
DOCS = "docs"
OUTSIDE = {
    "README.md": "project/readme.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "data/README.md": "project/data.md",
    "speed/RESULTS.md": "project/speed-results.md",
    "speed/LOG.md": "project/speed-log.md",
}
"""Files outside ``docs/`` and the pages that they become."""
LINK = re.compile(r"^```.*?^```[^\S\n]*$|\[((?:`[^`\n]*`|[^]`])*)\]\(([^)\s]+)\)|`[^`\n]+`", re.MULTILINE | re.DOTALL)
"""A link, or code, in which there are none."""
MARKED = re.compile(r"^```(\w+) (?:notest|datasets)$", re.MULTILINE)
HAS_SCHEME = re.compile(r"[a-z]+:", re.IGNORECASE)


def on_files(files: Files, config: Any) -> Files:
    """Add the files outside ``docs/``."""
    for path, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Adapt links, and remove the marks of blocks that the tests read."""
    uri = page.file.src_uri
    source = next((path for path, made in OUTSIDE.items() if made == uri), f"{DOCS}/{uri}")
    return LINK.sub(lambda found: _adapted(found, source, uri) if found[2] else found[0],
                    MARKED.sub(r"```\1", markdown))


def _adapted(link: re.Match[str], source: str, uri: str) -> str:
    """Return a link for the site.

    Args:
        link: the link, with its text and target.
        source: path of the file that has it, in the repository.
        uri: path of the page that has it, on the site.
    """
    text, target = link.groups()
    path, hash_, anchor = target.partition("#")
    if not path or HAS_SCHEME.match(target):
        return link[0]
    found = os.path.normpath(PurePosixPath(source).parent / path)
    is_page = found.startswith(f"{DOCS}/")
    if is_page and source.startswith(f"{DOCS}/"):
        return link[0]
    made = found.removeprefix(f"{DOCS}/") if is_page else OUTSIDE.get(found)
    if made is None:
        return text if (ROOT / found).exists() else link[0]
    return f"[{text}]({os.path.relpath(made, PurePosixPath(uri).parent)}{hash_}{anchor})"
