"""Names that are not UTF-8 are one message before any work; what reads them without a command shows their bytes."""

import os
from pathlib import Path

import pytest

from embeddings.loading import load_vectors
from pipeline.cli.paths import require_utf8
from pipeline.config import RunConfig
from pipeline.errors import ConfigError

NAME = os.fsdecode(b"caf\xe9.txt")


def test_an_argument_that_is_not_utf8_is_refused(capsys):
    require_utf8(["run", "--data", "café.tsv", "file:日本"])
    require_utf8(["embed", "info", NAME])
    with pytest.raises(SystemExit) as stopped:
        require_utf8(["run", "--data", NAME])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == (
        "Error: caf\\xe9.txt: the name is not valid UTF-8; rename the file, or name a link to it: ln -s FILE LINK\n")


@pytest.mark.parametrize("keys", [{"data": {"path": NAME}}, {"source": f"file:{NAME}"}, {"corpus": [NAME]}])
def test_a_configuration_that_could_not_be_written_is_refused(keys):
    with pytest.raises(ConfigError, match="has bytes that are not UTF-8"):
        RunConfig.from_mapping(keys)


def test_vectors_and_tables_have_a_readable_source(tmp_path):
    path = tmp_path / NAME
    path.write_text("a 1 2\nb 3 4\n")
    table = load_vectors(path)
    assert table.source == f"file:{tmp_path}/caf\\xe9.txt"
    table.save(Path(tmp_path / "t.safetensors"))
    assert load_vectors(tmp_path / "t.safetensors").words == ("a", "b")
