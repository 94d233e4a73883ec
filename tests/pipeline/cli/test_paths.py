"""Paths of any bytes in configurations and options, and as URIs."""

import json
import os
import shlex
import tomllib
from pathlib import Path

import pytest
import rich_click as click
from click.testing import CliRunner

from pipeline.cli.main import cli
from pipeline.cli.paths import CheckedPath
from pipeline.config import RunConfig, resolve
from pipeline.errors import ConfigError

NAME = os.fsdecode(b"caf\xe9.txt")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).write_text("a 1 2\nb 3 4\n")
    return tmp_path


def test_a_configuration_has_the_written_form_of_paths(here):
    uri = f"file://{here}/caf%E9.txt"
    config = RunConfig.from_mapping({
        "data": {"path": NAME}, "corpus": [NAME, "b.txt"], "source": f"file:{NAME},limit=5+glove",
        "target_source": f"word2vec,start={NAME}", "transforms": [f"align:(file:{NAME})"],
        "baselines": f"fasttext:{NAME},majority",
    })
    assert config.data.path == uri
    assert config.corpus == (uri, "b.txt")
    assert config.source == f"file:{uri},limit=5+glove"
    assert config.target_source == f"word2vec,start={uri}"
    assert config.transforms == (f"align:(file:{uri})",)
    assert config.baselines == (f"fasttext:{uri}", "majority")
    config.save(Path("c.toml"))
    assert tomllib.loads(Path("c.toml").read_text("utf-8"))["data"]["path"] == uri
    assert RunConfig.load(Path("c.toml")) == config
    assert resolve(Path("c.toml"), [("data.path", NAME)]) == config


def test_a_missing_data_path_is_stored_too(here):
    missing = os.fsdecode(b"none\xff")
    assert RunConfig.from_mapping({"data": {"path": missing}}).data.path == f"file://{here}/none%FF"


@pytest.mark.parametrize(("values", "message"), [
    ({"source": os.fsdecode(b"file:none\xe9")}, "bytes that are not UTF-8 and are not the path of an existing file"),
    ({"data": {"text_column": os.fsdecode(b"\xe9")}}, "bytes that are not UTF-8"),
    ({"data": {"path": "\ud800"}}, "not UTF-8"),
    ({"data": {"path": "file://server/x"}}, "data.path: .*begins with file:///"),
    ({"corpus": ["file:///a%00b"]}, "corpus: .*null character"),
])
def test_what_cannot_be_stored_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        RunConfig.from_mapping(values)


def test_an_option_takes_a_uri(here):
    convert = CheckedPath(exists=True, path_type=Path).convert
    assert convert(f"file://{here}/caf%E9.txt", None, None) == here / NAME
    with pytest.raises(click.BadParameter, match="begins with file:///"):
        convert("file://server/x", None, None)
    with pytest.raises(click.BadParameter, match=os.fsdecode(b"none\xe9") + "' does not exist"):
        convert(os.fsdecode(b"none\xe9"), None, None)


@pytest.mark.parametrize("vectors", [NAME, "URI", f"file:{NAME}"])
def test_vectors_are_named_by_path_uri_or_source(vectors, here):
    vectors = f"file://{here}/caf%E9.txt" if vectors == "URI" else vectors
    done = CliRunner().invoke(cli, ["embed", "info", vectors, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["source"] == f"file:file://{here}/caf%E9.txt"


def test_the_next_command_can_be_copied(here):
    done = CliRunner().invoke(cli, ["config", os.fsdecode(b"c\xe9.toml")])
    assert done.exit_code == 0
    assert done.stdout.startswith("wrote c\\xe9.toml; ")
    *_, command = done.stdout.strip().partition("vecformer ")
    again = CliRunner().invoke(cli, [*shlex.split(command), "--data", "none"])
    assert "none: no such file or folder" in again.output
