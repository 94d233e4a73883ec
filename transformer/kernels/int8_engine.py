"""Engine of whole encoders in int8, for predictions on a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from embeddings.table.arguments import argument
from transformer.kernels.engine import Call, engine, has_hooks
from transformer.kernels.int8_encoder import EncoderInput, int8_encoder
from transformer.kernels.layer_spec import spec_of, weights_of
from transformer.kernels.native_engine import CPU, reason_against_layer, reasons_against_weights
from transformer.kernels.packed_output import PackedEncoded, encoded_cls
from transformer.kernels.packing import Packing
from transformer.kernels.precision import low_dtype
from transformer.models.outputs import Encoded, Needs
from transformer.models.stack import padding_mask

if TYPE_CHECKING:
    from transformer.layers.embedding import TokenEmbedding
    from transformer.models.stack import Stack


@engine
class Int8Engine:
    """Computes every layer for one text after the other, with int8 weights and activations."""

    name = "int8"
    priority = 30

    def describe(self) -> str:
        """Name the implementation."""
        return "int8"

    def reasons_against(self, stack: Stack, call: Call) -> list[str]:
        """List why the int8 encoder cannot compute this call."""
        if low_dtype(CPU) != torch.int8:
            return [f"only for predictions, with {argument('precision', 'int8')}"]
        reasons = reasons_against_weights(stack.embedding.weight)
        if torch.is_grad_enabled():
            reasons.append("only for predictions: gradients are enabled")
        if stack.causal:
            reasons.append("only for encoders")
        if call.cache is not None or call.memory is not None:
            reasons.append("only for encoders")
        if stack.score_positions is not None:
            reasons.append("positions act inside attention (model.positions)")
        if stack.token_types is not None:
            reasons.append("the encoder has token types")
        if isinstance(stack.embedding_projection, nn.Linear):
            reasons.append("the embedding is factorised (model.d_embedding)")
        if stack.convolutions is not None:
            reasons.append("the encoder has convolutions")
        if has_hooks(stack.norm) or has_hooks(stack.embedding_norm):
            reasons.append("a norm has a hook")
        return reasons or [reason for layer in stack.layers if (reason := reason_against_layer(layer))][:1]

    def run(self, stack: Stack, ids: Tensor, token_types: Tensor | None, needs: Needs) -> Encoded:
        """Compute the forward pass text by text."""
        packing = Packing(padding_mask(ids))
        table, rows = embedding_rows(stack.embedding, packing.pack(ids))
        start = EncoderInput(table, rows, stack.positions.rows(packing.length), list(stack.embedding_norm.parameters()))
        layers = stack.transformer_layers()
        out = int8_encoder(start, packing, spec_of(layers[0]), [weights_of(layer) for layer in layers],
                           list(stack.norm.parameters()), needs=needs)
        if needs == "cls":
            return encoded_cls(out.cls, table[rows[packing.starts[:-1]]])
        return PackedEncoded(out.rows, out.embedded, packing, features=out.features)


def embedding_rows(embedding: TokenEmbedding, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return a matrix of embeddings and the rows of tokens in it; the whole matrix if it was projected already.

    Args:
        embedding: the embedding layer.
        ids: *Shape:* ``(n,)``, integers.

    Returns:
        *Shape:* ``(n_rows, d_model)`` float32, and ``(n,)`` int64.
    """
    if embedding.projected is not None:
        return embedding.projected, ids.long()
    return embedding(ids), torch.arange(len(ids))
