"""Explanations of real runs: complete, equal to captum's, and consistent with the predictions."""

import json

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients

from embeddings.tokenization.ngrams import tfidf
from pipeline import load_run, run
from pipeline.config import resolve
from pipeline.errors import DataError, PipelineError
from pipeline.explanation.explain import explain
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.ngrams.scores import as_tensors, hasher_of
from transformer.inspect.attribution import embedded_as
from transformer.kernels.engine import use

TEXT = "The courier lost my Package, and nobody xqztw helps."
INPUTS = {
    "support": (TEXT, ""),
    "plain": (TEXT, ""),
    "pairs": ("An old man is painting a wall.", "A man is not painting."),
    "hotels": ("Breakfast was disappointing, and the old town is five minutes on foot.", ""),
    "ratings": ("What a lovely dinner, the soup was great.", ""),
    "entities": ("On Monday Anna Schmidt flew from Paris to Berlin and met the director of Siemens there in the old "
                 "town.", ""),
    "questions": ("Where is the tower?", "The old man is in the garden. The tower is located in Paris, near the river. "
                                         "It was built in 1889 by Gustave Eiffel for a fair."),
}


@pytest.fixture(scope="module", params=INPUTS)
def explained(request, runs):
    """A run and the explanation of one text, with its second text."""
    trained = runs(request.param)
    text, context = INPUTS[request.param]
    return trained, explain(trained, text, context=context)


def test_contributions_sum_to_the_difference(explained):
    _, found = explained
    whole = found.completeness
    total = sum(token.contribution for token in found.tokens) + (found.ngrams.sum if found.ngrams else 0)
    assert total == pytest.approx(whole.sum, abs=1e-9)
    assert whole.difference == pytest.approx(whole.score - whole.baseline_score)
    assert whole.holds
    assert abs(whole.sum - whole.difference) <= 0.01 * abs(whole.difference)


def test_the_probability_is_that_of_the_prediction(explained):
    trained, found = explained
    (prediction,) = trained.predict([found.text], contexts=[found.context])
    odds = None if found.probability is None else np.log(found.probability / (1 - found.probability))
    if found.task == "regression":
        assert (found.probability, found.probabilities, found.label, found.unit) == (None, {}, "value", "value")
        assert found.value == pytest.approx(prediction["value"], abs=1e-5)
        assert found.value == pytest.approx(found.completeness.score, abs=1e-5)
        return
    assert found.probability == found.probabilities[found.label if found.label not in ("start", "end") else next(
        name for name, value in found.probabilities.items() if value == found.probability)]
    assert odds == pytest.approx(found.completeness.score, abs=1e-4)
    if found.task in ("classification", "multi-label"):
        assert found.probabilities == pytest.approx(prediction["probabilities"], abs=1e-5)
    if found.task == "classification":
        assert found.label == prediction["label"]
    if found.task == "tagging":
        at = prediction["words"].index(found.word)
        assert found.label == prediction["tags"][at]
    if found.task != "multi-label":
        assert sum(found.probabilities.values()) == pytest.approx(1)


def test_tokens_are_the_words_of_the_texts(explained):
    trained, found = explained
    texts = {"text": found.text, "context": found.context}
    for token in found.tokens:
        assert texts[token.part][token.start:token.end] == token.token
    if found.task not in ("tagging", "question-answering"):
        assert [token.token.lower() for token in found.tokens] == [
            word for text in texts.values() for word in trained.tokenizer.words(text)]
    words = [name for name in found.attention.tokens if name not in ("<s>", "</s>")]
    assert words == [token.token for token in found.tokens]


def test_attention_rows_sum_to_one(explained):
    trained, found = explained
    model = trained.setup.model
    maps = np.array(found.attention.layers)
    n = len(found.attention.tokens)
    assert maps.shape == (model.n_layers, model.n_heads, n, n)
    np.testing.assert_allclose(maps.sum(axis=-1), 1, atol=1e-4)


def test_words_without_a_word_are_predictions_for_the_changed_text(explained):
    trained, found = explained
    assert found.without_word
    for one in found.without_word[::4]:
        token = next(token for token in found.tokens if (token.part, token.start) == (one.part, one.start))
        for word, change in (("", one.probability_change), (one.replaced_by, one.replaced_change)):
            if word is None:
                assert change is None
                continue
            texts = {"text": found.text, "context": found.context}
            texts[one.part] = texts[one.part][:token.start] + word + texts[one.part][token.end:]
            (prediction,) = trained.predict([texts["text"]], contexts=[texts["context"]])
            if found.task == "regression":
                assert prediction["value"] - found.value == pytest.approx(change, abs=1e-5)
            elif "probabilities" in prediction:
                after = prediction["probabilities"][found.label]
                assert after - found.probability == pytest.approx(change, abs=1e-5)
                if not word and found.task == "classification":
                    assert prediction["label"] == one.label
            else:
                again = explain(trained, texts["text"], context=texts["context"], label=found.label,
                                word=found.word if found.task == "tagging" else None, neighbours=0)
                if again.word == found.word and again.attention.tokens[:1] == found.attention.tokens[:1]:
                    assert again.probability - found.probability == pytest.approx(change, abs=1e-4)


def test_the_json_has_the_documented_keys(explained):
    _, found = explained
    made = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert {"task", "text", "context", "label", "probability", "probabilities", "tokens", "completeness", "ngrams",
            "attention", "neighbours", "without_word"} <= made.keys()
    assert {"token", "start", "end", "contribution", "source"} <= made["tokens"][0].keys()
    assert {"sum", "difference", "relative_error"} <= made["completeness"].keys()
    assert made["ngrams"] is None or {"share", "contributions"} <= made["ngrams"].keys()
    assert made["attention"].keys() == {"tokens", "layers"}
    assert {"token", "probability_change"} <= made["without_word"][0].keys()
    for one in made["neighbours"]:
        assert {"text", "label", "similarity"} <= one.keys()


def features_of(trained, text, context):
    prepared = trained.prepare([trained.example(text, context)])
    feature = prepared.features[0]
    ids = torch.tensor(feature.ids[None].astype(np.int64))
    types = None if feature.token_types is None else torch.tensor(feature.token_types[None].astype(np.int64))
    return ids, types


@pytest.mark.parametrize("name", ["plain", "pairs"])
def test_equal_to_captum_on_a_run(name, runs):
    trained = runs(name)
    found = explain(trained, INPUTS[name][0], context=INPUTS[name][1], steps=64)
    ids, types = features_of(trained, *INPUTS[name])
    column = trained.setup.resolved.labels.index(found.label)

    def log_odds(ids, *types):
        logits = trained.model(ids, *types).log_softmax(dim=-1)
        return logits[:, column] - torch.log1p(-logits[:, column].exp())

    special = (ids == 2) | (ids == 3)
    with use("torch"):
        expected = LayerIntegratedGradients(log_odds, trained.model.encoder.embedding).attribute(
            ids, baselines=torch.where(special, ids, 1), n_steps=64,
            additional_forward_args=() if types is None else (types,)).sum(dim=-1)
    torch.testing.assert_close(torch.tensor([token.contribution for token in found.tokens]).float(),
                               expected[~special].detach().float(), rtol=0, atol=1e-4)


def test_equal_to_captum_on_a_run_with_an_n_gram_branch(runs):
    """The prediction of the run itself is integrated, with the logarithms of both models normalised."""
    trained = runs("support")
    model, setup = trained.model, trained.setup
    found = explain(trained, TEXT, steps=64)
    ids, _ = features_of(trained, TEXT, "")
    rows = tfidf(hasher_of(setup.config, setup.resolved.ngram_buckets).counts([TEXT]), model.ngrams.idf.numpy())
    columns, values, _ = as_tensors(rows, torch.device("cpu"))
    column = setup.resolved.labels.index(found.label)
    a, b = setup.resolved.ngram_weights

    def forward(embedded, values):
        with embedded_as(model.encoder.embedding, embedded):
            transformer = model(ids.expand(len(embedded), -1)).log_softmax(dim=-1)
        logits = values @ model.ngrams.weight[columns] + model.ngrams.bias
        fused = (a * transformer + b * logits.log_softmax(dim=-1)).softmax(dim=-1)[:, column]
        return fused.log() - torch.log1p(-fused)

    inputs = [model.encoder.embedding(one).detach() for one in (ids, torch.ones_like(ids))]
    with use("torch"):
        of_words, of_ngrams = IntegratedGradients(forward).attribute(
            (inputs[0], values[None]), baselines=(inputs[1], torch.zeros(1, len(values))), n_steps=64)
    torch.testing.assert_close(torch.tensor([token.contribution for token in found.tokens]).float(),
                               of_words.sum(dim=-1)[0].float(), rtol=0, atol=1e-4)
    assert found.ngrams.sum == pytest.approx(float(of_ngrams.sum()), abs=1e-4)
    listed = sum(one.contribution for one in found.ngrams.contributions)
    assert listed + found.ngrams.rest == pytest.approx(found.ngrams.sum)
    assert sum(token.from_ngrams for token in found.tokens) == pytest.approx(found.ngrams.sum)
    assert 0 <= found.ngrams.share <= 1


@pytest.mark.parametrize("name", ["support", "plain"])
def test_completeness_on_every_test_text(name, runs):
    trained = runs(name)
    splits = trained.task.reader.read(trained.config.data, seed=trained.config.seed)
    for example in splits.test:
        whole = explain(trained, example.text, neighbours=0).completeness
        assert abs(whole.sum - whole.difference) <= 0.01 * abs(whole.difference), example


@pytest.mark.datasets
@pytest.mark.slow
def test_completeness_on_trec6(datasets, tmp_path):
    run(resolve(None, [("data.path", str(datasets / "trec6")), ("source", "glove"), ("data.limit_train", 600),
                       ("training.epochs", 4), ("baselines", ["none"])]), tmp_path / "trec6")
    trained = load_run(tmp_path / "trec6")
    splits = trained.task.reader.read(trained.config.data, seed=trained.config.seed)
    for example in splits.test[:60]:
        whole = explain(trained, example.text, neighbours=0).completeness
        assert abs(whole.sum - whole.difference) <= 0.01 * abs(whole.difference), example


def test_every_label_can_be_explained(runs):
    trained = runs("plain")
    labels = trained.setup.resolved.labels
    scores = {label: explain(trained, TEXT, label=label, neighbours=0) for label in labels}
    assert sum(one.probability for one in scores.values()) == pytest.approx(1)
    assert [one.label for one in scores.values()] == list(labels)
    for one in scores.values():
        assert one.completeness.score == pytest.approx(np.log(one.probability / (1 - one.probability)), abs=1e-4)
    assert len({tuple(token.contribution > 0 for token in one.tokens) for one in scores.values()}) > 1


def test_where_vectors_are_from(runs):
    found = {token.token: token for token in explain(runs("support"), TEXT, neighbours=0).tokens}
    assert (found["courier"].source, found["courier"].in_training) == ("exact", True)
    assert (found["xqztw"].source, found["xqztw"].in_training) == ("missing", False)
    assert found["xqztw"].contribution == 0
    assert (found["lost"].source, found["lost"].in_training) == ("exact", False)
    assert found["lost"].contribution != 0


def test_a_given_number_of_steps_is_used_and_a_bad_sum_is_reported(runs):
    trained = runs("plain")
    found = explain(trained, TEXT, steps=3, neighbours=0)
    assert found.completeness.steps == 3
    texts = [TEXT, "refund", "The card was charged twice.", "My order never came.", "It broke after a day."]
    notes = [(one.completeness, one.notes) for one in (explain(trained, text, steps=1, neighbours=0) for text in texts)]
    assert any(not whole.holds for whole, _ in notes)
    for whole, of_text in notes:
        assert whole.holds != any("approximate" in note for note in of_text)


def test_an_explanation_does_not_change_predictions(runs):
    trained = runs("support")
    before = trained.predict([TEXT, "refund"])
    explain(trained, "The zipper of my jacket broke.")
    assert trained.predict([TEXT, "refund"]) == before


def test_an_explanation_is_repeatable_inside_inference_mode_and_with_other_engines(runs):
    trained = runs("support")
    expected = explain(trained, TEXT).to_json()
    with torch.inference_mode():
        assert explain(trained, TEXT).to_json() == expected
    assert explain(TrainedRun(**{**vars(trained), "precision": "bfloat16"}), TEXT).to_json() == expected


@pytest.mark.parametrize(("name", "options", "message"), [
    ("support", {"label": "delivry"}, r"no label is called 'delivry'. Did you mean 'delivery'\?"),
    ("support", {"word": "courier"}, "predicts for whole texts"),
    ("support", {"context": "x"}, "reads single texts"),
    ("support", {"steps": 0}, "number of steps must be"),
    ("support", {"neighbours": -1}, "0 or more"),
    ("support", {"train_data": "none/there"}, "none/there"),
    ("entities", {"word": "Pariss"}, r"no word 'Pariss'. Did you mean 'Paris'\?"),
    ("entities", {"word": "99"}, "numbers are 0 to"),
    ("questions", {"label": "middle", "context": "a b"}, "The model's labels are 'start', 'end'"),
])
def test_what_cannot_be_explained_is_refused(name, options, message, runs):
    with pytest.raises(PipelineError, match=message):
        explain(runs(name), "Anna lives in Paris.", **options)


@pytest.mark.parametrize("name", ["support", "entities"])
@pytest.mark.parametrize("text", ["", " \n"])
def test_a_text_without_a_word_is_refused(name, text, runs):
    with pytest.raises(DataError, match="has no word"):
        explain(runs(name), text)


def test_a_question_needs_words_in_its_context(runs):
    with pytest.raises(DataError):
        explain(runs("questions"), "Where?", context=" ")


@pytest.mark.parametrize("text", ["xqztw", "…", "İΣ ß", "\ud800 a", "a" * 3000, "package " * 600])
def test_extreme_texts(text, runs):
    found = explain(runs("support"), text)
    assert found.completeness.holds
    json.dumps(found.to_json(), allow_nan=False)
    if len(text) > 4000:
        assert any("data.max_length" in note for note in found.notes)
        assert len(found.attention.tokens) == 128
        assert len(found.without_word) == 64


def test_other_tasks_are_refused_by_name(support, tmp_path):
    data = support.parent / "stories"
    made = run(resolve(None, [("task", "language-model"), ("data.path", str(data)), ("source", "random"),
                              ("model.d_model", 16), ("model.d_ff", 16), ("training.epochs", 1)]), tmp_path / "run")
    with pytest.raises(PipelineError, match="the task language-model cannot be explained; those of classification"):
        explain(load_run(made.path), "Once upon a time")
