"""Checkpoints are read in every layout; what cannot be read is refused with one message."""

import json
import pickle
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoints import MODELS, N_TOKENS, own_ids, run_theirs, texts, tiny_model

from embeddings.table.arguments import for_command_line
from transformer.errors import CheckpointError, TransformerError
from transformer.layers.embedding import TokenEmbedding
from transformer.pretrained.architecture import known_architectures
from transformer.pretrained.body import load_stack, read_body, with_layers

PREFIXES = {"bert": "bert.", "roberta": "roberta.", "distilbert": "distilbert.", "electra": "electra.",
            "gpt2": "transformer."}


def save(tmp_path, name="bert", change=None, **options):
    """Save a tiny model; ``change`` maps its tensors to those that are written."""
    model = tiny_model(name, **options)
    model.save_pretrained(tmp_path)
    if change:
        path = tmp_path / "model.safetensors"
        save_file({key: tensor.contiguous() for key, tensor in change(load_file(path)).items()}, path)
    return model


def edit_config(tmp_path, **changes):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def assert_equal(body, expected):
    assert body.stack.keys() == expected.stack.keys()
    for name in body.stack:
        assert torch.equal(body.stack[name], expected.stack[name]), name


def test_every_architecture_is_tested():
    assert set(MODELS) == set(known_architectures()) == set(PREFIXES)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("is_prefixed", [True, False])
def test_names_have_the_prefix_of_the_model_or_not(name, is_prefixed, tmp_path):
    prefix = PREFIXES[name]

    def renamed(tensors):
        return {f"{prefix if is_prefixed else ''}{key.removeprefix(prefix)}": tensor
                for key, tensor in tensors.items() if key.startswith(prefix)}

    save(tmp_path / "with head", name)
    save(tmp_path / "plain", name, renamed)
    body = read_body(tmp_path / "plain")
    assert not body.missing
    assert not body.unused
    assert_equal(body, read_body(tmp_path / "with head"))


@pytest.mark.parametrize("name", ["bert", "electra"])
def test_old_names_of_layer_norms_and_buffers(name, tmp_path):
    def old(tensors):
        renamed = {key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"):
                   tensor for key, tensor in tensors.items()}
        assert renamed.keys() != tensors.keys()
        return renamed | {f"{PREFIXES[name]}embeddings.position_ids": torch.arange(14)[None]}

    save(tmp_path / "new", name)
    save(tmp_path / "old", name, old)
    body, expected = read_body(tmp_path / "old"), read_body(tmp_path / "new")
    assert (body.missing, body.unused) == ((), expected.unused)
    assert_equal(body, expected)
    assert body.head.keys() == expected.head.keys()


def test_buffers_of_gpt2_are_not_counted(tmp_path):
    save(tmp_path, "gpt2", lambda tensors: tensors | {
        "transformer.h.0.attn.bias": torch.ones(1, 1, 14, 14), "h.1.attn.masked_bias": torch.tensor(-1e4),
        "lm_head.weight": tensors["transformer.wte.weight"].clone()})
    body = read_body(tmp_path)
    assert (body.missing, body.unused, dict(body.head)) == ((), (), {})


def test_tied_weights_of_older_checkpoints_are_not_counted(tmp_path):
    save(tmp_path, "bert", lambda tensors: tensors | {
        "cls.predictions.decoder.weight": tensors["bert.embeddings.word_embeddings.weight"].clone(),
        "cls.predictions.decoder.bias": tensors["cls.predictions.bias"].clone()})
    body = read_body(tmp_path)
    assert body.unused == ("cls.seq_relationship.bias", "cls.seq_relationship.weight")
    assert set(body.head) == {"pooler.weight", "pooler.bias", "transform.weight", "transform.bias", "norm.weight",
                              "norm.bias", "bias"}


@pytest.mark.parametrize("name", MODELS)
def test_shards(name, tmp_path):
    model = save(tmp_path / "one", name)
    model.save_pretrained(tmp_path / "shards", max_shard_size="8KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    body = read_body(tmp_path / "shards")
    assert_equal(body, read_body(tmp_path / "one"))
    load_stack(body)


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2"])
def test_trusted_pickles(name, is_zip, tmp_path):
    model = save(tmp_path / "safe", name)
    model.config.save_pretrained(tmp_path / "pickle")
    torch.save(model.state_dict(), tmp_path / "pickle" / "pytorch_model.bin", _use_new_zipfile_serialization=is_zip)
    body = read_body(tmp_path / "pickle", trust_pickle=True)
    assert_equal(body, read_body(tmp_path / "safe"))
    assert not body.missing


def test_trusted_shards_of_pickles(tmp_path):
    model = save(tmp_path / "safe")
    folder = tmp_path / "pickle"
    model.config.save_pretrained(folder)
    weights = list(model.state_dict().items())
    for n, part in enumerate((weights[:9], weights[9:])):
        torch.save(dict(part), folder / f"pytorch_model-{n}.bin")
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {
        name: f"pytorch_model-{int(n >= 9)}.bin" for n, (name, _) in enumerate(weights)}}))
    assert_equal(read_body(folder, trust_pickle=True), read_body(tmp_path / "safe"))
    with pytest.raises(CheckpointError, match=r"pytorch_model-0\.bin: a pickle"):
        read_body(folder)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("as_pickle", [True, False])
@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_other_precisions_become_float32(name, dtype, as_pickle, tmp_path):
    model = save(tmp_path, name, lambda tensors: {key: tensor.to(dtype) for key, tensor in tensors.items()})
    if as_pickle:
        (tmp_path / "model.safetensors").unlink()
        torch.save(model.to(dtype).state_dict(), tmp_path / "pytorch_model.bin")
    body = read_body(tmp_path, trust_pickle=as_pickle)
    model = model.to(dtype).float()
    assert {tensor.dtype for tensor in body.stack.values()} == {torch.float32}
    ids, types, mask = texts(model, 3, 9)
    torch.testing.assert_close(
        load_stack(body)(own_ids(body, ids), types if body.config.token_types else None).hidden[mask],
        run_theirs(model.base_model, ids, types, mask).last_hidden_state[mask], atol=1e-5, rtol=0)


def test_the_stack_is_independent_of_the_file(tmp_path):
    save(tmp_path)
    body = read_body(tmp_path)
    stack = load_stack(body)
    before = {name: weight.clone() for name, weight in stack.state_dict().items()}
    (tmp_path / "model.safetensors").write_bytes(b"")
    with torch.no_grad():
        for weight in stack.parameters():
            weight.add_(1.0)
    assert all(weight.is_contiguous() and weight.untyped_storage().nbytes() == weight.nbytes
               for weight in stack.parameters())
    assert all(name == "embedding.table_scale" or torch.equal(weight, before[name] + 1.0)
               for name, weight in stack.state_dict().items())
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not a safetensors file"):
        read_body(tmp_path)


def test_gradient_of_padding_is_zero_with_a_tied_output(tmp_path):
    save(tmp_path, "gpt2")
    stack = load_stack(read_body(tmp_path))
    stack.embedding.scores(stack(torch.tensor([[3, 4, 5]])).hidden).sum().backward()
    assert not stack.embedding.weight.grad[0].any()
    assert stack.embedding.weight.grad[1].any()


def test_own_embedding(tmp_path):
    save(tmp_path, "electra", lambda tensors: {key: tensor for key, tensor in tensors.items() if "word_emb" not in key})
    body = read_body(tmp_path)
    assert body.missing == ("embedding.weight",)
    own = TokenEmbedding(n_words=7, dim=12, d_model=body.config.embedding_width)
    stack = load_stack(body, embedding=own)
    assert stack.embedding is own
    assert stack(torch.tensor([[3, 11]])).hidden.shape == (1, 2, 16)
    assert not any(weight.is_meta for weight in (*stack.parameters(), *stack.buffers()))
    with pytest.raises(CheckpointError, match=r"the weights embedding\.weight are missing"):
        load_stack(body)


def test_missing_weights(tmp_path):
    lost = "bert.encoder.layer.1.attention.self.key.bias"
    save(tmp_path, "bert", lambda tensors: {key: tensor for key, tensor in tensors.items() if key != lost})
    body = read_body(tmp_path)
    assert body.missing == ("layers.1.attention.key.bias",)
    assert with_layers(body, [2, 1]).missing == ("layers.1.attention.key.bias",)
    load_stack(with_layers(body, [2, 0]))
    with pytest.raises(CheckpointError, match=r"layers\.1\.attention\.key\.bias are missing; download"):
        load_stack(body)


@pytest.mark.parametrize(("keep", "message"), [([], "no layer is kept"), ([3], "there is no layer 3; name layers from "
                                                                               "0 to 2"), ([-1], "no layer -1")])
def test_layers_that_do_not_exist(keep, message, tmp_path):
    save(tmp_path)
    with pytest.raises(TransformerError, match=message):
        with_layers(read_body(tmp_path), keep)


@pytest.mark.parametrize("name", ["t5", "deberta", "deberta-v2", "xlnet", "albert", "modernbert", "llama", "roformer",
                                  "mpnet", None, ["bert"]])
def test_other_architectures_are_refused_by_name(name, tmp_path):
    save(tmp_path)
    edit_config(tmp_path, model_type=name)
    with pytest.raises(CheckpointError) as caught:
        read_body(tmp_path)
    assert str(caught.value) == (f"{tmp_path}/config.json: model_type={str(name)!r} is not supported; use a checkpoint "
                                 "of one of the architectures bert, distilbert, electra, gpt2, roberta")


@pytest.mark.parametrize(("name", "change", "message"), [
    ("bert", {"hidden_act": "silu"},
     "hidden_act='silu' is not supported, only gelu, gelu_new, gelu_pytorch_tanh, relu; use another checkpoint"),
    ("distilbert", {"activation": None}, "activation=None is not supported"),
    ("gpt2", {"activation_function": ["gelu"]}, r"activation_function=\['gelu'\] is not supported"),
    ("bert", {"position_embedding_type": "relative_key"},
     "position_embedding_type='relative_key' is not supported, only 'absolute'; use another checkpoint"),
    ("electra", {"position_embedding_type": "relative_key_query"}, "position_embedding_type='relative_key_query'"),
    ("bert", {"is_decoder": True}, "is_decoder=True is not supported, only False"),
    ("roberta", {"is_decoder": True, "add_cross_attention": True}, "is_decoder=True is not supported"),
    ("roberta", {"add_cross_attention": True}, "add_cross_attention=True is not supported"),
    ("gpt2", {"add_cross_attention": True}, "add_cross_attention=True is not supported"),
    ("gpt2", {"scale_attn_weights": False}, "scale_attn_weights=False is not supported, only True"),
    ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True is not supported"),
    ("bert", {"hidden_size": "16"}, "hidden_size='16' is not a number of this kind; download the file again"),
    ("bert", {"vocab_size": 43.0}, "vocab_size=43.0 is not a number"),
    ("bert", {"num_hidden_layers": -1}, "num_hidden_layers=-1 is not a number"),
    ("bert", {"num_attention_heads": 5}, r"model\.d_model=16 is not a multiple of model\.n_heads=5\); download the"),
    ("bert", {"hidden_dropout_prob": "0.1"}, "not a valid configuration"),
    ("bert", {"pad_token_id": N_TOKENS}, rf"pad_token_id={N_TOKENS} is not a row of the embedding table"),
    ("roberta", {"pad_token_id": None}, "not a valid configuration"),
    ("roberta", {"max_position_embeddings": 2}, "max_positions must be 1 or more, not 0"),
    ("gpt2", {"n_inner": "24"}, "not a valid configuration"),
])
def test_options_without_an_equivalent_are_refused(name, change, message, tmp_path):
    save(tmp_path, name)
    edit_config(tmp_path, **change)
    with pytest.raises(CheckpointError, match=rf"/config\.json: .*{message}"):
        read_body(tmp_path)


def test_a_missing_key_is_named(tmp_path):
    save(tmp_path, "electra")
    path = tmp_path / "config.json"
    given = json.loads(path.read_text())
    del given["embedding_size"]
    path.write_text(json.dumps(given))
    with pytest.raises(CheckpointError, match=r"config\.json: the key 'embedding_size' is missing"):
        read_body(tmp_path)


@pytest.mark.parametrize("content", [None, "{", "[]", "\"bert\""])
def test_configuration_that_cannot_be_read(content, tmp_path):
    save(tmp_path)
    path = tmp_path / "config.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json: cannot read the configuration of the checkpoint"):
        read_body(tmp_path)


@pytest.mark.parametrize(("name", "change", "message"), [
    ("bert", {"hidden_size": 20}, r" has the shape \[.*16.*\], but config\.json needs \[.*20"),
    ("bert", {"vocab_size": 44}, r"word_embeddings\.weight has the shape \[43, 16\], but config\.json needs "
                                 r"\[44, 16\]: they belong to different checkpoints; download both again"),
    ("bert", {"vocab_size": 10**15, "hidden_size": 10**9}, r"config\.json: its sizes are too large"),
    ("bert", {"type_vocab_size": 3}, r"token_type_embeddings\.weight has the shape \[2, 16\]"),
    ("roberta", {"max_position_embeddings": 20}, r"position_embeddings\.weight has the shape \[16, 16\] \(read as "
                                                 r"\[14, 16\]\), but config\.json needs \[18, 16\]"),
    ("gpt2", {"n_inner": 20}, r"mlp\.c_fc\.weight has the shape \[16, 24\] \(read as \[24, 16\]\), but "
                              r"config\.json needs \[20, 16\]"),
    ("bert", {"num_hidden_layers": 2}, r"config\.json describes 2 layers of bert, but the weights have 3: they belong"),
    ("gpt2", {"n_layer": 4}, "describes 4 layers of gpt2, but the weights have 3"),
    ("bert", {"num_hidden_layers": 10**9}, "describes 1000000000 layers of bert, but the weights have 3"),
])
def test_shapes_that_do_not_agree_with_the_configuration(name, change, message, tmp_path):
    save(tmp_path, name)
    edit_config(tmp_path, **change)
    with pytest.raises(CheckpointError, match=message):
        read_body(tmp_path)


@pytest.mark.parametrize("shape", [(), (16, 49), (16, 51), (17, 48), (2, 16, 48)])
def test_tensors_that_cannot_be_split(shape, tmp_path):
    save(tmp_path, "gpt2", lambda tensors: tensors | {"transformer.h.0.attn.c_attn.weight": torch.ones(shape)})
    found = re.escape(str([*shape]))
    with pytest.raises(CheckpointError, match=rf"c_attn\.weight has the shape {found}.* needs \[16, 16\]"):
        read_body(tmp_path)


def test_weights_of_another_architecture(tmp_path):
    save(tmp_path, "gpt2")
    edit_config(tmp_path, **json.loads(tiny_model("bert").config.to_json_string()))
    with pytest.raises(CheckpointError, match="describes 3 layers of bert, but the weights have 0"):
        read_body(tmp_path)


def test_quantised_weights_are_refused(tmp_path):
    name = "bert.encoder.layer.1.intermediate.dense.weight"
    save(tmp_path, "bert", lambda tensors: tensors | {name: tensors[name].to(torch.int8)})
    with pytest.raises(CheckpointError, match=rf"{name} contains integers: quantised weights are not supported"):
        read_body(tmp_path)


@pytest.mark.parametrize("n_bytes", [0, 5, 300, 20_000])
def test_truncated_file_is_refused(n_bytes, tmp_path):
    save(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: .*(truncated|not a safetensors file)"):
        read_body(tmp_path)


@pytest.mark.parametrize(("content", "message"), [
    ("{", "not an index of shards"), ('{"weight_map": {"a": "../b.safetensors"}}', "must be a file of the same folder"),
    ('{"weight_map": {"a": "b.safetensors"}}', r"its shard b\.safetensors is missing"),
])
def test_broken_index_of_shards(content, message, tmp_path):
    save(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(CheckpointError, match=rf"model\.safetensors\.index\.json: .*{message}"):
        read_body(tmp_path)


def test_folder_without_weights(tmp_path):
    save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"not a checkpoint, because model\.safetensors is missing; name another"):
        read_body(tmp_path)


@pytest.mark.parametrize("is_command_line", [True, False])
def test_pickles_are_refused_unless_they_are_trusted(is_command_line, tmp_path):
    model = save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    how = "--trust-pickle" if is_command_line else "trust_pickle=True"
    with for_command_line(is_command_line), pytest.raises(CheckpointError, match=(
            rf"pytorch_model\.bin: a pickle\. Unpickling can execute arbitrary code: .*add {how}$")):
        read_body(tmp_path)


class Malicious:
    """Its unpickling creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("content", ["malicious", "truncated", "text", "list"])
def test_trusted_pickles_cannot_execute_code(content, tmp_path):
    model = save(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    path = tmp_path / "pytorch_model.bin"
    if content == "malicious":
        path.write_bytes(pickle.dumps(Malicious(str(tmp_path / "made")), protocol=2))
    elif content == "list":
        torch.save([torch.ones(2)], path)
    else:
        torch.save(model.state_dict(), path)
        path.write_bytes(path.read_bytes()[:3000] if content == "truncated" else b"text")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: not a pickle of tensors, or truncated \(.*\); "):
        read_body(tmp_path, trust_pickle=True)
    assert not (tmp_path / "made").exists()
