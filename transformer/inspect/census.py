"""A model opened to view: every parameter and how far training moved it, and what each head does with a text."""

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
from transformer.models.heads import LMHead
from transformer.models.stack import Stack

EVERY = ""  # stands for each attribute of a module

KINDS: tuple[tuple[type[nn.Module], dict[str, str]], ...] = (
    (TokenEmbedding, {"weight": "embedding", "projection": "projection"}),
    (LearnedPositions, {EVERY: "positions"}),
    (Stack, {"token_types": "token types"}),
    (MultiHeadAttention, {"query": "query", "key": "key", "value": "value", "output": "attention output"}),
    (FeedForward, {EVERY: "feed-forward"}),
    (nn.LayerNorm, {EVERY: "layer norm"}),
    (Convolutions, {EVERY: "convolution"}),
    (nn.Module, {"head": "output", "output": "output"}),
)
"""What the parameters below a module's attribute are; the innermost module that says something is right."""

ORDER = tuple(dict.fromkeys(kind for _, kinds in KINDS for kind in kinds.values()))

FIXED: dict[type[nn.Module], str] = {
    SinusoidalPositions: "fixed: sinusoidal", RotaryPositions: "fixed: rotary", AlibiPositions: "fixed: ALiBi",
}


@dataclass(frozen=True)
class Entry:
    """A tensor of the model, or several of a kind taken together.

    Attributes:
        kind: such as ``query``.
        name: as in the model's file.
        shape: () for what has no weights.
        count: numbers in it.
        share: of the model's.
        state: ``trained``, ``frozen``, or why it has no weights: ``fixed: sinusoidal``, ``tied to the embedding``.
        norm_start: Frobenius norm before the first step.
        norm: now.
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
        """``moved / norm_start``; None for what began at zero or has no weights."""
        return self.moved / self.norm_start if self.norm_start else None


class MovedWord(NamedTuple):
    """A word, the cosine of its vector with the one that it began as, and their distance."""

    word: str
    cosine: float
    distance: float


class Movement(NamedTuple):
    """How far training moved a table's words.

    Attributes:
        n_words: of the table, special ones but padding included.
        n_moved: whose vectors are no longer what they were; the others never met a gradient.
        cosine: mean of the moved words'.
        distance: likewise.
        most: those that moved most, the farthest first.
    """

    n_words: int
    n_moved: int
    cosine: float
    distance: float
    most: tuple[MovedWord, ...]


def kind_of(model: nn.Module, name: str) -> str:
    """What a parameter is, by the modules that it stands in.

    Raises:
        LookupError: if none of them says.
    """
    found, module = None, model
    for part in name.split("."):
        for of, kinds in KINDS:
            if isinstance(module, of) and (kind := kinds.get(part, kinds.get(EVERY))):
                found = kind
                break
        module = getattr(module, part)
    if found is None:
        raise LookupError(f"{name}: no module on its way says what kind of parameter it is")
    return found


def census(model: nn.Module, start: Mapping[str, Tensor]) -> list[Entry]:
    """Every parameter, and what has a place in the model but no weights of its own, in the order of the kinds.

    Args:
        model: trained.
        start: its parameters before the first step.

    Raises:
        CheckpointError: if they are not those of this model.
    """
    total = sum(weight.numel() for weight in model.parameters())
    entries = []
    for name, weight in model.named_parameters():
        if name not in start or start[name].shape != weight.shape:
            raise CheckpointError(f"the weights that training started from are not this model's: {name} is "
                                  f"{'missing' if name not in start else 'of another shape'}")
        now, before = weight.detach(), start[name].detach().to(weight.device)
        entries.append(Entry(
            kind=kind_of(model, name), name=name, shape=tuple(now.shape), count=now.numel(), share=now.numel() / total,
            state="trained" if weight.requires_grad else "frozen",
            norm_start=float(before.norm()), norm=float(now.norm()), moved=float((now - before).norm()),
        ))
    for name, module in model.named_modules():
        if type(module) in FIXED:
            entries.append(Entry("positions", name, (), 0, 0.0, FIXED[type(module)]))
        elif isinstance(module, LMHead) and module.output is None:
            entries.append(Entry("output", name, (), 0, 0.0, "tied to the embedding"))
    return sorted(entries, key=lambda entry: ORDER.index(entry.kind))


def by_kind(entries: Sequence[Entry]) -> list[Entry]:
    """The entries of each kind and state taken together, as if they were one tensor."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.kind, entry.state), []).append(entry)
    return [together(group, kind=kind, state=state) for (kind, state), group in groups.items()]


def together(entries: Sequence[Entry], *, kind: str, state: str = "") -> Entry:
    """Several tensors as if they were one."""
    return Entry(
        kind, "", (), sum(entry.count for entry in entries), sum(entry.share for entry in entries), state,
        *(math.hypot(*(getattr(entry, norm) for entry in entries)) for norm in ("norm_start", "norm", "moved")),
    )


def movement(start: Tensor, now: Tensor, words: Sequence[str], n: int) -> Movement:
    """How far a table's rows moved.

    Args:
        start: *Shape:* ``(n_rows, dim)``, float32; row 0 is padding.
        now: *Shape:* ``(n_rows, dim)``, float32.
        words: the word of each row.
        n: how many words to name.
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
