"""A linear classifier of tokens on hashed features, next to the Transformer in a model for tagging."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FeatureBranch(nn.Module):
    """Multinomial logistic regression on binary features of each token.

    It has buffers instead of parameters, because it is fitted before training and then constant.

    Args:
        n_buckets: number of buckets that the features are hashed to.
        n_classes: number of tags.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, *, n_buckets: int, n_classes: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(n_buckets, n_classes))
        self.register_buffer("bias", torch.zeros(n_classes))

    def forward(self, columns: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
        """Compute the log-probabilities of the tags.

        Args:
            columns: buckets of all tokens, one token after the other. *Shape:* ``(n_entries,)``, int64.
            values: number of features in each. *Shape:* ``(n_entries,)``, float32.
            offsets: position of the first bucket of each token. *Shape:* ``(n_tokens,)``, int64.

        Returns:
            *Shape:* ``(n_tokens, n_classes)``, float32.
        """
        logits = F.embedding_bag(columns, self.weight, offsets, mode="sum", per_sample_weights=values) + self.bias
        return logits.log_softmax(dim=-1)                                                   # (n_tokens, n_classes)
