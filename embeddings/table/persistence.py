"""Storage of tables: arrays in a safetensors file, which is memory-mapped, everything else in a ``.json`` file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import VectorFileError
from embeddings.table.atomic_files import publish, scratch_folder
from embeddings.table.oov_composers import Composer, read_composer
from embeddings.table.row_maps import Vectors
from embeddings.table.safetensors import open_tensors, write_tensors

COMPOSER = "composer."


class SavedTable(NamedTuple):
    """The fields of a saved table, in the order of the constructor."""

    words: tuple[str, ...]
    vectors: Vectors
    provenance: tuple[str, ...]
    source: str
    transforms: tuple[str, ...]
    composer: Composer | None


def write_saved(path: Path, table: SavedTable) -> Vectors:
    """Write the arrays to ``path`` and the rest to the ``.json`` file; return the memory-mapped vectors."""
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
    with scratch_folder(path) as folder:  # a memory-mapped file must not be overwritten
        new = folder / path.name
        write_tensors(new, {**tensors, "provenance": codes})
        new.with_suffix(".json").write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")
        path.unlink(missing_ok=True)  # a kill here leaves no table, rather than one with another's description
        publish(new.with_suffix(".json"), path.with_suffix(".json"))
        publish(new, path)
    return open_tensors(path)["vectors"]


def read_saved(path: Path) -> SavedTable:
    """Read a table written by :func:`write_saved`; the arrays are memory-mapped.

    Raises:
        VectorFileError: if one of the two files is missing, or they do not belong together.
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
    except Exception as error:  # a broken description causes exceptions of many classes
        raise VectorFileError(f"{path}: not a table saved by vecformer, or its .json file "
                              f"is missing or broken ({error})") from error
