"""Storage of tables: arrays in a safetensors file, which is memory-mapped, everything else in a ``.json`` file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from embeddings.errors import VectorFileError
from embeddings.table.atomic_files import publish_together, scratch_folder
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
        publish_together(list(folder.iterdir()), path)
    return open_tensors(path)["vectors"]


def read_saved(path: Path) -> SavedTable:
    """Read a table written by :func:`write_saved`; the arrays are memory-mapped.

    Raises:
        VectorFileError: if one of the two files is missing, or they do not belong together.
    """
    try:
        described = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        tensors = open_tensors(path)
        vectors, codes = tensors["vectors"], tensors["provenance"]
        words, reasons, transforms = (_strings(described, key) for key in ("words", "provenance", "transforms"))
        composer = read_composer(described["composer"], {
            name.removeprefix(COMPOSER): tensors[name] for name in tensors if name.startswith(COMPOSER)
        })
        if (vectors.ndim, vectors.dtype.kind, codes.ndim, codes.dtype.kind) != (2, "f", 1, "u"):
            raise ValueError("its arrays have other types or dimensions")
        if not len(words) == len(vectors) == len(codes):
            raise ValueError(f"{len(words)} words, {len(vectors)} rows of vectors, {len(codes)} provenance entries")
        if not isinstance(described["source"], str):
            raise ValueError("'source' is not a string")
        if composer is not None and (made := composer.compose(["word"]).vectors.shape[1:]) != vectors.shape[1:]:
            raise ValueError(f"its composer makes vectors of shape {made}")
        provenance = np.array(reasons, dtype=object)[codes].tolist()
        return SavedTable(words, vectors, tuple(provenance), described["source"], transforms, composer)
    except (VectorFileError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # exceptions of many classes; BaseException for a panic of the tokenizers library
        raise VectorFileError(f"{path}: not a table saved by vecformer, or {path.with_suffix('.json').name} "
                              f"is missing or broken ({error!r}); restore both from a copy") from error


def _strings(described: Any, key: str) -> tuple[str, ...]:
    """Return the list of strings under a key; raise ValueError if it is something else."""
    values = described[key]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{key!r} is not a list of strings")
    return tuple(values)
