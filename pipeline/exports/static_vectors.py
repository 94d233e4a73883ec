"""Static vectors of a run, whose mean represents a text; both formats of static vectors use them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from embeddings.special_tokens import N_SPECIAL, UNK_ID
from embeddings.table.atomic_files import write_atomically
from embeddings.tokenization.interface import TextTokenizer
from pipeline.errors import ExportError
from pipeline.exports.base import Exported, ExportOptions
from pipeline.exports.texts import test_texts, texts_of_words
from pipeline.exports.vocabulary import add_unseen, extended, require_characters, write_tokenizer_json
from pipeline.runs.trained import TrainedRun

TOLERANCE = 1e-5
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ExportedVectors(Exported):
    """Exported static vectors.

    Attributes:
        n_words: number of words.
        dim: dimension of the vectors.
        kind: ``tuned`` or ``start``.
        checked: how they were compared with the run, in words.
    """

    n_words: int
    dim: int
    kind: str
    checked: str

    def lines(self) -> list[str]:
        """Describe the vectors and how they were compared with the run."""
        which = "fine-tuned vectors" if self.kind == "tuned" else "vectors before training"
        return [f"{self.path}: {which} of {self.n_words:,} words, dimension {self.dim}; a text is the mean of its "
                "words", self.checked]


@dataclass(frozen=True)
class StaticVectors:
    """Vectors in the order of the ids of a tokenizer.

    Attributes:
        tokenizer: the tokenizer.
        rows: float32; those of special tokens and of unknown words are zero. *Shape:* ``(n_rows, dim)``.
        texts: texts of the run to compare with.
        texts_described: number and origin of these texts.
    """

    tokenizer: TextTokenizer
    rows: Floats
    texts: Sequence[str]
    texts_described: str

    @property
    def n_words(self) -> int:
        """Number of words."""
        return len(self.rows) - N_SPECIAL

    def mean(self, text: str) -> Floats:
        """Compute the mean vector of the known words of a text; zeros if there are none. *Shape:* ``(dim,)``."""
        (ids,) = self.tokenizer.encode([text])
        known = ids[ids >= N_SPECIAL]
        made: Floats = self.rows[known].mean(axis=0) if len(known) else np.zeros(self.rows.shape[1], dtype=np.float32)
        return made

    def known_share(self, text: str) -> float:
        """Return the share of the tokens of a text that are known; 1 for a text without tokens."""
        (ids,) = self.tokenizer.encode([text])
        return float(np.mean(ids >= N_SPECIAL)) if len(ids) else 1.0

    def save(self, weights: Path, tokenizer: Path, *, name: str) -> None:
        """Write the vectors and the tokenizer."""
        write_atomically(weights, safetensors.numpy.save({name: self.rows}))
        write_tokenizer_json(self.tokenizer, tokenizer)


def static_vectors(trained: TrainedRun, options: ExportOptions, *, origin: str) -> StaticVectors:
    """Return the static vectors of a run.

    Args:
        trained: the run, whose embedding layer is extended.
        options: number of words not seen in training, and whether to take the tuned vectors or those before training.
        origin: the run folder, for messages.

    Raises:
        ExportError: if ``tokenizer.json`` cannot represent the run's tokenizer.
    """
    require_characters(trained.config, origin)
    found = test_texts(trained)
    extra = add_unseen(trained, options.words, first=found.words if found else ())
    tokenizer, layer = extended(trained.tokenizer, extra), trained.embedding
    rows = np.array(torch.cat([layer.weight, layer.extension]).detach().float())
    if options.vectors == "start":
        start = trained.table.vectors[: len(layer.weight) - N_SPECIAL]
        scaled = np.array(layer.extension.float() / layer.table_scale)
        rows = np.concatenate([np.zeros((N_SPECIAL, rows.shape[1]), np.float32), start, scaled]).astype(np.float32)
    rows[:N_SPECIAL] = 0.0
    texts = found or texts_of_words(trained, tokenizer)
    joined = [text if isinstance(text, str) else " ".join(text) for text in trained.task.reader.texts(texts.examples)]
    return StaticVectors(tokenizer, rows, joined[:200], texts.described)


def check(
    vectors: StaticVectors, weights: Path, tokenizer: Path, *, name: str, package: str,
    encode: Callable[[Sequence[str]], Any], scaled: bool
) -> str:
    """Compare files with the vectors of the run, by the package that reads them if it is installed.

    Args:
        vectors: the vectors of the run.
        weights: file with the vectors.
        tokenizer: file with the tokenizer.
        name: name of the tensor.
        package: the package.
        encode: encodes texts by the package. *Shape:* ``(n_texts, dim)``.
        scaled: the package counts unknown words, whose vector is zero, in the mean.

    Returns:
        How they were compared, in words.

    Raises:
        ExportError: if a vector of a text differs.
    """
    rows = safetensors.numpy.load(weights.read_bytes())[name]
    read = Tokenizer.from_str(tokenizer.read_text(encoding="utf-8"))
    ids = [encoding.ids for encoding in read.encode_batch(list(vectors.texts), add_special_tokens=False)]
    known = [[number for number in of_text if number != UNK_ID] for of_text in ids]
    expected = np.stack([vectors.mean(text) for text in vectors.texts])
    found = np.stack([rows[of_text].mean(axis=0) if of_text else np.zeros(rows.shape[1]) for of_text in known])
    worst, by = float(np.abs(expected - found).max()), "tokenizers"
    if find_spec(package):
        by = f"{package.replace('_', '-')} {version(package.replace('_', '-'))}"
        shares = np.array([vectors.known_share(text) if scaled else 1.0 for text in vectors.texts])[:, None]
        worst = max(worst, float(np.abs(shares * expected - encode(vectors.texts)).max()))
    if not worst <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise ExportError(f"the exported vectors of texts differ from those of the run in {by} by {worst:.2g}; nothing "
                          "was written")
    return f"compared with the run in {by} on {vectors.texts_described}: vectors differ by at most {worst:.1e}"
