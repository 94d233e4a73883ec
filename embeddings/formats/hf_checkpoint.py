"""Pretrained Transformer checkpoints: location, tokenizer and input embeddings.

No model is constructed and no code of a checkpoint is executed: weights are read from memory-mapped safetensors files,
single or sharded (``model.safetensors.index.json``), and the tokenizer from ``tokenizer.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from embeddings.errors import EmbeddingError, VectorFileError
from embeddings.formats.checkpoint_layouts import TOKENIZER, nested_files, tokenizer_file
from embeddings.formats.installed_packages import declared_by_package, package_folders
from embeddings.formats.token_table import STATIC_MODEL, TokenTable, token_table
from embeddings.request import UNKNOWN
from embeddings.specification.suggest import did_you_mean
from embeddings.table.safetensors import Tensors, open_tensors, shard_files

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
DOWNLOADED = ("*.safetensors", "*.json", "*.model", "vocab.txt", "merges.txt", "README.md")
"""Files of a checkpoint that are downloaded from Hugging Face: no pickled weights, no other frameworks."""

INPUT_EMBEDDINGS = (
    "word_embeddings.weight",  # BERT, RoBERTa, DistilBERT, ALBERT, ELECTRA, DeBERTa, BLOOM
    "wte.weight",              # GPT-2, MPT
    "shared.weight",           # T5, BART
    "embed_tokens.weight",     # Llama, Mistral, Qwen, Gemma, OPT
    "tok_embeddings.weight",   # ModernBERT
    "embed_in.weight",         # GPT-NeoX
    "word_embedding.weight",   # XLNet
    "token_embedding.weight",  # CLIP
    "embeddings.weight",       # XLM, Mamba
    "embedding.weight",        # sentence-transformers' static embeddings
    STATIC_MODEL,              # model2vec
)
"""Suffixes of the names of input embeddings, the most specific first."""
N_SHOWN = 8  # candidates listed in a message


def find_checkpoint(location: str) -> Path:
    """Find a checkpoint's folder.

    Args:
        location: a folder; or the name of an installed package that contains a checkpoint (it is not imported); or a
            name on Hugging Face, which is downloaded unless it is in the local cache.

    Raises:
        EmbeddingError: if there is no such checkpoint, or Hugging Face cannot be reached.
    """
    try:
        folder = Path(location).expanduser()
        is_folder, is_file = folder.is_dir(), folder.is_file()
    except (OSError, RuntimeError) as error:  # name too long; unknown user in ~user
        raise EmbeddingError(f"{location}: not a valid folder name ({error}); check the path") from error
    if is_folder:
        return folder
    if is_file:
        raise EmbeddingError(f"{location}: a file, not a checkpoint; name its folder")
    return _in_package(location.replace("-", "_")) or _on_hub(location)


def declared_licence(location: str) -> tuple[str, str]:
    """Return the licence of a checkpoint in words and as identifier; ``unknown`` and "" without one.

    It is that in its card, otherwise in words that of the installed package that contains it.
    """
    from huggingface_hub import ModelCard

    try:
        licence = ModelCard.load(find_checkpoint(location) / "README.md", ignore_metadata_errors=True).data.license
    except Exception:  # no card, or one that cannot be read: of any class
        licence = None
    if isinstance(licence, str) and licence:
        return licence, licence
    return declared_by_package(location) or UNKNOWN, ""


def read_tokenizer(folder: Path, n_rows: int) -> Tokenizer:
    """Read a checkpoint's tokenizer.

    Args:
        folder: folder of the checkpoint.
        n_rows: number of rows of the embedding matrix; every token of the vocabulary must have one.

    Raises:
        VectorFileError: if ``tokenizer.json`` is missing, broken or belongs to another checkpoint.
    """
    path = tokenizer_file(folder)
    if not path.is_file():
        raise VectorFileError(
            f"{folder}: {TOKENIZER} is missing; write it with transformers: "
            f"AutoTokenizer.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"
        )
    tokenizer = read_tokenizer_file(path)
    n_tokens = tokenizer.get_vocab_size(with_added_tokens=False)
    if n_tokens > n_rows:
        raise VectorFileError(f"{path}: has {n_tokens} tokens, but the input embeddings have {n_rows} rows: they "
                              "belong to different checkpoints; download both again")
    return tokenizer


def read_tokenizer_file(path: Path) -> Tokenizer:
    """Read a ``tokenizer.json``, whatever its name.

    Raises:
        VectorFileError: if it is missing or broken.
    """
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises bare Exception
        raise VectorFileError(f"{path}: not a tokenizer ({first_line(error)}); download or write it again") from error


def input_embeddings(folder: Path, tensor: str | None = None) -> TokenTable:
    """Find the input embeddings of a checkpoint, or its table of static token vectors.

    Args:
        folder: folder of the checkpoint.
        tensor: name of the tensor; by default detected by its suffix (see ``INPUT_EMBEDDINGS``).

    Raises:
        VectorFileError: if there are no safetensors weights, they are broken, or the tensor is not found.
    """
    weights = open_weights(folder)
    tables = {name: held for name, held in weights.items() if len(held.shape(name)) == 2 and min(held.shape(name))}
    if tensor is None:
        tensor = next(filter(None, (_with_suffix(suffix, tables) for suffix in INPUT_EMBEDDINGS)), None)
        if tensor is None:
            raise VectorFileError(f"{folder}: no tensor has a usual name of input embeddings; select it with "
                                  f"tensor=NAME. {_candidates(tables)}")
    elif tensor not in tables:
        raise VectorFileError(f"{folder}: no two-dimensional tensor is called {tensor!r}."
                              f"{did_you_mean(tensor, tables)} {_candidates(tables)}")
    try:
        found = token_table(tables[tensor], tensor)
    except VectorFileError as error:
        raise VectorFileError(f"{folder}: {error}") from error
    if not found.has_vectors:
        raise VectorFileError(f"{folder}: the tensor {tensor!r} contains integers, not vectors; use a checkpoint "
                              "that is not quantised, or select the tensor with tensor=NAME")
    return found


def _with_suffix(suffix: str, names: Mapping[str, Any]) -> str | None:
    """Return the name with this suffix; an encoder's before a decoder's, and the outermost first."""
    found = [name for name in names if f".{name}".endswith(f".{suffix}")]
    return min(found, key=lambda name: ("decoder" in name, len(name), name), default=None)


def _candidates(tables: Mapping[str, Tensors]) -> str:
    """List tensors that may be input embeddings, the longest first."""
    by_size = sorted(tables, key=lambda name: (-tables[name].shape(name)[0], name))[:N_SHOWN]
    shown = ", ".join(f"{name} {list(tables[name].shape(name))}" for name in by_size)
    return f"The largest are: {shown}" if shown else "It has no two-dimensional tensor"


def open_weights(folder: Path) -> dict[str, Tensors]:
    """Return the memory-mapped file of each tensor, by name.

    Args:
        folder: folder of the checkpoint; its weights may be in several files.

    Raises:
        VectorFileError: if there are no safetensors weights, or a file is missing, broken or truncated.
    """
    if (folder / INDEX).is_file():
        files = shard_files(folder / INDEX)
    elif (folder / WEIGHTS).is_file():
        files = [folder / WEIGHTS]
    else:
        files = sorted(folder.glob("*.safetensors"))
    if len(files) > 1 and not (folder / INDEX).is_file():
        raise VectorFileError(f"{folder}: {len(files)} safetensors files, but no {WEIGHTS} and no {INDEX}; "
                              "download the checkpoint again, or keep only one file")
    if not files and (nested := nested_files(folder)):
        files = [nested.weights]
    if not files:
        raise VectorFileError(_no_weights(folder))
    return {name: tensors for tensors in map(open_tensors, files) for name in tensors}


def _no_weights(folder: Path) -> str:
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern))
    if not pickled:
        return f"{folder}: not a checkpoint, because {WEIGHTS} is missing; name another folder"
    return (
        f"{folder}: its weights are pickled ({pickled[0]}), which can execute arbitrary code; convert them with "
        f"transformers: AutoModel.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"
    )


def _in_package(name: str) -> Path | None:
    """Return the folder of an installed package, or a direct subfolder, that contains a tokenizer."""
    for root in package_folders(name):
        for folder in (root, *sorted(root.glob("*/"))):
            if (folder / TOKENIZER).is_file() or nested_files(folder):
                return folder
    return None


def _on_hub(name: str) -> Path:
    """Download a checkpoint from Hugging Face, or find it in the local cache if there is no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    missing = f"{name}: no such folder, and no installed package of that name contains a checkpoint"
    try:
        return Path(snapshot_download(name, allow_patterns=list(DOWNLOADED), ignore_patterns=["*/*"]))
    except HFValidationError as error:
        raise EmbeddingError(f"{missing}; name a folder, or a model on Hugging Face such as "
                             "sentence-transformers/all-MiniLM-L6-v2") from error
    except RepositoryNotFoundError as error:
        raise EmbeddingError(f"{missing}; Hugging Face has no checkpoint of that name either: correct it or, if access "
                             "is restricted, type: hf auth login") from error
    except Exception as error:  # many unrelated classes, by version and network
        raise EmbeddingError(
            f"{missing}; Hugging Face cannot be reached ({first_line(error)}) and the local cache has no "
            f"complete copy: on a machine with network access, type: hf download {name} --local-dir FOLDER, and name "
            "that folder"
        ) from error


def first_line(error: Exception) -> str:
    """Return the first line of an error message."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
