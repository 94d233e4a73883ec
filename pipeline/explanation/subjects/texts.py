"""One prediction for a text or a pair of texts: classification, multi-label classification, regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from embeddings.specification.suggest import did_you_mean
from embeddings.table.listing import listed
from pipeline.errors import DataError
from pipeline.explanation.ngram_places import character_contributions
from pipeline.explanation.scores import ScoreRule, Term
from pipeline.explanation.subjects.base import Reading, Subject, Target, framed_places, make_subject
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Prediction, Prepared
from pipeline.tasks.classification import Classification
from pipeline.tasks.multi_label import MultiLabel
from pipeline.tasks.ngrams.contributions import ngram_contributions
from pipeline.tasks.ngrams.scores import branch_of, log_probabilities
from pipeline.tasks.regression import Regression
from pipeline.tasks.text_input import joined
from transformer.models.ngram_branch import by_label

VALUE = "value"


class _Text(Subject):
    """A task with one score for each label."""

    compares_texts = True

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns."""
        labels: Sequence[str] = self.trained.setup.resolved.labels
        return labels

    def target(self, prepared: Prepared[Any], prediction: Prediction, label: str | None, word: str | None) -> Target:
        """Choose the label that was given, or the predicted one."""
        self.refuse_word(word)
        return Target(self.predicted(prediction) if label is None else known_label(label, self.names))

    def predicted(self, prediction: Prediction) -> str:
        """Return the predicted label."""
        label: str = prediction["label"]
        return label

    def reading(self, prepared: Prepared[Any], i: int, target: Target) -> Reading:
        """Return the only feature of an example."""
        feature, names = prepared.features[i], self.names
        return Reading(feature, framed_places(feature.ids.tolist()), lambda output: output, names,
                       list(names).index(target.label))


@make_subject.register
def _classification(task: Classification, trained: TrainedRun) -> Subject:
    return LabelSubject(trained)


class LabelSubject(_Text):
    """The label of a text, with the n-gram branch if the run has one."""

    def rule(self) -> ScoreRule:
        """Return the fusion of the run."""
        branch = branch_of(self.trained.model)
        if branch is None:
            return ScoreRule("one of")
        return ScoreRule("one of", self.trained.setup.resolved.ngram_weights, by_label(branch.bias[None])[0])

    def terms(self, prepared: Prepared[Any], target: Target) -> tuple[list[Term], Tensor]:
        """Return the n-grams of the text."""
        model, setup = self.trained.model, self.trained.setup
        if branch_of(model) is None:
            return super().terms(prepared, target)
        found = [one for one in ngram_contributions(model, setup, joined(prepared.examples[0])) if one.ngram]
        logits = torch.tensor([list(one.by_label.values()) for one in found]).reshape(len(found), len(self.names))
        return [Term(one.family, one.ngram) for one in found], logits

    def characters(self, prepared: Prepared[Any], contributions: Mapping[Term, float]) -> list[NDArray[np.float64]]:
        """Divide the contributions of n-grams between their characters."""
        example, whole = prepared.examples[0], joined(prepared.examples[0])
        of_whole = character_contributions(whole, contributions, self.trained.config.ngrams)
        parts = (example.text, example.text_b)
        leading = len(" ".join(parts)) - len(" ".join(parts).lstrip())
        padded = np.concatenate([np.zeros(leading), of_whole, np.zeros(sum(map(len, parts)) + 1)])
        begins = (0, len(example.text) + 1)
        return [padded[begin:begin + len(part)] for begin, part in zip(begins, parts, strict=True)]

    def linear(self, prepared: Prepared[Any], targets: Sequence[Target]) -> list[Tensor]:
        """Return the logits of the branch, except for a number that is the same for all labels of a text."""
        branch = branch_of(self.trained.model)
        if branch is None:
            return super().linear(prepared, targets)
        texts = [joined(example) for example in prepared.examples]
        bias = by_label(branch.bias[None])[0].cpu()
        return list(log_probabilities(branch, texts, self.trained.setup) - bias)


@make_subject.register
def _multi_label(task: MultiLabel, trained: TrainedRun) -> Subject:
    return LabelSetSubject(trained)


class LabelSetSubject(_Text):
    """One of the labels of a text, which has a probability of its own."""

    def rule(self) -> ScoreRule:
        """Return the logit of a label."""
        return ScoreRule("any of")

    def predicted(self, prediction: Prediction) -> str:
        """Return the most probable label, predicted or not."""
        probabilities: dict[str, float] = prediction["probabilities"]
        return max(probabilities, key=probabilities.__getitem__)


@make_subject.register
def _regression(task: Regression, trained: TrainedRun) -> Subject:
    return ValueSubject(trained)


class ValueSubject(_Text):
    """The number that is predicted for a text."""

    unit = "value"
    names = (VALUE,)

    def rule(self) -> ScoreRule:
        """Return the conversion from standardised values."""
        scale = self.trained.setup.resolved
        return ScoreRule("value", factor=scale.std, offset=scale.mean)

    def predicted(self, prediction: Prediction) -> str:
        """Return the name of the value."""
        return VALUE


def known_label(label: str, names: Sequence[str]) -> str:
    """Return a label if the model has it.

    Raises:
        DataError: if it does not.
    """
    if label not in names:
        raise DataError(f"no label is called {label!r}.{did_you_mean(label, names)} The model's labels are "
                        f"{listed(names, form=repr)}")
    return label
