"""Draw docstrings and comments at random, to review their English against CONTRIBUTING.md.

usage: python tests/draw_prose.py [--seed 1] [--docstrings 60] [--comments 40]
"""

from __future__ import annotations

import argparse
import ast
import io
import random
import tokenize
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("embeddings", "transformer", "pipeline", "speed")
CODE = (ast.Module, ast.ClassDef, ast.FunctionDef)


def docstrings(file: Path, source: str) -> list[str]:
    """Return the docstrings of a file with their lines."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, CODE) and (text := ast.get_docstring(node)):
            line = 1 if isinstance(node, ast.Module) else node.lineno
            found.append(f"{file.relative_to(ROOT)}:{line}\n{text}")
    return found


def comments(file: Path, source: str) -> list[str]:
    """Return the comments of a file with their lines, without those of linters and shapes."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [f"{file.relative_to(ROOT)}:{token.start[0]}  {token.string}" for token in tokens
            if token.type == tokenize.COMMENT and not token.string.startswith(("# noqa", "# type:", "# ("))]


def main() -> None:
    """Print the sample."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--docstrings", type=int, default=60)
    parser.add_argument("--comments", type=int, default=40)
    given = parser.parse_args()
    files = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    sources = {file: file.read_text(encoding="utf-8") for file in files}
    draw = random.Random(given.seed)
    for kind, n in ((docstrings, given.docstrings), (comments, given.comments)):
        for text in draw.sample([one for file, source in sources.items() for one in kind(file, source)], n):
            print(text, end="\n\n")


if __name__ == "__main__":
    main()
