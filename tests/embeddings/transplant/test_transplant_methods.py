"""Each method of a transplant: small cases computed by hand, independent implementations, and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.linear_model import orthogonal_mp
from sklearn.metrics.pairwise import cosine_similarity

from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.transplant import METHODS, Token, Vocabulary, parse_method, transplant
from embeddings.transplant.base import Problem
from embeddings.transplant.methods.omp import pursue
from embeddings.transplant.sparsemax import sparsemax
from embeddings.transplant.vocabulary import shared_rows


def words(*names):
    return tuple(Token(name, name) for name in names)


def array(*rows):
    return np.array(rows, np.float32)


OLD = array([1, 0], [0, 1], [4, 4], [8, 0])  # of the tokens a b c d
OLD_WORDS = words("a", "b", "c", "d")


def computed(method, new, vectors, old_vectors=None, **more):
    old = Vocabulary(OLD_WORDS, None if old_vectors is None else array(*old_vectors), **more)
    made = transplant(method, [OLD], old, Vocabulary(words(*new), None if vectors is None else array(*vectors)))
    return made.tables[0], made.provenance


def test_focus_by_hand():
    # cosines of x with a, b: 0.6, 0.8; sparsemax: threshold (0.6 + 0.8 - 1) / 2 = 0.2, weights 0.4, 0.6
    rows, provenance = computed("focus", ["a", "x", "b"], [[1, 0], [3, 4], [0, 2]])
    assert rows == pytest.approx(array([1, 0], [0.4, 0.6], [0, 1]))
    assert provenance == ("copied", "mixed", "copied")


def test_wechsel_by_hand():
    # the two nearest of a, b, c, d have cosines 1 and 0: weights 1 / (1 + exp(-1 / 0.5)), and the rest
    rows, provenance = computed("wechsel,k=2,temperature=0.5", ["x"], [[5, 0]], [[2, 0], [0, 3], [-1, 0], [0, 0]])
    weight = 1 / (1 + np.exp(-2))
    assert rows == pytest.approx(array([weight, 1 - weight]))
    assert provenance == ("mixed",)


def test_omp_by_hand():
    # x = 2 a + 1 b exactly; with k=1 only the larger part, 2 a
    vectors = [[1, 0], [2, 1], [0, 1]]
    assert computed("omp", ["a", "x", "b"], vectors)[0][1] == pytest.approx([2, 1])
    assert computed("omp,k=1", ["a", "x", "b"], vectors)[0][1] == pytest.approx([2, 0])


def test_mean_by_hand():
    rows, provenance = computed("mean", ["x", "b", "y"], None)
    assert rows == pytest.approx(array([13 / 4, 5 / 4], [0, 1], [13 / 4, 5 / 4]))
    assert provenance == ("mixed", "copied", "mixed")


def test_subword_by_hand():
    rows, provenance = computed("subword", ["ac", "b", "zz"], None,
                                split=lambda token: [0, 2] if token.text == "ac" else [])
    assert rows[:2] == pytest.approx(array([2.5, 2], [0, 1]))
    assert provenance == ("subword", "copied", "random")


def test_random_by_hand():
    old = Vocabulary(OLD_WORDS, split=lambda token: [0])
    new = Vocabulary(words(*(f"new{i}" for i in range(4000))))
    made = transplant("random", [OLD], old, new, seed=3)
    assert set(made.provenance) == {"random"}
    assert made.tables[0].mean(axis=0) == pytest.approx(OLD.mean(axis=0), abs=0.15)
    assert made.tables[0].std(axis=0) == pytest.approx(OLD.std(axis=0), rel=0.05)
    assert np.array_equal(made.tables[0], transplant("random", [OLD], old, new, seed=3).tables[0])
    assert not np.array_equal(made.tables[0], transplant("random", [OLD], old, new, seed=4).tables[0])


def test_a_token_without_a_static_vector_falls_back_to_its_pieces_and_then_to_a_random_row():
    rows, provenance = computed("focus", ["a", "x", "ac", "?"], [[1, 0], [1, 0], [0, 0], [0, 0]],
                                split=lambda token: [0, 2] if token.text == "ac" else [])
    assert provenance == ("copied", "mixed", "subword", "random")
    assert rows[:3] == pytest.approx(array([1, 0], [1, 0], [2.5, 2]))


def test_all_tables_are_mixed_alike_and_equal_ones_stay_equal():
    old = Vocabulary(OLD_WORDS)
    new = Vocabulary(words("a", "x", "b", "?"), array([1, 0], [3, 4], [0, 2], [0, 0]))
    bias = array([10], [20], [30], [40])
    made = transplant("focus", [OLD, OLD.copy(), bias], old, new)
    assert np.array_equal(made.tables[0], made.tables[1])
    assert made.tables[2][:3] == pytest.approx(array([10], [16], [20]))
    assert made.counts() == {"copied": 2, "mixed": 1, "subword": 0, "random": 1}
    assert made.origins.tolist() == [0, -1, 1, -1]


def bisected_sparsemax(scores):
    """The projection onto the simplex, whose threshold is found by bisection (not the algorithm of the library)."""
    low, high = scores.min() - 1, scores.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.maximum(scores - middle, 0).sum() > 1 else (low, middle)
    return np.maximum(scores - low, 0)


def draw(seed, n_old=40, n_new=60, n_shared=25, dim=8):
    random = np.random.default_rng(seed)
    old = Vocabulary(words(*(f"w{i}" for i in range(n_old))), random.standard_normal((n_old, dim)).astype(np.float32))
    new = Vocabulary(words(*(f"w{n_old - n_shared + i}" for i in range(n_new))),
                     random.standard_normal((n_new, dim)).astype(np.float32))
    return old, new, random.standard_normal((n_old, 12)).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_focus_equals_an_independent_implementation_of_the_formula(seed):
    old, new, table = draw(seed)
    made = transplant("focus", [table], old, new)
    for row, token in enumerate(new.tokens):
        names = [one.name for one in old.tokens]
        if token.name in names:
            assert np.array_equal(made.tables[0][row], table[names.index(token.name)])
            continue
        overlap = [(i, names.index(one.name)) for i, one in enumerate(new.tokens) if one.name in names]
        similarity = cosine_similarity(new.vectors[[row]], new.vectors[[i for i, _ in overlap]])[0]
        expected = bisected_sparsemax(similarity.astype(float)) @ table[[i for _, i in overlap]]
        assert made.tables[0][row] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("k", [1, 3, 8, 64])
@pytest.mark.parametrize("seed", range(3))
def test_omp_equals_scikit_learn(seed, k):
    """scikit-learn expects atoms of unit norm; its coefficients are divided by the norms."""
    random = np.random.default_rng(seed)
    atoms, targets = random.standard_normal((50, 8)), random.standard_normal((20, 8))
    atoms *= random.uniform(0.1, 10, (50, 1))
    chosen, coefficients = pursue(targets, atoms, k)
    ours = np.zeros((20, 50))
    np.add.at(ours, (np.arange(20)[:, None], chosen), coefficients)
    norms = np.linalg.norm(atoms, axis=1)
    theirs = orthogonal_mp((atoms / norms[:, None]).T, targets.T, n_nonzero_coefs=min(k, 8)).T / norms
    assert ours == pytest.approx(theirs, abs=1e-8)
    if k >= 8:
        assert ours @ atoms == pytest.approx(targets, abs=1e-6)


def test_omp_stops_when_the_approximation_is_complete():
    atoms = np.array([[1.0, 0], [1, 0], [0, 2]])
    chosen, coefficients = pursue(np.array([[3.0, 0], [0, 0]]), atoms, 3)
    assert (coefficients != 0).sum(axis=1).tolist() == [1, 0]
    assert coefficients[0, 0] * atoms[chosen[0, 0]] == pytest.approx([3, 0])


def test_sparsemax_equals_bisection():
    scores = np.random.default_rng(0).standard_normal((30, 20))
    assert sparsemax(scores) == pytest.approx(np.array([bisected_sparsemax(row) for row in scores]), abs=1e-12)


numbers = st.floats(-1e3, 1e3, width=32) | st.just(0)
vectors = arrays.arrays(np.float32, (9, 3), elements=numbers)


@given(vectors, vectors, st.sampled_from(["focus", "wechsel,k=3", "wechsel,temperature=0.001"]))
def test_weights_are_positive_and_their_sum_is_1(ours, theirs, method):
    old, new = Vocabulary(words(*"abcdefghi"), theirs), Vocabulary(words(*"ghijklmno"), ours)
    shared = shared_rows(old, new)
    problem = Problem(old, new, shared, np.flatnonzero(shared < 0))
    for mixture in parse_method(method).mixtures(problem):
        assert mixture.weights.toarray().min() >= 0
        assert mixture.weights.sum(axis=1) == pytest.approx(np.ones(len(mixture.rows)), abs=1e-6)
        assert ours[mixture.rows].any(axis=1).all()


@given(vectors, vectors, st.sampled_from(sorted(METHODS.available)), st.permutations(range(9)))
def test_properties_of_every_method(ours, theirs, method, order):
    """Shared tokens are copied, nothing is NaN, and a permuted vocabulary has permuted rows."""
    table = np.random.default_rng(1).standard_normal((9, 4)).astype(np.float32)
    old = Vocabulary(words(*"abcdefghi"), theirs, split=lambda token: [0, 3] if token.text == "k" else [])
    made = transplant(method, [table], old, Vocabulary(words(*"ghijklmno"), ours))
    assert np.isfinite(made.tables[0]).all()
    assert np.array_equal(made.tables[0][:3], table[6:])
    assert made.provenance[:3] == ("copied",) * 3
    permuted = transplant(method, [table], old, Vocabulary(words(*("ghijklmno"[i] for i in order)), ours[list(order)]))
    assert permuted.provenance == tuple(made.provenance[i] for i in order)
    if method == "omp":  # equally good atoms may be chosen in another order
        return
    scale = 1 + np.abs(made.tables[0]).max()
    assert permuted.tables[0] / scale == pytest.approx(made.tables[0][list(order)] / scale, abs=1e-5)


@pytest.mark.parametrize("method", sorted(METHODS.available))
def test_no_shared_token_and_no_static_vector(method):
    old = Vocabulary(OLD_WORDS, np.zeros((4, 2), np.float32))
    made = transplant(method, [OLD], old, Vocabulary(words("x", "y"), np.zeros((2, 2), np.float32)))
    assert np.isfinite(made.tables[0]).all()
    assert set(made.provenance) == {"mixed" if method == "mean" else "random"}


def test_mistakes():
    old, new = Vocabulary(OLD_WORDS), Vocabulary(words("x"))
    with pytest.raises(SpecificationError, match="Did you mean 'focus'"):
        transplant("focsu", [OLD], old, new)
    with pytest.raises(SpecificationError, match="has no option 'n'"):
        transplant("omp,n=3", [OLD], old, new)
    with pytest.raises(SpecificationError, match="greater than or equal to 1"):
        parse_method("wechsel,k=0")
    with pytest.raises(EmbeddingError, match="static vectors of the new vocabulary"):
        transplant("focus", [OLD], old, new)
    with pytest.raises(EmbeddingError, match="dimension 2, those of the new one 3"):
        transplant("wechsel", [OLD], Vocabulary(OLD_WORDS, OLD), Vocabulary(words("x"), np.ones((1, 3), np.float32)))
    with pytest.raises(EmbeddingError, match=r"4 tokens, but a table has the shape \[3, 2\]"):
        transplant("mean", [OLD[:3]], old, new)
    with pytest.raises(EmbeddingError, match="1 tokens, but static vectors"):
        Vocabulary(words("x"), OLD)
    with pytest.raises(EmbeddingError, match="not finite"):
        Vocabulary(words("x"), array([np.nan]))
