"""Print the test files that belong to the changed code.

These are the test files that changed, those that import a changed module, and those in the folder of tests that
corresponds to the folder of a changed file.

usage: python tests/affected.py

Changes are those since the last commit; without any, those of the last commit. Tests of whole runs (`tests/end_to_end`,
`tests/faults`) are left out, since they take minutes.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

ROOT = Path(__file__).parent.parent
ALWAYS = "tests/test_house.py"
LONG = ("tests/end_to_end/", "tests/faults/")


def affected(changed: Iterable[str], tests: Iterable[str], root: Path = ROOT) -> list[str]:
    """Return the test files that belong to changed files, the most specific first.

    Args:
        changed: paths of changed files.
        tests: paths of all test files.
        root: folder of the paths.
    """
    named = set(changed)
    modules = {path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in named
               if path.endswith(".py")}
    paths = [test for test in tests if not test.startswith(LONG) and (root / test).is_file()]
    with_tests = {str(Path(test).parent) for test in paths}
    folders = {_folder_of_tests(path, with_tests) for path in named}
    found = {}
    for test in paths:
        imported, is_near = modules & imports(root / test), str(Path(test).parent) in folders
        if test in named or imported or is_near:
            found[test] = (test not in named, not imported, not is_near, -len(imported), test)
    return list(dict.fromkeys([*sorted(found, key=lambda test: found[test]), ALWAYS]))


def _folder_of_tests(path: str, folders: Set[str]) -> str | None:
    """Return the folder of tests for the folder of a file, or for the nearest one above it that has any."""
    above = (f"tests/{folder}" for folder in Path(path).parents if folder.name)
    return next((folder for folder in above if folder in folders), None)


def imports(file: Path) -> set[str]:
    """Return the modules that a file imports; of ``from a import b``, both ``a`` and ``a.b``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return found


def changed_files() -> list[str]:
    """Return the paths of the files that changed since the last commit, or else in it."""
    now = [*_git("diff", "--name-only", "HEAD"), *_git("ls-files", "--others", "--exclude-standard")]
    return now or list(_git("diff", "--name-only", "HEAD~1", "HEAD"))


def _git(*arguments: str) -> Iterator[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"git {' '.join(arguments)}: {done.stderr.strip()}; without git, run `make test`")
    return iter(done.stdout.splitlines())


if __name__ == "__main__":
    print(*affected(changed_files(), (str(path.relative_to(ROOT)) for path in ROOT.glob("tests/**/test_*.py"))))
