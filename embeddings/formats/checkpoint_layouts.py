"""Folders that keep the tokenizer and the weights of a checkpoint in subfolders."""

from __future__ import annotations

import glob
import logging
from pathlib import Path
from typing import NamedTuple

from embeddings.errors import EmbeddingError
from embeddings.table.listing import listed

log = logging.getLogger("vecformer")

TOKENIZER = "tokenizer.json"


class Layout(NamedTuple):
    """Where a folder has its tokenizer and its weights.

    Attributes:
        tokenizer: pattern of the tokenizer's path; what its ``*`` matches is the name of the checkpoint.
        weights: pattern of the paths of the weights, in which ``{name}`` is that name.
    """

    tokenizer: str
    weights: str


LAYOUTS = (
    Layout("0_StaticEmbedding/tokenizer.json", "0_StaticEmbedding/model.safetensors"),  # sentence-transformers
    Layout("tokenizers/*_tokenizer_config.json", "weights/{name}_*[0-9].safetensors"),   # wordllama
)


class CheckpointFiles(NamedTuple):
    """The files of a checkpoint in subfolders."""

    tokenizer: Path
    weights: Path


def nested_files(folder: Path) -> CheckpointFiles | None:
    """Return the tokenizer and the weights in the subfolders of a folder; None if it has none or has its own.

    Of tables of several dimensions, the largest is selected.

    Raises:
        EmbeddingError: if the folder contains several checkpoints.
    """
    if (folder / TOKENIZER).is_file() or any(folder.glob("*.safetensors")):
        return None
    for layout in LAYOUTS:
        tokenizers = sorted(folder.glob(layout.tokenizer))
        if len(tokenizers) > 1:
            raise EmbeddingError(f"{folder}: contains {len(tokenizers)} checkpoints, with the tokenizers "
                                 f"{listed([path.name for path in tokenizers])}; copy the tokenizer and the weights of "
                                 "one of them to the same subfolders of another folder")
        for tokenizer in tokenizers:
            before, _, after = Path(layout.tokenizer).name.partition("*")
            name = tokenizer.name.removeprefix(before).removesuffix(after)
            weights = sorted(folder.glob(layout.weights.format(name=glob.escape(name))),
                             key=lambda path: path.stat().st_size)
            if weights:
                if len(weights) > 1:
                    log.info("%s: %s is read, the largest of %d tables", folder, weights[-1].name, len(weights))
                return CheckpointFiles(tokenizer, weights[-1])
    return None


def tokenizer_file(folder: Path) -> Path:
    """Return the path of a checkpoint's tokenizer, which need not exist."""
    nested = nested_files(folder)
    return nested.tokenizer if nested else folder / TOKENIZER


def files_to_hash(folder: Path) -> list[Path]:
    """Return the files that decide the vectors of a checkpoint, or its folder if all of them may."""
    return list(nested_files(folder) or (folder,))
