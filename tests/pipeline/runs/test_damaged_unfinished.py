"""Damaged unfinished runs: resumed to the same weights, or one message, after which the run is still there."""

import json
import shutil

import pytest
import torch

from embeddings.errors import EmbeddingError
from pipeline.commands.run import configuration
from pipeline.config import resolve
from pipeline.errors import PipelineError, RunFolderError
from pipeline.runs.chain import run
from pipeline.runs.folder import RunFolder
from transformer.checkpoint import read_checkpoint, write_checkpoint
from transformer.errors import CheckpointError, TransformerError

KEYS = {"source": "random,dim=8", "model.d_model": 8, "model.d_ff": 8, "model.n_layers": 1, "model.n_heads": 2,
        "training.epochs": 4, "pretraining.epochs": 1, "training.checkpoint_seconds": 0, "data.unseen_words": 20}


@pytest.fixture(scope="module")
def made(tmp_path_factory, support):
    """An interrupted run, and the weights that it ends with."""
    folder = tmp_path_factory.mktemp("runs")
    config = resolve(None, [*KEYS.items(), ("data.path", str(support))])
    weights = run(config, folder / "whole").path / "model.safetensors"

    def stop(what, share):
        if what == "training" and share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, folder / "run", progress=stop)
    return folder / "run.unfinished", weights.read_bytes()


@pytest.fixture
def unfinished(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "run.unfinished")


def resume(unfinished):
    target = unfinished.with_name("run")
    return run(configuration(None, target, []), target, resume=True).path


def test_an_undamaged_run_ends_in_the_same_weights(unfinished, made):
    path = resume(unfinished)
    assert (path / "model.safetensors").read_bytes() == made[1]
    assert not (path / "stage_one.json").exists()


NAMES = ("config.toml", "resolved.json", "tokenizer.json", "embeddings.json", "embeddings.safetensors",
         "stage_one.json", "pretraining.checkpoint", "training.checkpoint")


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone", "folder", "link", "nested"])
@pytest.mark.parametrize("name", NAMES)
def test_damage_is_one_message_or_has_no_effect(unfinished, made, name, damage):
    path = unfinished / name
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "flip":
        content[len(content) * 3 // 4] ^= 1
        path.write_bytes(content)
    elif damage == "folder":
        path.mkdir()
    elif damage == "link":
        path.symlink_to("nowhere")
    elif damage != "gone":
        path.write_bytes({"cut": content[:-9], "empty": b"", "nested": b"[" * 100_000}[damage])
    try:
        result = resume(unfinished)
    except (PipelineError, EmbeddingError, TransformerError, OSError) as error:
        assert name in str(error) or str(unfinished) in str(error)
        assert len(str(error)) < 1000
        assert (unfinished / "embeddings.safetensors").exists() or name == "embeddings.safetensors"
    else:
        assert (result / "model.safetensors").read_bytes() == made[1]


def test_other_numbers_in_a_checkpoint_are_found(unfinished):
    path = unfinished / "training.checkpoint"
    content = bytearray(path.read_bytes())
    for place in (len(content) * 3 // 4, len(content) - 401, len(content) // 2):
        content[place] ^= 4
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"training\.checkpoint: the checkpoint is damaged .*delete the file"):
        resume(unfinished)
    path.unlink()
    assert resume(unfinished)  # trained from the start of the training


def test_a_checkpoint_of_version_0_1_0_is_read(unfinished):
    from transformer.checkpoint import _earlier_seal, save_file

    path = unfinished / "training.checkpoint"
    tensors, facts = read_checkpoint(path)
    text = json.dumps(facts)
    save_file(tensors, path, {"facts": text, "seal": _earlier_seal(text, tensors)})
    assert read_checkpoint(path)[1] == facts
    save_file(tensors, path, {"facts": text.replace("4", "5"), "seal": _earlier_seal(text, tensors)})
    with pytest.raises(CheckpointError, match="does not match its checksum"):
        read_checkpoint(path)


def test_every_kind_of_tensor_is_covered(tmp_path):
    tensors = {"a": torch.zeros(2, 3), "b": torch.zeros((), dtype=torch.bfloat16), "c": torch.zeros(0),
               "d": torch.ones(3, dtype=torch.bool), "e": torch.arange(3)}
    write_checkpoint(tmp_path / "c", tensors, {"x": 1})
    read, facts = read_checkpoint(tmp_path / "c")
    assert facts == {"x": 1}
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())


def test_a_complete_run_that_was_not_renamed_is_verified(unfinished):
    finished = resume(unfinished)
    finished.rename(unfinished)
    metrics = unfinished / "metrics.json"
    content = metrics.read_text()
    metrics.write_text(content.replace("0.", "1.", 1))
    with pytest.raises(RunFolderError, match=r"metrics\.json: not the content"):
        resume(unfinished)
    metrics.write_text(content)
    assert resume(unfinished) == finished


def test_a_configuration_with_a_new_key_keeps_its_run(unfinished):
    """A later version writes config.toml with more keys; the hash of the new file is recorded."""
    folder = RunFolder(unfinished)
    target = unfinished.with_name("run")
    config = configuration(None, target, [])

    def stop(what, share):
        if what == "training":
            raise KeyboardInterrupt

    changed = resolve(folder.config, [("training.checkpoint_seconds", 1000)])
    with pytest.raises(KeyboardInterrupt):
        run(changed, target, resume=True, progress=stop)
    assert configuration(None, target, []).training.checkpoint_seconds == 1000
    assert config != changed
