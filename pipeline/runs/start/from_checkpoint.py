"""Start a run from a pretrained checkpoint: its Transformer, its tokenizer and its embedding table.

The tokenizer and the table can be replaced (``data.units``, ``data.tokenizer``, ``source``): the Transformer then reads
other tokens, whose vectors should be in the space of its table.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from embeddings.formats.hf_checkpoint import find_checkpoint, input_embeddings
from embeddings.sources.transplant import is_transplant, with_checkpoint
from embeddings.special_tokens import N_SPECIAL
from embeddings.table.listing import listed
from embeddings.table.paths import from_written
from embeddings.tokenization.interface import TextTokenizer
from embeddings.tokenization.subwords import SubwordTokenizer
from pipeline.config import AUTO_SOURCE, RunConfig, changed_keys, keys, value_of
from pipeline.errors import ConfigError, brief
from pipeline.runs.recipe.facts import Facts
from pipeline.runs.tokenizer import read_subwords
from pipeline.tasks.resolved import ChosenPart
from pipeline.word_vectors import StageOne
from transformer.config import LIKE
from transformer.errors import CheckpointError
from transformer.models.stack import Stack
from transformer.pretrained.body import N_SHOWN, TABLE, Body, read_body, with_layers

log = logging.getLogger("vecformer")

PART, TUNING = "init-from", "fine-tuning"  # names of the parts in resolved.json
OF_THE_TASK = ("model.like", "model.pooling", "model.token_types", "model.tied", "model.dropout")
"""Keys of the model that the new run decides."""
OF_TOKENS = ("language-model", "masked-language-model")
"""Tasks whose output layer is that of the checkpoint."""
TYPES, POSITIONS = "token_types.weight", "positions.weight"
ROWS = ("bias", "scores.output.weight")  # weights of the head with a row for each token
FINE_TUNING: Mapping[str, Any] = {"training.lr": 1e-4, "training.epochs": 4, "training.ema": 0.0}
"""Training of a pretrained Transformer, where the configuration does not say otherwise."""
FEW_LABELS: Mapping[str, Any] = {
    "model.pooling": "mean", "contrastive.steps": 60, "contrastive.head_first": True,
    "training.lr": 1e-5, "training.epochs": 1, "training.ema": 0.0,
}
"""The same with few labels."""
FEW = 64  # labelled texts per label, up to which labels are few


def parts_of_start(config: RunConfig, facts: Facts) -> dict[str, ChosenPart]:
    """Return the shape of the Transformer, its tokenizer and table, and how it is trained.

    Args:
        config: the configuration.
        facts: facts about the data, of which the number of labels decides how it is trained.

    Raises:
        ConfigError: if the configuration has another shape.
        CheckpointError, EmbeddingError: if the checkpoint cannot be read.
    """
    body = body_of(config)
    shape = {key: getattr(body.config, key.removeprefix("model.")) for key, _ in keys()
             if key.startswith("model.") and key not in OF_THE_TASK}
    configured = set(changed_keys(config))
    for key in configured & shape.keys():
        if value_of(config, key) != shape[key]:
            raise ConfigError(f"{key} = {brief(str(value_of(config, key)))}: with init_from it is that of the "
                              f"checkpoint, {brief(str(shape[key]))}; leave it out")
    fixed = shape | {"embedding.scale": "none"}
    if facts.task in OF_TOKENS and body.config.like:
        fixed |= {"model.like": body.config.like, "model.tied": body.config.tied}
        fixed |= {f"model.{key}": value for key, value in LIKE[body.config.like].items() if key != "norm_eps"}
    if config.data.max_length > body.config.max_positions:
        fixed["data.max_length"] = body.config.max_positions
    if not body.is_decoder:
        fixed["data.add_special_tokens"] = True
    if is_transplant(config.source):
        fixed["source"] = with_checkpoint(config.source, config.init_from)
    elif config.source == AUTO_SOURCE:
        fixed["source"] = f"hf:{config.init_from}"
    fixed |= _vocabulary(config, configured)
    few = has_few_labels(facts)
    tuning = {key: value for key, value in (FEW_LABELS if few else FINE_TUNING).items() if key not in configured}
    defaults = RunConfig()
    reason = f"at most {FEW} labelled texts per label" if few else "a pretrained Transformer"
    return {PART: ChosenPart(f"the {body.architecture} of {config.init_from}",
                             {key: value for key, value in fixed.items() if value != value_of(defaults, key)}),
            TUNING: ChosenPart(reason, tuning)}


def has_few_labels(facts: Facts) -> bool:
    """Return whether texts are classified with few labelled texts per label."""
    return facts.task == "classification" and not facts.has_pairs and facts.n_labelled <= FEW * facts.n_labels


def _vocabulary(config: RunConfig, configured: set[str]) -> dict[str, str]:
    """Return the values of ``data.units`` and ``data.tokenizer``: by default those of the checkpoint.

    A transplant is into another vocabulary, by default that of the words of the text.
    """
    has_tokenizer, transplants = "data.tokenizer" in configured, is_transplant(config.source)
    if config.data.units == "words" or (transplants and config.data.units == "auto" and not has_tokenizer):
        return {}
    own = {} if has_tokenizer or transplants else {"data.tokenizer": config.init_from}
    return {"data.units": "subwords", **own}


def body_of(config: RunConfig) -> Body:
    """Read the checkpoint, with the layers of ``init_layers``.

    Raises:
        CheckpointError, EmbeddingError: if it cannot be read.
        TransformerError: if it does not have one of the layers.
    """
    body = read_body(find_checkpoint(from_written(config.init_from)), trust_pickle=config.trust_pickle)
    return with_layers(body, config.init_layers) if config.init_layers else body


def start_from(model: nn.Module, stage_one: StageOne, config: RunConfig) -> None:
    """Copy the weights of the checkpoint into a new model; see :func:`pipeline.runs.start.point.start_from`."""
    body = body_of(config)
    name = "decoder" if body.is_decoder else "encoder"
    stack = getattr(model, name, None)
    if not isinstance(stack, Stack):
        raise ConfigError(f"init_from = {brief(config.init_from)}: the task {config.task} does not have the {name} of "
                          f"this {body.architecture}; choose another checkpoint, or another task")
    if missing := [weight for weight in body.missing if weight != TABLE]:
        raise CheckpointError(f"{body.folder}: the weights {listed(missing, limit=N_SHOWN)} are missing; download the "
                              "checkpoint again")
    ours = stage_one.tokenizer
    has_own = config.data.tokenizer == config.init_from
    tokenizer = ours if has_own and isinstance(ours, SubwordTokenizer) else read_subwords(config.init_from)
    with torch.no_grad():
        taken = _copy_stack(stack, body)
        n_special = _copy_special_rows(stack, body, tokenizer)
        heads = _copy_head(getattr(model, "head", None), body, tokenizer, ours)
    new = [f"{name}.{weight}" for weight in stack.state_dict() if weight not in taken and not weight.startswith(
        "embedding.")]
    log.info("%s: %d weights of the %s and %d special tokens are copied%s; new: %s; not used: %s", config.init_from,
             len(taken), name, n_special, f", with {listed(heads)}" if heads else "",
             listed(new) or "the head only", listed(body.unused) or "none")


def _copy_stack(stack: Stack, body: Body) -> set[str]:
    """Copy all weights but those of the table; return their names.

    A model without token types has the type 0 of the checkpoint in its positions.
    """
    types = body.stack.get(TYPES)
    taken = {name for name in body.stack if name != TABLE and (name != TYPES or stack.token_types is not None)}
    for name, own in stack.state_dict().items():
        if name not in taken:
            continue
        theirs = body.stack[name]  # one weight at a time is in memory twice
        if name == TYPES:
            theirs = theirs[torch.arange(len(own)) % len(theirs)]
        elif name == POSITIONS and types is not None and stack.token_types is None:
            theirs = theirs + types[0]
        own.copy_(theirs)
    return taken


def _copy_special_rows(stack: Stack, body: Body, tokenizer: SubwordTokenizer) -> int:
    """Copy the vectors of the special tokens, which stage one does not have; return their number."""
    ids = tokenizer.file_ids[1:N_SPECIAL]
    known = np.flatnonzero(ids >= 0)
    rows = input_embeddings(body.folder).rows(ids[known])
    stack.embedding.weight[torch.from_numpy(1 + known)] = torch.from_numpy(np.array(rows))
    return len(known)


def _copy_head(head: nn.Module | None, body: Body, theirs: SubwordTokenizer, ours: TextTokenizer) -> list[str]:
    """Copy the layers of the head that the checkpoint has with the same shape; return their names.

    Of weights with a row for each token, the rows of the tokens of both vocabularies are copied.
    """
    if head is None:
        return []
    weights = head.state_dict()
    taken = {name: body.head[name] for name in body.head if name in weights and name not in ROWS
             and body.head[name].shape == weights[name].shape}
    numbers = dict(zip(theirs.vocabulary(), theirs.file_ids.tolist(), strict=True))
    common = [(row, numbers[token]) for row, token in enumerate(ours.vocabulary()) if numbers.get(token, -1) >= 0]
    for name in (name for name in ROWS if name in weights and name in body.head and common):
        to, of = (torch.tensor(side) for side in zip(*common, strict=True))                 # (n_common,) each
        taken[name] = weights[name].clone()
        taken[name][to] = body.head[name][of]
    head.load_state_dict(taken, strict=False)
    return sorted(taken)
