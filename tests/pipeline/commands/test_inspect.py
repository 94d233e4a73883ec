"""A finished run opened to view: census, heads, words that moved, a text's attention as JSON and as a page."""

import base64
import json
import re
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from embeddings import EmbeddingTable
from pipeline import RunConfig, load_run, run
from pipeline.cli.main import cli
from pipeline.commands.inspect import head_matrices, open_run, open_text
from pipeline.commands.pages.attention import packed, write_attention
from pipeline.config import resolve
from pipeline.errors import DataError, PipelineError, RunFolderError
from transformer.models.head_weights import Attentions

TEXT = "My order has not arrived yet, please send it again."


def call(*args):
    return CliRunner().invoke(cli, ["inspect", *map(str, args)])


def trained(support, out, *assignments):
    return run(resolve(None, [("data.path", str(support)), ("training.epochs", 2), *assignments]), out).path


@pytest.fixture(scope="module")
def path(tmp_path_factory, support):
    return trained(support, tmp_path_factory.mktemp("inspected") / "run", ("recipe", "plain"), ("model.d_model", 50),
                   ("model.n_heads", 5), ("embedding.scale", "unit"))


@pytest.fixture(scope="module")
def phrases(tmp_path_factory, support):
    return trained(support.parent / "phrases", tmp_path_factory.mktemp("inspected") / "phrases",
                   ("task", "translation"), ("source", "random"), ("target_source", "random"), ("data.limit_train", 50),
                   ("model.d_model", 16), ("model.d_ff", 16), ("generation.beam", 1), ("generation.max_tokens", 8))


def unpacked(packed):
    steps = np.frombuffer(base64.b64decode(packed["steps"]), "<u2").reshape(packed["rows"], packed["columns"])
    return packed["low"] + steps / 65535 * (packed["high"] - packed["low"])


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def test_the_parameters_show_what_training_changed(path):
    opened = open_run(path)
    model, start = load_file(path / "model.safetensors"), load_file(path / "start.safetensors")
    entries = {entry.name: entry for entry in opened.census if entry.count}
    assert set(entries) == set(model) - {"encoder.embedding.table_scale"}
    for name, weight in start.items():
        assert entries[name].moved == pytest.approx(float((model[name] - weight).norm()), rel=1e-5)
        assert entries[name].norm_start == pytest.approx(float(weight.norm()), rel=1e-5)
    table = EmbeddingTable.load(path / "embeddings.safetensors")
    now = model["encoder.embedding.weight"]
    began = torch.tensor(table.vectors[: len(now) - 5]) * model["encoder.embedding.table_scale"]
    assert model["encoder.embedding.table_scale"] != 1
    words = opened.moved(3)["words"]
    distance = (now[5:] - began).norm(dim=1)
    assert words.n_words == len(now) - 1
    first = next(word for word in words.most if not word.word.startswith("<"))
    assert first.word == table.words[int(distance.argmax())]
    assert first.distance == pytest.approx(float(distance.max()), rel=1e-4)
    assert entries["encoder.embedding.weight"].moved >= float(distance.norm()) * (1 - 1e-5) > 0


def test_vectors_of_unseen_words_do_not_move(path, support, tmp_path):
    frozen = trained(support, tmp_path / "frozen", ("embedding.freeze", True), ("training.epochs", 1))
    moved = open_run(frozen).moved()["words"]
    assert (moved.n_moved, moved.most) == (0, ())
    printed = call(frozen).output
    assert re.search(r"^embedding .* frozen .* 0\.000 +0\.0%$", printed, re.M)
    assert "0 of " in printed


def test_the_table_of_the_command(path):
    printed = call(path, "--words", 4).output
    for kind in ("embedding", "query", "key", "value", "attention output", "feed-forward", "layer norm", "output"):
        assert re.search(rf"^{kind} .* trained ", printed, re.M), kind
    assert re.search(r"^positions +fixed: sinusoidal$", printed, re.M)
    assert re.search(r"^  encoder\.layers\.1\.attention\.value\.weight +50 x 50 +2,500 ", printed, re.M)
    assert len(printed[printed.index("moved most"):].splitlines()) == 1 + 4


def test_json_says_the_same(path):
    told = json.loads(call(path, "--json", "--words", 2).output)
    assert told["n_parameters"] == sum(entry["count"] for entry in told["parameters"])
    assert told["parameters"][0].keys() >= {"kind", "name", "shape", "count", "share", "state", "norm_start", "norm",
                                            "moved", "moved_share"}
    assert len(told["words_moved"]["words"]["most"]) == 2
    head = json.loads(call(path, "--head", "1.4", "--json").output)["head"]
    assert head["name"] == "1.4"
    assert head["W_O"]["shape"] == [10, 50]


def test_the_matrices_of_a_head(path):
    model = load_run(path).model
    found = head_matrices(model, "1.4")
    assert found == head_matrices(model, "encoder.1.4")
    expected = {name: getattr(model, name)[1, 4].detach() for name in ("W_Q", "W_K", "W_V", "W_O", "QK", "OV")}
    for name, matrix in expected.items():
        assert found[name].shape == tuple(matrix.shape)
        assert found[name].norm == pytest.approx(float(matrix.norm()), rel=1e-5)
        np.testing.assert_allclose(found[name].spectrum, torch.linalg.svdvals(matrix)[:10], atol=1e-5)
        assert 1 <= found[name].effective_rank <= 10
    printed = call(path, "--head", "1.4").output
    assert re.search(r"^W_Q +50 x 10 ", printed, re.M)
    assert re.search(r"^10( +\d\.\d{4}){6}$", printed, re.M)


@pytest.mark.parametrize("head", ["2.0", "0.5", "decoder.0.0", "one", "0", "-1.0", "0.0.0", "٣.0"])
def test_an_unknown_head_is_refused(path, head):
    refused = call(path, "--head", head)
    assert refused.exit_code == 1
    assert refused.output == (f"Error: --head {head}: no such head; the model has L.H with L from 0 to 1 and H from 0 "
                              "to 4\n")


def test_heads_of_translation_have_a_kind(phrases):
    model = load_run(phrases).model
    layers = {"encoder": model.encoder.attentions(), "decoder": model.decoder.attentions(),
              "cross": model.decoder.cross_attentions()}
    for kind, attentions in layers.items():
        norm = Attentions(attentions).W_V[0, 1].norm().item()
        assert head_matrices(model, f"{kind}.0.1")["W_V"].norm == pytest.approx(norm)
    with pytest.raises(PipelineError, match=r"encoder\.L\.H with .*, decoder\.L\.H with .*, cross\.L\.H with"):
        head_matrices(model, "0.1")
    assert set(open_run(phrases).moved()) == {"words", "target words"}


def test_the_recorded_attention_is_that_of_the_model(path):
    told = json.loads(call(path, "--text", TEXT).output)
    words = ["my", "order", "has", "not", "arrived", "yet", ",", "please", "send", "it", "again", "."]
    (block,) = told["blocks"]
    assert (block["name"], block["words"], block["seen"]) == ("encoder", words, words)
    assert [len(layer["heads"]) for layer in block["layers"]] == [5, 5]
    loaded = load_run(path)
    ids = torch.tensor(loaded.prepare([loaded.task.reader.example(TEXT, "")]).features[0].ids[None], dtype=torch.long)
    encoder = loaded.model.encoder
    with torch.no_grad():
        x = encoder.layers[0].attention_norm(encoder.positions(encoder.embedding(ids), torch.arange(12)[None]))[0]
    for number, head in enumerate(block["layers"][0]["heads"]):
        for part, matrix, bias in (("query", "W_Q", "b_Q"), ("key", "W_K", "b_K"), ("value", "W_V", "b_V")):
            projected = x @ getattr(loaded.model, matrix)[0, number] + getattr(loaded.model, bias)[0, number]
            np.testing.assert_allclose(head[part], projected.detach(), atol=1e-5)
        scores = np.array(head["query"]) @ np.array(head["key"]).T / 10**0.5
        expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(head["attention"], expected, atol=1e-5)
        np.testing.assert_allclose(np.sum(head["attention"], axis=1), 1, atol=2e-5)


def test_unseen_words_are_shown_by_name(path):
    assert json.loads(call(path, "--text", "the zebra").output)["blocks"][0]["words"] == ["the", "zebra"]


def test_translation_has_three_kinds_of_attention(phrases):
    read = open_text(load_run(phrases), "Das Kind trinkt Wasser.")
    assert [block.name for block in read.blocks] == ["encoder", "decoder", "cross"]
    encoder, decoder, cross = read.blocks
    assert encoder.words[-1] == "</s>"
    assert decoder.words[0] == "<s>"
    assert (cross.words, cross.seen) == (decoder.words, encoder.words)
    for layer in decoder.layers:
        assert layer.pattern.triu(diagonal=1).eq(0).all()
    for block in read.blocks:
        assert all(layer.pattern.shape == (1, 4, len(block.words), len(block.seen)) for layer in block.layers)


def test_the_page_is_self_contained_and_has_the_data(path, tmp_path):
    file = tmp_path / "page.html"
    made = call(path, "--text", TEXT, "--html", file)
    assert (made.exit_code, made.output) == (0, f"wrote {file}\n")
    page = file.read_text(encoding="utf-8")
    assert not re.search(r"https?://|<link|src=|@import|url\(", page)
    assert TEXT in page
    for told in ("encoder.layers.1.feedforward.inner.weight", "fixed: sinusoidal", "The words that moved most"):
        assert told in page
    (block,) = data_of(page)["blocks"]
    told = json.loads(call(path, "--text", TEXT).output)["blocks"][0]
    assert block["words"] == told["words"]
    model = load_run(path).model
    for drawn_layer, layer in zip(block["layers"], told["layers"], strict=True):
        for drawn, head in zip(drawn_layer, layer["heads"], strict=True):
            for part in ("attention", "query", "key", "value"):
                np.testing.assert_allclose(unpacked(drawn[part]), head[part], atol=2e-4)
    weights = block["layers"][1][3]["weights"]
    np.testing.assert_allclose(unpacked(weights["W_Q"]), model.W_Q[1, 3].T.detach(), atol=1e-4)
    np.testing.assert_allclose(unpacked(weights["W_O"]), model.W_O[1, 3].detach(), atol=1e-4)


def test_a_page_is_not_overwritten_without_the_option(path, tmp_path):
    file = tmp_path / "page.html"
    file.write_text("mine")
    refused = call(path, "--text", TEXT, "--html", file)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.output
    assert file.read_text() == "mine"
    assert call(path, "--text", TEXT, "--html", file, "--overwrite").exit_code == 0
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_long_text_is_truncated_on_the_page_with_a_note(path, tmp_path):
    opened = open_run(path, unseen=True)
    text = "order " * 100 + "</script><b>"
    read = open_text(opened.trained, text)
    assert len(read.blocks[0].words) > 100
    write_attention(tmp_path / "page.html", opened, read, name="run", n_words=3)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"The first 64 of {len(read.blocks[0].words)} tokens are shown" in page
    (block,) = data_of(page)["blocks"]
    assert len(block["words"]) == block["layers"][0][0]["attention"]["rows"] == 64
    assert "&lt;/script&gt;&lt;b&gt;</blockquote>" in page


def test_numbers_of_a_page_survive_packing():
    random = np.random.default_rng(0)
    for matrix in (torch.tensor(random.normal(size=(3, 5))), torch.zeros(2, 2), torch.full((1, 3), -4.5)):
        np.testing.assert_allclose(unpacked(packed(matrix)), matrix, atol=1e-4)


@pytest.mark.parametrize(("args", "told"), [
    (["--html", "x.html"], "add --text TEXT"), (["--context", "b"], "add --text TEXT"),
    (["--text", " "], "the text has no word"), (["--text", TEXT, "--html", "none/x.html"], "mkdir -p none"),
])
def test_mistakes_are_reported_in_one_message(path, args, told):
    refused = call(path, *args)
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: ")
    assert told in refused.output


def test_no_run(tmp_path):
    refused = call(tmp_path / "none")
    assert refused.exit_code == 1
    assert "no such run" in refused.output


def test_a_run_without_initial_weights_or_with_those_of_another(path, tmp_path):
    copy = shutil.copytree(path, tmp_path / "copy")
    start = load_file(copy / "start.safetensors")
    (copy / "start.safetensors").unlink()
    with pytest.raises(RunFolderError, match=r"start\.safetensors: missing.*vecformer run .*config\.toml"):
        open_run(copy)
    start.pop("head.output.bias")
    save_file(start, copy / "start.safetensors")
    assert "start.safetensors: not the content that manifest.json lists" in call(copy).output
    assert "head.output.bias is missing" in call(copy, "--no-verify").output
    (copy / "start.safetensors").write_bytes(b"spoilt")
    refused = call(copy, "--no-verify")
    assert refused.exit_code == 1
    assert "cannot read the weights" in refused.output


def test_only_trained_rows_are_loaded_for_the_parameters(path):
    opened, whole = open_run(path), load_run(path)
    n_words = len(whole.tokenizer) - 5
    assert len(opened.trained.table) == n_words < len(whole.table)
    assert opened.trained.table.words == whole.table.words[:n_words]


def test_a_text_without_a_word(path):
    with pytest.raises(DataError, match="the text has no word"):
        open_text(load_run(path), "")


@pytest.mark.parametrize(("task", "name", "text", "context"), [
    ("classification", "pairs", "A man sleeps.", "Somebody is asleep."),
    ("language-model", "stories", "Once upon a time", ""),
    ("masked-language-model", "stories", "Once upon a <mask>", ""),
    ("question-answering", "questions", "Where is the tower?", "The tower is in Paris."),
    ("tagging", "entities", "Anna lives in Rome", ""),
])
def test_runs_of_every_task_can_be_inspected(tmp_path, support, task, name, text, context):
    config = {"task": task, "source": "random", "data": {"path": str(support.parent / name), "limit_train": 40},
              "model": {"d_model": 16, "n_heads": 2, "d_ff": 16}, "training": {"epochs": 1}}
    opened = open_run(run(RunConfig.from_mapping(config), tmp_path / "run").path, unseen=True)
    assert sum(entry.share for entry in opened.census) == pytest.approx(1)
    assert opened.moved()["words"].n_moved > 0
    (block,) = open_text(opened.trained, text, context).blocks
    assert block.name == ("decoder" if task == "language-model" else "encoder")
    assert len(block.words) >= len(text.split()) + len(context.split())
    assert all(layer.pattern.shape[-1] == len(block.words) for layer in block.layers)
