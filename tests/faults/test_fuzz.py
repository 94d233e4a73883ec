"""Damaged files in front of every reader: an answer or one message, in five seconds and bounded memory."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from fork_server import ForkServer
from fuzzing import JOB
from judgement import SEED, TRACEBACK, Finding

N = int(os.environ.get("FAULTS_FUZZ_FILES", "30000"))
N_FEW = 1_500
PARTS = 12
SILENCE = 120.0  # seconds without progress in compiled code, which a signal handler cannot interrupt


def read_files(server: ForkServer, folder: Path, first: int, end: int) -> list[tuple[str, Finding]]:
    """Read files by number in forked processes; one that dies is continued at the next file."""
    found = []
    while first < end:
        command = server.start([], call="fuzzing:fuzz", cwd=folder,
                               environment={JOB: json.dumps([SEED, first, end, str(folder)])})
        progress, size = folder / "progress", -1
        while not command.wait_for(SILENCE):
            if progress.exists() and progress.stat().st_size == size:
                command.kill(9)
            size = progress.stat().st_size if progress.exists() else -1
        if command.status == 0:
            break
        assert progress.exists(), command.stderr
        number, name, path = progress.read_text().splitlines()[-1].split("\t")
        text = f"the process died: {command.status} {command.stderr[-400:]}"
        found.append((f"{name} {path}", Finding("hang" if command.status == -9 else TRACEBACK, text)))
        first = int(number) + 1
    lines = (folder / "findings").read_text().splitlines() if (folder / "findings").exists() else []
    found += [(f"{name} {path}", Finding(kind, text)) for kind, name, path, text in map(json.loads, lines)]
    return _distinct(found)


def _distinct(found: list[tuple[str, Finding]]) -> list[tuple[str, Finding]]:
    """Show each kind of finding once, with its number."""
    counted = Counter((where.partition(" /")[0], one.kind, one.text.rpartition(" at ")[2]) for where, one in found)
    shown = {}
    for where, one in found:
        key = (where.partition(" /")[0], one.kind, one.text.rpartition(" at ")[2])
        shown.setdefault(key, (f"{counted[key]} times: {where}", one))
    return list(shown.values())


def test_every_suffix_of_a_reader_has_a_sound_file(tmp_path):
    from fuzzing import targets
    from seeds import seeds

    known = seeds(tmp_path)
    assert {suffix for target in targets() for suffix in target.suffixes if suffix.count(".") == 1} <= {
        *known, ".en", ".de", ".zip", ".checkpoint", ".xls"}  # no library here writes Excel's old format


def test_some_damaged_files(server, tmp_path, report):
    report("damaged files read", N_FEW, read_files(server, tmp_path, 10**6, 10**6 + N_FEW))


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(PARTS))
def test_many_damaged_files(server, tmp_path, part, report):
    n = N // PARTS
    report("damaged files read", n, read_files(server, tmp_path, part * n, (part + 1) * n))
