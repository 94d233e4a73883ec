"""The folders of installed packages, which are found without importing the packages."""

from __future__ import annotations

import os
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

LICENCE_FIELDS = ("License-Expression", "License")
NODE_MODULES = "node_modules"


def package_folders(name: str) -> list[Path]:
    """Return the folders of an installed package, by its name in imports or on PyPI; [] if none has that name."""
    if not name.isidentifier():  # find_spec would import the parents of a dotted name
        return []
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return []
    return [Path(root) for root in (spec and spec.submodule_search_locations) or ()] or _folders_of_distribution(name)


def declared_by_package(name: str) -> str:
    """Return the licence that an installed package declares for itself; "" without one."""
    found = _distribution(name)
    declared = [value for field in LICENCE_FIELDS for value in found.metadata.get_all(field) or ()] if found else []
    first = next(iter("\n".join(declared).strip().splitlines()), "").strip()
    return f"{first} (of the package {name})" if first else ""


def npm_file(package: str, name: str) -> Path | None:
    """Return a file of an installed npm package, where Node.js would find it; None if there is none.

    Searched are ``node_modules`` of the working directory and of the folders above it, and the folders of the
    environment variable ``NODE_PATH`` (https://nodejs.org/api/modules.html#loading-from-node_modules-folders).
    """
    listed = [Path(folder) for folder in os.environ.get("NODE_PATH", "").split(os.pathsep) if folder]
    candidates = (folder / package / name for folder in (*_node_modules(), *listed))
    return next((file for file in candidates if os.path.isfile(file)), None)  # noqa: PTH113 (no error if unreadable)


def _node_modules() -> list[Path]:
    """Return the folders for npm packages from the working directory upwards; [] if it was deleted."""
    try:
        here = Path.cwd()
    except OSError:
        return []
    return [folder / NODE_MODULES for folder in (here, *here.parents)]


def _folders_of_distribution(name: str) -> list[Path]:
    """Return the importable folders of an installed distribution, whose names may be others than its own."""
    found = _distribution(name)
    files = (found.files if found else None) or []
    return [Path(str(found.locate_file(file))).parent for file in files
            if found and len(file.parts) == 2 and file.name == "__init__.py" and file.parts[0].isidentifier()]


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name.replace("-", "_"))
    except (PackageNotFoundError, ValueError, OSError):
        return None
