"""The choice of the tests that ``make check`` runs, and its limit of time."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.affected import ALWAYS, ROOT, affected

TESTS = [str(path.relative_to(ROOT)) for path in ROOT.glob("tests/**/test_*.py")]


def test_a_module_has_the_tests_that_import_it():
    found = affected(["pipeline/tasks/ngrams/sampling.py"], TESTS)
    assert found[0] == "tests/pipeline/tasks/ngrams/test_ngram_fit.py"
    assert {str(Path(one).parent) for one in found[1:]} <= {"tests/pipeline/tasks/ngrams", "tests"}


@pytest.mark.parametrize(("changed", "folder"), [
    ("speed/rivals.py", "tests/speed"), ("quality/run_quality.py", "tests/quality"),
    ("pipeline/benchmark/report/benchmark.html", "tests/pipeline/benchmark"),
    ("transformer/kernels/native/layer.cpp", "tests/transformer/kernels"),
])
def test_other_files_have_the_tests_of_their_folder(changed, folder):
    assert {test for test in TESTS if str(Path(test).parent) == folder} <= set(affected([changed], TESTS))


def test_tests_of_its_own_folder_are_first():
    found = affected(["pipeline/benchmark/grid.py"], TESTS)
    assert {str(Path(one).parent) for one in found[:5]} == {"tests/pipeline/benchmark"}
    assert not any("end_to_end" in one for one in found)


def test_changed_tests_are_the_first_of_all():
    found = affected(["tests/test_language.py", "pipeline/benchmark/grid.py", "docs/benchmark.md"], TESTS)
    assert found[0] == "tests/test_language.py"


def test_packages_and_deleted_files():
    assert affected(["pipeline/tasks/ngrams/__init__.py"], ["tests/no_such_file.py"]) == [ALWAYS]
    assert "tests/transformer/kernels/test_waiting.py" in affected(["transformer/kernels/__init__.py"], TESTS)


def test_without_time_the_other_tests_are_skipped(tmp_path):
    (tmp_path / "test_three.py").write_text("import pytest, time\n"
                                            "@pytest.mark.parametrize('n', range(3))\n"
                                            "def test_one(n):\n    time.sleep(0.3)\n", encoding="utf-8")
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text(encoding="utf-8"),
                                          encoding="utf-8")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "--seconds", "0.4", "-p", "no:cacheprovider",
                           str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert "2 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
