"""Registries: every class is documented and tested, and packages outside the project add their own."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from embeddings.errors import SpecificationError
from embeddings.formats.interface import FORMATS
from embeddings.specification import sources
from embeddings.specification.grammar import descriptions, options
from embeddings.specification.plugins import Registry
from embeddings.specification.sources import SOURCES
from embeddings.specification.transforms import TRANSFORMS, parse_transform

TESTS = Path(__file__).parents[1]
REGISTRIES = {"source": SOURCES, "transform": TRANSFORMS, "format": FORMATS}
SPECIFIED = [(kind, name) for kind in ("source", "transform") for name in REGISTRIES[kind].available]


@pytest.mark.parametrize(("kind", "name"), SPECIFIED)
def test_every_option_has_a_description(kind, name):
    cls = REGISTRIES[kind].available[name]
    missing = [option for option, description in descriptions(cls).items() if not description]
    assert not missing, (f"{kind} {name!r}: describe {', '.join(missing)} with its unit and an example, in the field: "
                         'Annotated[int, Field(description="…")]')


@pytest.mark.parametrize(("kind", "name"), SPECIFIED)
def test_every_class_has_a_summary_and_an_example_that_parses(kind, name):
    cls = REGISTRIES[kind].available[name]
    assert cls.__doc__
    parsed = (sources.parse if kind == "source" else parse_transform)(cls.example)
    assert isinstance(parsed, cls)


def declared_references():
    """The names in ``@pytest.mark.reference(kind, *names)`` of all tests of this folder."""
    found = {kind: set() for kind in REGISTRIES}
    for file in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.reference":
                        kind, *names = map(ast.literal_eval, mark.args)
                        found[kind].update(names)
    return found


@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_class_is_compared_with_an_independent_reference(kind):
    names, referenced = set(REGISTRIES[kind].available), declared_references()[kind]
    assert not names - referenced, (
        f"no test compares {sorted(names - referenced)} with another implementation, a formula or known values: write "
        f'one, and mark it @pytest.mark.reference("{kind}", NAME)'
    )
    assert not referenced - names, f"tests refer to {kind}s that do not exist: {sorted(referenced - names)}"


SOURCE = '''
from dataclasses import dataclass
from typing import Annotated
import numpy as np
from pydantic import Field
from embeddings.specification.sources import source
from embeddings.table import EmbeddingTable

@source("constant")
@dataclass(frozen=True)
class Constant:
    """The same number everywhere."""

    value: Annotated[float, Field(description="the number, such as 3")] = 1.0

    def load(self, request):
        words = list(request.vocabulary)
        return EmbeddingTable.known(words, np.full((len(words), 2), self.value, np.float32), "constant")
'''
TRANSFORM = '''
from dataclasses import dataclass
from typing import Annotated
import numpy as np
from pydantic import Field
from embeddings.specification.transforms import FittedTransform, transform
from embeddings.table.row_maps import Affine

@transform("times")
@dataclass(frozen=True)
class Times(FittedTransform):
    """Multiplies every entry by a number."""

    factor: Annotated[float, Field(description="the number, such as 10")]

    def fit(self, rows, request):
        return Affine.scale(self.factor, rows.shape[1])
'''
FORMAT = '''
import numpy as np
from embeddings.formats.interface import Format, VectorRows, select, vector_format

@vector_format("colon text")
class ColonText(Format):
    """Lines such as ``word:1:2`` after a line ``colons``."""

    suffixes = (".colons",)

    def matches(self, stream, start):
        return start.startswith(b"colons\\n")

    def read(self, stream, selection):
        rows = dict(line.split(":", 1) for line in stream.file.read().decode().splitlines()[1:])
        chosen = select(rows, selection)
        return VectorRows(list(chosen), np.array([rows[word].split(":") for word in chosen], np.float32))

    def write(self, table, path):
        lines = (":".join([word, *map(str, row)]) for word, row in zip(table.words, table.vectors.tolist()))
        path.write_text("colons\\n" + "\\n".join(lines) + "\\n")
'''


def install(folder, name, entry_points, **modules):
    """Make a distribution in a folder, as an installer would."""
    metadata = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A folder with a package that adds one source, one transform and one format, in a file each."""
    folder = tmp_path_factory.mktemp("site-packages")
    install(folder, "vecformer-extras", "[vecformer.sources]\nconstant = extra_constant\n"
            "[vecformer.transforms]\ntimes = extra_times\n[vecformer.formats]\ncolon text = extra_colons\n",
            extra_constant=SOURCE, extra_times=TRANSFORM, extra_colons=FORMAT)
    return folder


def python(code, *folders):
    """Run code in a new interpreter with additional folders on its path."""
    path = os.pathsep.join(map(str, [*folders, *filter(None, sys.path)]))
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True,
                          text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout, done.stderr


def test_other_package_adds_a_source_and_a_transform(outside):
    printed, _ = python("""
from embeddings import load_vectors
print(load_vectors("constant,value=3", ["a"], transforms=["times:10"]).vectors.tolist())
print(load_vectors("constant", ["a"]).source)
from embeddings.specification.fingerprint import content_hashes
print(content_hashes("constant", ["times:2"]))
""", outside)
    assert printed.splitlines() == ["[[30.0, 30.0]]", "constant", "{}"]


def test_other_package_adds_a_format(outside, tmp_path):
    printed, _ = python(f"""
from pathlib import Path
from embeddings import load_vectors
from embeddings.formats.detect import detect_format
from embeddings.formats.writing import write_vectors
path = Path({str(tmp_path / "v.colons")!r})
write_vectors(load_vectors("constant", ["a", "b"]), path)
print(detect_format(path).name, load_vectors(path, ["b"]).vectors.tolist())
""", outside)
    assert printed == "colon text [[1.0, 1.0]]\n"


def test_sources_of_other_packages_are_listed(outside):
    printed, _ = python("from pipeline.cli.main import cli; cli(['sources'], standalone_mode=False)", outside)
    for expected in ("constant", "the number, such as 3", "times:FACTOR", "colon text"):
        assert expected in printed


def test_broken_package_is_one_message_and_does_not_affect_others(outside, tmp_path):
    install(tmp_path, "vecformer-broken", "[vecformer.sources]\nbroken = no_such_module\nsilent = extra_silent\n"
            "glove = extra_glove\n", extra_silent="", extra_glove=SOURCE.replace('"constant"', '"glove"'))
    _, errors = python("""
from embeddings import load_vectors
from embeddings.errors import SpecificationError
load_vectors("glove", ["the"])
load_vectors("glove+random,dim=3,init=normal", ["the", "a"])
for name in ("broken", "silent"):
    try:
        load_vectors(name)
    except SpecificationError as error:
        assert f"the source {name!r} of vecformer-broken 1.0 cannot be loaded" in str(error), error
    else:
        raise AssertionError(name)
""", outside, tmp_path)
    lines = errors.splitlines()
    assert len(lines) == 3
    assert all("vecformer-broken 1.0 cannot be loaded" in line for line in lines)
    assert "No module named 'no_such_module'" in lines[0]
    assert "exists already" in errors
    assert "registers no source of that name" in errors


def test_two_classes_cannot_have_one_name():
    registry = Registry("embeddings.sources", "thing", SpecificationError)
    registry.register("one")(type("First", (), {}))
    with pytest.raises(SpecificationError, match=r"the thing 'one' exists already \(.*First\); rename .*Second"):
        registry.register("one")(type("Second", (), {}))


def test_options_and_defaults_of_a_source():
    assert options(SOURCES.find("glove")) == {"path": None, "limit": None, "dim": None}
    assert options(SOURCES.find("concat")) == {}
