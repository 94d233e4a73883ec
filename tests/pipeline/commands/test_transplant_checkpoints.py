"""Transplanted and trimmed checkpoints of each architecture, loaded by ``transformers`` alone."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.numpy import load_file
from tiny_transplants import KINDS, TEXTS, write_checkpoint
from tokenizers import Tokenizer

from embeddings.errors import EmbeddingError
from embeddings.table.safetensors import open_tensors
from embeddings.transplant import METHODS, parse_method
from embeddings.transplant.checkpoint import open_checkpoint
from pipeline.commands.transplant import TransplantOptions, transplant
from pipeline.errors import PipelineError, RunFolderError

SOME = ["the cat ran on the mat", "Hunde schliefen, später!", "a dog", "ünknown 猫"]
SPECIFICATION = "fasttext,dim=8,epochs=1,min_count=1,buckets=500"
LOAD = """
import json, sys
sys.modules.update(dict.fromkeys(("embeddings", "pipeline", "transformer", "vecformer")))
import transformers
folder, name = sys.argv[1:]
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
made = {"tokens": tokenizer.tokenize("the cat ran"), "text": tokenizer.decode(tokenizer("the cat ran")["input_ids"])}
for cls in ("AutoModel", name):
    model, info = getattr(transformers, cls).from_pretrained(folder, output_loading_info=True)
    output = model(**tokenizer("the cat ran", return_tensors="pt"))[0]
    made[cls] = [list(output.shape), bool(output.isfinite().all()), list(info["missing_keys"]),
                 list(info["mismatched_keys"])]
print(json.dumps(made))
"""


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(f"{line}\n" for line in TEXTS))
    return path


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "some.txt"
    path.write_text("".join(f"{line}\n" for line in SOME))
    return path


def options(**changed):
    return TransplantOptions(**{"method": "focus", "vectors": SPECIFICATION} | changed)


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_alone_loads_a_transplant(kind, text, tmp_path):
    old = write_checkpoint(tmp_path / "old", kind)
    made = transplant(str(old), tmp_path / "new", text=[text], options=options(tokenizer="wordpiece,size=70"))
    assert sum(made.counts.values()) == made.n_new <= 70
    assert made.counts["copied"] > 20
    name = "AutoModelForCausalLM" if kind == "gpt2" else "AutoModelForMaskedLM"
    done = subprocess.run([sys.executable, "-c", LOAD, str(tmp_path / "new"), name], capture_output=True, text=True,
                          check=True, cwd=tmp_path)
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert "the cat ran" in loaded["text"]
    n_tokens = len(loaded["tokens"]) + (0 if kind == "gpt2" else 2)
    width = {"electra": 16}.get(kind, 16)
    assert loaded["AutoModel"][:2] == [[1, n_tokens, width], True]
    assert loaded[name][:2] == [[1, n_tokens, made.n_new], True]
    assert loaded[name][3] == []
    assert [key for key in loaded[name][2] if "position_ids" not in key] == []


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_rows_of_shared_tokens_and_all_other_tensors_are_copied(kind, tied, text, tmp_path):
    old = write_checkpoint(tmp_path / "old", kind, tied=tied)
    other = "unigram,size=60" if kind in ("roberta", "gpt2") else "bpe,size=320"
    made = transplant(str(old), tmp_path / "other", text=[text], options=options(tokenizer=other))
    assert made.counts["mixed"] + made.counts["subword"] > 0
    source = open_checkpoint(str(old))
    before, after = load_file(old / "model.safetensors"), load_file(tmp_path / "other" / "model.safetensors")
    assert before.keys() == after.keys()
    with safe_open(tmp_path / "other" / "model.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}
    old_ids = source.tokenizer.get_vocab()
    tokenizer = Tokenizer.from_file(str(tmp_path / "other" / "tokenizer.json"))
    both = {old_ids[name]: tokenizer.token_to_id(name) for name in (*source.roles.values(), ",")}
    for name in before:
        if name in source.vocabulary_tensors:
            assert after[name].shape == (made.n_new, *before[name].shape[1:])
            assert np.array_equal(after[name][list(both.values())], before[name][list(both)])
        else:
            assert before[name].tobytes() == after[name].tobytes(), name
    n_tables = {"gpt2": 1}.get(kind, 2) if tied else {"gpt2": 2, "distilbert": 3, "electra": 3}.get(kind, 4)
    assert len(source.vocabulary_tensors) == n_tables
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    assert config["tie_word_embeddings"] is tied
    for key, token in (("pad_token_id", "pad_token"), ("eos_token_id", "eos_token"), ("bos_token_id", "bos_token")):
        if source.config.get(key) is not None and token in source.roles:
            assert config[key] == tokenizer.token_to_id(source.roles[token])


def outputs(folder, texts, causal):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    name = "AutoModelForCausalLM" if causal else "AutoModelForMaskedLM"
    model = getattr(transformers, name).from_pretrained(folder).eval()
    for one in texts:
        ids = tokenizer(one, return_tensors="pt", truncation=False, padding=False)
        with torch.no_grad():
            found = model(**ids, output_hidden_states=True)
        yield ids["input_ids"][0], found.hidden_states[-1].numpy(), found.logits.numpy()


@pytest.mark.parametrize("method", METHODS.available)
def test_every_method_by_its_default_options(method, text, tmp_path):
    old = write_checkpoint(tmp_path / "old")
    vectors = SPECIFICATION if parse_method(method).needs else None
    made = transplant(str(old), tmp_path / "new", text=[text], options=TransplantOptions(
        method, vectors, tokenizer="unigram,size=60"))
    assert made.counts["copied"] > 20
    assert made.counts[{"random": "random", "subword": "subword"}.get(method, "mixed")] > 0
    assert all(np.isfinite(tensor).all() for tensor in load_file(tmp_path / "new" / "model.safetensors").values())


def test_special_tokens_that_the_tokenizer_does_not_list_as_such(some, tmp_path):
    old = write_checkpoint(tmp_path / "old")
    content = json.loads((old / "tokenizer.json").read_text())
    (old / "tokenizer.json").write_text(json.dumps(content | {"added_tokens": []}))
    for name, wanted in (("new", options(tokenizer="wordpiece,size=60")), ("small", TransplantOptions(trim=True))):
        transplant(str(old), tmp_path / name, text=[some], options=wanted)
        tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / name)
        assert tokenizer.tokenize("the", add_special_tokens=True)[0] == "[CLS]"
        assert tokenizer.convert_ids_to_tokens(tokenizer.mask_token_id) == "[MASK]"
        before, after = (load_file(folder / "model.safetensors")["bert.embeddings.word_embeddings.weight"]
                         for folder in (old, tmp_path / name))
        assert np.array_equal(after[tokenizer.mask_token_id], before[5])


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_trimmed_checkpoint_has_the_same_outputs(kind, tied, some, tmp_path):
    old = write_checkpoint(tmp_path / "old", kind, tied=tied, extra_rows=3)
    made = transplant(str(old), tmp_path / "new", text=[some], options=TransplantOptions(trim=True))
    assert made.n_new < made.n_old
    assert made.counts == {"copied": made.n_new, "mixed": 0, "subword": 0, "random": 0}
    tokens = Tokenizer.from_file(str(old / "tokenizer.json")).get_vocab()
    kept = Tokenizer.from_file(str(tmp_path / "new" / "tokenizer.json"))
    origins = [tokens[kept.id_to_token(number)] for number in range(made.n_new)]
    for before, after in zip(outputs(old, SOME, kind == "gpt2"), outputs(tmp_path / "new", SOME, kind == "gpt2"),
                             strict=True):
        assert [origins[number] for number in after[0]] == before[0].tolist()
        assert np.array_equal(before[1], after[1])
        assert after[2] == pytest.approx(before[2][:, :, origins], abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_shards(dtype, text, tmp_path):
    old = write_checkpoint(tmp_path / "old", tied=False, dtype=dtype, max_shard_size="4KB")
    assert len(list(old.glob("*.safetensors"))) > 2
    made = transplant(str(old), tmp_path / "new", text=[text], options=options(tokenizer="unigram,size=60"))
    assert [path.name for path in (tmp_path / "new").glob("*.safetensors*")] == ["model.safetensors"]
    before = transformers.AutoModelForMaskedLM.from_pretrained(old, dtype="auto").state_dict()
    after = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "new", dtype="auto").state_dict()
    for name, tensor in before.items():
        assert after[name].dtype == dtype
        if tensor.shape[:1] != (made.n_old,):
            assert torch.equal(after[name], tensor)
    kinds = open_tensors(tmp_path / "new" / "model.safetensors")
    assert {kinds.kind(name) for name in kinds} == {"F16" if dtype == torch.float16 else "BF16"}


def test_the_same_seed_gives_the_same_folder(text, tmp_path):
    old = write_checkpoint(tmp_path / "old")
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        transplant(str(old), tmp_path / name, text=[text], options=options(
            method="random", vectors=None, seed=seed, tokenizer="unigram,size=60"))
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two", "three")]
    assert weights[0] == weights[1] != weights[2]
    assert (tmp_path / "one" / "tokenizer.json").read_bytes() == (tmp_path / "two" / "tokenizer.json").read_bytes()


def test_a_given_tokenizer_and_wechsel_with_a_dictionary(text, tmp_path):
    old = write_checkpoint(tmp_path / "old")
    other = write_checkpoint(tmp_path / "other", "xlm-roberta")
    (tmp_path / "en.txt").write_text("the 1 0\ncat 0 1\ndog 1 1\nran -1 1\n")
    (tmp_path / "de.txt").write_text("die 0 1\nKatze -1 0\nHunde -1 1\nran -1 -1\n")
    (tmp_path / "pairs.txt").write_text("the\tdie\ncat\tKatze\ndog\tHunde\n")
    wanted = options(method="wechsel,k=2", vectors=str(tmp_path / "de.txt"), tokenizer=str(other / "tokenizer.json"),
                     checkpoint_vectors=str(tmp_path / "en.txt"), dictionary=tmp_path / "pairs.txt")
    made = transplant(str(old), tmp_path / "new", text=[text], options=wanted)
    assert made.counts["mixed"] > 0
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "new")
    assert (tokenizer.cls_token, tokenizer.pad_token_id) == ("<s>", 1)
    assert json.loads((tmp_path / "new" / "config.json").read_text())["pad_token_id"] == 1
    card = (tmp_path / "new" / "README.md").read_text()
    for expected in ("license: mit", "| method | `wechsel,k=2` |", f"| mixed | {made.counts['mixed']} |",
                     f"--dictionary {tmp_path / 'pairs.txt'}"):
        assert expected in card


def test_positions_that_are_counted_from_the_padding_token(text, tmp_path):
    old, other = write_checkpoint(tmp_path / "old", "roberta"), write_checkpoint(tmp_path / "other", "bert")
    with pytest.raises(EmbeddingError, match="its padding token, 1, but the new tokenizer has it at 0"):
        transplant(str(old), tmp_path / "new", text=[text], options=options(tokenizer=str(other)))
    assert not (tmp_path / "new").exists()


def test_an_earlier_transplant_is_replaced_with_overwrite_only(text, tmp_path):
    old = write_checkpoint(tmp_path / "old")
    wanted = TransplantOptions(method="mean")
    transplant(str(old), tmp_path / "new", text=[text], options=wanted)
    with pytest.raises(RunFolderError, match="already exists"):
        transplant(str(old), tmp_path / "new", text=[text], options=wanted)
    transplant(str(old), tmp_path / "new", text=[text], options=TransplantOptions(trim=True), overwrite=True)
    assert json.loads((tmp_path / "new" / "transplant.json").read_text())["method"] == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]
    (tmp_path / "new" / "mine.txt").write_text("notes")
    with pytest.raises(PipelineError, match=r"did not write \(mine\.txt\)"):
        transplant(str(old), tmp_path / "new", text=[text], options=wanted, overwrite=True)
    with pytest.raises(PipelineError, match="not written by a transplant"):
        transplant(str(tmp_path / "new"), old, text=[text], options=wanted, overwrite=True)


def damaged(folder, name, content=None):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(("name", "content", "message"), [
    ("config.json", None, "not a checkpoint, because config.json is missing"),
    ("config.json", b"[]", r"config\.json: cannot be read as JSON"),
    ("config.json", b"{}", "has no vocab_size"),
    ("config.json", b'{"vocab_size": 7}', "vocab_size is 7"),
    ("tokenizer.json", None, "tokenizer.json is missing"),
    ("tokenizer.json", b"{}", "not a tokenizer"),
    ("tokenizer_config.json", b"{", r"tokenizer_config\.json: cannot be read"),
    ("model.safetensors", None, "model.safetensors is missing"),
    ("model.safetensors", b"1234567890", "not a safetensors file"),
])
def test_damaged_checkpoints(name, content, message, text, tmp_path):
    old = write_checkpoint(tmp_path / "old")
    damaged(old, name, content)
    with pytest.raises(EmbeddingError, match=message):
        transplant(str(old), tmp_path / "new", text=[text], options=TransplantOptions(method="mean"))
    assert not (tmp_path / "new").exists()


def test_pickled_and_truncated_weights(text, tmp_path):
    old = write_checkpoint(tmp_path / "old")
    content = (old / "model.safetensors").read_bytes()
    damaged(old, "model.safetensors", content[:-10])
    with pytest.raises(EmbeddingError, match="truncated"):
        transplant(str(old), tmp_path / "new", text=[text], options=TransplantOptions(trim=True))
    (old / "model.safetensors").rename(old / "pytorch_model.bin")
    with pytest.raises(EmbeddingError, match="pickled"):
        transplant(str(old), tmp_path / "new", text=[text], options=TransplantOptions(trim=True))


def test_paths_that_are_not_utf8(some, tmp_path):
    place = tmp_path / "caf\udce9"
    place.mkdir()
    old = shutil.copytree(write_checkpoint(tmp_path / "old"), place / "old")
    text = shutil.copy(some, place / "text.txt")
    vectors = place / "vectors.txt"
    vectors.write_text("the 1 0\ncat 0 1\n")
    made = transplant(str(old), place / "new", text=[text], options=options(vectors=str(vectors)))
    card = (place / "new" / "README.md").read_text()
    assert "caf%E9/vectors.txt" in card
    assert len(load_file(shutil.copy(place / "new" / "model.safetensors", tmp_path / "weights"))[
        "cls.predictions.bias"]) == made.n_new
