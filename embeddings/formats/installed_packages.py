"""The folders of installed packages, which are found without importing the packages."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def package_folders(name: str) -> list[Path]:
    """Return the folders of an installed package; [] if none has that name."""
    if not name.isidentifier():  # find_spec would import the parents of a dotted name
        return []
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return []
    return [Path(root) for root in (spec and spec.submodule_search_locations) or ()]
