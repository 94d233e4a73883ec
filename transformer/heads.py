"""What stands on top of the encoder: one class a kind of task."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from transformer.model import Encoded


class ClassificationHead(nn.Module):
    """The output layer for one label a text, over three views of it.

    They are the mean and the maximum of the encoder's output, and the mean of the word vectors themselves: a direct
    path from the vectors to the label, which is the better part of what few labels can teach.

    Args:
        d_model: width of the encoder.
        n_classes: number of labels.
        dropout: share of the pooled values dropped in training.
    """

    def __init__(self, *, d_model: int, n_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(3 * d_model, n_classes)

    def forward(self, encoded: Encoded) -> Tensor:
        """Give each text a score a label. *Shape:* ``(batch, n_classes)``."""
        hidden, embedded, mask = encoded
        mean = masked_mean(hidden, mask)                                                    # (B, d_model)
        peak = hidden.masked_fill(~mask[..., None], float("-inf")).amax(dim=1)              # (B, d_model)
        direct = masked_mean(embedded, mask)                                                # (B, d_model)
        pooled = self.dropout(torch.cat([mean, peak, direct], dim=-1))                      # (B, 3 d_model)
        logits: Tensor = self.output(pooled)                                                # (B, n_classes)
        return logits


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the positions that hold a word.

    Args:
        x: *Shape:* ``(batch, length, width)``.
        mask: True where there is a word. *Shape:* ``(batch, length)``, bool.

    Returns:
        *Shape:* ``(batch, width)``.
    """
    weights = mask[..., None].to(x)                                                         # (B, L, 1)
    return (x * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)                       # (B, width)
