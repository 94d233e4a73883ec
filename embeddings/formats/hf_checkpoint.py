"""Checkpoints of Transformers on disk: where one is, its tokenizer and its table of input embeddings.

No model is built and no code of a checkpoint runs: weights come from safetensors files through a memory map, alone or
in shards (``model.safetensors.index.json``), and the tokenizer from ``tokenizer.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from embeddings.errors import EmbeddingError, VectorFileError
from embeddings.specification.suggest import did_you_mean
from embeddings.table.row_maps import Vectors
from embeddings.table.safetensors import Tensors, open_tensors

TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
FETCHED = ("*.safetensors", "*.json", "*.model", "vocab.txt", "merges.txt")
"""What is selection of a checkpoint on Hugging Face: no pickled weights, no copies for other frameworks."""

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
    "embeddings",              # model2vec
)
"""What the names of input embeddings end with, the most telling first."""
N_SHOWN = 8  # candidates named in a message


@dataclass(frozen=True)
class TokenTable:
    """A checkpoint's input embeddings, a row a token, read from the file as far as they are asked for.

    Attributes:
        tensors: the file that holds them.
        name: of the tensor.
    """

    tensors: Tensors
    name: str

    @property
    def shape(self) -> tuple[int, int]:
        """Number of tokens, and width."""
        n_tokens, dim = self.tensors.shape(self.name)
        return n_tokens, dim

    def rows(self, ids: NDArray[np.int64]) -> Vectors:
        """The vectors of some tokens. *Shape:* ``(n_ids,)`` to ``(n_ids, dim)``, float32."""
        return self.tensors.rows(self.name, ids)


def find_checkpoint(location: str) -> Path:
    """Find a checkpoint's folder.

    Args:
        location: a folder; else the name of an installed package that holds a checkpoint (which is not imported); else
            a name on Hugging Face, fetched if it is not in the local cache.

    Raises:
        EmbeddingError: if there is none, or Hugging Face cannot be reached.
    """
    try:
        folder = Path(location).expanduser()
        is_folder, is_file = folder.is_dir(), folder.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long; no home of that user
        raise EmbeddingError(f"{location}: cannot be a folder of a checkpoint ({error})") from error
    if is_folder:
        return folder
    if is_file:
        raise EmbeddingError(f"{location}: a file, not a checkpoint; give the folder that holds it")
    return _in_package(location.replace("-", "_")) or _on_hub(location)


def read_tokenizer(folder: Path, n_rows: int) -> Tokenizer:
    """Read a checkpoint's tokenizer.

    Args:
        folder: the checkpoint's.
        n_rows: rows of its table, which every token of the tokenizer's own must have.

    Raises:
        VectorFileError: if ``tokenizer.json`` is missing, broken or of another checkpoint.
    """
    path = folder / TOKENIZER
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise VectorFileError(
            f"{folder}: no {TOKENIZER} in this folder; write one with transformers: "
            f"AutoTokenizer.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"
        ) from error
    except Exception as error:  # the library raises bare Exception
        raise VectorFileError(f"{path}: not a tokenizer ({first_line(error)}); fetch or write it again") from error
    n_tokens = tokenizer.get_vocab_size(with_added_tokens=False)
    if n_tokens > n_rows:
        raise VectorFileError(f"{path}: it numbers {n_tokens} tokens, but the table of input embeddings has {n_rows} "
                              "rows: they are of different checkpoints; fetch both again")
    return tokenizer


def input_embeddings(folder: Path, tensor: str | None = None) -> TokenTable:
    """Find a checkpoint's table of input embeddings.

    Args:
        folder: the checkpoint's.
        tensor: the table's name; by default told by its ending (see ``INPUT_EMBEDDINGS``).

    Raises:
        VectorFileError: if there are no safetensors weights, they are broken, or no tensor of theirs is the table.
    """
    weights = _open_weights(folder)
    tables = {name: held for name, held in weights.items() if len(held.shape(name)) == 2 and min(held.shape(name))}
    if tensor is None:
        tensor = next(filter(None, (_ending_with(ending, tables) for ending in INPUT_EMBEDDINGS)), None)
        if tensor is None:
            raise VectorFileError(f"{folder}: no tensor has a name that input embeddings have; say which it is with "
                                  f"tensor=NAME. {_candidates(tables)}")
    elif tensor not in tables:
        raise VectorFileError(f"{folder}: no tensor with two axes is called {tensor!r}."
                              f"{did_you_mean(tensor, tables)} {_candidates(tables)}")
    found = TokenTable(tables[tensor], tensor)
    if found.rows(np.zeros(1, np.int64)).dtype != np.float32:
        raise VectorFileError(f"{folder}: the tensor {tensor!r} holds whole numbers, not vectors; take a checkpoint "
                              "that is not quantised, or say which tensor it is with tensor=NAME")
    return found


def _ending_with(ending: str, names: Mapping[str, Any]) -> str | None:
    """The name that ends so, an encoder's before a decoder's and the outermost first."""
    found = [name for name in names if f".{name}".endswith(f".{ending}")]
    return min(found, key=lambda name: ("decoder" in name, len(name), name), default=None)


def _candidates(tables: Mapping[str, Tensors]) -> str:
    """The tensors that may be a table of input embeddings, the longest first."""
    by_size = sorted(tables, key=lambda name: (-tables[name].shape(name)[0], name))[:N_SHOWN]
    shown = ", ".join(f"{name} {list(tables[name].shape(name))}" for name in by_size)
    return f"The largest are: {shown}" if shown else "It has no tensor with two axes"


def _open_weights(folder: Path) -> dict[str, Tensors]:
    """Every tensor's name, and the mapped file that holds it."""
    if (folder / INDEX).is_file():
        files = _shards(folder / INDEX)
    elif (folder / WEIGHTS).is_file():
        files = [folder / WEIGHTS]
    else:
        files = sorted(folder.glob("*.safetensors"))
    if len(files) > 1 and not (folder / INDEX).is_file():
        raise VectorFileError(f"{folder}: {len(files)} safetensors files, but no {WEIGHTS} and no {INDEX}; "
                              "fetch the checkpoint again, or keep only the file that is meant")
    if not files:
        raise VectorFileError(_no_weights(folder))
    return {name: tensors for tensors in map(open_tensors, files) for name in tensors}


def _shards(index: Path) -> list[Path]:
    """The files that an index of shards names, which must lie beside it."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        if not names or any(Path(name).name != name for name in names):
            raise ValueError("a shard must be a file of the same folder")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VectorFileError(f"{index}: not an index of safetensors shards ({error}); fetch it again") from error
    for name in names:
        if not (index.parent / name).is_file():
            raise VectorFileError(f"{index}: its shard {name} is missing; fetch the checkpoint again")
    return [index.parent / name for name in names]


def _no_weights(folder: Path) -> str:
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern))
    if not pickled:
        return f"{folder}: not a checkpoint: it holds no {WEIGHTS}"
    return (
        f"{folder}: its weights are pickled ({pickled[0]}), which can run code and is not read; convert them with "
        f"transformers: AutoModel.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"
    )


def _in_package(name: str) -> Path | None:
    """The folder of an installed package, or one just below, that holds a tokenizer."""
    if not name.isidentifier():  # a dotted name would import its parents
        return None
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    for root in (spec and spec.submodule_search_locations) or ():
        for folder in (Path(root), *sorted(Path(root).glob("*/"))):
            if (folder / TOKENIZER).is_file():
                return folder
    return None


def _on_hub(name: str) -> Path:
    """Fetch a checkpoint from Hugging Face, or find it in the local cache where there is no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    nowhere = f"{name}: no such folder, and no installed package of that name holds a checkpoint"
    try:
        return Path(snapshot_download(name, allow_patterns=list(FETCHED), ignore_patterns=["*/*"]))
    except HFValidationError as error:
        raise EmbeddingError(f"{nowhere}; give a folder, or a name on Hugging Face such as "
                             "sentence-transformers/all-MiniLM-L6-v2") from error
    except RepositoryNotFoundError as error:
        raise EmbeddingError(f"{nowhere}; Hugging Face shows no checkpoint of that name either: mend the name or, if "
                             "access to it is restricted, log in with: hf auth login") from error
    except Exception as error:  # by version and network, from a dozen unrelated classes
        raise EmbeddingError(
            f"{nowhere}; Hugging Face cannot be asked ({first_line(error)}) and the local cache has no whole copy: "
            f"fetch it where there is a network, with: hf download {name} --local-dir FOLDER, and give that folder"
        ) from error


def first_line(error: Exception) -> str:
    """What an error of another library says, without its paragraphs of advice."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
