import hashlib
import json

import pytest

from pipeline.errors import RunFolderError
from pipeline.run_folder import RunFolder, free_name, new_folder


def finished(path, content="old"):
    path.mkdir()
    (path / "model.safetensors").write_text(content)
    (path / "manifest.json").write_text("{}")
    return path


def test_a_folder_appears_when_it_is_whole(tmp_path):
    with new_folder(tmp_path / "deep" / "run") as temporary:
        (temporary / "x").write_text("x")
        assert not (tmp_path / "deep" / "run").exists()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["run"]
    assert (tmp_path / "deep" / "run" / "x").read_text() == "x"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_whatever_goes_wrong_leaves_nothing(tmp_path, error):
    with pytest.raises(error), new_folder(tmp_path / "run") as temporary:
        (temporary / "x").write_text("x")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_what_was_to_be_replaced_survives_a_failure_and_not_a_success(tmp_path):
    run = finished(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt), new_folder(run, overwrite=True):
        raise KeyboardInterrupt
    assert (run / "model.safetensors").read_text() == "old"
    with new_folder(run, overwrite=True) as temporary:
        (temporary / "model.safetensors").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (run / "model.safetensors").read_text() == "new"


def test_what_exists_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match=r"exists already.*--overwrite"), new_folder(finished(tmp_path / "run")):
        pass


def test_what_is_no_run_is_never_overwritten(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1").write_text("years of work")
    with pytest.raises(RunFolderError, match="not a run's folder"), new_folder(tmp_path / "thesis", overwrite=True):
        pass
    assert (tmp_path / "thesis" / "chapter1").exists()


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    message = r"cannot write in .*file; choose another --out"
    with pytest.raises(RunFolderError, match=message), new_folder(tmp_path / "file" / "run"):
        pass


def test_only_a_finished_run_is_opened(tmp_path):
    with pytest.raises(RunFolderError, match="no such run"):
        RunFolder.open(tmp_path / "none")
    (tmp_path / "half").mkdir()
    with pytest.raises(RunFolderError, match=r"no manifest\.json"):
        RunFolder.open(tmp_path / "half")
    assert RunFolder.open(finished(tmp_path / "run")).path == tmp_path / "run"


def test_the_manifest_has_the_hash_of_every_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    RunFolder(tmp_path).write_manifest({"seed": 3})
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest == {"seed": 3, "files": {"a": hashlib.sha256(b"abc").hexdigest()}}


def test_a_free_name(tmp_path):
    assert free_name(tmp_path / "run") == tmp_path / "run"
    (tmp_path / "run").mkdir()
    (tmp_path / "run-2").mkdir()
    assert free_name(tmp_path / "run") == tmp_path / "run-3"
