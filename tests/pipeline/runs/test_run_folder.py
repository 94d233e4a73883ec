import hashlib
import json

import pytest

from pipeline.errors import RunFolderError
from pipeline.runs.folder import (
    RunFolder,
    free_name,
    new_folder,
    unfinished,
    unfinished_folder,
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


def test_a_folder_appears_when_it_is_complete(tmp_path):
    target = tmp_path / "deep" / "run"
    with new_folder(target) as temporary:
        (temporary / "x").write_text("x")
        assert temporary.parent == target.parent
        assert not target.exists()
    assert names(tmp_path / "deep") == ["run"]
    assert (target / "x").read_text() == "x"
    assert target.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_failures_leave_nothing(tmp_path, error):
    with pytest.raises(error), new_folder(tmp_path / "run") as temporary:
        (temporary / "x").write_text("x")
        raise error
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_to_be_replaced_survives_a_failure(tmp_path, error):
    run = finished(tmp_path / "run")
    with pytest.raises(error), new_folder(run, overwrite=True) as temporary:
        (temporary / "model.safetensors").write_text("new")
        raise error
    assert names(tmp_path) == ["run"]
    assert names(run) == ["manifest.json", "model.safetensors"]
    assert (run / "model.safetensors").read_text() == "old"


def test_a_replaced_folder_exists_until_the_end(tmp_path):
    run = finished(tmp_path / "run")
    with new_folder(run, overwrite=True) as temporary:
        (temporary / "x").write_text("new")
        assert (run / "model.safetensors").read_text() == "old"
    assert names(tmp_path) == ["run"]
    assert names(run) == ["x"]


def test_existing_folders_are_refused(tmp_path):
    run = finished(tmp_path / "run")
    with pytest.raises(RunFolderError, match=r"run: already exists.*--overwrite"), new_folder(run):
        pass
    assert names(tmp_path) == ["run"]
    assert (run / "model.safetensors").read_text() == "old"


def test_other_folders_are_never_overwritten(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1").write_text("years of work")
    (tmp_path / "notes").write_text("a file")
    for name in ("thesis", "notes"):
        with pytest.raises(RunFolderError, match="not a run folder"), new_folder(tmp_path / name, overwrite=True):
            pass
    assert names(tmp_path) == ["notes", "thesis"]
    assert (tmp_path / "thesis" / "chapter1").read_text() == "years of work"
    assert (tmp_path / "notes").read_text() == "a file"


def test_an_empty_folder_may_be_overwritten(tmp_path):
    (tmp_path / "run").mkdir()
    with new_folder(tmp_path / "run", overwrite=True) as temporary:
        (temporary / "x").write_text("x")
    assert names(tmp_path / "run") == ["x"]


def test_a_folder_that_is_not_writable(tmp_path):
    (tmp_path / "file").write_text("")
    message = r"cannot write in .*file; choose another"
    with pytest.raises(RunFolderError, match=message), new_folder(tmp_path / "file" / "run"):
        pass


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


def test_the_manifest_has_the_hash_of_every_file(tmp_path):
    contents = {"model.safetensors": bytes(range(256)) * 5000, "report.html": "é".encode(), "empty": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
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


def begin(target, **options):
    with unfinished_folder(target, **options):
        pass


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
def test_other_folders_are_never_treated_as_runs(tmp_path, options):
    target = tmp_path / "run"
    theirs = unfinished(target) if not options.get("resume") else target
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("mine")
    if options.get("resume"):
        unfinished(target).mkdir()
    with pytest.raises(RunFolderError, match="remove it or choose another --out"):
        begin(target, **options)
    assert (theirs / "thesis.txt").read_text() == "mine"


def test_an_interrupted_run_is_resumed_or_deleted_only_on_request(tmp_path):
    target = tmp_path / "run"
    with pytest.raises(RunFolderError, match="nothing to resume"):
        begin(target, resume=True)
    unfinished(target).mkdir()
    RunFolder(unfinished(target)).config.write_text("")
    with pytest.raises(RunFolderError, match="--resume"):
        begin(target)
    begin(target, resume=True)
    assert (target / "config.toml").exists()
    assert not unfinished(target).exists()
