import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from transformer.models.ngram_branch import NgramBranch, by_label

N, BUCKETS = 60, 32


def fitted(n_classes):
    """Sparse rows, scikit-learn's model, and a branch with its weights."""
    dense = np.random.default_rng(1).random((N, BUCKETS), dtype=np.float32)
    dense[dense < 0.8] = 0
    dense[5] = 0
    rows = csr_matrix(dense)
    theirs = LogisticRegression(C=10, max_iter=1000).fit(rows, np.arange(N) % n_classes)
    ours = NgramBranch(n_buckets=BUCKETS, n_classes=n_classes)
    ours.weight.copy_(torch.from_numpy(theirs.coef_.T))
    ours.bias.copy_(torch.from_numpy(theirs.intercept_))
    return rows, theirs, ours


def tensors(rows):
    return (torch.from_numpy(rows.indices).long(), torch.from_numpy(rows.data),
            torch.from_numpy(rows.indptr[:-1]).long())


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_log_probabilities_are_those_of_scikit_learn(n_classes):
    rows, theirs, ours = fitted(n_classes)
    found = ours(*tensors(rows))
    assert found.shape == (N, n_classes)
    np.testing.assert_allclose(found.numpy(), theirs.predict_log_proba(rows), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_contributions_and_bias_sum_to_the_logits(n_classes):
    rows, _, ours = fitted(n_classes)
    for row in (rows[0], rows[5]):
        columns, values, offsets = tensors(row)
        summed = ours.contributions(columns, values).sum(dim=0) + by_label(ours.bias[None])[0]
        torch.testing.assert_close(summed, ours.logits(columns, values, offsets)[0])


def test_the_branch_has_buffers_and_no_parameters():
    branch = NgramBranch(n_buckets=8, n_classes=2)
    assert not list(branch.parameters())
    assert {name: tuple(tensor.shape) for name, tensor in branch.state_dict().items()} == {
        "idf": (8,), "weight": (8, 1), "bias": (1,)}


def test_no_texts():
    none = torch.zeros(0, dtype=torch.int64)
    assert NgramBranch(n_buckets=8, n_classes=3)(none, torch.zeros(0), none).shape == (0, 3)
