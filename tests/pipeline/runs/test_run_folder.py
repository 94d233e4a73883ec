import hashlib
import json

import pytest

from pipeline.errors import RunFolderError
from pipeline.runs.folder import (
    RunFolder,
    configuration_of_unfinished,
    free_name,
    read_unreplaced,
    write_json,
    write_lines,
)


def finished(path, content="old"):
    path.mkdir()
    (path / "model.safetensors").write_text(content)
    (path / "manifest.json").write_text("{}")
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_only_a_finished_run_is_opened(tmp_path):
    with pytest.raises(RunFolderError, match="none: no such run"):
        RunFolder.open(tmp_path / "none")
    run = finished(tmp_path / "run")
    with pytest.raises(RunFolderError, match="no such run"):
        RunFolder.open(run / "manifest.json")
    assert RunFolder.open(run).path == run
    (run / "manifest.json").unlink()
    with pytest.raises(RunFolderError, match=r"run: not a finished run \(no manifest\.json\)"):
        RunFolder.open(run)


def test_a_run_that_is_replaced_while_it_is_read_is_read_again(tmp_path):
    run = finished(tmp_path / "run", "old")
    finished(tmp_path / "new", "new")

    def read(folder):
        first = (folder.path / "model.safetensors").read_text()
        if (tmp_path / "new").exists():
            run.rename(tmp_path / "elsewhere")
            (tmp_path / "new").rename(run)
        return first, (folder.path / "model.safetensors").read_text()

    assert read_unreplaced(run, read) == ("new", "new")
    with pytest.raises(ZeroDivisionError):
        read_unreplaced(run, lambda folder: 1 / 0)


def test_the_manifest_has_the_hash_of_every_file(tmp_path):
    contents = {"model.safetensors": bytes(range(256)) * 5000, "report.html": "é".encode(), "history.jsonl": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for other in ("notes of the user.txt", "stage_one.json", "training.checkpoint"):
        (tmp_path / other).write_bytes(b"not part of the run")
    folder = RunFolder(tmp_path)
    folder.write_manifest({"seed": 3})
    manifest = json.loads(folder.manifest.read_text())
    assert manifest["seed"] == 3
    assert manifest["files"] == {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def test_json_is_indented_and_restored(tmp_path):
    rows = [{"text": "naïve\u2028\n"}, {"text": "日本"}]
    write_json(tmp_path / "a.json", rows)
    write_lines(tmp_path / "a.jsonl", iter(rows))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == rows
    lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").split("\n")
    assert [json.loads(line) for line in lines[:-1]] == rows
    assert "日本" in lines[1]


def test_a_free_name(tmp_path):
    assert free_name(tmp_path / "run") == tmp_path / "run"
    (tmp_path / "run").mkdir()
    assert free_name(tmp_path / "run") == tmp_path / "run-2"
    (tmp_path / "run-2").write_text("a file is in the way too")
    assert free_name(tmp_path / "run") == tmp_path / "run-3"


def test_an_unfinished_run_is_found_by_a_link_to_its_target(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    (tmp_path / "run.unfinished").mkdir()
    (tmp_path / "run.unfinished" / "config.toml").write_text("")
    assert configuration_of_unfinished(tmp_path / "link") == tmp_path / "run.unfinished" / "config.toml"
    with pytest.raises(RunFolderError, match=r"--resume .*/run$"):
        configuration_of_unfinished(tmp_path / "run.unfinished")
