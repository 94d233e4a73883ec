import json

import pytest

from pipeline.benchmark import driver
from pipeline.benchmark.grid import Grid
from pipeline.benchmark.store import BenchmarkFolder
from pipeline.errors import ConfigError, RunFolderError

DONE = {"status": "done", "test": {}, "config": {}, "training": {}, "costs": {}}
LINES = [{"where": "test.tsv:1", "gold": "a", "prediction": {"label": "a"}, "outcome": 1.0}]


@pytest.fixture
def folder(tmp_path):
    folder = BenchmarkFolder(tmp_path)
    folder.add({**DONE, "key": "k1", "test": {"accuracy": 0.5}, "trial": {"model.n_layers": 2}}, LINES)
    folder.add({"key": "k2", "status": "failed", "error": "no memory"}, [])
    return folder


def test_records_and_predictions_are_read_as_they_were_added(folder):
    first, second = folder.read().values()
    assert (first["test"], first["trial"], second["error"]) == ({"accuracy": 0.5}, {"model.n_layers": 2}, "no memory")
    assert "checksum" not in first
    assert folder.predictions_of("k1", first) == LINES
    assert folder.predictions_of("k2", second) is None


def test_every_changed_bit_of_a_record_is_found(folder):
    content = folder.results.read_bytes()
    end = content.index(b', "checksum"')  # a changed name of the checksum leaves the record as it is
    for place in range(end):
        changed = bytearray(content)
        changed[place] ^= 1
        folder.results.write_bytes(changed)
        with pytest.raises(RunFolderError, match=r"results\.jsonl:1: not a valid record .*; delete the line"):
            folder.read()


@pytest.mark.parametrize("line", [
    "[]", "3", "null", "{}", '{"key": 3, "status": "done"}', '{"key": "k"}', '{"key": "k", "status": []}',
    '{"key": "k", "status": "done"}', "[" * 100_000, '{"key": "k", "status": "do',
])
def test_another_line_is_one_message(folder, line):
    with folder.results.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RunFolderError, match=r"results\.jsonl:3: not a valid record"):
        folder.read()


@pytest.mark.parametrize("content", [None, b"", b"{", json.dumps(LINES[0]).replace("1.0", "0.0").encode() + b"\n"])
def test_damaged_predictions_are_one_message(folder, content):
    record = folder.read()["k1"]
    path = folder.predictions / "k1.jsonl"
    path.write_bytes(content) if content is not None else path.unlink()
    with pytest.raises(RunFolderError, match=r"k1\.jsonl: damaged or missing .*delete the line of k1"):
        folder.predictions_of("k1", record)


def test_records_of_an_earlier_version_have_no_checksums(folder):
    record = {**DONE, "key": "k3"}
    with folder.results.open("a") as file:
        file.write(json.dumps(record) + "\n")
    assert folder.read()["k3"] == record
    assert folder.predictions_of("k3", record) is None
    (folder.predictions / "k3.jsonl").write_text("[1]\n")
    with pytest.raises(RunFolderError, match=r"k3\.jsonl: damaged"):
        folder.predictions_of("k3", record)


MADE = Grid.from_mapping({"sources": ["random"], "seeds": 2, "run": {"data": {"path": "x"}}})


def test_a_folder_of_the_user_with_a_grid_is_no_benchmark(tmp_path):
    folder = BenchmarkFolder(tmp_path)
    (tmp_path / "grid.toml").write_text("# my comments\n" + MADE.to_toml())
    (tmp_path / ".grid.toml.vecformer-new").mkdir()  # of a killed process
    folder.require_benchmark()
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunFolderError, match=r"other files \(thesis\.txt\).*choose another --out, such as"):
        folder.require_benchmark()
    folder.add({"key": "k2", "status": "failed", "error": "no memory"}, [])
    folder.require_benchmark()


def test_a_grid_of_the_user_is_not_overwritten(tmp_path):
    folder, text = BenchmarkFolder(tmp_path), "# my comments\n" + MADE.to_toml()
    folder.grid.write_text(text)
    folder.write_grid(MADE)
    assert folder.grid.read_text() == text
    other = Grid.from_mapping({"sources": ["random"], "seeds": 3, "run": {"data": {"path": "x"}}})
    with pytest.raises(RunFolderError, match="another grid, of which this folder has no results"):
        folder.write_grid(other)
    assert folder.grid.read_text() == text
    folder.work.mkdir()
    folder.write_grid(other)
    assert folder.grid.read_text() == other.to_toml()


def test_files_of_the_user_in_the_work_folder_are_kept(tmp_path):
    folder, key = BenchmarkFolder(tmp_path), "0123456789abcdef0123"
    for name in (key, "vectors", f".{key}.vecformer-new", "mine"):
        (folder.work / name).mkdir(parents=True)
        (folder.work / name / "file").write_text("")
    (folder.work / f"{key}.output").write_text("")
    folder.remove_work()
    assert [path.name for path in folder.work.rglob("*")] == ["mine", "file"]
    (folder.work / "mine" / "file").unlink()
    (folder.work / "mine").rmdir()
    folder.remove_work()
    assert not folder.work.exists()


def test_temporary_folders_of_predictions_are_deleted(folder):
    (folder.predictions / ".k1.jsonl.vecformer-new").mkdir()
    (folder.predictions / ".k1.jsonl.vecformer-new" / "k1.jsonl").write_text("")
    (folder.predictions / ".mine").mkdir()
    folder.remove_temporary()
    assert sorted(path.name for path in folder.predictions.iterdir()) == [".mine", "k1.jsonl"]


def test_a_benchmark_needs_no_permission_to_write_beside_its_folder(tmp_path, monkeypatch):
    """The folder may be a mount point: its lock is inside it, and nothing is left of a plan that failed."""
    folder = BenchmarkFolder(tmp_path / "out")
    seen = []

    def fails(*args, **options):
        seen.extend((sorted(path.name for path in tmp_path.iterdir()), [path.name for path in folder.path.iterdir()]))
        raise ConfigError("no such data")

    monkeypatch.setattr(driver, "make_plan", fails)
    with pytest.raises(ConfigError, match="no such data"):
        driver.benchmark(MADE, folder.path)
    assert seen == [["out"], [".results.jsonl.vecformer-lock"]]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match=r"cannot write there \(Not a directory\)"):
        driver.benchmark(MADE, tmp_path / "file" / "out")
