"""The report of reading: the number of rows and their parts, rare labels, and why data cannot be split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from embeddings.table.arguments import argument, either, setting
from embeddings.table.listing import listed, shortened
from pipeline.data.examples import Splits
from pipeline.data.readers.findings import Findings

RARE = 5            # training examples below which a label is listed
SHOWN_LABELS = 10
SHOWN_CHARACTERS = 40


def summary(unit: str, findings: Findings, splits: Splits[Any], n_unlabelled: int, n_beyond: int) -> str:
    """Return one line with the number of rows that were read and their parts.

    Args:
        unit: plural of what is counted, such as ``rows``.
        findings: rows that are not used.
        splits: the split data.
        n_unlabelled: training rows without a label.
        n_beyond: training rows beyond ``data.limit_train``.
    """
    parts = [(len(splits.train), "train"), (len(splits.dev), "dev"), (len(splits.test), "test"),
             (n_unlabelled, "without a label (unlabelled text)"), (n_beyond, "beyond the limit (unlabelled text)"),
             *((unused.count, reason) for reason, unused in findings.unused.items())]
    n_rows = sum(count for count, _ in parts)
    more = len(splits.unlabelled) - n_unlabelled - n_beyond
    text = f"{n_rows:,} {unit}: " + ", ".join(f"{count:,} {part}" for count, part in parts if count)
    return f"{text}; {more:,} unlabelled texts" if more > 0 else text


def notes_on_labels(labels: Iterable[Sequence[str]]) -> list[str]:
    """Return a note on labels with fewer than ``RARE`` training examples; [] if there are none."""
    counts = Counter(label for several in labels for label in several)
    rare = sorted((count, label) for label, count in counts.items() if count < RARE)
    if not rare:
        return []
    shown = listed((f"{shortened(label, SHOWN_CHARACTERS)} ({count})" for count, label in rare), limit=SHOWN_LABELS)
    return [f"{len(rare):,} of {len(counts):,} labels have fewer than {RARE} training examples: {shown}"]


def why_no_test_set(
    keys: Sequence[Hashable], labels: Sequence[str], share: float, n_unlabelled: int, has_test: bool
) -> str:
    """Return why labelled examples cannot be split into training and test examples, and what to do.

    Args:
        keys: keys of the labelled examples; equal ones stay on one side.
        labels: their labels; "" if the data have none.
        share: share of the test set.
        n_unlabelled: number of examples without a label.
        has_test: whether the test set has examples, so that there are none for training.
    """
    what = f"add examples, or a test file ({either('--data', 'data.path:')} a folder with train and test)"
    of = "labelled examples" if n_unlabelled or any(labels) else "examples"
    if not keys:
        return (f"none of the {n_unlabelled} rows has a label, so no test set can be held out; name the column of the "
                f"labels with {argument('label_column', 'NAME')}")
    first = dict(zip(reversed(keys), reversed(labels), strict=True))  # the label of the first example with each text
    if len(first) == 1 and len(keys) > 1:
        return (f"all {len(keys)} {of} have the same text, and equal texts stay on one side of a split, so no test set "
                f"can be held out; check the column of the text "
                f"({argument('text_column', 'NAME')}), or {what}")
    if len(first) == 1:
        return f"one example is too few to hold out a test set; {what}"
    if has_test:
        return f"data.test_share={share} leaves no training examples ({len(first)} different texts); lower it"
    counts = Counter(first.values())
    most = max(counts.values())
    if most == 1:
        return (f"each of the {len(counts)} labels occurs once, with equal texts counted once, and the test set takes "
                f"the same share of each label, so no test set can be held out; check the columns of the texts and of "
                f"the labels ({argument('text_column', 'NAME')} {argument('label_column', 'NAME')}), or {what}")
    larger = setting(f"data.test_share={_enough(most)}")
    return (f"the most frequent label has {most} different texts, and data.test_share={share} of {most} rounds to 0, "
            f"so no test set can be held out; set a larger share, such as {larger}, or {what}")


def _enough(most: int) -> float:
    """Return a share of which ``most`` examples give one test example."""
    return next(share / 20 for share in range(1, 20) if round(share / 20 * most) >= 1)
