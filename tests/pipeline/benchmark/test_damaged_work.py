import pytest

from pipeline.benchmark.execution.jobs import Job
from pipeline.benchmark.execution.one_run import run_job
from pipeline.config import resolve

KEYS = {"source": "random,dim=8", "model.d_model": 8, "model.d_ff": 8, "model.n_layers": 1, "model.n_heads": 2,
        "training.epochs": 3, "training.checkpoint_seconds": 0, "data.unseen_words": 20}


@pytest.mark.parametrize("name", ["training.checkpoint", "tokenizer.json", "stage_one.json"])
def test_a_damaged_interrupted_run_begins_again(name, tmp_path, support, caplog):
    def stop(what, share):
        if what == "training" and share > 0.6:
            raise KeyboardInterrupt

    config = resolve(None, [*KEYS.items(), ("data.path", str(support))])
    job = Job("key", "the run", config, tmp_path / "work", 1)
    expected = run_job(Job("other", "the run", config, tmp_path / "work", 1)).record["test"]
    with pytest.raises(KeyboardInterrupt):
        run_job(job, stop)
    path = tmp_path / "work" / "key" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert run_job(job).record["test"] == expected
    assert f"the run: the interrupted run is discarded and begins again ({path}" in caplog.text
    assert not (tmp_path / "work" / "key").exists()
