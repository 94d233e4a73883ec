"""Start a run from a finished one: its Transformer, and the vectors of the words that both have.

The word vectors of other words are those of the finished run's source, which its folder stores, so that they are in the
same space: a Transformer that was trained on one text reads the words of another.
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import Tensor, nn

from embeddings.special_tokens import N_SPECIAL
from embeddings.table.listing import listed
from embeddings.table.paths import from_written
from pipeline.config import RunConfig, changed_keys, keys, value_of
from pipeline.errors import ConfigError, brief
from pipeline.runs.folder import read_unreplaced
from pipeline.runs.recipe.facts import Facts
from pipeline.runs.trained import TrainedRun, embedding_layers, load_run, load_setup
from pipeline.tasks.resolved import ChosenPart
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding

log = logging.getLogger("vecformer")

PART = "init-from"  # name of the part in resolved.json
OF_THE_TASK = ("model.pooling", "model.token_types", "model.tied", "model.dropout")
"""Keys of the model that the new run decides."""
OF_THE_TEXT = ("data.units", "data.lowercase", "data.strip_accents", "data.fold_digits", "data.han")


def parts_of_start(config: RunConfig, _facts: Facts) -> dict[str, ChosenPart]:
    """Return the values that a run takes over from ``init_from``, as a part of the recipe.

    These are the shape of the Transformer, the rules of the tokenizer, and the source of the word vectors.

    Raises:
        ConfigError: if the configuration has another value for one of them.
        RunFolderError: if there is no finished run.
    """
    theirs = read_unreplaced(Path(from_written(config.init_from)), load_setup).config
    shape = [key for key, _ in keys() if key.startswith("model.") and key not in OF_THE_TASK]
    values = {key: value_of(theirs, key) for key in (*shape, *OF_THE_TEXT)}
    if config.data.units == "words" and theirs.data.units == "auto":
        values["data.units"] = "words"
    if theirs.data.units == "subwords":
        values["data.tokenizer"] = f"{config.init_from}/tokenizer.json"
    values |= {"source": f"file:{config.init_from}", "embedding.scale": "none", "transforms": ()}
    for key in changed_keys(config):
        if key in values and value_of(config, key) != values[key]:
            raise ConfigError(f"{key} = {brief(str(value_of(config, key)))}: with init_from it is that of the run, "
                              f"{brief(str(values[key]))}; leave it out")
    changed = {key: value for key, value in values.items() if value != value_of(RunConfig(), key)}
    return {PART: ChosenPart(f"as in {config.init_from}", changed)}


def start_from(model: nn.Module, stage_one: StageOne, config: RunConfig) -> None:
    """Copy the weights of ``init_from`` into a new model.

    Weights with the same name and shape are copied, except those of the head. What the new model has besides, and what
    is not used, is logged.

    Args:
        model: an untrained model with the vectors of stage one, changed in place.
        stage_one: its vocabulary and vectors.
        config: the configuration.

    Raises:
        ConfigError: if the run has no stack in common with the model, such as a decoder instead of an encoder.
    """
    run = load_run(Path(from_written(config.init_from)))
    tables = embedding_layers(model).keys() | embedding_layers(run.model).keys()
    stacks = tuple(f"{name}." for name in ("encoder", "decoder") if hasattr(model, name))
    theirs = {name: weight for name, weight in run.model.state_dict().items() if name not in tables}
    ours = {name: weight for name, weight in model.state_dict().items()
            if name.startswith(stacks) and name not in tables}
    taken = {name: weight for name, weight in theirs.items() if name in ours and weight.shape == ours[name].shape}
    if not any(".layers." in name for name in taken):
        raise ConfigError(f"init_from = {brief(config.init_from)}: the task {run.config.task} has no {_named(stacks)} "
                          f"like that of {config.task}; pretrain one with `vecformer pretrain`")
    model.load_state_dict(taken, strict=False)
    n_words = _copy_vectors(next(iter(embedding_layers(model).values())), stage_one, run)
    log.info("%s: %d weights and the vectors of %d words are copied; new: %s; not used: %s", config.init_from,
             len(taken), n_words, listed(sorted(ours.keys() - taken.keys())) or "the head only",
             listed(sorted(theirs.keys() - taken.keys())) or "none")


def _copy_vectors(layer: TokenEmbedding, stage_one: StageOne, run: TrainedRun) -> int:
    """Copy the vectors of special tokens and common words; scale those of other words alike. Return their number."""
    rows = {word: row for row, word in enumerate(run.tokenizer.vocabulary())}
    common = [(row, rows[word]) for row, word in enumerate(stage_one.tokenizer.vocabulary()) if word in rows]
    to, of = (torch.tensor(side) for side in zip(*common, strict=True))                     # (n_common,) each
    theirs: Tensor = run.embedding.weight.detach()
    with torch.no_grad():
        layer.weight[N_SPECIAL:] *= run.embedding.table_scale
        layer.weight[to] = theirs[of]
        layer.table_scale.copy_(run.embedding.table_scale)
    return len(common) - N_SPECIAL


def _named(stacks: tuple[str, ...]) -> str:
    return " or ".join(stack.removesuffix(".") for stack in stacks) or "stack"
