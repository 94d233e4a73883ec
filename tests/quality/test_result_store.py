"""Results on disk: appended, read after an interruption, and selected by code and configuration."""

import json
import subprocess

import pytest
import result_store
from from_word_vectors import COLUMNS
from result_store import Store, code_of, current, digest, key_of

RESULT = {"row": "r", "column": "default", "seed": 1, "code": "c", "configuration": "f", "data": "d", "accuracy": 0.5}


def test_results_are_appended(tmp_path):
    store = Store(tmp_path / "new" / "quality.jsonl")
    assert store.results() == []
    for seed in (1, 2):
        store.add({**RESULT, "seed": seed})
    assert [one["seed"] for one in store.results()] == [1, 2]


def test_an_incomplete_line_is_ignored_and_replaced(tmp_path):
    path = tmp_path / "quality.jsonl"
    complete = json.dumps(RESULT) + "\n"
    for length in range(1, len(complete) - 1):
        path.write_text(complete + complete[:length])
        store = Store(path)
        assert len(store.results()) == 1
        store.add({**RESULT, "seed": 2})
        assert [one["seed"] for one in store.results()] == [1, 2]


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "quality.jsonl"
    path.write_text(f"{json.dumps(RESULT)}\n{{broken\n{json.dumps(RESULT)}\n")
    with pytest.raises(ValueError, match=r"quality\.jsonl, line 2: not a result"):
        Store(path).results()


@pytest.mark.parametrize("changed", result_store.KEY)
def test_each_part_of_the_key_distinguishes_results(changed):
    assert key_of({**RESULT, changed: "other"}) != key_of(RESULT)


def test_a_row_has_the_last_commit_that_was_measured_for_it():
    ours, peer = (next(one for one in COLUMNS if one.is_ours is is_ours) for is_ours in (True, False))
    made = {"configuration": digest(ours.configuration()), "column": ours.name}
    theirs = {"configuration": digest(peer.configuration()), "column": peer.name, "code": code_of(peer)}
    old, new = {**RESULT, **made, "code": "old"}, {**RESULT, **made, "code": "new"}
    repeated = {**new, "data": "changed", "accuracy": 0.75}
    other_row = {**old, "row": "another"}
    kept = [repeated, {**new, "seed": 2}, other_row, {**RESULT, **theirs}]
    left_out = [old, {**new, "configuration": "other"}, {**RESULT, **theirs, "code": "old"}]
    assert current([*left_out, other_row, new, *kept], COLUMNS) == [other_row, *kept[:2], kept[3]]


def test_the_code_is_the_last_commit_that_changed_the_product(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e", *arguments], cwd=tmp_path, check=True,
                       capture_output=True)

    monkeypatch.setattr(result_store, "ROOT", tmp_path)
    git("init")
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "a.py").write_text("1")
    git("add", ".")
    git("commit", "-m", "one")
    first = code_of(COLUMNS[0])
    (tmp_path / "README.md").write_text("text")
    git("add", ".")
    git("commit", "-m", "two")
    assert code_of(COLUMNS[0]) == first
    (tmp_path / "pipeline" / "a.py").write_text("2")
    assert code_of(COLUMNS[0]).startswith(f"{first}-dirty-")
    git("commit", "-am", "three")
    assert code_of(COLUMNS[0]) != first
    assert "dirty" not in code_of(COLUMNS[0])


def test_the_code_of_peers_is_independent_of_the_product(tmp_path, monkeypatch):
    (tmp_path / "classify.py").write_text("1")
    peer = next(column for column in COLUMNS if not column.is_ours)
    before = code_of(peer)
    monkeypatch.setattr(result_store, "PEERS", tmp_path)
    assert code_of(peer) != before
