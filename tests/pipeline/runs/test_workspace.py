"""Folders appear completely or not at all, one process at a time, and nothing of others is touched."""

import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from embeddings.table.atomic_files import LOCK, NEW, hidden, locked
from pipeline.errors import RunFolderError
from pipeline.runs import place
from pipeline.runs.folder import RunFolder, unfinished, write_json
from pipeline.runs.workspace import REPLACED, new_folder, unfinished_folder

ERRORS = [ValueError, KeyboardInterrupt, SystemExit, OSError]


def finished(path, content="old"):
    path.mkdir(parents=True)
    (path / "model.safetensors").write_text(content)
    (path / "manifest.json").write_text('{"seed": 1}')
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def work(target, **options):
    return unfinished_folder(target, command="vecformer run --resume x", **options)


def fill(folder, content="new"):
    (folder / "model.safetensors").write_text(content)
    write_json(folder / "manifest.json", {"seed": 2})


KINDS = pytest.mark.parametrize("create", [work, new_folder])


@KINDS
def test_a_folder_appears_when_it_is_complete(tmp_path, create):
    target = tmp_path / "deep" / "run"
    with create(target) as folder:
        fill(folder)
        assert not target.exists()
    assert names(tmp_path / "deep") == ["run"]
    assert names(target) == ["manifest.json", "model.safetensors"]
    assert target.stat().st_mode & 0o777 == 0o777 & ~_umask()


def _umask():
    current = os.umask(0)
    os.umask(current)
    return current


@KINDS
@pytest.mark.parametrize("error", ERRORS)
def test_a_failure_before_the_vectors_are_done_leaves_nothing(tmp_path, create, error):
    with pytest.raises(error), create(tmp_path / "run") as folder:
        (folder / "model.safetensors").write_text("half")
        raise error
    assert names(tmp_path) == []


@pytest.mark.parametrize("error", [*ERRORS, RunFolderError])
def test_after_stage_one_every_failure_keeps_the_work(tmp_path, error):
    with pytest.raises(error), work(tmp_path / "run") as folder:
        write_json(RunFolder(folder).stage_one, {})
        raise error
    assert names(tmp_path) == ["run.unfinished"]
    with work(tmp_path / "run", resume=True) as folder:
        assert RunFolder(folder).stage_one.exists()
        fill(folder)
    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize("error", ERRORS)
def test_a_complete_run_is_kept_when_its_scratch_files_are_gone(tmp_path, error):
    with pytest.raises(error), work(tmp_path / "run") as folder:
        fill(folder)
        raise error
    with work(tmp_path / "run", resume=True):
        pass
    assert names(tmp_path / "run") == ["manifest.json", "model.safetensors"]


@pytest.mark.parametrize("error", ERRORS)
def test_a_failed_resume_keeps_what_was_there(tmp_path, error):
    with suppress(ValueError), work(tmp_path / "run") as folder:
        write_json(RunFolder(folder).stage_one, {})
        raise ValueError
    RunFolder(folder).stage_one.unlink()
    with pytest.raises(error), work(tmp_path / "run", resume=True):
        raise error
    assert names(tmp_path) == ["run.unfinished"]


@pytest.mark.parametrize("error", ERRORS)
def test_a_folder_to_be_replaced_survives_a_failure(tmp_path, error):
    run = finished(tmp_path / "run")
    with pytest.raises(error), work(run, overwrite=True) as folder:
        (folder / "model.safetensors").write_text("half")
        raise error
    assert names(tmp_path) == ["run"]
    assert (run / "model.safetensors").read_text() == "old"


def test_a_replaced_folder_exists_until_the_end(tmp_path):
    run = finished(tmp_path / "run")
    with work(run, overwrite=True) as folder:
        fill(folder)
        assert (run / "model.safetensors").read_text() == "old"
    assert names(tmp_path) == ["run"]
    assert (run / "model.safetensors").read_text() == "new"


@pytest.mark.parametrize(("create", "options"), [(work, {}), (work, {"overwrite": True}), (new_folder, {})])
def test_a_folder_that_appears_meanwhile_is_not_touched(tmp_path, create, options):
    target = tmp_path / "run"
    with pytest.raises(RunFolderError, match="was created or changed"), create(target, **options) as folder:
        fill(folder)
        write_json(RunFolder(folder).stage_one, {})
        target.mkdir()
        (target / "thesis.txt").write_text("years of work")
    assert (target / "thesis.txt").read_text() == "years of work"
    if create is work:  # the finished work is kept, and put in place when the way is free
        target.rename(tmp_path / "elsewhere")
        with work(target, resume=True):
            pass
        assert (target / "model.safetensors").read_text() == "new"


def test_files_of_the_user_in_a_run_are_not_replaced(tmp_path):
    run = finished(tmp_path / "run")
    (run / "notes.txt").write_text("mine")
    with pytest.raises(RunFolderError, match=r"not part of the run \(notes\.txt\)"), work(run, overwrite=True):
        pass
    (run / "notes.txt").unlink()
    with pytest.raises(RunFolderError, match=r"not part of the run \(notes\.txt\)"), work(run, overwrite=True) as new:
        fill(new)
        (run / "notes.txt").write_text("mine")
    assert (run / "notes.txt").read_text() == "mine"
    assert (run / "model.safetensors").read_text() == "old"


def test_other_folders_and_files_are_never_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1").write_text("years of work")
    (tmp_path / "notes").write_text("a file")
    for name in ("thesis", "notes"):
        with pytest.raises(RunFolderError, match="not a run folder"), work(tmp_path / name, overwrite=True):
            pass
        with pytest.raises(RunFolderError, match=r"already exists.*--overwrite"), work(tmp_path / name):
            pass
    assert names(tmp_path) == ["notes", "thesis"]


def test_an_empty_folder_may_be_replaced(tmp_path):
    (tmp_path / "run").mkdir()
    with work(tmp_path / "run", overwrite=True) as folder:
        fill(folder)
    assert names(tmp_path / "run") == ["manifest.json", "model.safetensors"]


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
def test_other_folders_are_never_treated_as_unfinished_runs(tmp_path, options):
    mine = unfinished(tmp_path / "run")
    mine.mkdir()
    (mine / "chapter1").write_text("years of work")
    with suppress(RunFolderError), work(tmp_path / "run", **options):
        raise RunFolderError
    assert (mine / "chapter1").read_text() == "years of work"


def test_an_unfinished_run_is_replaced_on_request_only(tmp_path):
    with suppress(ValueError), work(tmp_path / "run") as folder:
        RunFolder(folder).config.write_text("")
        write_json(RunFolder(folder).stage_one, {})
        raise ValueError
    with pytest.raises(RunFolderError, match="interrupted run; resume it with: vecformer run --resume"):
        work(tmp_path / "run").__enter__()
    with work(tmp_path / "run", overwrite=True) as folder:
        assert not RunFolder(folder).stage_one.exists()
        fill(folder)
    assert names(tmp_path) == ["run"]


def test_what_a_process_left_that_was_killed_at_its_start_is_not_in_the_way(tmp_path):
    unfinished(tmp_path / "run").mkdir()
    hidden(tmp_path / "run", place.REPLACES).write_text("another run")
    hidden(tmp_path / "run", NEW).mkdir()
    with work(tmp_path / "run") as folder:
        inner = unfinished(folder / "glove")
        inner.mkdir()
        hidden(folder / "glove", place.REPLACES).write_text("another run")
        assert place.own_entries(folder).others == []
        inner.rmdir()
        fill(folder)
    assert names(tmp_path) == ["run"]


@pytest.mark.parametrize("resume", [False, True])
def test_places_that_cannot_be_renamed_onto_are_refused_before_any_work(tmp_path, monkeypatch, resume):
    def refused(target, message):
        with pytest.raises(RunFolderError, match=message), work(target, resume=resume):
            pytest.fail("the work began")

    (tmp_path / "file").write_text("")
    refused(tmp_path / "file" / "run", r"cannot write in .*file.*; choose another")
    (tmp_path / "dangling").symlink_to("nowhere")
    refused(tmp_path / "dangling", "a link to nowhere, which does not exist")
    mounts = tmp_path / "mounts"
    mounts.write_text(f"29 1 0:25 / {tmp_path / 'volume 1'} rw - tmpfs x rw\n".replace("volume 1", r"volume\0401"))
    (tmp_path / "volume 1").mkdir()
    monkeypatch.setattr(place, "MOUNTS", mounts)
    refused(tmp_path / "volume 1", "a mount point.*--out .*volume 1/run")
    for empty in (place.Path(), tmp_path / ".."):
        refused(empty, "not a name for a new folder")


def test_a_link_to_a_folder_means_the_folder(tmp_path):
    run = finished(tmp_path / "disk" / "run")
    (tmp_path / "run").symlink_to(run)
    with work(tmp_path / "run", overwrite=True) as folder:
        fill(folder)
    assert (tmp_path / "run").is_symlink()
    assert (run / "model.safetensors").read_text() == "new"


def test_too_little_space_is_refused(tmp_path):
    with pytest.raises(RunFolderError, match=r"the files need about 1,000,000,000,000.0 MB, but the disk has only"):
        place.require_space(tmp_path, 10**18, purpose="the files")


def _hold(target, ready, end):
    with work(target, overwrite=True) as folder:
        fill(folder)
        ready.set()
        end.wait()


@pytest.mark.parametrize("end", ["finishes", "is killed"])
def test_one_process_works_on_a_folder(tmp_path, end):
    target, fork = finished(tmp_path / "run"), multiprocessing.get_context("fork")
    ready, stop = fork.Event(), fork.Event()
    process = fork.Process(target=_hold, args=(target, ready, stop))
    process.start()
    assert ready.wait(60)
    for options in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(RunFolderError, match="another process is working on it"):
            work(target, **options).__enter__()
    assert names(tmp_path) == [f".run{LOCK}", f".run{place.REPLACES}", "run", "run.unfinished"]
    if end == "finishes":
        stop.set()
    else:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    with work(target, overwrite=True) as folder:
        fill(folder, "newer")
    assert names(tmp_path) == ["run"]
    assert (target / "model.safetensors").read_text() == "newer"


def test_a_replacement_that_was_killed_halfway_is_undone(tmp_path):
    old = finished(hidden(tmp_path / "run", REPLACED))
    finished(unfinished(tmp_path / "run"), "new")
    hidden(tmp_path / "run", place.REPLACES).write_text(_sha256(old / "manifest.json"))
    with work(tmp_path / "run", resume=True):
        assert (tmp_path / "run" / "model.safetensors").read_text() == "old"
    assert names(tmp_path) == ["run"]
    assert (tmp_path / "run" / "model.safetensors").read_text() == "new"


def test_what_a_killed_replacement_left_is_deleted(tmp_path):
    finished(hidden(tmp_path / "run", REPLACED))
    finished(tmp_path / "run", "new")
    hidden(tmp_path / "run", place.REPLACES).write_text("")
    with work(tmp_path / "run", overwrite=True) as folder:
        assert names(tmp_path / "run") == ["manifest.json", "model.safetensors"]
        fill(folder)
    assert names(tmp_path) == ["run"]


def test_an_earlier_run_is_not_deleted_for_a_folder_that_did_not_replace_it(tmp_path):
    old = finished(hidden(tmp_path / "run", REPLACED))
    finished(tmp_path / "run", "copied from elsewhere")
    with pytest.raises(RunFolderError, match=r"the earlier run is .*Move one"), work(tmp_path / "run", overwrite=True):
        pass
    assert (old / "model.safetensors").read_text() == "old"
    assert (tmp_path / "run" / "model.safetensors").read_text() == "copied from elsewhere"


@pytest.mark.parametrize("manifest", [{"files": ["model.safetensors", "thesis.txt"]}, {"name": "an extension"}, [],
                                      {"files": {"thesis.txt": "0" * 64}, "seed": 1}])
def test_manifests_of_other_programs_make_no_run_folder(tmp_path, manifest):
    mine = tmp_path / "mine"
    mine.mkdir()
    write_json(mine / "manifest.json", manifest)
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(RunFolderError, match=r"not a run folder|not part of the run \(thesis"), work(
            mine, overwrite=True):
        pass
    (mine / "thesis.txt").unlink()
    if "seed" not in manifest:
        with pytest.raises(RunFolderError, match="not a run folder"), work(mine, overwrite=True):
            pass


def test_a_run_with_a_damaged_manifest_may_be_replaced(tmp_path):
    run = finished(tmp_path / "run")
    (run / "manifest.json").write_bytes(b"\0" * 99)
    (run / "config.toml").write_text("")
    with work(run, overwrite=True) as folder:
        fill(folder)
    assert names(run) == ["manifest.json", "model.safetensors"]


def test_a_run_within_a_run_is_the_work_of_another_command(tmp_path):
    for outer in (finished(tmp_path / "run"), unfinished(tmp_path / "other")):
        (outer / "within").mkdir(parents=True)
        (outer / "config.toml").write_text("")
        finished(outer / "within" / "second")
        (outer / "within" / "config.toml").write_text("")
    with pytest.raises(RunFolderError, match=r"not part of the run \(within\)"), work(
            tmp_path / "run", overwrite=True):
        pass
    with suppress(RunFolderError), work(tmp_path / "other", overwrite=True):
        raise RunFolderError
    assert (tmp_path / "run" / "within" / "second" / "model.safetensors").exists()
    assert (unfinished(tmp_path / "other") / "within" / "second" / "model.safetensors").exists()


@KINDS
def test_names_of_unfinished_folders_are_reserved(tmp_path, create):
    with pytest.raises(RunFolderError, match=r"resume the run with: vecformer run --resume .*/run$"), create(
            tmp_path / "run.unfinished"):
        pass
    assert names(tmp_path) == []


def test_traces_of_a_kill_while_vectors_were_written_are_no_files_of_the_user(tmp_path):
    (unfinished(tmp_path / "run") / ".embeddings.safetensors.vecformer-old").mkdir(parents=True)
    with work(tmp_path / "run", overwrite=True) as folder:
        fill(folder)
    assert names(tmp_path / "run") == ["manifest.json", "model.safetensors"]


def test_readonly_files_and_broken_links_of_the_user_do_not_stop_a_run(tmp_path):
    with work(tmp_path / "run") as folder:
        fill(folder)
        (folder / "notes.txt").write_text("mine")
        (folder / "notes.txt").chmod(0o400)
        (folder / "link").symlink_to("nowhere")
        os.mkfifo(folder / "pipe")
    assert names(tmp_path / "run") == ["link", "manifest.json", "model.safetensors", "notes.txt", "pipe"]


def test_one_thread_works_on_a_folder(tmp_path):
    def second(options):
        with pytest.raises(RunFolderError, match="another thread of this process is working on it"), work(
                tmp_path / "run", **options):
            pass
        return True

    with work(tmp_path / "run") as folder, ThreadPoolExecutor(1) as threads:
        fill(folder)
        assert all(threads.map(second, [{}, {"overwrite": True}, {"resume": True}]))
    assert names(tmp_path / "run") == ["manifest.json", "model.safetensors"]
    with work(tmp_path / "run", overwrite=True) as folder:
        fill(folder)


def test_data_in_the_folder_that_is_replaced_are_refused(tmp_path):
    target = finished(tmp_path / "run")
    (tmp_path / "link").symlink_to(target)
    for inside in (target, target / "model.safetensors", tmp_path / "link" / "model.safetensors"):
        with pytest.raises(RunFolderError, match="which --overwrite replaces at the end"):
            place.require_inputs_elsewhere(target, [str(inside)])
    place.require_inputs_elsewhere(target, ["bbc", "", str(tmp_path), f"{target}-2", str(target / "none")])


def test_files_of_the_user_with_similar_names_remain(tmp_path):
    with pytest.raises(ValueError), work(tmp_path / "run") as folder:
        (folder / "thesis.vecformer-new").write_text("years of work")
        (folder / "model.safetensors").write_text("half")
        raise ValueError
    assert names(unfinished(tmp_path / "run")) == ["thesis.vecformer-new"]


def test_an_interrupt_says_what_remains(tmp_path):
    with pytest.raises(KeyboardInterrupt, match="nothing was kept"), work(tmp_path / "run"):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt, match="resume with: vecformer run --resume x"), work(tmp_path / "run") as new:
        write_json(RunFolder(new).stage_one, {})
        raise KeyboardInterrupt


def _sha256(path):
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_locks_can_be_held_twice_and_leave_no_file(tmp_path):
    with locked(tmp_path / "x"), locked(tmp_path / "x", timeout=10):
        assert hidden(tmp_path / "x", LOCK).exists()
    assert names(tmp_path) == []
