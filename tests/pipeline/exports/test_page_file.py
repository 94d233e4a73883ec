"""The page as a file: what is in it, what is left out, and what is refused."""

import json
import re
import zlib
from base64 import b64decode

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline import RunConfig, load_run, run
from pipeline.cli.main import cli
from pipeline.commands.export import export
from pipeline.errors import ExportError
from pipeline.exports import page as module
from pipeline.exports.base import ExportOptions
from pipeline.exports.browser import agreement as comparison
from pipeline.exports.browser.agreement import agreement, page_predictions
from pipeline.exports.browser.characters import CLASSES, FILE, decoded, encoded
from pipeline.exports.browser.ngram_data import NgramData
from pipeline.exports.browser.page_data import as_json, page_data
from pipeline.exports.browser.quantized import Quantized, gaps, packed
from pipeline.exports.page import MAX_CHARACTERS, SCRIPTS, Page
from tests.pipeline.exports.browser.small_runs import SUPPORT, random_classifier

TINY = {"recipe": "plain", "source": "random", "baselines": "none", "training": {"epochs": 1},
        "model": {"d_model": 8, "n_heads": 2, "d_ff": 8, "n_layers": 1}}
FLOATS = st.floats(-1e4, 1e4, width=32)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A classifier with an n-gram branch."""
    return random_classifier(tmp_path_factory.mktemp("run"), ngrams=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a finished run."""
    path = tmp_path_factory.mktemp("runs") / "support"
    run(RunConfig.from_mapping({**TINY, "data": {"path": str(SUPPORT)}, "ngrams": {"enabled": True}}), path)
    return path


def write(trained, path, **options):
    return Page().write(trained, path, ExportOptions(**options), lambda what, share: None, origin="runs/name")


def blocks(path):
    """The JSON and the arrays of a page."""
    content = path.read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="model">(.*?)</script>', content)[1])
    text = re.search(r'<script type="text/plain" id="weights">(.*?)</script>', content)[1]
    content = zlib.decompress(b64decode(text))
    return data, {one["name"]: np.frombuffer(content, one["type"], int(np.prod(one["shape"])), one["at"]).reshape(
        one["shape"]) for one in data["arrays"]}


def test_the_command_writes_one_file(folder, tmp_path):
    target = tmp_path / "model.html"
    done = CliRunner().invoke(cli, ["export", str(folder), "--to", "page", "--out", str(target)])
    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.iterdir()] == ["model.html"]
    assert re.search(r"compared with the run: the same label as the run for 2[34] of 24 test texts", done.output)
    data, found = blocks(target)
    assert data["labels"] == list(load_run(folder).setup.resolved.labels)
    assert found["embedding"].shape == (5 + len(data["words"]), 8)
    matrices = [array for name, array in found.items() if name.startswith("model.") and array.ndim == 2]
    assert {matrix.dtype.name for matrix in matrices} == {"int8"}


def test_an_existing_file_is_left_alone(folder, tmp_path):
    target = tmp_path / "model.html"
    target.write_text("mine")
    with pytest.raises(ExportError, match="already exists"):
        export(folder, target, to="page")
    assert target.read_text() == "mine"


def test_nothing_is_written_if_the_disk_is_full(trained, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(OSError, match="No space"):
        write(trained, tmp_path / "model.html")
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_differs_too_much_is_not_written(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "agreement", lambda *given: comparison.Agreement(10, 8, 0.3, held_out=True))
    with pytest.raises(ExportError, match=r"8 of 10 test texts.*nothing was written"):
        write(trained, tmp_path / "model.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("changes", "message"), [
    ({"task": "regression", "data": {"path": "ratings"}}, "'regression'"),
    ({"data": {"path": "pairs"}}, "pairs of texts"),
    ({"data": {"path": "support"}, "model": {**TINY["model"], "d_embedding": 6}}, r"model\.d_embedding=6: a page"),
])
def test_runs_without_an_equivalent_are_refused_by_name(changes, message, tmp_path):
    data = {"data": {"path": str(SUPPORT.parent / changes["data"]["path"])}}
    run(RunConfig.from_mapping({**TINY, **changes, **data}), tmp_path / "run")
    with pytest.raises(ExportError, match=message):
        export(tmp_path / "run", tmp_path / "model.html", to="page")
    assert not (tmp_path / "model.html").exists()


@pytest.mark.parametrize(("target", "options", "message"), [
    ("model", {}, r"model\.html"), ("model.html", {"without_ngrams": True}, "without.ngrams"),
])
def test_unsuitable_options_are_refused(folder, tmp_path, target, options, message):
    with pytest.raises(ExportError, match=message):
        export(folder, tmp_path / target, to="page", **options)
    assert list(tmp_path.iterdir()) == []


def test_words_that_training_did_not_have(trained, tmp_path):
    made = write(trained, tmp_path / "all.html")
    n_trained = len(trained.tokenizer) - 5
    assert (made.data.n_trained, len(made.data.words) > n_trained) == (n_trained, True)
    assert {"zebra", "quokka", "über"} <= set(made.data.words)
    assert write(trained, tmp_path / "two.html", words=2).data.words == made.data.words[:n_trained + 2]
    assert len(write(trained, tmp_path / "none.html", words=0).data.words) == n_trained


def size(data):
    return len(packed(data.arrays()).text) + len(as_json(list(data.words)))


@pytest.mark.parametrize(("share", "rarest", "ngrams"), [(0.85, False, False), (0.7, True, True), (0.5, True, True)])
def test_a_small_room_leaves_out_words_and_weights(trained, share, rarest, ngrams):
    whole = page_data(trained, 1000, 10**7)
    room = int(share * size(whole))
    data = page_data(trained, 1000, room)
    assert 0.7 * room < size(data) <= 1.04 * room  # parts are compressed separately and together
    assert whole.words[:len(data.words)] == data.words
    assert len(data.words) < len(whole.words)
    assert (data.n_trained < whole.n_trained) == rarest
    assert (len(data.ngrams.kept) < len(whole.ngrams.kept)) == ngrams


def test_large_layers_have_a_larger_room(trained):
    data = page_data(trained, 0, 100)
    assert data.n_trained > 10
    assert size(data) > 1000


def test_the_weights_of_the_page_are_close_to_those_of_the_run(trained):
    examples = trained.task.reader.read(trained.config.data, seed=1).test
    data = page_data(trained, 1000, MAX_CHARACTERS)
    for of_run, of_page in zip(trained.predict_for(examples), page_predictions(trained, data, examples), strict=True):
        assert of_page["probabilities"] == pytest.approx(of_run["probabilities"], abs=0.03)
        assert of_page["ngrams"] == pytest.approx(of_run["ngrams"], abs=0.05)


def test_agreement_counts_labels(trained, monkeypatch):
    data = page_data(trained, 0, MAX_CHARACTERS)
    found = agreement(trained, data)
    assert found.held_out
    assert found.n == 24
    expected = trained.predict_for(trained.task.reader.read(trained.config.data, seed=1).test)
    wrong = [{"label": "none", "probabilities": {}} for _ in expected[:6]]
    monkeypatch.setattr(comparison, "page_predictions", lambda *given: [*wrong, *expected[6:]])
    found = agreement(trained, data)
    assert found.n_equal == 18
    assert found.difference == pytest.approx(sum(
        one["probabilities"][one["label"]] for one in expected[:6]) / 24)


def test_a_run_whose_data_are_gone_is_compared_on_random_words(trained, monkeypatch):
    monkeypatch.setattr(comparison, "_test_examples", lambda trained: [])
    found = agreement(trained, page_data(trained, 10, MAX_CHARACTERS))
    assert (found.held_out, found.n) == (False, comparison.N_TEXTS)
    assert found.n_equal > 0.9 * found.n


@given(matrix=arrays.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=FLOATS))
def test_a_quantised_row_differs_by_half_a_step(matrix):
    quantised = Quantized.of(matrix)
    step = np.abs(matrix).max(axis=1, keepdims=True) / 127
    assert (np.abs(quantised.matrix() - matrix) <= 0.501 * step + 1e-30).all()


@given(numbers=st.sets(st.integers(0, 2**24), max_size=20))
def test_gaps_are_numbers_of_seven_bits(numbers):
    ordered, values, shift, value = sorted(numbers), [], 0, 0
    for byte in gaps(np.array(ordered, dtype=np.int64)).tolist():
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append(value)
            shift = value = 0
    assert np.cumsum(values).tolist() == ordered


def test_weights_of_ngrams_are_left_out_by_importance(trained):
    branch = trained.model.ngrams
    importance = np.abs(branch.weight.numpy()).max(axis=1) * branch.idf.numpy()
    half = NgramData.of(branch, 0.5)
    assert importance[half.kept].min() >= importance[half.others].max()
    assert sorted([*half.kept, *half.others]) == np.flatnonzero(branch.idf.numpy()).tolist()


@given(labels=st.lists(st.text()))
def test_json_in_html_has_no_markup(labels):
    text = as_json(labels)
    assert json.loads(text) == labels
    assert text.isascii()
    assert not set("<>&") & set(text)


def test_scripts_end_where_they_should():
    for name in (*SCRIPTS, "page.css"):
        content = (module.FOLDER / name).read_text(encoding="utf-8")
        assert not re.search(r"</(?:script|style)|<!--|<script", content), name
        assert "innerHTML" not in content, name


def classes():
    """The classes of the file, encoded."""
    return dict(re.findall(r'^  (\w+): "(.*)",$', FILE.read_text(encoding="utf-8"), re.MULTILINE))


@given(characters=st.sets(st.characters()).filter(bool))
def test_classes_of_characters_are_decoded(characters):
    assert set(decoded(encoded(characters))) == characters


def test_classes_of_characters_are_those_of_the_library_and_of_python():
    """On the first 20,000 characters and on random ones; every character is compared by the slow test."""
    random = np.random.default_rng(0)
    codes = {*range(20_000), *random.integers(0x110000, size=10_000).tolist()} - {*range(0xD800, 0xE000)}
    characters = [chr(code) for code in sorted(codes)]
    assert classes().keys() == CLASSES.keys()
    for name, select in CLASSES.items():
        found = set(decoded(classes()[name]))
        assert select(characters) & set(characters) == found & set(characters) or name == "combining", name


@pytest.mark.slow
def test_the_file_of_classes_is_current():
    from pipeline.exports.browser.characters import content

    assert FILE.read_text(encoding="utf-8") == content()
