"""Conversion of weights to and from Hugging Face's ``transformers``: BERT encoders and GPT-2 decoders.

Only names and layouts differ. The library does not need to be installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from embeddings.special_tokens import N_SPECIAL
from embeddings.table.arguments import setting
from transformer.checkpoint import load_state, read_weights, state_of
from transformer.config import LIKE, ModelConfig
from transformer.errors import CheckpointError, TransformerError
from transformer.export.names import (
    BERT,
    BERT_HEADS,
    GPT2,
    Tensors,
    from_bert,
    from_gpt2,
    module_of,
    rename,
    to_bert,
    to_gpt2,
)
from transformer.layers.embedding import TokenEmbedding
from transformer.layers.positions import LearnedPositions, SinusoidalPositions
from transformer.models.models import LanguageModel, MaskedLanguageModel, TransformerModel
from transformer.models.stack import Decoder, Encoder, Stack


def stack_state(stack: Stack, *, n_positions: int, n_token_types: int = 0) -> dict[str, Tensor]:
    """Return the weights of a stack without the parts that other libraries do not have.

    The embedding table includes its extension and its projection, and fixed positions become a table.

    Args:
        stack: an encoder or decoder.
        n_positions: rows of the table of fixed positions; learned positions keep their number of rows.
        n_token_types: minimum number of token types; additional rows are zero.

    Raises:
        TransformerError: for positions that are not added to the embeddings.
    """
    state = {name: tensor for name, tensor in state_of(stack).items()
             if not name.startswith(("embedding.", "positions.", "token_types."))}
    with torch.no_grad():
        state["embedding.weight"] = projected_table(stack.embedding)
        state["positions.weight"] = _position_rows(stack.positions, n_positions)
    if n_token_types:
        rows = state["positions.weight"][:0] if stack.token_types is None else stack.token_types.weight.detach()
        state["token_types.weight"] = F.pad(rows, (0, 0, 0, max(0, n_token_types - len(rows))))
    return state


def projected_table(embedding: TokenEmbedding) -> Tensor:
    """Return the projected rows of an embedding layer. *Shape:* ``(n_rows + n_extension, d_model)``."""
    with torch.no_grad():
        rows: Tensor = embedding.projection(torch.cat([embedding.weight, embedding.extension]))
    return rows


def bert_state(
    model: TransformerModel | MaskedLanguageModel, *, output: str, n_positions: int, n_token_types: int = 2
) -> dict[str, Tensor]:
    """Return the weights of an encoder and its head under the names of a ``BertFor…`` class.

    Args:
        model: a model with the options of ``model.like=bert``.
        output: name of the output layer in that class, such as ``classifier``.
        n_positions: as for :func:`stack_state`.
        n_token_types: as for :func:`stack_state`.
    """
    encoder = to_bert(stack_state(model.encoder, n_positions=n_positions, n_token_types=n_token_types))
    head = rename(state_of(model.head), {**BERT_HEADS, "output": output})
    return {f"bert.{name}": tensor for name, tensor in encoder.items()} | head


def gpt2_state(model: LanguageModel, *, n_positions: int) -> dict[str, Tensor]:
    """Return the weights of a language model with tied output under the names of ``GPT2LMHeadModel``."""
    decoder = to_gpt2(stack_state(model.decoder, n_positions=n_positions))
    return {f"transformer.{name}": tensor for name, tensor in decoder.items()}


def bert_config(config: ModelConfig, state: Tensors) -> dict[str, Any]:
    """Return the contents of ``config.json`` for :func:`bert_state`."""
    return {
        "model_type": "bert",
        "vocab_size": len(state["bert.embeddings.word_embeddings.weight"]),
        "max_position_embeddings": len(state["bert.embeddings.position_embeddings.weight"]),
        "type_vocab_size": len(state["bert.embeddings.token_type_embeddings.weight"]),
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "intermediate_size": config.d_ff,
        "hidden_act": "gelu",
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": 0.0,
        "layer_norm_eps": config.norm_eps,
        "tie_word_embeddings": config.tied,
    }


def gpt2_config(config: ModelConfig, state: Tensors) -> dict[str, Any]:
    """Return the contents of ``config.json`` for :func:`gpt2_state`."""
    return {
        "model_type": "gpt2",
        "vocab_size": len(state["transformer.wte.weight"]),
        "n_positions": len(state["transformer.wpe.weight"]),
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": config.d_ff,
        "activation_function": "gelu_new",
        "embd_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "attn_pdrop": 0.0,
        "layer_norm_epsilon": config.norm_eps,
        "tie_word_embeddings": True,
    }


def save_weights(state: Tensors, path: Path) -> None:
    """Write weights in safetensors format, with the metadata that ``transformers`` requires."""
    save_file({name: tensor.cpu().contiguous() for name, tensor in state.items()}, path, {"format": "pt"})


def load_bert(folder: Path) -> Encoder:
    """Read the encoder of a BERT checkpoint: ``config.json`` and ``model.safetensors``.

    Token ids are those of the checkpoint. Its padding id must be 0, as it is here.

    Raises:
        CheckpointError: if a file is missing, or the checkpoint is not a BERT that ``model.like=bert`` can represent.
    """
    return bert_encoder(_config(folder), read_weights(folder / "model.safetensors"), str(folder))


def bert_encoder(config: Mapping[str, Any], weights: Tensors, origin: str = "BERT") -> Encoder:
    """Make an encoder from the ``config.json`` and the weights of a BERT; see :func:`load_bert`."""
    _require(config, {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute",
                      "is_decoder": False}, origin)
    shape = _shape("bert", {
        "d_model": "hidden_size", "n_layers": "num_hidden_layers", "n_heads": "num_attention_heads",
        "d_ff": "intermediate_size", "dropout": "hidden_dropout_prob", "norm_eps": "layer_norm_eps",
        "max_positions": "max_position_embeddings", "token_types": "type_vocab_size",
    }, config, origin)
    encoder = Encoder(config=shape, embedding=_embedding(config, shape))
    _load(encoder, from_bert(_stack_weights(weights, "bert.", BERT)), origin)
    return encoder.eval()


def load_gpt2(folder: Path) -> LanguageModel:
    """Read a GPT-2 checkpoint: ``config.json`` and ``model.safetensors``.

    Token ids are those of the checkpoint, except for 0, which is always padding here.

    Raises:
        CheckpointError: if a file is missing, or the checkpoint is not a GPT-2 that ``model.like=gpt2`` can represent.
    """
    return gpt2_model(_config(folder), read_weights(folder / "model.safetensors"), str(folder))


def gpt2_model(config: Mapping[str, Any], weights: Tensors, origin: str = "GPT-2") -> LanguageModel:
    """Make a language model from the ``config.json`` and the weights of a GPT-2; see :func:`load_gpt2`."""
    _require(config, {"model_type": "gpt2", "activation_function": "gelu_new", "scale_attn_weights": True,
                      "scale_attn_by_inverse_layer_idx": False, "tie_word_embeddings": True}, origin)
    shape = _shape("gpt2", {
        "d_model": "n_embd", "n_layers": "n_layer", "n_heads": "n_head", "d_ff": "n_inner", "dropout": "resid_pdrop",
        "norm_eps": "layer_norm_epsilon", "max_positions": "n_positions",
    }, {**config, "n_inner": config.get("n_inner") or 4 * config.get("n_embd", 0)}, origin)
    decoder = Decoder(config=shape, embedding=_embedding(config, shape))
    _load(decoder, from_gpt2(_stack_weights(weights, "transformer.", GPT2)), origin)
    return LanguageModel(decoder=decoder, config=shape).eval()


def _position_rows(positions: nn.Module, n_positions: int) -> Tensor:
    if isinstance(positions, LearnedPositions):
        return positions.weight.detach()
    if isinstance(positions, SinusoidalPositions):
        return positions.rows(n_positions).clone()
    raise TransformerError("only learned and sinusoidal positions can be exported, as a table; train with "
                           f"{setting('model.positions=learned')}")


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot read the configuration of the checkpoint ({error})") from error
    return config


def _require(config: Mapping[str, Any], expected: Mapping[str, Any], origin: str) -> None:
    """Check options of a checkpoint; a missing key has the expected value."""
    for key, value in expected.items():
        if config.get(key, value) != value:
            raise CheckpointError(f"{origin}: {key}={config[key]!r} is not supported, only {value!r}")


def _shape(like: str, names: Mapping[str, str], config: Mapping[str, Any], origin: str) -> ModelConfig:
    try:
        options = {ours: config[theirs] for ours, theirs in names.items()}
        return ModelConfig(**{**LIKE[like], "like": like, "positions": "learned", **options})
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{origin}: not a supported {like} checkpoint ({error})") from error


def _embedding(config: Mapping[str, Any], shape: ModelConfig) -> TokenEmbedding:
    return TokenEmbedding(n_words=config["vocab_size"] - N_SPECIAL, dim=shape.d_model, d_model=shape.d_model)


def _stack_weights(weights: Tensors, prefix: str, names: Mapping[str, str]) -> dict[str, Tensor]:
    """Select the weights of the stack, without head and buffers."""
    unprefixed = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    return {name: tensor for name, tensor in unprefixed.items() if module_of(name) in names.values()}


def _load(stack: Stack, state: Tensors, origin: str) -> None:
    try:
        load_state(stack, {**state, "embedding.table_scale": torch.ones(())})
    except RuntimeError as error:
        raise CheckpointError(f"{origin}: the weights do not match config.json ({error})") from error
