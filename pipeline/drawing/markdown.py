r"""Text of users in Markdown: labels, words, paths and names cannot add markup, links, HTML or lines.

Example:
    >>> plain("<b>[x](http://a)"), code("a`b")
    ('&lt;b&gt;\\[x\\](http\\://a)', '``a`b``')
"""

from __future__ import annotations

import html
import re

from pipeline.drawing.terminal import cell, visible

_MARKUP = re.compile(r"[\\`*_\[\]|~$@]|:(?=//)|(?<=www)\.|^\s*[-+=#]|^\s*\d+[.)](?=\s|$)", re.IGNORECASE)
_TICKS = re.compile("`+")


def plain(text: str) -> str:
    """Escape a text for running text and for cells of tables; it becomes one line."""
    return html.escape(_MARKUP.sub(_escaped, cell(text)), quote=False)


def _escaped(match: re.Match[str]) -> str:
    return f"{match[0][:-1]}\\{match[0][-1]}"


def code(text: str) -> str:
    """Return a text as a code span of one line."""
    line = cell(text)
    if not line.strip():
        return "(empty)" if not line else "(blank)"
    fence = _fence(line, 1)
    pad = " " if line[0] in "` " or line[-1] in "` " else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def code_cell(text: str) -> str:
    """Return a text as a code span in a cell of a table, in which a vertical bar has to be escaped."""
    return code(text).replace("|", "\\|")


def code_block(text: str, language: str = "") -> str:
    """Return a text as a fenced block of code."""
    shown = visible(text).replace("\r", "\\r")
    fence = _fence(shown, 3)
    return f"{fence}{language}\n{shown}\n{fence}"


def _fence(text: str, shortest: int) -> str:
    longest = max((len(ticks) for ticks in _TICKS.findall(text)), default=0)
    return "`" * max(shortest, longest + 1)
