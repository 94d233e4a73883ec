"""Installed spaCy pipelines: their folders and names, found without importing any package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from embeddings.compressed_files import existing
from embeddings.errors import EmbeddingError, VectorFileError
from embeddings.formats.installed_packages import package_folders
from embeddings.formats.npy import open_npy
from embeddings.formats.spacy_vectors import KEYS, VECTORS, VOCAB, vectors_in
from embeddings.request import UNKNOWN
from embeddings.specification.suggest import did_you_mean
from embeddings.table.listing import listed

META = "meta.json"
DEPTHS = ("", "*/", "*/*/")  # of a pipeline's folder inside a package: NAME-VERSION, _model or data/NAME-VERSION


def find_vectors(name: str) -> Path:
    """Find the file of the vectors of a pipeline.

    Args:
        name: a folder; or the name of an installed package, or of a pipeline that is part of one.

    Raises:
        EmbeddingError: if there is no such pipeline, or it has no vectors; the message lists the installed ones.
    """
    folder = existing(name)
    if folder is not None and folder.is_dir():
        return _found(_in_folder(folder), name)
    if folder is not None:
        raise EmbeddingError(f"{name}: a file, not the folder of a spaCy pipeline; name its folder, or write file:PATH")
    package = _in_package(name.replace("-", "_"))
    if package is not None:
        return _found(package, name)
    installed = installed_pipelines()
    if name.replace("-", "_") not in installed:
        raise EmbeddingError(f"{name}: no such folder, and no installed package has a spaCy pipeline of that name with "
                             "word vectors (those whose names end in _sm have none)."
                             f"{did_you_mean(name, installed)} {_available(installed)}")
    return installed[name.replace("-", "_")]


def declared_licence(name: str) -> str:
    """Return the licence in the ``meta.json`` of a pipeline; ``unknown`` without one."""
    try:
        meta = json.loads((find_vectors(name).parent.parent / META).read_text(encoding="utf-8"))
        return str(meta["license"] or UNKNOWN)
    except (EmbeddingError, OSError, ValueError, LookupError, TypeError):
        return UNKNOWN


def installed_pipelines() -> dict[str, Path]:
    """Return the vectors of each installed pipeline that has any, by the name in its ``meta.json``."""
    paths = (path for distribution in distributions() for path in _files(distribution))
    return dict(sorted((_name(path), path) for path in paths if path.is_file() and not _is_empty(path)))


def _found(candidates: list[Path], name: str) -> Path:
    """Return the only vectors of a folder or package."""
    if len(candidates) > 1:
        folders = listed([str(path.parent.parent) for path in candidates])
        raise EmbeddingError(f"{name}: contains {len(candidates)} spaCy pipelines; name the folder of one: {folders}")
    if not candidates or _is_empty(candidates[0]):
        raise EmbeddingError(f"{name}: has no word vectors of spaCy; pipelines whose names end in _sm have none. "
                             f"{_available(installed_pipelines())}")
    return candidates[0]


def _available(installed: dict[str, Path]) -> str:
    if installed:
        return f"Installed pipelines with vectors: {', '.join(installed)}"
    return ("No pipeline with vectors is installed; with spaCy, type: python -m spacy download en_core_web_md (a name "
            "that ends in _md or _lg)")


def _in_folder(folder: Path) -> list[Path]:
    """Return the vectors of the pipelines in a folder, the outermost only."""
    if (direct := vectors_in(folder)) is not None:
        return [direct]
    for depth in DEPTHS:
        found = sorted(path.with_name(VECTORS) for path in folder.glob(f"{depth}{VOCAB}/{KEYS}"))
        if found := [path for path in found if path.is_file()]:
            return found
    return []


def _in_package(name: str) -> list[Path] | None:
    """Return the vectors in an installed package; None if it is not installed or contains no pipeline."""
    roots = package_folders(name)
    has_pipeline = any(True for root in roots for depth in DEPTHS for _ in root.glob(f"{depth}{META}"))
    return [path for root in roots for path in _in_folder(root)] if has_pipeline else None


def _files(distribution: Distribution) -> Iterator[Path]:
    """Yield the vectors among the files of an installed distribution; those of a broken one are left out."""
    try:
        record = distribution.read_text("RECORD") or ""
    except (OSError, ValueError):
        return
    ending = f"/{VOCAB}/{KEYS}"
    for line in record.splitlines() if ending in record else ():
        path = line.split(",", 1)[0].strip('"')
        if path.endswith(ending):
            yield Path(str(distribution.locate_file(path))).with_name(VECTORS)


def _name(vectors: Path) -> str:
    """Return the name of a pipeline, such as ``en_core_web_md``; without ``meta.json`` that of its folder."""
    folder = vectors.parent.parent
    try:
        meta = json.loads((folder / META).read_text(encoding="utf-8"))
        return f"{meta['lang']}_{meta['name']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return folder.name


def _is_empty(vectors: Path) -> bool:
    """Return whether a file of vectors has no rows; a damaged one, which reading will report, is not empty."""
    try:
        return not len(open_npy(vectors))
    except VectorFileError:
        return False
