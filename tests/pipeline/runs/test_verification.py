"""Damaged run folders: the answer of the undamaged run, or one message; never another answer."""

import json
import os
import random
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from embeddings.errors import EmbeddingError
from pipeline import load_run
from pipeline.benchmark.compare_runs import compare
from pipeline.commands import export as export_module
from pipeline.commands.evaluate import evaluate
from pipeline.commands.inspect import open_run
from pipeline.commands.vectors import LoadOptions, open_vectors
from pipeline.config import resolve
from pipeline.errors import PipelineError, RunFolderError
from pipeline.exports import huggingface, huggingface_code
from pipeline.runs.chain import run
from pipeline.runs.folder import RunFolder
from pipeline.runs.seals import CHECKSUM, sealed, unsealed
from transformer.errors import TransformerError

N_DAMAGES = 160
TINY = {"source": "random,dim=8", "model.d_model": 8, "model.d_ff": 8, "model.n_layers": 1, "model.n_heads": 2,
        "model.like": "bert", "training.epochs": 1, "data.unseen_words": 20}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, support):
    """Two finished runs that differ in their seed."""
    folder = tmp_path_factory.mktemp("runs")
    made = []
    for seed in (1, 2):
        config = resolve(None, [*TINY.items(), ("seed", seed), ("data.path", str(support))])
        made.append(run(config, folder / str(seed)).path)
    return made


def predicted(path, other, support, tmp_path, verify):
    return load_run(path, verify=verify).predict(["Where is my parcel?", "the card was charged twice", "zzz"])


def evaluated(path, other, support, tmp_path, verify):
    return evaluate(path, support / "test.tsv", verify=verify)


def compared(path, other, support, tmp_path, verify):
    return {**compare([path, other], verify=verify), "groups": None}  # these have the paths


def inspected(path, other, support, tmp_path, verify):
    return open_run(path, verify=verify).to_json()


def vectors(path, other, support, tmp_path, verify):
    table = open_vectors(str(path), LoadOptions(verify=verify))
    return table.words, table.vectors.tobytes(), table.provenance


def exported(path, other, support, tmp_path, verify):
    shutil.rmtree(tmp_path / "exported", ignore_errors=True)
    try:
        export_module.export(path, tmp_path / "exported", verify=verify)
    finally:  # without the card, which users edit
        files = [file for file in tmp_path.glob("exported/*") if file.is_file() and file.suffix != ".md"]
    return {file.name: file.read_bytes() for file in files}


COMMANDS = (predicted, evaluated, compared, inspected, vectors, exported)


def flip(path, rng, other):
    content = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 3)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def truncate(path, rng, other):
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def zeros(path, rng, other):
    content = bytearray(path.read_bytes())
    start = rng.randrange(len(content))
    content[start : start + 16] = bytes(len(content[start : start + 16]))
    path.write_bytes(content)


def swap(path, rng, other):
    shutil.copy(other / path.name, path)


def swap_within(path, rng, other):
    shutil.copy(rng.choice(sorted(path.parent.iterdir())), path.with_name("copy"))
    path.with_name("copy").replace(path)


def replace_json(path, rng, other):
    path.write_text(rng.choice(["[]", "{}", "3", "null", '"x"', "[" * 50_000, '{"a":' * 5_000, "9" * 5_000,
                                '{"files": 3}', '{"labels": {"a": 1e999}}', '{"model": {"vocab": {"a": 2147483648}}}']))


def empty(path, rng, other):
    path.write_bytes(b"")


def delete(path, rng, other):
    path.unlink()


def folder_instead(path, rng, other):
    path.unlink()
    path.mkdir()


def dangling_link(path, rng, other):
    path.unlink()
    path.symlink_to("nowhere")


DAMAGES = (flip, flip, truncate, zeros, swap, swap_within, replace_json, empty, delete, folder_instead, dangling_link)


def test_damaged_runs_give_the_same_answer_or_one_message(runs, support, tmp_path, monkeypatch):
    for module in (huggingface, huggingface_code):
        monkeypatch.setattr(module, "find_spec", lambda name: None)  # compares with transformers, which takes long
    monkeypatch.setenv("VECFORMER_CACHE", "off")
    rng = random.Random(0)
    answers = {command: command(*runs, support, tmp_path, True) for command in COMMANDS}
    names = sorted(file.name for file in runs[0].iterdir())
    n_refused = 0
    for number in range(N_DAMAGES):
        path = shutil.copytree(runs[0], tmp_path / f"run{number}")
        damage, name = rng.choice(DAMAGES), names[number % len(names)]
        damage(path / name, rng, runs[1])
        is_changed = not (path / name).is_file() or (path / name).read_bytes() != (runs[0] / name).read_bytes()
        for command in rng.sample(COMMANDS, 3):
            what = f"{number}: {damage.__name__} {name}, {command.__name__}"
            try:
                assert command(path, runs[1], support, tmp_path, True) == answers[command], what
            except (PipelineError, EmbeddingError, TransformerError) as error:
                assert is_changed, what
                assert name in str(error) or str(path) in str(error), f"{what}: {error}"
                assert len(str(error)) < 2000 and "\n" not in str(error), f"{what}: {error}"
                n_refused += 1
            try:  # another answer is possible here
                command(path, runs[1], support, tmp_path, False)
            except (PipelineError, EmbeddingError, TransformerError) as error:
                assert name in str(error) or str(path) in str(error), f"{what}: {error}"
        shutil.rmtree(path)
    assert n_refused > N_DAMAGES


@pytest.fixture
def path(runs, tmp_path):
    return shutil.copytree(runs[0], tmp_path / "run")


def refused(path, **options):
    with pytest.raises((PipelineError, EmbeddingError, TransformerError)) as error:
        load_run(path, **options)
    return str(error.value)


@pytest.mark.parametrize("name", ["config.toml", "resolved.json", "tokenizer.json", "embeddings.json",
                                  "embeddings.safetensors", "model.safetensors"])
def test_a_missing_file_is_named(path, name):
    (path / name).unlink()
    assert refused(path).startswith(f"{path / name}: missing, although manifest.json lists it; restore it from a copy")
    if name != "resolved.json":  # runs of earlier versions have none
        assert name in refused(path, verify=False)


def test_all_files_of_another_run_are_named(path, runs):
    for name in ("config.toml", "model.safetensors"):
        shutil.copy(runs[1] / name, path)
    assert refused(path).startswith(f"{path / 'config.toml'}, model.safetensors: not the content that manifest.json")
    assert load_run(path, verify=False).config.seed == 2


def test_files_of_the_user_are_no_fault(path):
    (path / "notes.txt").write_text("mine")
    (path / "plots").mkdir()
    for name in ("report.html", "predictions.jsonl", "history.jsonl"):
        (path / name).unlink()
    assert load_run(path).config.seed == 1


def test_a_file_that_is_used_must_be_listed(path, runs):
    manifest = unsealed(json.loads((path / "manifest.json").read_text()))
    del manifest["files"]["resolved.json"]
    (path / "manifest.json").write_text(json.dumps(sealed(manifest)))
    assert refused(path).startswith(f"{path / 'resolved.json'}: manifest.json does not list this file")


@pytest.mark.parametrize("change", [
    lambda values: values.update(seed=3), lambda values: values["data"].update(name="other"),
    lambda values: values.pop("data"), lambda values: values.update(checksum="0" * 64),
    lambda values: values.update(checksun=values.pop(CHECKSUM)),
    lambda values: values.update(files=[]), lambda values: values["files"].update({"config.toml": 3}),
])
def test_a_changed_manifest_is_one_message(path, change):
    values = json.loads((path / "manifest.json").read_text())
    change(values)
    (path / "manifest.json").write_text(json.dumps(values))
    assert refused(path).startswith(f"{path / 'manifest.json'}: damaged (")


def test_a_manifest_of_an_earlier_version_has_no_checksum(path):
    values = json.loads((path / "manifest.json").read_text())
    del values[CHECKSUM]
    (path / "manifest.json").write_text(json.dumps(values))
    assert load_run(path).config.seed == 1


def trusted(path):
    """List the files as they are now, as if the run had been written so."""
    (path / "manifest.json").unlink()
    RunFolder(path).write_manifest({})
    return path


def test_words_in_another_order_are_refused(path):
    described = json.loads((path / "tokenizer.json").read_text())
    vocabulary = described["model"]["vocab"]
    one, two = list(vocabulary)[7:9]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    (path / "tokenizer.json").write_text(json.dumps(described))
    assert "tokenizer.json: its" in refused(trusted(path)) and "embeddings.json" in refused(path)


def test_another_number_of_labels_is_refused(path):
    resolved = json.loads((path / "resolved.json").read_text())
    resolved["labels"].append("another")
    (path / "resolved.json").write_text(json.dumps(resolved))
    n = len(resolved["labels"])
    assert re.search(rf"model\.safetensors: .* float \[{n - 1}\D.* instead of float \[{n}\D", refused(trusted(path)))


@pytest.mark.parametrize(("file", "old", "new"), [
    ("config.toml", "d_ff = 8", f"d_ff = {10**12}"), ("config.toml", "n_layers = 1", f"n_layers = {10**12}"),
    ("resolved.json", '"token_types": 0', f'"token_types": {10**12}'),
])
def test_a_model_that_is_too_large_takes_no_memory(path, file, old, new):
    content = (path / file).read_text()
    assert old in content
    (path / file).write_text(content.replace(old, new))
    assert refused(trusted(path)).startswith(f"{path / 'model.safetensors'}: ")


def test_weights_of_other_kinds_are_refused(path):
    weights = load_file(path / "model.safetensors")
    name = next(iter(weights))
    for wrong in ({**weights, name: weights[name].to(torch.int32)}, {**weights, "more": torch.zeros(1)},
                  {key: weight for key, weight in weights.items() if key != name}):
        save_file(wrong, path / "model.safetensors")
        assert refused(trusted(path)).startswith(f"{path / 'model.safetensors'}: the weights do not match")


def test_a_table_inside_a_run_is_verified_too(path):
    table = path / "embeddings.safetensors"
    assert len(open_vectors(str(table)))
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    with pytest.raises(RunFolderError, match=r"embeddings\.safetensors: not the content"):
        open_vectors(str(table))
    assert len(open_vectors(str(table), LoadOptions(verify=False)))


def test_an_unreadable_file_is_one_message(path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pipeline.runs.verification.has_sha256", refuse)
    assert refused(path).startswith(f"{path / 'config.toml'}: cannot be read (Permission denied)")


def test_a_large_file_is_not_hashed_by_the_next_load(path, tmp_path, monkeypatch):
    from embeddings.formats import checksums

    monkeypatch.setenv("VECFORMER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(checksums, "LARGE_BYTES", 5000)
    monkeypatch.setattr(checksums, "SETTLED_SECONDS", 0)
    load_run(path)
    hashed, real = [], checksums.sha256
    monkeypatch.setattr(checksums, "sha256", lambda file: hashed.append(file.name) or real(file))
    load_run(path)
    assert "config.toml" in hashed and "model.safetensors" not in hashed
    os.utime(path / "model.safetensors", ns=(1, 1))
    load_run(path)
    assert "model.safetensors" in hashed


def test_the_first_load_does_not_hash_large_vectors_that_the_run_wrote(support, tmp_path, monkeypatch):
    from embeddings.formats import checksums

    monkeypatch.setenv("VECFORMER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(checksums, "LARGE_BYTES", 5000)
    monkeypatch.setattr(checksums, "SETTLED_SECONDS", 0)
    finished = run(resolve(None, [*TINY.items(), ("data.path", str(support))]), tmp_path / "run").path
    hashed, real = [], checksums.sha256
    monkeypatch.setattr(checksums, "sha256", lambda file: hashed.append(file.name) or real(file))
    load_run(finished)
    assert "config.toml" in hashed and "embeddings.safetensors" not in hashed
