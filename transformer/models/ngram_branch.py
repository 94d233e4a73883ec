"""A linear classifier on sparse rows of n-grams, next to the Transformer in a model for classification."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NgramBranch(nn.Module):
    """Logistic regression on TF-IDF of n-grams (Wang and Manning 2012, "Baselines and Bigrams").

    It has buffers instead of parameters, because it is fitted by regression and constant during training.

    Args:
        n_buckets: number of buckets of the n-grams.
        n_classes: number of labels, at least 2. Two labels share one column of weights.
    """

    idf: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, *, n_buckets: int, n_classes: int) -> None:
        super().__init__()
        n_outputs = 1 if n_classes == 2 else n_classes
        self.register_buffer("idf", torch.zeros(n_buckets))
        self.register_buffer("weight", torch.zeros(n_buckets, n_outputs))
        self.register_buffer("bias", torch.zeros(n_outputs))

    def forward(self, columns: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
        """Compute the log-probabilities of the labels.

        Args:
            columns: buckets of all texts, one text after the other. *Shape:* ``(n_entries,)``, int64.
            values: TF-IDF of each. *Shape:* ``(n_entries,)``, float32.
            offsets: position of the first bucket of each text. *Shape:* ``(batch,)``, int64.

        Returns:
            *Shape:* ``(batch, n_classes)``, float32.
        """
        return self.logits(columns, values, offsets).log_softmax(dim=-1)

    def logits(self, columns: Tensor, values: Tensor, offsets: Tensor) -> Tensor:
        """Compute the logits of the labels, of which :meth:`forward` is the log-softmax.

        Args:
            columns: as for :meth:`forward`, like the others.
            values: TF-IDF of each bucket.
            offsets: position of the first bucket of each text.

        Returns:
            *Shape:* ``(batch, n_classes)``, float32.
        """
        summed = F.embedding_bag(columns, self.weight, offsets, mode="sum", per_sample_weights=values)
        return by_label(summed + self.bias)                                                 # (B, n_classes)

    def contributions(self, columns: Tensor, values: Tensor) -> Tensor:
        """Compute what each bucket of a text adds to the logits, which are their sum and :func:`by_label` of the bias.

        Args:
            columns: buckets of the text. *Shape:* ``(n_entries,)``, int64.
            values: TF-IDF of each. *Shape:* ``(n_entries,)``, float32.

        Returns:
            *Shape:* ``(n_entries, n_classes)``, float32.
        """
        return by_label(values[:, None] * self.weight[columns])                             # (n_entries, n_classes)


def by_label(outputs: Tensor) -> Tensor:
    """Convert the log-odds of the second of two labels to a logit for each; more columns are logits already.

    Args:
        outputs: *Shape:* ``(n, n_outputs)``.

    Returns:
        *Shape:* ``(n, 2)`` if ``n_outputs`` is 1, otherwise as ``outputs``.
    """
    return torch.cat([-outputs / 2, outputs / 2], dim=-1) if outputs.shape[-1] == 1 else outputs
