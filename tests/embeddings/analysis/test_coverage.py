import pytest

from embeddings.analysis.coverage import measure_coverage
from embeddings.table.oov_policy import cases, is_known


def test_fractions_and_most_frequent_misses():
    counts = {"the": 6, "cat": 2, "zyx": 1, "brr": 3}
    reasons = {"the": "exact", "cat": "folded", "zyx": "missing", "brr": "random"}
    coverage = measure_coverage(counts, reasons.__getitem__, is_known)
    assert (coverage.n_types, coverage.n_tokens) == (4, 12)
    assert coverage.types == pytest.approx(0.5)
    assert coverage.tokens == pytest.approx(8 / 12)
    assert coverage.misses == (("brr", 3), ("zyx", 1))
    assert coverage.by_provenance == {"exact": 6, "random": 3, "folded": 2, "missing": 1}
    assert coverage.types_by_provenance == {"exact": 1, "folded": 1, "missing": 1, "random": 1}


def test_coverage_of_an_empty_text():
    assert measure_coverage({}, str, is_known).tokens == 0


@pytest.mark.parametrize(
    ("why", "known"), [("exact", True), ("missing+subword", True), ("random", False), ("missing", False)]
)
def test_any_known_part_of_a_concatenation_counts(why, known):
    assert is_known(why) is known


def test_each_spelling_is_tried_once():
    assert list(cases("paris")) == ["paris", "Paris", "PARIS"]
    assert list(cases("1st")) == ["1st", "1ST"]
