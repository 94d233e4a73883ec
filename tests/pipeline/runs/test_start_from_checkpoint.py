"""Runs that start from a pretrained checkpoint: equality with ``transformers`` on texts, and what is refused."""

import json
import shutil

import pytest
import torch
import transformers as hf
from click.testing import CliRunner
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from pipeline import RunConfig, load_run
from pipeline.cli.main import cli
from pipeline.errors import ConfigError
from pipeline.runs.chain import build_model, run_stage_one
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.runs.recipe.choose import Recipe, choose, setup_for
from pipeline.runs.recipe.facts import Facts
from pipeline.runs.self_training.views import views_of_encoder
from pipeline.runs.start.point import start_from
from pipeline.tasks import base
from pipeline.tasks.base import Tokenizers
from transformer.errors import CheckpointError, TransformerError

TEXTS = ["my parcel did not arrive", "please cancel the order and refund my card", "the invoice is wrong again"] * 9
SHAPE = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 24,
         "initializer_range": 0.3, "max_position_embeddings": 120}
KINDS = {
    "bert": lambda n: hf.BertModel(hf.BertConfig(vocab_size=n, **SHAPE)),
    "roberta": lambda n: hf.RobertaModel(hf.RobertaConfig(
        vocab_size=n, type_vocab_size=1, pad_token_id=1, **{**SHAPE, "max_position_embeddings": 122})),
    "distilbert": lambda n: hf.DistilBertModel(hf.DistilBertConfig(
        vocab_size=n, dim=16, n_layers=3, n_heads=4, hidden_dim=24, max_position_embeddings=120)),
    "electra": lambda n: hf.ElectraModel(hf.ElectraConfig(vocab_size=n, embedding_size=12, **SHAPE)),
}


def command(*arguments):
    return CliRunner().invoke(cli, list(map(str, arguments)))


def wordpiece():
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special,
                                                              show_progress=False))
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    made.decoder = decoders.WordPiece()
    return made


def byte_level():
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=True), decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    made.train_from_iterator(TEXTS, trainers.BpeTrainer(
        vocab_size=320, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
                                                        special_tokens=[("<s>", 0), ("</s>", 2)])
    return made


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request, tmp_path_factory):
    """A folder with the weights and the tokenizer of an architecture."""
    return written(request.param, tmp_path_factory.mktemp("checkpoint") / request.param)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return written("bert", tmp_path_factory.mktemp("checkpoint") / "bert")


def written(kind, folder):
    torch.manual_seed(1)
    tokenizer = byte_level() if kind == "roberta" else wordpiece()
    model = KINDS[kind](tokenizer.get_vocab_size())
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def prepared(folder, support, tmp_path, **values):
    """An untrained classifier that starts from the checkpoint, with its setup and its stage one."""
    config = RunConfig.from_mapping({"recipe": "plain", "init_from": str(folder), "data": {"path": str(support)},
                                     **values})
    task = base.find(config.task)
    splits = task.reader.read(config.data, seed=1)
    setup = setup_for(config, task, splits)
    stage_one = run_stage_one(setup, task, splits, RunFolder(tmp_path), RunContext())
    model = build_model(setup, task, stage_one)
    start_from(model, stage_one, setup.config)
    return model.eval(), task, splits, setup, stage_one


def test_texts_have_the_hidden_states_of_transformers(checkpoint, support, tmp_path):
    model, task, splits, setup, stage_one = prepared(checkpoint, support, tmp_path)
    theirs = hf.AutoModel.from_pretrained(checkpoint).eval()
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizers = Tokenizers(stage_one.tokenizer, len(stage_one.tokenizer))
    examples = splits.train[:12]
    for example, feature in zip(examples, task.encode(examples, tokenizers, setup), strict=True):
        ids = tokenizer.encode(example.text).ids
        assert len(ids) == len(feature.ids)
        with torch.no_grad():
            expected = theirs(torch.tensor([ids])).last_hidden_state
            found = model.encoder(torch.tensor(feature.ids.astype("int64"))[None]).hidden
        assert found == pytest.approx(expected, abs=1e-5)


def test_the_run_says_what_it_takes_over(checkpoint, support, tmp_path, caplog):
    with caplog.at_level("INFO"):
        _, _, _, setup, stage_one = prepared(checkpoint, support, tmp_path)
    assert setup.config.source == f"hf:{checkpoint}"
    assert stage_one.tokenizer.units == "subwords"
    assert "weights of the encoder and" in caplog.text
    assert "not used: none" in caplog.text or "pooler" in caplog.text


def test_a_trained_run_predicts_alike_when_it_is_loaded(checkpoint, support, tmp_path):
    result = command("run", "--recipe", "plain", "--data", support, "--init-from", checkpoint, "--epochs", 1,
                     "--baselines", "none", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    run = load_run(tmp_path / "run")
    texts = ["My parcel did not arrive!", "refund"]
    first = run.predict(texts)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    assert load_run(tmp_path / "copy").predict(texts) == first


def test_layers_can_be_dropped(bert, support, tmp_path):
    model, *_ = prepared(bert, support, tmp_path, init_layers=[0, 2])
    whole = hf.BertModel.from_pretrained(bert)
    assert len(model.encoder.layers) == 2
    expected = whole.encoder.layer[2].attention.self.query.weight
    assert torch.equal(model.encoder.layers[1].attention.query.weight, expected)


def test_another_tokenizer_keeps_the_transformer(bert, support, tmp_path):
    """Words instead of subwords: the vectors of the words are pooled from those of their tokens."""
    model, _, _, setup, stage_one = prepared(bert, support, tmp_path, data={"path": str(support), "units": "words"})
    assert stage_one.tokenizer.units == "words"
    assert setup.config.source == f"hf:{bert}"
    theirs = hf.BertModel.from_pretrained(bert).encoder.layer[1].attention.self.query
    assert torch.equal(model.encoder.layers[1].attention.query.weight, theirs.weight)


def test_a_pooler_is_taken_over_with_its_pooling(bert, support, tmp_path):
    model, *_ = prepared(bert, support, tmp_path, model={"pooling": "cls"})
    assert torch.equal(model.head.pooler.weight, hf.BertModel.from_pretrained(bert).pooler.dense.weight)


def test_a_contradicting_shape_is_refused(bert, support, tmp_path):
    with pytest.raises(ConfigError, match=r"model.d_model = .?32.?: with init_from it is that of the checkpoint, "
                                          r".?16.?; leave it out"):
        prepared(bert, support, tmp_path, model={"d_model": 32})


def test_a_missing_layer_is_refused(bert, support, tmp_path):
    with pytest.raises(TransformerError, match="there is no layer 7; name layers from 0 to 2"):
        prepared(bert, support, tmp_path, init_layers=[7])


def test_a_decoder_task_is_refused(bert, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("\n".join(TEXTS))
    result = command("run", "--task", "language-model", "--data", text, "--init-from", bert, "--epochs", 1, "--out",
                     tmp_path / "run")
    assert result.exit_code == 2
    assert "language-model does not have" in " ".join(result.output.split())


@pytest.mark.parametrize("damage, message", [
    (lambda folder: (folder / "model.safetensors").write_bytes(
        (folder / "model.safetensors").read_bytes()[:-100]), "model.safetensors"),
    (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json"),
    (lambda folder: (folder / "config.json").write_text(json.dumps({"model_type": "t5"})), "t5"),
    (lambda folder: (folder / "config.json").unlink(), "config.json"),
])
def test_a_damaged_checkpoint_is_one_message(damage, message, bert, support, tmp_path):
    folder = tmp_path / "bert"
    shutil.copytree(bert, folder)
    damage(folder)
    result = command("run", "--data", support, "--init-from", folder, "--epochs", 1, "--out", tmp_path / "run")
    assert result.exit_code in (1, 2)
    assert message in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()


def test_a_tokenizer_of_another_checkpoint_is_refused(bert, support, tmp_path):
    folder = tmp_path / "bert"
    shutil.copytree(bert, folder)
    byte_level().save(str(folder / "tokenizer.json"))
    result = command("run", "--data", support, "--init-from", folder, "--epochs", 1, "--out", tmp_path / "run")
    assert result.exit_code in (1, 2)
    assert "belong to different checkpoints" in " ".join(result.output.split())


def test_pickled_weights_need_trust(bert, support, tmp_path):
    folder = tmp_path / "bert"
    shutil.copytree(bert, folder)
    (folder / "model.safetensors").unlink()
    torch.save(hf.BertModel.from_pretrained(bert).state_dict(), folder / "pytorch_model.bin")
    refused = command("run", "--data", support, "--init-from", folder, "--out", tmp_path / "run")
    assert refused.exit_code in (1, 2)
    assert "--trust-pickle" in refused.output
    with pytest.raises(CheckpointError):
        prepared(folder, support, tmp_path / "a")


def test_a_name_that_is_nothing_is_one_message(support, tmp_path):
    result = command("run", "--data", support, "--init-from", tmp_path / "nothing", "--out", tmp_path / "run")
    assert result.exit_code in (1, 2)
    assert "no such folder" in " ".join(result.output.split())




def language_model(tmp_path, kind):
    """A folder with a language model of ``transformers`` and its tokenizer."""
    folder = tmp_path / kind
    torch.manual_seed(2)
    if kind == "gpt2":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
        tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(
            vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False))
        config = hf.GPT2Config(vocab_size=tokenizer.get_vocab_size(), n_embd=16, n_layer=2, n_head=4, n_positions=60,
                               initializer_range=0.3)
        made = hf.GPT2LMHeadModel(config)
    else:
        tokenizer = wordpiece()
        made = hf.BertForMaskedLM(hf.BertConfig(vocab_size=tokenizer.get_vocab_size(), **SHAPE))
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    made.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder, made.eval(), tokenizer


@pytest.mark.parametrize("kind, task", [("gpt2", "language-model"), ("bert", "masked-language-model")])
def test_language_models_have_the_logits_of_transformers(kind, task, tmp_path):
    """Rows are in another order here; each token has the logit of that token."""
    folder, theirs, _ = language_model(tmp_path, kind)
    text = tmp_path / "text.txt"
    text.write_text("\n".join(TEXTS))
    model, _, _, _, stage_one = prepared(folder, text, tmp_path, task=task)
    tokenizer = stage_one.tokenizer
    ids = torch.tensor(tokenizer.encode(["please refund the parcel"])[0].astype("int64"))[None]
    of_file = torch.tensor(tokenizer.file_ids)
    with torch.no_grad():
        expected = theirs(of_file[ids]).logits[0]
        found = model(ids)[0] if kind == "gpt2" else model(ids, torch.ones_like(ids, dtype=torch.bool))
    rows = torch.arange(5, len(of_file))
    assert found[:, rows] == pytest.approx(expected[:, of_file[rows]], abs=1e-4)
    if kind == "bert":
        special = torch.arange(1, 5)
        assert found[:, special] == pytest.approx(expected[:, of_file[special]], abs=1e-4)


def test_missing_weights_are_named(bert, support, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "bert"
    shutil.copytree(bert, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"layers\.1\.feedforward\.output\.weight.* missing"):
        prepared(folder, support, tmp_path)


def recipe_of(folder, *, n_labelled, n_unlabelled=5000, n_labels=2):
    """The values that the default recipe has from a checkpoint for data of this size."""
    facts = Facts("classification", n_labelled, n_unlabelled, n_labels, has_pairs=False, has_target=False, texts=TEXTS)
    chosen = choose(Recipe.parse("auto"), facts, RunConfig.from_mapping({"init_from": str(folder)}))
    return {key: value for one in chosen.values() for key, value in one.values.items()}


def test_few_labels_are_extended_by_self_training_and_pairs(bert):
    values = recipe_of(bert, n_labelled=2 * 64)
    assert values["self_training.rounds"] > 0 and values["contrastive.steps"] > 0
    assert "ngrams.enabled" not in values and "model.convolutions" not in values


def test_with_more_labels_n_grams_are_added(bert):
    values = recipe_of(bert, n_labelled=2 * 65)
    assert values["ngrams.enabled"] and values["training.epochs"] == 4
    assert not {"self_training.rounds", "contrastive.steps"} & values.keys()
    assert "ngrams.enabled" not in recipe_of(bert, n_labelled=2 * 1001)


def test_self_training_sees_the_text_vectors_of_the_checkpoint(bert, support, tmp_path):
    """The teacher's features are the directions of the means of the hidden states of ``transformers``."""
    *_, task, splits, setup, stage_one = prepared(bert, support, tmp_path)
    tokenizers = Tokenizers(stage_one.tokenizer, len(stage_one.tokenizer))

    def started():
        model = build_model(setup, task, stage_one)
        start_from(model, stage_one, setup.config)
        return model

    with torch.random.fork_rng():
        (view,) = views_of_encoder(setup, task, started, tokenizers)(splits.train[:5])
    theirs, tokenizer = hf.AutoModel.from_pretrained(bert).eval(), Tokenizer.from_file(str(bert / "tokenizer.json"))
    for example, vector in zip(splits.train[:5], view.features, strict=True):
        with torch.no_grad():
            hidden = theirs(torch.tensor([tokenizer.encode(example.text).ids])).last_hidden_state[0]
        expected = torch.nn.functional.normalize(hidden.mean(dim=0), dim=0)
        assert torch.tensor(vector) == pytest.approx(expected, abs=2e-2)  # in bfloat16 where that is fast


def test_a_run_from_a_checkpoint_trains_on_labels_of_its_own(bert, support, tmp_path):
    rows = [line.split("\t") for line in (support / "train.tsv").read_text(encoding="utf-8").splitlines()]
    data = tmp_path / "data"
    shutil.copytree(support, data)
    column = rows[0].index("label")
    unlabelled = [row for number, row in enumerate(rows[1:]) if number % 4]
    for row in unlabelled:
        row[column] = ""
    (data / "train.tsv").write_text("\n".join("\t".join(row) for row in rows) + "\n", encoding="utf-8")
    result = command("run", "--data", data, "--init-from", bert, "--set", "self_training.rounds=2",
                     "--set", "contrastive.steps=2", "--set", "data.dev_share=0", "--baselines", "none",
                     "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    account = json.loads((tmp_path / "run" / "resolved.json").read_text())["self_training"]
    assert account["n_texts"] >= len(unlabelled)
    assert account["start"] in ("labels", "clusters")
    assert "self-training is" in result.output
