"""Vecformer's own tables: vectors in safetensors, mapped into memory, and the rest, readable, in a ``.json`` beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.composition import Composer, read_composer
from embeddings.errors import VectorFileError
from embeddings.formats.reading import VectorRows, Wanted, gather, select
from embeddings.formats.safetensors import open_tensors, write_tensors
from embeddings.rowmaps import Vectors

COMPOSER = "composer."


class SavedTable(NamedTuple):
    """What was saved of a table: the arguments to make it again, in their order."""

    words: tuple[str, ...]
    vectors: Vectors
    provenance: tuple[str, ...]
    source: str
    transforms: tuple[str, ...]
    composer: Composer | None


def write_saved(path: Path, table: SavedTable) -> Vectors:
    """Write the arrays to ``path`` and the rest to the ``.json`` beside it; give the vectors, mapped from the file."""
    tensors: dict[str, NDArray[Any]] = {"vectors": table.vectors}
    if table.composer is not None:
        tensors |= {COMPOSER + name: array for name, array in table.composer.tensors().items()}
    reasons = sorted(set(table.provenance))
    code = {why: number for number, why in enumerate(reasons)}
    codes = np.array([code[why] for why in table.provenance], dtype=np.min_scalar_type(len(reasons)))
    described = {
        "source": table.source,
        "transforms": table.transforms,
        "dim": table.vectors.shape[1],
        "n_words": len(table.words),
        "provenance": reasons,
        "composer": table.composer.describe() if table.composer is not None else None,
        "words": table.words,
    }
    new = path.with_name(f"{path.name}.new")  # a file that is mapped into memory must not be written into
    try:
        write_tensors(new, {**tensors, "provenance": codes})
        path.with_suffix(".json").write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return open_tensors(path)["vectors"]


def is_native(path: Path) -> bool:
    """Whether a safetensors file is a table's: a ``.json`` beside it lists words."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return False
    with beside.open("rb") as file:
        return file.read(10).startswith(b'{"source"')


def read_saved(path: Path) -> SavedTable:
    """Read what :func:`write_saved` wrote; the arrays stay in the file, mapped into memory.

    Raises:
        VectorFileError: if either of the two files is missing or does not fit the other.
    """
    try:
        described = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        tensors = open_tensors(path)
        reasons = np.array(described["provenance"], dtype=object)
        return SavedTable(
            words=tuple(described["words"]),
            vectors=tensors["vectors"],
            provenance=tuple(reasons[tensors["provenance"]].tolist()),
            source=described["source"],
            transforms=tuple(described["transforms"]),
            composer=read_composer(described["composer"], {
                name.removeprefix(COMPOSER): tensors[name] for name in tensors if name.startswith(COMPOSER)
            }),
        )
    except VectorFileError:
        raise
    except Exception as error:  # whatever a foreign or broken description brings about
        raise VectorFileError(f"{path}: not a table of word vectors saved by vecformer ({error})") from error


def read_native(path: Path, wanted: Wanted) -> VectorRows:
    """Read the wanted rows of a table.

    Raises:
        VectorFileError: as :func:`read_saved`, and if words, rows and provenance are not equally many.
    """
    saved = read_saved(path)
    if not len(saved.words) == len(saved.vectors) == len(saved.provenance) or saved.vectors.ndim != 2:
        raise VectorFileError(f"{path}: {len(saved.words)} words, {len(saved.vectors)} rows of vectors, "
                              f"{len(saved.provenance)} notes of provenance: not a table saved by vecformer")
    chosen = select(saved.words, wanted)
    return VectorRows(
        words=list(chosen),
        vectors=gather(saved.vectors, chosen),
        composer=saved.composer,
        provenance=tuple(saved.provenance[row] for row in chosen.values()),
        transforms=saved.transforms,
    )
