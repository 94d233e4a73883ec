import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.linalg import orthogonal_procrustes
from scipy.stats import zscore
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from embeddings import EmbeddingTable, load_vectors
from embeddings.errors import EmbeddingError, SpecificationError
from embeddings.request import VectorRequest
from embeddings.specification.transforms import parse_transform
from embeddings.table.oov_composers import NgramVectors
from embeddings.transforms import apply_transforms


def table(n=60, dim=8, seed=0, composer=None):
    random = np.random.default_rng(seed)
    mixed = random.normal(0.5, 2, (n, dim)) @ random.normal(0, 1, (dim, dim))
    return EmbeddingTable(tuple(f"w{i}" for i in range(n)), mixed.astype(np.float32), ("exact",) * n, "here",
                          composer=composer)


def transformed(*names, of=None, request=None):
    return apply_transforms(of or table(), names, request).vectors


@pytest.mark.reference("transform", "center", "unit")
def test_center_and_unit_equal_scikit_learn():
    vectors = table().vectors
    np.testing.assert_allclose(transformed("center"), vectors - vectors.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(transformed("unit"), normalize(vectors), atol=1e-6)


@pytest.mark.reference("transform", "standardize")
def test_standardize_equals_scipy():
    vectors = table().vectors.astype(np.float64)
    np.testing.assert_allclose(transformed("standardize:columns"), zscore(vectors, axis=0), atol=1e-4)
    np.testing.assert_allclose(transformed("standardize"), zscore(vectors, axis=None), atol=1e-4)
    assert transformed("standardize,to=0.25").std() == pytest.approx(0.25, rel=1e-4)
    assert transformed("standardize,to=xavier").std() == pytest.approx((2 / (60 + 8)) ** 0.5, rel=1e-4)


@pytest.mark.reference("transform", "pca")
def test_pca_equals_scikit_learn():
    theirs = PCA(3, svd_solver="full").fit_transform(table().vectors.astype(np.float64))
    np.testing.assert_allclose(np.abs(transformed("pca:3")), np.abs(theirs), atol=1e-3)


@pytest.mark.reference("transform", "all-but-the-top")
def test_all_but_the_top_removes_the_top_components():
    vectors = table().vectors.astype(np.float64)
    top = PCA(2, svd_solver="full").fit(vectors).components_
    left = transformed("all-but-the-top:2")
    np.testing.assert_allclose(left @ top.T, 0, atol=1e-3)
    centred = vectors - vectors.mean(axis=0)
    np.testing.assert_allclose(left, centred - centred @ top.T @ top, atol=1e-3)
    np.testing.assert_allclose(transformed("all-but-the-top"), transformed("all-but-the-top:1"))  # 8 / 100, at least 1


@pytest.mark.reference("transform", "project")
def test_projection_preserves_norms():
    wide = table(n=300, dim=64)
    before = np.linalg.norm(wide.vectors, axis=1)
    assert np.linalg.norm(transformed("project:32", of=wide), axis=1).mean() == pytest.approx(before.mean(), rel=0.05)
    np.testing.assert_allclose(np.linalg.norm(transformed("project:100", of=wide), axis=1), before, rtol=1e-4)
    request = VectorRequest(seed=2)
    assert (transformed("project:32", of=wide) != transformed("project:32", of=wide, request=request)).any()


@pytest.mark.reference("transform", "clip")
def test_clip():
    assert np.abs(transformed("clip:0.5")).max() == 0.5


@pytest.mark.reference("transform", "sif", "zipf")
def test_frequency_weights():
    counts = {f"w{i}": 60 - i for i in range(60)}
    shares = np.array(list(counts.values())) / sum(counts.values())
    weights = 0.01 / (0.01 + shares)
    np.testing.assert_allclose(transformed("sif:0.01", request=VectorRequest(vocabulary=counts)),
                               table().vectors * weights[:, None], rtol=1e-5)
    zipf = 1 / np.arange(1, 61)
    weights = 1e-3 / (1e-3 + zipf / zipf.sum())
    np.testing.assert_allclose(transformed("sif"), table().vectors * weights[:, None], rtol=1e-5)
    np.testing.assert_allclose(transformed("zipf"), table().vectors * np.log(1 + np.arange(1, 61))[:, None], rtol=1e-5)


@pytest.mark.reference("transform", "align")
def test_align_is_orthogonal_procrustes(tmp_path):
    ours, theirs = table(seed=1), table(seed=2)
    lines = (f"{w} {' '.join(map(repr, v.tolist()))}\n" for w, v in zip(theirs.words, theirs.vectors, strict=True))
    (tmp_path / "theirs.txt").write_text("".join(list(lines)[:40]))
    rotation, _ = orthogonal_procrustes(ours.vectors[:40].astype(float), theirs.vectors[:40].astype(float))
    aligned = transformed(f"align:glove:{tmp_path / 'theirs.txt'}", of=ours)
    np.testing.assert_allclose(aligned, ours.vectors @ rotation, atol=1e-3)


def test_align_recovers_a_rotation(tmp_path):
    ours = table()
    turned = apply_transforms(ours, ["project:8"])
    turned.save(tmp_path / "t.safetensors")
    lines = (f"{w} {' '.join(map(repr, v.tolist()))}\n" for w, v in zip(turned.words, turned.vectors, strict=True))
    (tmp_path / "turned.txt").write_text("".join(lines))
    np.testing.assert_allclose(transformed(f"align:glove:{tmp_path / 'turned.txt'}"), turned.vectors, atol=1e-3)


def test_transforms_are_fitted_to_the_vocabulary():
    request = VectorRequest(vocabulary={f"w{i}": 1 for i in range(10)})
    centred = transformed("center", request=request)
    np.testing.assert_allclose(centred[:10].mean(axis=0), 0, atol=1e-5)
    assert np.abs(centred.mean(axis=0)).max() > 1e-3


def test_missing_rows_stay_zero_and_are_not_fitted():
    gaps = table().lookup([*table().words, "gap"])
    centred = apply_transforms(gaps, ["center", "standardize:columns"])
    assert (centred.vectors[-1] == 0).all()
    np.testing.assert_allclose(centred.vectors[:-1].mean(axis=0), 0, atol=1e-5)


SOME = ("center", "standardize", "standardize:columns", "unit", "all-but-the-top:2", "pca:5", "project:6", "clip:1",
        "zipf", "sif")


@given(names=st.lists(st.sampled_from(SOME), max_size=4))
def test_transforms_apply_to_words_composed_later(names, tmp_path_factory):
    """A listed word and a composed word with the same vector are transformed equally."""
    ngrams = NgramVectors(table(1, 8, seed=5).vectors, min_n=2, max_n=3)  # one bucket, shared by all words
    twin = table(composer=ngrams)
    row = ngrams.vectors[0]
    twin = EmbeddingTable((*twin.words, "twin"), np.vstack([twin.vectors, row]), (*twin.provenance, "exact"), "here",
                          composer=ngrams)
    made = apply_transforms(twin, names)
    path = tmp_path_factory.mktemp("made") / "t.safetensors"
    made.save(path)
    for one in (made, EmbeddingTable.load(path)):
        found = one.lookup(["twin", "other"])
        assert found.provenance == ("exact", "subword")
        if not {"zipf", "sif"} & set(names):
            np.testing.assert_allclose(found.vectors[0], found.vectors[1], atol=1e-4)
    assert made.transforms == tuple(names)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("centre", "no transform is called 'centre'. Did you mean 'center'"),
        ("pca", "transform 'pca' needs a dim"),
        ("pca:many", "transform 'pca': option dim=many"),
        ("pca:0", "option dim=0"),
        ("unit:3", "takes no value"),
        ("standardize,too=1", "no option 'too'. Did you mean 'to'"),
        ("standardize:rows", "option by=rows"),
        ("align:glvoe", "no source is called 'glvoe'"),
        ("", "no transform is called ''"),
    ],
)
def test_wrong_names(wrong, message):
    with pytest.raises(SpecificationError) as caught:
        parse_transform(wrong)
    assert message in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_a_transform_or_one_message(text):
    try:
        assert hasattr(parse_transform(text), "apply")
    except SpecificationError as error:
        assert str(error)


def test_inapplicable_transforms_are_explained(tmp_path):
    with pytest.raises(EmbeddingError, match="pca: 9 components requested, but there are 60 known words of dimension"):
        transformed("pca:9")
    with pytest.raises(EmbeddingError, match="all entries are equal"):
        transformed("standardize", of=EmbeddingTable.known(["a", "b"], np.ones((2, 3), np.float32), "flat"))
    with pytest.raises(EmbeddingError, match="has dimension 8, but glove 50"):
        transformed("align:glove")
    (tmp_path / "other.txt").write_text("x " + "1 " * 8 + "\n")
    with pytest.raises(EmbeddingError, match="share 0 words"):
        transformed(f"align:glove:{tmp_path / 'other.txt'}")


@given(arrays(np.float32, (12, 4), elements=st.floats(-1e3, 1e3, width=32)))
def test_no_table_becomes_infinite(vectors):
    made = EmbeddingTable.known([f"w{i}" for i in range(12)], vectors, "any")
    try:
        apply_transforms(made, ["center", "standardize:columns", "unit", "pca:2"])
    except EmbeddingError as error:
        assert "all entries are equal" in str(error)


def test_transforms_of_real_vectors():
    loaded = load_vectors("glove", ["king", "queen", "cabbage", "carrot"])
    shorter = apply_transforms(loaded, ["center", "pca:2", "unit"])
    assert shorter.dim == 2
    assert shorter.transforms == ("center", "pca:2", "unit")
    near = shorter.vectors
    assert near[0] @ near[1] > near[0] @ near[2]
