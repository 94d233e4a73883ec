"""Verification of run folders: files have the SHA-256 of the manifest, and files that are used together match."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embeddings.formats.checksums import first_difference, has_sha256, sha256, sha256_of
from embeddings.special_tokens import N_SPECIAL
from embeddings.table.arguments import either, flag
from pipeline.errors import RunFolderError
from pipeline.runs.folder import RunFolder, read_json, write_json
from pipeline.runs.seals import CHECKSUM, sealed, unsealed

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.tasks.resolved import Setup
    from pipeline.word_vectors import StageOne

RESTORE = "restore it from a copy of the folder, or train again"
MAX_MANIFEST_BYTES = 2**24
EARLIER_KEYS = {"versions", "seed", "data", "files"}  # of manifests without a checksum
FILES, DATA = "files", "sha256"  # keys of stage_one.json


def skips_verification() -> str:
    """Name the argument that skips the verification."""
    return either("--no-verify", "verify=False")


def read_manifest(folder: RunFolder) -> dict[str, Any]:
    """Read the manifest of a run; its own checksum is verified, which manifests of version 0.1.0 do not have.

    Raises:
        RunFolderError: if it is damaged.
    """
    path = folder.manifest
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise ValueError("too large")
        values = read_json(path)
        manifest = unsealed(values)
        if CHECKSUM not in values and not manifest.keys() <= EARLIER_KEYS:
            raise ValueError("it has unknown keys and no checksum")
        files = manifest[FILES]
        if not isinstance(files, dict) or not all(isinstance(digest, str) for digest in files.values()):
            raise ValueError(f"{FILES!r} must map names to hashes")
    except KeyError as error:
        raise RunFolderError(f"{path}: damaged, or not of a run (the key {error} is missing); {RESTORE}") from error
    except RunFolderError:
        raise
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}: damaged ({error}); {RESTORE}") from error
    return manifest


def verify(folder: RunFolder, files: Iterable[Path]) -> None:
    """Verify that files of a run folder are those that its manifest lists.

    Args:
        folder: the folder.
        files: the files to be read. One that neither exists nor is listed is skipped: runs of earlier versions lack
            some.

    Raises:
        RunFolderError: if the manifest is damaged, or a file is missing, not listed, or has another content.
    """
    listed: Mapping[str, str] = read_manifest(folder)[FILES]
    used = [path for path in dict.fromkeys(files) if path.name in listed or path.exists()]
    for path in used:
        if path.name not in listed:
            raise RunFolderError(f"{path}: manifest.json does not list this file, so it is not of this run; remove it "
                                 f"({skips_verification()} skips this check)")
        if not path.is_file():
            raise RunFolderError(f"{path}: missing, although manifest.json lists it; {RESTORE}")
    wrong = [path for path in used if not _is_right(path, listed[path.name])]
    if wrong:
        others = "".join(f", {path.name}" for path in wrong[1:])
        raise RunFolderError(f"{wrong[0]}{others}: not the content that manifest.json lists: damaged, changed, or of "
                             f"another run; {RESTORE} ({skips_verification()} skips this check)")


def model_files(folder: RunFolder) -> list[Path]:
    """Return the files that are read to predict."""
    return [folder.config, folder.resolved, *folder.tokenizers, *folder.tables, *folder.descriptions, folder.model,
            folder.calibration]


def result_files(folder: RunFolder) -> list[Path]:
    """Return the files that are read to compare runs."""
    return [folder.config, folder.resolved, folder.metrics, folder.sampling_error, folder.predictions]


def is_table_of_run(path: Path) -> bool:
    """Return whether a file is one of the tables of vectors in a finished run."""
    folder = RunFolder(path.parent)
    return path in folder.tables and folder.config.is_file() and folder.manifest.is_file()


def _is_right(path: Path, expected: str) -> bool:
    try:
        return has_sha256(path, expected)
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror or error}); {RESTORE}") from error


def require_match(folder: RunFolder, stage_one: StageOne) -> None:
    """Require that the words of each tokenizer are the first words of its table, in the same order.

    Raises:
        RunFolderError: if they are not.
    """
    for side, tokenizer, table in zip(stage_one.sides, folder.tokenizers, folder.tables, strict=False):
        words = side.tokenizer.vocabulary()[N_SPECIAL:]
        if side.table.words[: len(words)] != words:
            described = table.with_suffix(".json")
            raise RunFolderError(f"{tokenizer}: its {len(words):,} words are not the first words of {described.name}; "
                                 f"one of the two is damaged or of another run: {RESTORE}")


def require_size(folder: RunFolder, setup: Setup[Any], weights: Mapping[str, Tensor]) -> None:
    """Require that the weights suffice for the layers of the configuration, before the model takes memory.

    Raises:
        RunFolderError: if the configured model is larger than all weights together.
    """
    n_weights = sum(weight.numel() for weight in weights.values())
    model = setup.model
    for key, sizes in {"model.d_ff": (model.n_layers, model.d_model, model.d_ff),
                       "model.token_types": (model.token_types, model.embedding_width),
                       "ngram_buckets": (getattr(setup.resolved, "ngram_buckets", 0),),
                       "feature_buckets": (getattr(setup.resolved, "feature_buckets", 0),)}.items():
        if prod(sizes) > n_weights:
            raise RunFolderError(f"{folder.model}: {n_weights:,} weights, fewer than config.toml and resolved.json "
                                 f"describe ({key}: {' x '.join(map(str, sizes))}); one of the files is damaged or of "
                                 f"another run: {RESTORE}")


def stage_one_files(folder: RunFolder) -> list[Path]:
    """Return the existing files of stage one in an unfinished run."""
    later = (folder.resolved, folder.model, folder.calibration)
    return [path for path in model_files(folder) if path not in later and path.exists()]


def require_resumable(folder: RunFolder) -> None:
    """Verify an unfinished run before anything of it is read.

    Raises:
        RunFolderError: if a file is missing or damaged.
    """
    for path in folder.path.iterdir():
        if path.is_symlink() and not path.exists():
            raise RunFolderError(f"{path}: a link to a file that does not exist; delete the link, or restore the file")
    if os.path.lexists(folder.stage_one):
        verify_stage_one(folder)
    if folder.manifest.exists():  # complete, but not renamed
        verify(folder, [folder.path / name for name in read_manifest(folder)[FILES]])


def mark_stage_one(folder: RunFolder, data: str) -> None:
    """Write ``stage_one.json``: the hash of the data, and the SHA-256 of each file that a resumed run reads."""
    write_json(folder.stage_one, sealed({DATA: data, FILES: sha256_of(stage_one_files(folder))}))


def verify_stage_one(folder: RunFolder, *, config: bool = True) -> str:
    """Verify the files of stage one in an unfinished run; those of version 0.1.0 have no checksums.

    Args:
        folder: the folder.
        config: verify the configuration too; without, it has been written again, and its new hash is recorded.

    Returns:
        The hash of the data.

    Raises:
        RunFolderError: if a file is missing or damaged.
    """
    start_again = f"start again with {flag('overwrite')}"
    path = folder.stage_one
    try:
        mark = unsealed(read_json(path))
        data, files = mark[DATA], mark.get(FILES, {})
        if not isinstance(data, str) or not isinstance(files, dict) or (files and len(mark) > 2):
            raise ValueError("values of other types")
    except (OSError, ValueError, KeyError) as error:
        raise RunFolderError(f"{path}: damaged ({error}); {start_again}") from error
    name = folder.config.name
    if not config and files.get(name, "") != (written := sha256(folder.config)) and files:
        files = {**files, name: written}
        write_json(path, sealed({**mark, FILES: files}))
    wrong = first_difference(folder.path, files)
    if wrong is not None:
        raise RunFolderError(f"{wrong}: {'damaged or changed' if wrong.exists() else 'missing'} since the run was "
                             f"interrupted; restore it from a copy, or {start_again}")
    return data
