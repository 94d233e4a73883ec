"""The card of a run: metadata that Hugging Face's library reads, for every task; hostile text; the command."""

import json
import shlex
from dataclasses import replace

import pytest
from click.testing import CliRunner
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from safetensors.numpy import load_file

from pipeline import RunConfig, load_run, run
from pipeline.cli.main import cli
from pipeline.data.config import DataConfig
from pipeline.runs.card.write import write_card
from pipeline.tasks.base import TASKS, find

SAMPLES = {"classification": "support", "multi-label": "hotels", "regression": "ratings", "tagging": "entities",
           "question-answering": "questions", "language-model": "stories", "masked-language-model": "stories",
           "translation": "phrases"}
TINY = {"training": {"epochs": 1}, "baselines": ["none"],
        "model": {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_ff": 32}, "generation": {"beam": 1, "max_tokens": 3}}
HOSTILE = "<img src=x onerror=alert(1)>|[a](http://b.c)`**\n\n# x\n```\n---\n\x1b[31m &amp; www.a.b https://c.d"


def train(out, task, data, **more):
    values = {"task": task, "data": {"path": str(data)}, "source": "random,dim=8", **TINY} | more
    return run(RunConfig.from_mapping(values), out)


@pytest.fixture(scope="module")
def cards(tmp_path_factory, support):
    """The finished run of each task and its card."""
    folder, made = tmp_path_factory.mktemp("cards"), {}

    def card(task):
        if task not in made:
            made[task] = train(folder / task, task, support.parent / SAMPLES[task])
        return made[task], (made[task].path / "README.md").read_text(encoding="utf-8")

    return card


def rendered(text):
    """Return the HTML tags, links and text of a card as CommonMark with tables renders it, without the metadata."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text.split("\n---\n", 1)[1])
    flat = [inner for token in tokens for inner in (token, *(token.children or ()))]
    return {token.type for token in flat}, "\n".join(token.content for token in flat)


def test_there_is_a_sample_for_every_task():
    assert SAMPLES.keys() == TASKS.available.keys()


@pytest.mark.parametrize("task", SAMPLES)
def test_the_metadata_are_read_by_hugging_faces_library(cards, task):
    finished, text = cards(task)
    card = ModelCard.load(finished.path / "README.md")  # raises for an invalid model-index
    assert (card.data.library_name, card.data.model_name, card.data.license) == ("vecformer", task, None)
    assert card.data.pipeline_tag == find(task).pipeline_tag
    assert card.data.datasets == [SAMPLES[task]]
    assert task in card.data.tags
    named = {result.metric_name: result.metric_value for result in card.data.eval_results}
    declared = {measure.name for measure in find(task).measures}
    test = finished.metrics["test"]
    assert named == {name: pytest.approx(test[name], abs=1e-6) for name in declared & test.keys()
                     if test[name] == test[name]}
    assert named
    assert {result.metric_type for result in card.data.eval_results} == set(card.data.metrics)
    assert (find(task).measures[0].name in text) and "## Limits" in text


@pytest.mark.parametrize("task", SAMPLES)
def test_no_card_has_markup_other_than_that_of_the_template(cards, task):
    kinds, _ = rendered(cards(task)[1])
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "em_open", "strong_open"}


def test_data_labels_and_intervals_are_those_of_the_run(cards):
    finished, text = cards("classification")
    manifest = json.loads((finished.path / "manifest.json").read_text())
    assert f"`{manifest['data']['sha256']}`" in text
    assert "| train | 48 examples |" in text
    assert "| `billing` | 16 | 8 |" in text
    assert "Fewer than 20 training examples: `billing` (16), `delivery` (16), `product` (16)." in text
    error = json.loads((finished.path / "sampling_error.json").read_text())["accuracy"]
    accuracy = finished.metrics["test"]["accuracy"]
    low, high = max(0, accuracy - 1.96 * error), min(1, accuracy + 1.96 * error)
    assert f"| accuracy | {accuracy:.4f} | {low:.4f} to {high:.4f} |" in text


def test_the_counts_of_labels_of_other_tasks(cards, support):
    entities = cards("tagging")[1]
    tags = [line.split()[-1] for line in (support.parent / "entities" / "test.conll").read_text().splitlines() if line]
    for kind in {tag[2:] for tag in tags if tag.startswith("B-")}:
        (row,) = [line for line in entities.splitlines() if line.startswith(f"| `{kind}`")]
        assert row.endswith(f"| {tags.count(f'B-{kind}'):,} |")
    finished, text = cards("multi-label")
    for label, of in finished.metrics["test"]["by_label"].items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{label}`")]
        assert row.endswith(f"| {of['support']:,} |")


def test_the_manifest_lists_the_card_and_a_run_without_it_is_loaded(tmp_path, support):
    finished = train(tmp_path / "run", "classification", support, recipe="plain")
    path = finished.path / "README.md"
    assert "README.md" in json.loads((finished.path / "manifest.json").read_text())["files"]
    assert path.stat().st_mode & 0o777 == 0o644
    before = load_run(finished.path).predict(["Where is my parcel?"])
    path.write_text("edited by its owner")
    assert load_run(finished.path).predict(["Where is my parcel?"]) == before
    path.unlink()
    assert load_run(finished.path).predict(["Where is my parcel?"]) == before


def test_text_of_the_user_is_text(tmp_path):
    lines = ["text\tlabel"]
    for i in range(40):
        label = '"' + HOSTILE.replace('"', '""') + '"' if i % 2 else "plain"
        lines.append(f"word{i} {'good' if i % 2 else 'bad'} <b>|x|</b> <script>\t{label}")
    data = tmp_path / "a<i>b`c|d" / "x.tsv"
    data.parent.mkdir()
    data.write_text("\n".join(lines) + "\n")
    finished = train(tmp_path / "r<u>n [x](y) *z*", "classification", data, recipe="plain",
                     corpus=[str(data)], unknown=["zero"])
    text = (finished.path / "README.md").read_text(encoding="utf-8")
    card = ModelCard.load(finished.path / "README.md")
    assert card.data.model_name == "r<u>n [x](y) *z*"
    kinds, shown = rendered(text)
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "em_open", "strong_open"}
    assert "\x1b" not in text
    assert "r<u>n [x](y) *z*" in shown
    assert "<img src=x onerror=alert(1)>|[a](ht" in shown
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings[1:] == ["## Intended use", "## Data", "## Word vectors", "## Measures", "## Coverage", "## Limits",
                            "## Repeat"]


def test_the_command_repeats_the_run(tmp_path, support, monkeypatch):
    """The command of the card, parsed as a shell does, leads to the same weights."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d a't\"a").symlink_to(support)
    config = {"data": {"path": "d a't\"a", "text_column": ["text"], "limit_train": 24, "lowercase": False},
              "transforms": ["unit", "pca:6"], "unknown": ["case", "zero"],
              "source": "glove", "seed": 7,
              "training": {"epochs": 1, "class_weights": {"billing": 2.0, "delivery": 1, "product": 1}}}
    first = run(RunConfig.from_mapping(TINY | config), "first")
    (block,) = [part.split("\n```")[0] for part in
                (first.path / "README.md").read_text().split("```bash\n")[1:]]
    program, *args = shlex.split(block)
    assert program == "vecformer"
    done = CliRunner().invoke(cli, args, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    ours, again = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "first-again"))
    assert all((ours[name] == again[name]).all() for name in ours | again)
    assert (tmp_path / "first" / "config.toml").read_text() == (tmp_path / "first-again" / "config.toml").read_text()


def test_a_run_without_test_examples_or_a_path_has_a_card(tmp_path, support, cards):
    finished, _ = cards("classification")
    trained = load_run(finished.path)
    config = replace(trained.config, data=replace(trained.config.data, path=""))
    trained = replace(trained, setup=replace(trained.setup, config=config, requested=config))
    splits = find("classification").reader.read(DataConfig(path=str(support)), seed=1)
    metrics = {**finished.metrics, "test": {}, "dev": {}, "baselines": {}}
    facts = json.loads((finished.path / "manifest.json").read_text())
    write_card(tmp_path / "README.md", trained, replace(splits, test=(), dev=()), metrics, facts, name="x", error={},
               n_truncated=0)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.eval_results is None
    assert "There were no test examples, so that there are no measures." in card.text
    assert "The data were given in Python" in card.text
    assert "only 0 test" not in card.text


def test_licence_and_language_are_stated_only_if_they_are_known(tmp_path, support):
    known = train(tmp_path / "known", "classification", support, source="glove+word2vec,dim=4,min_count=1")
    card = ModelCard.load(known.path / "README.md")
    assert (card.data.license, card.data.language) == ("pddl", ["en"])
    assert "word2vec, trained on the texts of the run | that of these texts |" in card.text
    part = train(tmp_path / "part", "classification", support, source=f"concat(glove,file:{support / 'vectors.txt'})")
    card = ModelCard.load(part.path / "README.md")
    assert card.data.license is None
    assert "vectors.txt | unknown: find out" in card.text
    path = tmp_path / "few.tsv"
    path.write_text("text\tlabel\n" + "".join(f"{i % 7} xx\t{i % 2}\n" for i in range(20)))
    card = ModelCard.load(train(tmp_path / "few", "classification", path).path / "README.md")
    assert card.data.language is None
    assert "language of the training texts could not be determined" in card.text
