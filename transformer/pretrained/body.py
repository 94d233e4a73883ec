"""Pretrained Transformers: a checkpoint of Hugging Face in the shapes of an encoder or a decoder.

The library ``transformers`` is not needed, and no code of a checkpoint is executed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from embeddings.special_tokens import N_SPECIAL
from embeddings.table.listing import listed, shortened
from transformer.config import ModelConfig
from transformer.errors import CheckpointError, TransformerError
from transformer.export.names import LAYER_INDEX, module_of
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import LMHead, MaskedLMHead
from transformer.models.stack import Decoder, Encoder
from transformer.pretrained.architecture import Architecture, known_architectures
from transformer.pretrained.files import CheckpointTensors, open_checkpoint
from transformer.pretrained.part import Part

CONFIG = "config.json"
TABLE = "embedding.weight"
BUFFERS = re.compile(r"(^|\.)(position_ids|token_type_ids|masked_bias|attn\.bias)$")
"""Tensors of older checkpoints that are computed, not trained."""
OLD_NAMES = ((re.compile(r"\.gamma$"), ".weight"), (re.compile(r"\.beta$"), ".bias"))
"""Names of the weights of layer norms in checkpoints converted from TensorFlow."""
N_SHOWN = 3  # names of weights in a message


class Weights(Mapping[str, Tensor]):
    """Weights under our names. Each access reads a new tensor, float32 and contiguous.

    Args:
        tensors: the tensors of the checkpoint.
        parts: where each weight is.
    """

    def __init__(self, tensors: CheckpointTensors, parts: Mapping[str, Part]) -> None:
        self._tensors, self._parts = tensors, parts

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors.read(self._parts[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    @property
    def parts(self) -> Mapping[str, Part]:
        """Where each weight is."""
        return self._parts

    def select(self, names: Mapping[str, str]) -> Weights:
        """Return some weights under other names.

        Args:
            names: new names, and present ones.
        """
        return Weights(self._tensors, {new: self._parts[old] for new, old in names.items()})


@dataclass(frozen=True)
class Body:
    """A pretrained Transformer, whose weights are read on access.

    Attributes:
        folder: folder of the checkpoint.
        architecture: ``model_type`` of the checkpoint, such as ``bert``.
        config: the shape; ``like`` is set if the model can be exported as that architecture.
        is_decoder: a token cannot attend to later tokens.
        n_tokens: number of rows of the embedding table.
        padding_id: id of the padding token in the checkpoint; None for a decoder, which needs none.
        stack: weights under the names of :class:`~transformer.models.stack.Stack`, float32. ``embedding.weight`` has
            all rows in the order of the checkpoint. *Shape:* ``(n_tokens, embedding_width)``.
        head: weights that the checkpoint has of our heads: ``pooler`` of
            :class:`~transformer.models.heads.ClsHead`, and those of :class:`~transformer.models.heads.MaskedLMHead` or,
            if they are not tied, of :class:`~transformer.models.heads.LMHead`.
        missing: weights of the stack that the checkpoint lacks.
        unused: tensors of the checkpoint that are neither in ``stack`` nor in ``head``.
    """

    folder: Path
    architecture: str
    config: ModelConfig
    is_decoder: bool
    n_tokens: int
    padding_id: int | None
    stack: Weights
    head: Weights
    missing: tuple[str, ...]
    unused: tuple[str, ...]


def read_body(folder: Path, *, trust_pickle: bool = False) -> Body:
    """Read the shape of a checkpoint, and find its weights.

    Args:
        folder: contains ``config.json`` and the weights: ``model.safetensors`` or ``pytorch_model.bin``, or the index
            of their shards.
        trust_pickle: allow pickle files, which can execute arbitrary code.

    Raises:
        CheckpointError: if a file is missing, damaged or a pickle that is not trusted; if the architecture or one of
            its options is not supported; if the weights do not have the shapes that ``config.json`` describes.
    """
    given = _read_config(folder / CONFIG)
    kind = _architecture(given, folder / CONFIG)
    try:
        config = kind.shape(given)
    except CheckpointError as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error
    file = _File(folder, kind, open_checkpoint(folder, trust_pickle=trust_pickle))
    file.check_layers(config.n_layers)
    n_tokens = given["vocab_size"]
    try:
        stack, head = _expected_shapes(config, n_tokens, is_decoder=kind.is_decoder)
    except RuntimeError as error:  # more elements than an integer can count
        raise CheckpointError(f"{folder / CONFIG}: its sizes are too large ({error}); download the file again"
                              ) from error
    of_stack = file.find(stack, lambda name: kind.part(name, given))
    of_head = file.find({name: shape for name, shape in head.items() if kind.takes(name, config)},
                        lambda name: kind.head_part(name, config))
    tied = (kind.head_part(kind.output, config).name,) if config.tied else ()
    return Body(
        folder=folder, architecture=kind.name, config=config, is_decoder=kind.is_decoder, n_tokens=n_tokens,
        padding_id=None if kind.is_decoder else given.get("pad_token_id", kind.defaults.get("pad_token_id")),
        stack=Weights(file.tensors, of_stack), head=Weights(file.tensors, of_head),
        missing=tuple(name for name in stack if name not in of_stack),
        unused=file.unused({part.name for part in (*of_stack.values(), *of_head.values())}, tied),
    )


def with_layers(body: Body, keep: Sequence[int]) -> Body:
    """Keep some layers, in this order; the others are dropped.

    Args:
        body: the pretrained Transformer.
        keep: layer indices from 0; an index may repeat.

    Raises:
        TransformerError: if there is no such layer, or none is kept.
    """
    n_layers = body.config.n_layers
    wrong = [index for index in keep if not 0 <= index < n_layers]
    if wrong or not keep:
        problem = f"there is no layer {wrong[0]}" if wrong else "no layer is kept"
        raise TransformerError(f"{body.folder}: {problem}; name layers from 0 to {n_layers - 1}")

    def names(old: Sequence[str]) -> dict[str, str]:
        found = {name: name for name in old if not name.startswith("layers.")}
        for new, index in enumerate(keep):
            found |= {name.replace(f"layers.{index}.", f"layers.{new}.", 1): name
                      for name in old if name.startswith(f"layers.{index}.")}
        return found

    return replace(body, config=replace(body.config, n_layers=len(keep)),
                   stack=body.stack.select(names(tuple(body.stack))), missing=tuple(names(body.missing)))


def load_stack(body: Body, *, embedding: TokenEmbedding | None = None) -> Encoder | Decoder:
    """Make a stack with the weights of a pretrained Transformer, in evaluation mode.

    Token ids are those of the checkpoint, except that 0 is always padding here: in an encoder, 0 and the
    ``padding_id`` of the checkpoint are exchanged; a decoder cannot read its token 0.

    Args:
        body: the pretrained Transformer.
        embedding: used instead of the embedding table of the checkpoint. Its width is ``body.config.embedding_width``.

    Raises:
        CheckpointError: if the checkpoint lacks a weight, or a file has changed in the meantime.
    """
    missing = [name for name in body.missing if embedding is None or name != TABLE]
    if missing:
        raise CheckpointError(f"{body.folder}: the weights {listed(missing, limit=N_SHOWN)} are missing; download the "
                              "checkpoint again")
    if embedding is None:
        embedding = _table(body.config, body.n_tokens)
        rows = body.stack[TABLE]
        if body.padding_id:
            rows[[0, body.padding_id]] = rows[[body.padding_id, 0]]
        embedding.weight.data = rows  # assigned to the same parameter, which has a hook
    with torch.device("meta"):  # no memory for initial weights
        stack = _stack(body.config, body.is_decoder, embedding)
    weights = {name: body.stack[name] for name in body.stack if name != TABLE}
    stack.load_state_dict(weights, strict=False, assign=True)
    return stack.eval()


class _File:
    """The tensors of a checkpoint under the usual names of an architecture.

    Args:
        folder: folder of the checkpoint.
        kind: the architecture.
        tensors: its tensors.
    """

    def __init__(self, folder: Path, kind: Architecture, tensors: CheckpointTensors) -> None:
        self.folder, self.kind, self.tensors = folder, kind, tensors
        self._usual = {name: self._usual_name(name) for name in tensors.names() if not BUFFERS.search(name)}
        preferred = sorted(self._usual, key=lambda name: name.removeprefix(kind.prefix) in kind.aliases)
        self._names = {self._usual[name]: name for name in preferred}

    def check_layers(self, n_layers: int) -> None:
        """Require that the weights have as many layers as ``config.json``."""
        modules = set(self.kind.modules.values())
        indices = [int(found[0]) for name in self._names
                   if module_of(name) in modules and (found := LAYER_INDEX.search(name))]
        n_found = max(indices, default=-1) + 1
        if n_found != n_layers:
            raise CheckpointError(f"{self.folder}: {CONFIG} describes {n_layers} layers of {self.kind.name}, but the "
                                  f"weights have {n_found}: they belong to different checkpoints; download both again")

    def find(self, expected: Mapping[str, torch.Size], part_of: Callable[[str], Part]) -> dict[str, Part]:
        """Return where the expected weights are, without those that are missing.

        Args:
            expected: shapes by our names.
            part_of: returns where a weight is, by its usual name.
        """
        parts = {}
        for name, shape in expected.items():
            part = part_of(name)
            if part.name in self._names:
                parts[name] = part._replace(name=self._names[part.name])
                self._check(parts[name], shape)
        return parts

    def unused(self, used: set[str], tied: Sequence[str]) -> tuple[str, ...]:
        """Return the tensors that are not used, under no name, and do not repeat a tied weight."""
        usual = {self._usual[name] for name in used} | set(tied)
        return tuple(name for name in self._usual if self._usual[name] not in usual)

    def _check(self, part: Part, expected: torch.Size) -> None:
        shape = list(self.tensors.shape(part.name))
        name = shortened(part.name)
        try:
            taken = part.take(torch.empty(shape, device="meta"))
        except ValueError:
            taken = None
        if taken is None or taken.shape != expected:
            read_as = f" (read as {list(taken.shape)})" if taken is not None and list(taken.shape) != shape else ""
            raise CheckpointError(f"{self.folder}: {name} has the shape {shape}{read_as}, but {CONFIG} needs "
                                  f"{list(expected)}: they belong to different checkpoints; download both again")
        if not self.tensors.is_float(part.name):
            raise CheckpointError(f"{self.folder}: {name} contains integers: quantised weights are not supported; use "
                                  "the checkpoint that is not quantised")

    def _usual_name(self, name: str) -> str:
        name = name.removeprefix(self.kind.prefix)
        for pattern, new in OLD_NAMES:
            name = pattern.sub(new, name)
        return self.kind.aliases.get(name, name)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(given, dict):
            raise ValueError("not an object")
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot read the configuration of the checkpoint ({error}); name the folder of "
                              "a checkpoint, or download the file again") from error
    return given


def _architecture(given: Mapping[str, Any], path: Path) -> Architecture:
    known = known_architectures()
    name = str(given.get("model_type"))
    if name not in known:
        raise CheckpointError(f"{path}: model_type={shortened(name)!r} is not supported; use a checkpoint of one of "
                              f"the architectures {listed(known)}")
    return known[name]


def _table(config: ModelConfig, n_tokens: int) -> TokenEmbedding:
    return TokenEmbedding(n_words=n_tokens - N_SPECIAL, dim=config.embedding_width, d_model=config.embedding_width)


def _stack(config: ModelConfig, is_decoder: bool, embedding: TokenEmbedding) -> Encoder | Decoder:
    return (Decoder if is_decoder else Encoder)(config=config, embedding=embedding)


@lru_cache(maxsize=16)  # a benchmark reads the checkpoint for each of its runs
def _expected_shapes(
    config: ModelConfig, n_tokens: int, *, is_decoder: bool
) -> tuple[Mapping[str, torch.Size], Mapping[str, torch.Size]]:
    """Return the shapes of all weights of a stack, and of the heads whose weights a checkpoint may have, by name."""
    with torch.device("meta"):
        stack = _stack(config, is_decoder, _table(config, n_tokens))
        heads = {"": LMHead(config=config, n_rows=n_tokens)} if is_decoder else {
            "": MaskedLMHead(config=config, n_rows=n_tokens), "pooler.": nn.Linear(config.d_model, config.d_model)}
    return ({name: weight.shape for name, weight in stack.named_parameters()},
            {f"{prefix}{name}": weight.shape for prefix, head in heads.items()
             for name, weight in head.named_parameters()})
