"""Files that are sent to other machines: equal after unpacking, links followed, size limited."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.benchmark.execution.packed_files import pack, unpacked
from pipeline.errors import PipelineError


def test_relative_paths_are_valid_after_unpacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "project"
    (here / "data" / "parts").mkdir(parents=True)
    (tmp_path / "beside.txt").write_bytes(b"beside")
    (here / "data" / "parts" / "a.txt").write_bytes(b"\x00a")
    (here / "data" / "link.txt").symlink_to(tmp_path / "beside.txt")
    os.mkfifo(here / "data" / "pipe")
    monkeypatch.chdir(here)
    with unpacked(pack([Path("data"), Path("../beside.txt")]), here):
        assert Path.cwd() != here
        assert Path("data/parts/a.txt").read_bytes() == b"\x00a"
        assert (Path("data/link.txt").read_bytes(), Path("data/link.txt").is_symlink()) == (b"beside", False)
        assert Path("../beside.txt").read_bytes() == b"beside"
        assert sorted(path.name for path in Path("data").iterdir()) == ["link.txt", "parts"]
    assert Path.cwd() == here


def test_too_many_bytes_are_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(b"x" * 600)
    assert pack([Path("a.txt"), Path("b.txt")], max_gb=1.2e-6)
    with pytest.raises(PipelineError, match=r"more than 1e-06 GB \(until .*b\.txt\)\. Name a folder with the data"):
        pack([Path("a.txt"), Path("b.txt")], max_gb=1e-6)
