"""The numbers of docs/findings/quality.md, compared with numbers computed by hand."""

import from_checkpoint
import pytest
import quality_page
from from_word_vectors import COLUMNS, ROWS, STUDY

from pipeline.benchmark.analysis.statistics import NO_DIFFERENCE, TOO_FEW

TREC = next(row for row in ROWS if row.name == "trec6")
BBC = next(row for row in ROWS if row.name == "bbc, 50 labels")
OURS = (0.94, 0.96, 0.94, 0.96, 0.94, 0.96, 0.94, 0.96)  # mean 95; deviations of 1 from it: sd = sqrt(8/7) = 1.069


def results(row, column, scores, code="abc"):
    return [{"row": row.name, "column": column, "seed": seed, "accuracy": score, "code": code}
            for seed, score in enumerate(scores, start=1)]


def table_row(page, start):
    return [cell.strip() for line in page.splitlines() if line.startswith(f"| {start} |") for cell in
            line.strip("|").split("|")]


def test_mean_standard_deviation_interval_and_target():
    page = quality_page.page(STUDY, results(TREC, "default", OURS))
    name, commit, seeds, target, met, score, *others = table_row(page, "trec6")
    assert (name, commit, seeds, target, met) == ("trec6", "abc", "8", "at least 94", "yes")
    assert score.startswith("95.00 ± 1.07 (94.")
    assert set(others) == {""}
    low, high = map(float, score.partition("(")[2].rstrip(")").split(" to "))
    assert 95 - low == pytest.approx(high - 95, abs=0.3)
    assert 0.7 < 95 - low <= 1.01  # Student: 2.36 * 1.069 / sqrt(8) = 0.89


def test_a_missed_target():
    assert "| at least 94 | **no** | 93.90 |" in quality_page.page(STUDY, results(TREC, "default", [0.939]))


def test_a_deterministic_peer_is_paired_with_every_seed():
    """All 8 signs are equal: p = 2/256, times 4 comparisons of the row = 0.031."""
    cells = quality_page.cells_of(STUDY, TREC, [*results(TREC, "default", OURS), *results(TREC, "tfidf", [0.90])])
    (one,) = quality_page.compare(STUDY, TREC, cells)
    assert (one.difference.n, one.verdict) == (8, "better")
    assert one.difference.mean == pytest.approx(5)
    assert one.p_holm == pytest.approx(4 * 2 / 256)
    page = quality_page.page(STUDY, [*results(TREC, "default", OURS), *results(TREC, "tfidf", [0.90])])
    assert table_row(page, "trec6 | TF-IDF + LR")[-2:] == ["0.031", "better"]


def test_worse_and_no_difference():
    better = [score + 0.02 for score in OURS]
    mixed = [score + change for score, change in zip(OURS, [0.01, -0.01] * 4, strict=True)]
    cells = quality_page.cells_of(STUDY, TREC, [*results(TREC, "default", OURS), *results(TREC, "plain", better),
                                         *results(TREC, "fasttext-5", mixed)])
    assert [one.verdict for one in quality_page.compare(STUDY, TREC, cells)] == ["worse", NO_DIFFERENCE]


def test_differences_are_paired_by_seed():
    """Seeds 1 and 2 are common: differences of 95 - 90 and 97 - 93."""
    ours, other = [0.95, 0.97, 0.99], [0.90, 0.93]
    cells = quality_page.cells_of(STUDY, TREC, [*results(TREC, "default", ours), *results(TREC, "plain", other)])
    (one,) = quality_page.compare(STUDY, TREC, cells)
    assert (one.difference.n, one.verdict) == (2, TOO_FEW)
    assert one.difference.mean == pytest.approx(4.5)


def test_the_better_setting_of_fasttext_is_shown():
    found = [*results(TREC, "fasttext-5", [0.90, 0.80]), *results(TREC, "fasttext-25", [0.86, 0.88])]
    (cell,) = quality_page.cells_of(STUDY, TREC, found)
    assert (cell.column.name, cell.mean) == ("fasttext-25", pytest.approx(87))


def test_numbers_of_seeds_allow_verdicts():
    """Four comparisons need 8 seeds (4 * 2/2^8 = 0.031), seven need 9 (7 * 2/2^9 = 0.027)."""
    assert (STUDY.n_comparisons(TREC), STUDY.n_seeds(TREC)) == (4, 8)
    assert (STUDY.n_comparisons(BBC), STUDY.n_seeds(BBC)) == (7, 9)
    pretrained = from_checkpoint.STUDY
    assert [pretrained.n_seeds(row) for row in pretrained.rows] == [6, 6, 6, 7, 7]


def test_pretrained_peers_are_marked_and_compared_with_few_labels_only():
    marked = {column.name for column in COLUMNS if column.is_pretrained}
    assert marked == {"minilm", "model2vec", "setfit"}
    assert not marked & {column.name for column in STUDY.columns_of(TREC)}
    page = quality_page.page(STUDY, results(BBC, "default", [0.95]))
    assert "| frozen MiniLM + LR* | model2vec* | SetFit* |" in page
    assert "Without results: sst2;" in page


def test_declared_targets():
    assert [(row.name, row.at_least) for row in ROWS] == [
        ("sst2", 85.5), ("sst2, phrases", 87.2), ("trec6", 94.0), ("mr", 80.5), ("ag_news", 89.8),
        ("germeval2018_de", 73.0), ("masakhanews_yor", 91.0), ("afrisenti_swa", 62.0), ("bbc, 50 labels", 94.5),
        ("bbc, 20 labels", 91.0), ("ag_news, 1,000 labels", 87.5), ("bbc, 1,000 labels", 98.0)]
    assert [(row.name, row.at_least) for row in from_checkpoint.ROWS] == [
        ("sst2", 88.0), ("trec6", 95.0), ("ag_news", 89.0), ("ag_news, 1,000 labels", 88.0),
        ("ag_news, 32 labels", 83.0)]
