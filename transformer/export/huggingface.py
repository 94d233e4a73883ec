"""Conversion of weights to those of Hugging Face's ``transformers``: BERT encoders and GPT-2 decoders.

Only names and layouts differ. The library does not need to be installed. :mod:`transformer.pretrained` reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from embeddings.table.arguments import setting
from transformer.checkpoint import state_of
from transformer.config import ModelConfig
from transformer.errors import TransformerError
from transformer.export.names import BERT_HEADS, Tensors, rename, to_bert, to_gpt2
from transformer.layers.embedding import TokenEmbedding
from transformer.layers.positions import LearnedPositions, SinusoidalPositions
from transformer.models.models import LanguageModel, MaskedLanguageModel, TransformerModel
from transformer.models.stack import Stack


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


def _position_rows(positions: nn.Module, n_positions: int) -> Tensor:
    if isinstance(positions, LearnedPositions):
        return positions.weight.detach()
    if isinstance(positions, SinusoidalPositions):
        return positions.rows(n_positions).clone()
    raise TransformerError("only learned and sinusoidal positions can be exported, as a table; train with "
                           f"{setting('model.positions=learned')}")
