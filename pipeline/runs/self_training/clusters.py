"""Clusters of text vectors, one for each label.

With few labels, the groups that unlabelled texts form say more about the boundary between two labels than the labelled
texts alone. The model is a mixture of von Mises-Fisher distributions with equal weights and a common concentration
(Banerjee et al. 2005, "Clustering on the Unit Hypersphere using von Mises-Fisher Distributions"); labelled texts fix
their cluster (Basu et al. 2002, "Semi-supervised Clustering by Seeding").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ITERATIONS = 30
WEIGHT = 10.0    # of a labelled text, where an unlabelled one has 1
SMALLEST = 1e-12


def cluster_scores(
    labelled: NDArray[np.float32], gold: NDArray[np.int64], pool: NDArray[np.float32], *, n_labels: int,
    concentration: float,
) -> NDArray[np.float64]:
    """Estimate the clusters by expectation maximisation, and score unlabelled texts.

    Args:
        labelled: vectors of length 1 of the labelled texts. *Shape:* ``(n, width)``.
        gold: number of the label of each. *Shape:* ``(n,)``.
        pool: vectors of length 1 of the unlabelled texts. *Shape:* ``(n_pool, width)``.
        n_labels: number of labels.
        concentration: how close to its centre a cluster is; the scores are this times a cosine similarity.

    Returns:
        Log-probability of each label. *Shape:* ``(n_pool, n_labels)``.
    """
    fixed = WEIGHT * np.stack([labelled[gold == label].sum(axis=0) for label in range(n_labels)])
    sums = fixed                                                                            # (n_labels, width)
    for _ in range(ITERATIONS):
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), SMALLEST)
        scores: NDArray[np.float64] = concentration * (pool @ centres.T).astype(np.float64)  # (n_pool, n_labels)
        scores -= scores.max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        sums = fixed + np.exp(scores).T @ pool
    return scores
