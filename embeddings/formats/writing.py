"""Writing of tables; the suffix of the file name selects the format."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from embeddings.errors import EmbeddingError
from embeddings.formats.detect import formats
from embeddings.formats.interface import Format
from embeddings.table import EmbeddingTable
from embeddings.table.atomic_files import (
    LOCK,
    NEW,
    OLD,
    hidden,
    locked,
    publish_together,
    require_replaceable,
    scratch_folder,
)

log = logging.getLogger("vecformer")

FILE_MODE = 0o644  # safetensors and temporary folders create files that only their owner can read


def write_vectors(table: EmbeddingTable, path: Path) -> None:
    """Write a table completely or not at all; an existing file is replaced at the end.

    The suffix selects the format: ``.txt`` is GloVe's text format, ``.vec`` has a header line (both also ``.gz``),
    ``.bin`` is fastText's model if the table has n-gram vectors, otherwise word2vec's binary format, ``.npy`` an array
    with its words in ``.words.txt``, ``.safetensors`` vecformer's own table, which alone keeps provenance and
    transforms.

    Raises:
        EmbeddingError: if no format has the suffix, the format cannot store a word, the file cannot be written or
            would replace another one (:func:`require_free_companions`), or another process is writing it.
    """
    chosen, suffix = format_for(table, path)
    for word in table.words:
        if not chosen.can_hold(word, table.dim, suffix):
            raise EmbeddingError(f"{path}: a {suffix} file cannot store the word {word!r}; write .safetensors")
    if table.composer is not None and not chosen.keeps_composer:
        log.warning("%s: a %s file does not store n-gram vectors; write .safetensors to keep them", path, suffix)
    path = Path(os.path.realpath(path))
    try:
        require_replaceable(path)
        with locked(path), scratch_folder(path) as folder:
            chosen.write(table, folder / path.name)
            files = files_beside(folder / path.name)
            require_free_companions(files, path)
            for file in files:
                file.chmod(FILE_MODE)
            publish_together(files, path)
    except OSError as error:
        raise EmbeddingError(f"{path}: cannot be written ({error.strerror or error})") from error


def files_beside(path: Path) -> list[Path]:
    """Return the files in the folder of ``path``, without temporary ones of ``path`` that could not be deleted."""
    return sorted(set(path.parent.iterdir()) - {hidden(path, suffix) for suffix in (NEW, OLD, LOCK)})


def require_free_companions(files: Iterable[Path], path: Path) -> None:
    """Require that the further files of a format, such as the ``.json`` of a ``.safetensors``, replace no other file.

    Args:
        files: files that are to be renamed to the folder of ``path``.
        path: the main file; if it exists, the others are taken to be of it.

    Raises:
        EmbeddingError: if there is a file of the name of another one, but none at ``path``.
    """
    for file in files:
        companion = path.with_name(file.name)
        if not path.exists() and companion.exists():
            raise EmbeddingError(f"{companion}: exists already, and would be replaced by a part of {path.name}; choose "
                                 "another name, or move the file")


def format_for(table: EmbeddingTable, path: Path) -> tuple[Format, str]:
    """Return the format in which a table is written, and the suffix that selects it.

    Raises:
        EmbeddingError: if no format has the suffix.
    """
    suffix = ("".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix).lower()
    for one in formats():
        if suffix in one.suffixes and one.can_write(table):
            return one, suffix
    suffixes = ", ".join(sorted({suffix for one in formats() for suffix in one.suffixes}))
    raise EmbeddingError(f"{path}: no format has the suffix {suffix!r}; choose one of {suffixes}")
