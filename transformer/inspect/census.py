"""The parameters of a model by kind, and how far training moved them from their initial values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from transformer.errors import CheckpointError
from transformer.layers.attention import MultiHeadAttention
from transformer.layers.convolution import Convolutions
from transformer.layers.embedding import TokenEmbedding
from transformer.layers.feedforward import FeedForward
from transformer.layers.positions import AlibiPositions, LearnedPositions, RotaryPositions, SinusoidalPositions
from transformer.models.feature_branch import FeatureBranch
from transformer.models.heads import LMHead
from transformer.models.ngram_branch import NgramBranch
from transformer.models.stack import Stack

EVERY = ""  # matches every attribute of a module

KINDS: tuple[tuple[type[nn.Module], dict[str, str]], ...] = (
    (TokenEmbedding, {"weight": "embedding", "projection": "projection"}),
    (LearnedPositions, {EVERY: "positions"}),
    (Stack, {"token_types": "token types", "embedding_projection": "projection"}),
    (MultiHeadAttention, {"query": "query", "key": "key", "value": "value", "output": "attention output"}),
    (FeedForward, {EVERY: "feed-forward"}),
    (nn.LayerNorm, {EVERY: "layer norm"}),
    (Convolutions, {EVERY: "convolution"}),
    (NgramBranch, {EVERY: "n-grams"}),
    (FeatureBranch, {EVERY: "word features"}),
    (nn.Module, {"head": "output", "output": "output"}),
)
"""The kinds of parameters, by module class and attribute; the innermost module with an entry decides."""

ORDER = tuple(dict.fromkeys(kind for _, attributes in KINDS for kind in attributes.values()))

FIXED: dict[type[nn.Module], str] = {
    SinusoidalPositions: "fixed: sinusoidal", RotaryPositions: "fixed: rotary", AlibiPositions: "fixed: ALiBi",
}


@dataclass(frozen=True)
class Entry:
    """A parameter of the model, or several parameters combined.

    Attributes:
        kind: kind of parameter, such as ``query``.
        name: name of the parameter in the model file; empty for several.
        shape: shape; () for several, and for a part of the model without parameters.
        count: number of elements.
        share: fraction of the elements of the model.
        state: ``trained``, ``frozen``, ``fitted, not trained`` (the branches), or the reason why there are no
            parameters, such as ``fixed: sinusoidal`` or ``tied to the embedding``.
        norm_start: Frobenius norm before the first step.
        norm: Frobenius norm after training.
        moved: Frobenius norm of the difference.
    """

    kind: str
    name: str
    shape: tuple[int, ...]
    count: int
    share: float
    state: str
    norm_start: float = 0.0
    norm: float = 0.0
    moved: float = 0.0

    @property
    def moved_share(self) -> float | None:
        """``moved / norm_start``; None if the initial norm is zero."""
        return self.moved / self.norm_start if self.norm_start else None


class MovedWord(NamedTuple):
    """A word whose vector training changed.

    Attributes:
        word: the word.
        cosine: cosine similarity of the vectors before and after training.
        distance: Euclidean distance between them.
    """

    word: str
    cosine: float
    distance: float


class Movement(NamedTuple):
    """How far training moved the word vectors of a table.

    Attributes:
        n_words: number of words, with special tokens but without padding.
        n_moved: number of words whose vector changed; the others had no gradient.
        cosine: mean cosine similarity to the initial vectors, over the words that changed.
        distance: mean Euclidean distance to the initial vectors, over the words that changed.
        most: the words that moved farthest, in descending order.
    """

    n_words: int
    n_moved: int
    cosine: float
    distance: float
    most: tuple[MovedWord, ...]


def kind_of(model: nn.Module, name: str) -> str:
    """Return the kind of a parameter, by the modules that contain it.

    Raises:
        LookupError: if no module has an entry for it in ``KINDS``.
    """
    found, module = None, model
    for part in name.split("."):
        for cls, attributes in KINDS:
            if isinstance(module, cls) and (kind := attributes.get(part, attributes.get(EVERY))):
                found = kind
                break
        module = getattr(module, part)
    if found is None:
        raise LookupError(f"{name}: unknown kind of parameter; add its module to KINDS in {__name__}")
    return found


def census(model: nn.Module, start: Mapping[str, Tensor]) -> list[Entry]:
    """List all parameters by kind, with entries for fitted branches, fixed positions and tied output layers.

    Args:
        model: the trained model.
        start: parameters before the first step, by name.

    Raises:
        CheckpointError: if names or shapes in ``start`` do not match the model.
    """
    fitted = [(f"{name}.{own}", buffer) for name, module in model.named_modules()
              if isinstance(module, NgramBranch | FeatureBranch) for own, buffer in module.named_buffers()]
    total = sum(weight.numel() for weight in [*model.parameters(), *(buffer for _, buffer in fitted)])
    entries = []
    for name, weight in model.named_parameters():
        if name not in start or start[name].shape != weight.shape:
            problem = "is missing" if name not in start else f"has shape {tuple(start[name].shape)}"
            raise CheckpointError(f"the initial weights (start.safetensors) do not match the model: {name} {problem}; "
                                  "train the run again")
        now, before = weight.detach(), start[name].detach().to(weight.device)
        entries.append(Entry(
            kind=kind_of(model, name), name=name, shape=tuple(now.shape), count=now.numel(), share=now.numel() / total,
            state="trained" if weight.requires_grad else "frozen",
            norm_start=float(before.norm()), norm=float(now.norm()), moved=float((now - before).norm()),
        ))
    for name, buffer in fitted:
        norm = float(buffer.norm())
        entries.append(Entry(kind_of(model, name), name, tuple(buffer.shape), buffer.numel(), buffer.numel() / total,
                             "fitted, not trained", norm, norm))
    for name, module in model.named_modules():
        if type(module) in FIXED:
            entries.append(Entry("positions", name, (), 0, 0.0, FIXED[type(module)]))
        elif isinstance(module, LMHead) and module.output is None:
            entries.append(Entry("output", name, (), 0, 0.0, "tied to the embedding"))
    return sorted(entries, key=lambda entry: ORDER.index(entry.kind))


def by_kind(entries: Sequence[Entry]) -> list[Entry]:
    """Combine the entries of each kind and state."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.kind, entry.state), []).append(entry)
    return [together(group, kind=kind, state=state) for (kind, state), group in groups.items()]


def together(entries: Sequence[Entry], *, kind: str, state: str = "") -> Entry:
    """Combine several entries, as if their tensors were concatenated."""
    return Entry(
        kind, "", (), sum(entry.count for entry in entries), sum(entry.share for entry in entries), state,
        *(math.hypot(*(getattr(entry, norm) for entry in entries)) for norm in ("norm_start", "norm", "moved")),
    )


def movement(start: Tensor, now: Tensor, words: Sequence[str], n: int) -> Movement:
    """Measure how far training moved the rows of an embedding table.

    Args:
        start: rows before training; row 0 is padding. *Shape:* ``(n_rows, dim)``, float32.
        now: rows after training. *Shape:* as ``start``.
        words: the word of each row.
        n: number of words to list in ``most``.
    """
    start, now, words = start[1:], now[1:], words[1:]                                       # without padding
    distance = (now - start).norm(dim=1)                                                    # (n_words,)
    moved = distance.nonzero()[:, 0]                                                        # (n_moved,)
    cosine = nn.functional.cosine_similarity(now[moved], start[moved], dim=1)               # (n_moved,)
    most = distance[moved].argsort(descending=True, stable=True)[:n]                        # (n,)
    return Movement(
        n_words=len(words),
        n_moved=len(moved),
        cosine=float(cosine.mean()) if len(moved) else 1.0,
        distance=float(distance[moved].mean()) if len(moved) else 0.0,
        most=tuple(MovedWord(words[row], *pair) for row, *pair in zip(
            moved[most].tolist(), cosine[most].tolist(), distance[moved[most]].tolist(), strict=True)),
    )
