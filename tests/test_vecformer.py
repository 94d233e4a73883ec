"""``import vecformer``: the public API, imported lazily."""

import ast
from importlib.metadata import version
from pathlib import Path

import pytest

import vecformer

ROOT = Path(__file__).parent.parent


def test_every_public_name_resolves():
    for name in vecformer.__all__:
        assert getattr(vecformer, name) is not None
    assert vecformer.__version__ == version("vecformer")
    assert dir(vecformer) == sorted(vecformer.__all__)


def test_names_are_the_same_objects_as_in_the_packages():
    import pipeline
    from embeddings import EmbeddingTable, load_vectors

    assert (vecformer.EmbeddingTable, vecformer.load_vectors) == (EmbeddingTable, load_vectors)
    assert (vecformer.run, vecformer.RunConfig, vecformer.load_run) == (
        pipeline.run, pipeline.RunConfig, pipeline.load_run)


def test_type_checkers_are_shown_the_same_names():
    """The imports under TYPE_CHECKING, the lazy lookup and ``__all__`` list the same names and modules."""
    tree = ast.parse((ROOT / "vecformer.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    declared = {alias.name: node.module for node in imports for alias in node.names}
    assert declared == vecformer._HOMES
    assert {*declared, "__version__"} == set(vecformer.__all__)


def test_the_stubs_declare_the_same_names():
    """A single module cannot have ``py.typed`` (PEP 561), so type checkers of users read ``vecformer-stubs``."""
    tree = ast.parse((ROOT / "vecformer-stubs" / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [(node, alias) for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert {alias.name: node.module for node, alias in imports} == vecformer._HOMES
    assert all(alias.asname == alias.name for _, alias in imports)  # otherwise it is not exported
    for package in ("embeddings", "transformer", "pipeline"):
        assert (ROOT / package / "py.typed").is_file()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'vecformer' has no attribute 'runs'"):
        _ = vecformer.runs
