"""The limits of a run for its card, derived from its data and measures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from embeddings.table.listing import listed, shortened
from pipeline.data.examples import Splits
from pipeline.drawing.markdown import code
from pipeline.tasks.base import Measure
from pipeline.tasks.resolved import Setup

FEW_EXAMPLES = 20      # training examples of a label, below which it is named
MAX_FEW = 20           # of these labels that are named
FEW_TEST = 100         # test examples, below which intervals are rough
UNEQUAL = 10           # ratio of the most and the least frequent label
OUTSIDE = "O"          # the tag of words outside entities
N_WORDS = 10           # words without a vector that are listed


def label_counts(examples: Sequence[Any]) -> Counter[str]:
    """Count the labels of examples: labels of texts, or the entities of tagged words (tags, if they are plain)."""
    counts: Counter[str] = Counter()
    for example in examples:
        if hasattr(example, "tags"):
            counts.update(tag.removeprefix("B-") for tag in example.tags if tag != OUTSIDE and tag[:2] != "I-")
        elif hasattr(example, "labels"):
            counts.update(example.labels or ())
        elif label := getattr(example, "label", ""):
            counts[label] += 1
    return counts


def limits(
    setup: Setup[Any], splits: Splits[Any], metrics: Mapping[str, Any], measure: Measure, *, language: str,
    counts: Mapping[str, int], n_truncated: int,
) -> Iterator[str]:
    """Yield the limits, one sentence or a few each, in Markdown.

    Args:
        setup: configuration and resolved facts of the run.
        splits: the data.
        metrics: contents of ``metrics.json``.
        measure: the measure that the task is judged by.
        language: name of the language of the texts; "" if it is not certain.
        counts: number of training examples of each label.
        n_truncated: number of test texts that are longer than the model reads.
    """
    yield from _of_labels(setup, counts)
    if language:
        yield f"The training texts are probably {language}. Texts in other languages were not evaluated."
    else:
        yield "The language of the training texts could not be determined."
    length = f"The maximum sequence length is {setup.data.max_length:,} tokens"
    if n_truncated:
        yield f"{length}; longer texts are truncated, such as {n_truncated:,} of the {len(splits.test):,} test texts."
    else:
        yield f"{length}; {'no test text is truncated' if splits.test else 'longer texts are truncated'}."
    if splits.test:
        yield from _of_words(setup, metrics["coverage"])
    else:
        yield "The model was not evaluated: there were no test examples."
    if 0 < len(splits.test) < FEW_TEST:
        yield (f"There are only {len(splits.test):,} test examples: the intervals are wide and only "
               "approximate.")
    if not splits.dev:
        yield "There was no dev set: the weights are those of the last epoch, and thresholds are not tuned."
    yield from _of_baselines(metrics, measure)
    yield ("The measures hold for texts like those of the test set. Texts of another source, style, topic or time were "
           "not evaluated, and neither were differences between groups of people.")
    yield "One run is one sample: another seed changes the measures. `vecformer benchmark` measures by how much."


def _of_labels(setup: Setup[Any], counts: Mapping[str, int]) -> Iterator[str]:
    if not counts:
        return
    if setup.config.task == "classification":
        yield (f"Every text gets one of {len(counts):,} labels, even if none of them applies. "
               "`vecformer predict --abstain` can leave uncertain texts out, if the run had a dev set.")
    else:
        yield f"The model only predicts its {len(counts):,} labels."
    few = sorted((count, label) for label, count in counts.items() if count < FEW_EXAMPLES)
    if few:
        named = ", ".join(f"{code(shortened(label, 60))} ({count:,})" for count, label in few[:MAX_FEW])
        named += f" and {len(few) - MAX_FEW:,} more" if len(few) > MAX_FEW else ""
        yield f"Fewer than {FEW_EXAMPLES} training examples: {named}. Predictions of these labels are unreliable."
    most, least = max(counts.values()), min(counts.values())
    if most >= UNEQUAL * least:
        yield (f"The labels are imbalanced in the training data, from {least:,} to {most:,} examples: rare "
               "labels are predicted less often.")


def _of_words(setup: Setup[Any], coverage: Mapping[str, Any]) -> Iterator[str]:
    missing = 1 - coverage["test_tokens"]
    if missing <= 0:
        yield "The vectors cover all tokens of the test text."
        return
    misses = coverage["detail"]["test"]["misses"][:N_WORDS]
    named = ", ".join(code(shortened(word, 40)) for word, _ in misses)
    last = setup.config.unknown[-1] if setup.config.unknown else "random"
    yield (f"The vectors do not cover {missing:.1%} of the tokens of the test text, such as {named}. A word without a "
           f"vector gets a {last} one.")


def _of_baselines(metrics: Mapping[str, Any], measure: Measure) -> Iterator[str]:
    own = metrics["test"].get(measure.name)
    if own is None or not math.isfinite(own):
        return
    scores = {name: of[measure.name] for name, of in metrics["baselines"].items() if measure.name in of}
    as_good = [name for name, score in scores.items()
               if (score <= own if measure.smaller_is_better else score >= own)]
    if as_good:
        yield (f"On this test set, {listed([code(name) for name in as_good])} "
               f"{'is' if len(as_good) == 1 else 'are'} at least as good ({measure.name}) and simpler.")
