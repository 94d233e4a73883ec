"""Which files of a run folder belong to the run."""

import json

import pytest

from pipeline.errors import RunFolderError
from pipeline.runs import place


@pytest.mark.parametrize("listed", [False, True])
def test_a_readme_is_the_users_unless_the_manifest_lists_it(tmp_path, listed):
    run = tmp_path / "run"
    run.mkdir()
    (run / "README.md").write_text("about this run")
    files = {"README.md": "0"} if listed else {"config.toml": "0"}
    (run / "manifest.json").write_text(json.dumps({"seed": 1, "versions": {}, "files": files}))
    assert place.own_entries(run).others == ([] if listed else ["README.md"])
    if listed:
        place.require_free(run, overwrite=True)
    else:
        with pytest.raises(RunFolderError, match=r"not part of the run \(README\.md\)"):
            place.require_free(run, overwrite=True)
