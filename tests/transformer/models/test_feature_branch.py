import numpy as np
import torch
from scipy.sparse import random as random_rows
from sklearn.linear_model import LogisticRegression

from transformer.models.feature_branch import FeatureBranch


def test_log_probabilities_are_those_of_scikit_learn():
    rows = random_rows(60, 32, density=0.2, format="csr", dtype=np.float32, random_state=1)
    theirs = LogisticRegression(C=10, max_iter=1000).fit(rows, np.arange(60) % 3)
    ours = FeatureBranch(n_buckets=32, n_classes=3)
    ours.weight.copy_(torch.from_numpy(theirs.coef_.T))
    ours.bias.copy_(torch.from_numpy(theirs.intercept_))
    found = ours(torch.from_numpy(rows.indices).long(), torch.from_numpy(rows.data),
                 torch.from_numpy(rows.indptr[:-1]).long())
    assert found.shape == (60, 3)
    np.testing.assert_allclose(found.numpy(), theirs.predict_log_proba(rows), rtol=1e-4, atol=1e-5)


def test_it_is_saved_but_not_trained():
    branch = FeatureBranch(n_buckets=32, n_classes=3)
    assert not list(branch.parameters())
    assert set(branch.state_dict()) == {"weight", "bias"}
