import pytest
import torch

from pipeline import RunConfig
from pipeline.errors import ConfigError
from pipeline.tasks import base
from pipeline.tasks.ngrams import scores
from pipeline.tasks.ngrams.contributions import ngram_contributions
from pipeline.tasks.resolved import Setup
from transformer.models.ngram_branch import NgramBranch

TEXT = "The cat sat, the cat!"


def model(n_labels, n_buckets):
    torch.manual_seed(0)
    made = torch.nn.Module()
    made.ngrams = NgramBranch(n_buckets=n_buckets, n_classes=n_labels)
    for buffer in made.ngrams.buffers():
        buffer.copy_(torch.rand_like(buffer) + 0.5)
    resolved = base.find("classification").resolved_type(labels=tuple("abcd"[:n_labels]), ngram_buckets=n_buckets)
    return made, Setup(RunConfig(), resolved)


@pytest.mark.parametrize("text", [TEXT, ""])
@pytest.mark.parametrize("n_buckets", [8, 2**16])  # with and without collisions
@pytest.mark.parametrize("n_labels", [2, 4])
def test_contributions_sum_to_the_logits(n_labels, n_buckets, text):
    made, setup = model(n_labels, n_buckets)
    found = ngram_contributions(made, setup, text)
    logits = torch.tensor([sum(one.by_label[label] for one in found) for label in setup.resolved.labels])
    expected = scores.log_probabilities(made.ngrams, [text], setup)[0]
    torch.testing.assert_close(logits.log_softmax(-1), expected, rtol=1e-4, atol=1e-5)


def test_contributions_name_each_ngram_once():
    found = ngram_contributions(*model(3, 2**16), TEXT)
    names = [(one.family, one.ngram) for one in found]
    assert len(set(names)) == len(names)
    assert ("words", "the cat") in names
    assert ("characters", " cat") in names
    assert names[-1] == ("bias", "")


def test_an_ngram_that_no_training_text_has_contributes_nothing():
    made, setup = model(2, 2**16)
    made.ngrams.idf.zero_()
    found = ngram_contributions(made, setup, TEXT)
    assert {value for one in found[:-1] for value in one.by_label.values()} == {0.0}


def test_a_model_without_a_branch():
    with pytest.raises(ConfigError, match=r"no n-gram branch; train with --set ngrams\.enabled=true"):
        ngram_contributions(torch.nn.Linear(1, 1), model(2, 8)[1], TEXT)
