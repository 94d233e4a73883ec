import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOBES, Entities
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from torch import nn

from embeddings import EmbeddingTable, WordTokenizer
from embeddings.special_tokens import N_SPECIAL
from embeddings.tokenization.interface import Span
from pipeline import RunConfig, load_run, run
from pipeline.cli.main import cli
from pipeline.data.examples import Splits, TaggedExample
from pipeline.data.features.batching import IGNORED
from pipeline.data.readers.tagged import without_brackets
from pipeline.errors import ConfigError, DataError
from pipeline.measures.tagging import repair, word_measures
from pipeline.tasks import base
from pipeline.tasks.base import Prepared, Tokenizers
from pipeline.tasks.tagging import (
    CAPITALISED,
    DIGITS,
    LOWER,
    MIXED,
    OTHER,
    UPPER,
    entities,
    shape_of,
    windows,
)
from pipeline.word_vectors import StageOne

TASK = base.find("tagging")
SAMPLE = Path(__file__).parents[3] / "data" / "entities"
LABELS = ("O", "B-person", "I-person", "B-place", "I-place")
WORDS = ["anna", "smith", "lives", "in", "new", "york", ".", "zoë"]
TOKENIZERS = Tokenizers(WordTokenizer().with_vocabulary(WORDS), N_SPECIAL + len(WORDS))
TAG_OF = dict(zip(WORDS, ["B-person", "I-person", "O", "O", "B-place", "I-place", "O", "B-person"], strict=True))
TAGS = st.lists(st.sampled_from(LABELS), max_size=12)
BERT = {"like": "bert", "positions": "learned"}
GOOD = TaggedExample(("Anna", "Smith", "lives", "in", "New", "York"),
                     ("B-person", "I-person", "O", "O", "B-place", "I-place"), "file:1")


class Dictionary(nn.Module):
    """Knows the tag of each word; unknown ones are none, and special ones would be persons."""

    def __init__(self):
        super().__init__()
        known = [LABELS.index(TAG_OF[word]) for word in WORDS]
        self.weight = nn.Parameter(4.0 * torch.eye(len(LABELS))[[1, 0, 1, 1, 1, *known]])

    def forward(self, ids, token_types):
        return self.weight[ids]


def config(labels=LABELS, **sections):
    data = {"labels": list(labels), **sections.pop("data", {})}
    return base.setup_from(RunConfig.from_mapping({"task": "tagging", "data": data, **sections}))


def sentence(tags, where="file:1"):
    return TaggedExample(tuple(f"w{i}" for i in range(len(tags))), tuple(tags), where)


def splits(train, dev=(), test=()):
    return Splits("made", tuple(train), tuple(dev), tuple(test), ())


def encode(example, chosen):
    return TASK.encode([example], TOKENIZERS, chosen)


def predict(examples, chosen):
    prepared = Prepared(examples, TASK.encode(examples, TOKENIZERS, chosen), TOKENIZERS)
    return TASK.predict(Dictionary(), prepared, chosen)


def write(path, sentences):
    path.write_text("\n".join("".join(f"{word}\t{tag}\n" for word, tag in zip(s.words, s.tags, strict=True))
                              for s in sentences))
    return path


@pytest.mark.parametrize(("word", "shape"), [
    ("paris", LOWER), ("@user", LOWER), ("5th", LOWER), ("Paris", CAPITALISED), ("A", CAPITALISED), ("É", CAPITALISED),
    ("I'm", CAPITALISED), ("NATO", UPPER), ("U.S.", UPPER), ("iPhone", MIXED), ("McDonald", MIXED), ("#Paris", MIXED),
    ("1984", DIGITS), ("3,5", DIGITS), ("!", OTHER), ("北京", OTHER), ("", OTHER)])
def test_the_shape_of_a_word(word, shape):
    assert shape_of(word) == shape


@given(st.text(max_size=6))
def test_only_case_gives_a_word_a_cased_shape(word):
    assert (shape_of(word) in (DIGITS, OTHER)) == (word.lower() == word and not word.islower())


@given(st.integers(0, 60), st.integers(1, 20), st.integers(0, 20))
def test_every_word_is_tagged_once_and_with_context(n_words, room, overlap):
    cut = windows(n_words, room=room, overlap=overlap)
    assert [i for part in cut for i in range(part.first, part.last)] == list(range(n_words))
    around = min(overlap, room // 2) // 2
    for part in cut:
        assert 0 <= part.start <= part.first <= part.last <= part.end <= n_words
        assert part.end - part.start <= room
        assert part.start == 0 or part.first - part.start >= around
        assert part.end == n_words or part.end - part.last >= around
    assert len(cut) == 1 or n_words > room


@given(TAGS)
def test_entities_are_those_of_seqeval(tags):
    tags = repair(tags)
    places = [Span("", 10 * i, 10 * i + 1) for i in range(len(tags))]
    assert list(entities(tags, places)) == [(name, 10 * a, 10 * b + 1) for name, a, b in get_entities(tags)]


@pytest.mark.parametrize(("scheme", "letters"), [(IOBES, "SBIE"), (BILOU, "UBIL")])
@given(drawn=st.lists(st.tuples(st.sampled_from(["", "person", "place"]), st.integers(1, 3)), min_size=1, max_size=6))
def test_every_scheme_is_read_as_the_same_entities(tmp_path_factory, scheme, letters, drawn):
    one, begin, inside, end = letters
    written, meant = [], []
    for name, n in drawn:
        prefixes = [one] if n == 1 else [begin, *inside * (n - 2), end]
        written += [f"{prefix}-{name}" for prefix in prefixes] if name else ["O"] * n
        meant += [f"B-{name}", *[f"I-{name}"] * (n - 1)] if name else ["O"] * n
    path = write(tmp_path_factory.getbasetemp() / "scheme.conll", [sentence(written)])
    [read] = TASK.reader.read_examples(path, RunConfig().data)
    assert read.tags == tuple(meant)
    theirs = Entities([written], scheme=scheme).entities[0]
    assert [(e.tag, e.start, e.end - 1) for e in theirs] == get_entities(list(read.tags))


def test_iob1_is_converted_to_iob2(tmp_path):
    for part in ("train", "dev", "test"):
        path = write(tmp_path / f"{part}.conll", [sentence(["I-a", "I-a", "B-a", "O", "I-b", "I-a"])])
    read = TASK.reader.read(config(data={"path": str(tmp_path)}).data, seed=1)
    assert [one.tags for one in (*read.train, *read.dev, *read.test)] == [("B-a", "I-a", "B-a", "O", "B-b", "B-a")] * 3
    assert TASK.reader.read_examples(path, RunConfig().data) == read.test


def test_tags_come_from_training_or_the_configuration():
    made = TASK.resolve(RunConfig(), splits([sentence(["O", "B-b"]), sentence(["B-a"])]))
    assert made.labels == ("O", "B-a", "I-a", "B-b", "I-b")
    given = config(["B-a", "O"])
    assert TASK.resolve(given.config, splits([sentence(["O", "B-a"])])).labels == ("B-a", "O")


@pytest.mark.parametrize(("model", "token_types"), [({}, 6), (BERT, 0)])
def test_shapes_are_token_types_unless_the_architecture_has_none(model, token_types):
    narrow = RunConfig.from_mapping({"model": {"token_types": 2, **model}})
    assert TASK.resolve(narrow, splits([GOOD])).token_types == token_types


def test_labels_must_be_tags():
    with pytest.raises(ConfigError, match=r"""data\.labels: 'a', 'S-a': not a tag of IOB2.*=\["O", "B-a", "I-a"\]'"""):
        TASK.resolve(config(["O", "a", "S-a"]).config, splits([sentence(["B-a"])]))


def test_without_an_entity_there_is_nothing_to_learn():
    with pytest.raises(DataError, match="no training sentence has an entity"):
        TASK.resolve(RunConfig(), splits([sentence(["O", "O"])]))


def test_unknown_types_are_named_with_the_first_location_and_a_remedy():
    strange = [sentence(["O"], "file:1"), sentence(["B-b", "I-b"], "file:3"), sentence(["B-c"], "file:6")]
    known = [sentence(["B-a"])]
    message = r"file:3: entity types .*'b' \(2 words\), 'c' \(1 words\); its tags are O, B-a, I-a\. .*--set '(.*)'"
    for made in (splits(known, dev=strange), splits(known, test=strange)):
        with pytest.raises(DataError, match=message) as raised:
            TASK.resolve(RunConfig(), made)
    key, value = str(raised.value).split("--set '")[1].rstrip("'").split("=")
    resolved = TASK.resolve(RunConfig.from_mapping({"data": {key.removeprefix("data."): json.loads(value)}}),
                            splits(known, test=strange))
    assert resolved.labels == ("O", "B-a", "I-a", "B-b", "I-b", "B-c", "I-c")
    with pytest.raises(DataError, match=message):
        TASK.measure(strange, [{"tags": list(s.tags)} for s in strange], config(["O", "B-a", "I-a"]))


def test_words_of_a_file_are_not_split():
    example = TaggedExample(("New-York's", "<unk>", "</s>", "<3"), ("B-place", "O", "O", "O"), "file:1")
    [texts] = TASK.reader.texts([example])
    assert texts == ("New-York's", "unk", "s", "<3")
    tokenizer = WordTokenizer()
    tokenizer = tokenizer.with_vocabulary(tokenizer.count([texts]))
    assert tokenizer.vocabulary()[N_SPECIAL:] == ("new-york's", "unk", "s", "<3")
    [feature] = TASK.encode([example], Tokenizers(tokenizer, len(tokenizer)), config())
    assert feature.ids.tolist() == [5, 6, 7, 8]
    assert predict([example], config())[0]["words"] == ["New-York's", "<unk>", "</s>", "<3"]


@given(st.sampled_from(["<pad>", "<PAD>", "<unk>", "<s>", "</s>", "<mask>"]), st.text(max_size=2))
def test_no_word_of_a_file_is_a_special_token(name, more):
    ids = WordTokenizer().encode([without_brackets([name])])
    assert ids[0].tolist() == [1]  # unknown, to a tokenizer without words
    assert without_brackets([more + name]) == ((more + name,) if more else without_brackets([name]))


def test_a_feature_has_words_shapes_and_tags():
    [feature] = encode(GOOD, config(model={"token_types": 6}))
    assert [TOKENIZERS.source.vocabulary()[i] for i in feature.ids] == ["anna", "smith", "lives", "in", "new", "york"]
    assert feature.token_types.tolist() == [CAPITALISED, CAPITALISED, LOWER, LOWER, CAPITALISED, CAPITALISED]
    assert [LABELS[i] for i in feature.target] == list(GOOD.tags)
    assert (feature.n_targets, feature.where, feature.target.dtype) == (6, "file:1", np.int64)


def test_special_tokens_of_bert_have_no_tag():
    [feature] = encode(GOOD, config(model=BERT))
    assert feature.ids[[0, -1]].tolist() == [2, 3]
    assert feature.target[[0, -1]].tolist() == [IGNORED, IGNORED]
    assert (feature.n_targets, feature.token_types) == (6, None)
    assert predict([GOOD], config(model=BERT))[0]["tags"] == list(GOOD.tags)


@pytest.mark.parametrize("model", [{}, BERT], ids=["plain", "bert"])
@settings(max_examples=40)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=40), st.integers(4, 9), st.integers(0, 9))
def test_long_sentences_get_a_tag_for_every_word(model, words, longest, overlap):
    example = TaggedExample(tuple(words), tuple(repair([TAG_OF[word] for word in words])), "file:1")
    chosen = config(data={"max_length": longest, "stride": overlap}, model=model)
    features = encode(example, chosen)
    assert max(map(len, features)) <= longest
    assert sum(feature.n_targets for feature in features) == len(words)
    assert [LABELS[i] for f in features for i in f.target if i != IGNORED] == list(example.tags)
    assert predict([example], chosen)[0]["tags"] == list(example.tags)


def test_a_batch_is_padded_and_counts_its_tokens():
    features = TASK.encode([GOOD, TaggedExample(("Zoë",), ("B-person",), "file:9")], TOKENIZERS,
                           config(model={"token_types": 6}))
    batch = TASK.batch(features, config(), np.random.default_rng(0))
    assert batch.ids.shape == batch.token_types.shape == batch.targets.shape == (2, 6)
    assert batch.targets[1].tolist() == [1, *[IGNORED] * 5]
    assert (batch.n_tokens, batch.n_targets, batch.where) == (7, 7, ("file:1", "file:9"))


def test_the_loss_is_the_mean_over_the_tagged_words():
    batch = TASK.batch(TASK.encode([GOOD, sentence(["B-place"])], TOKENIZERS, config(model=BERT)), config(),
                       np.random.default_rng(0))
    model = Dictionary()
    logs = model(batch.ids, None).log_softmax(dim=-1)
    by_hand = [-logs[row, 1 + i, LABELS.index(tag)].item()
               for row, tags in enumerate([GOOD.tags, ["B-place"]]) for i, tag in enumerate(tags)]
    assert batch.n_targets == len(by_hand) == 7
    assert TASK.loss(model, batch).item() == pytest.approx(np.mean(by_hand))


@pytest.mark.parametrize(("text", "found"), [
    ("Anna Smith lives in New York.", [("person", "Anna Smith"), ("place", "New York")]),
    ("  in  NEW\tYork,Zoë.", [("place", "NEW\tYork"), ("person", "Zoë")]),
    ("Zoe\u0308 in new york", [("person", "Zoe\u0308"), ("place", "new york")]),
    ("𝕏 Anna", [("person", "Anna")]), ("in.", []), ("", []), (" \n", [])])
def test_entities_of_raw_text_have_their_positions(text, found):
    example = TASK.reader.example(text, "")
    [prediction] = predict([example], config())
    assert [(entity["type"], entity["text"]) for entity in prediction["entities"]] == found
    assert all(text[e["start"] : e["end"]] == e["text"] for e in prediction["entities"])
    assert len(prediction["tags"]) == len(prediction["words"])
    assert all(word in text for word in prediction["words"])
    json.dumps(prediction)


def test_entities_of_a_file_are_spans_of_its_joined_words():
    [prediction] = predict([GOOD], config())
    assert prediction == {
        "tags": list(GOOD.tags), "words": list(GOOD.words),
        "entities": [{"type": "person", "text": "Anna Smith", "start": 0, "end": 10},
                     {"type": "place", "text": "New York", "start": 20, "end": 28}]}
    assert TASK.show(GOOD, prediction) == "Anna/B-person Smith/I-person lives in New/B-place York/I-place"


def test_predicted_tags_are_valid_iob2():
    [prediction] = predict([TASK.reader.example("Smith. York Smith", "")], config())
    assert prediction["tags"] == ["B-person", "O", "B-place", "B-person"]


def test_measures_are_of_entities_and_those_after_an_epoch_are_numbers():
    wrong = {"tags": ["B-person", "I-person", "O", "O", "B-place", "O"]}
    measures = TASK.measure([GOOD], [wrong], config())
    assert (measures["f1"], measures["accuracy"]) == (0.5, pytest.approx(5 / 6))
    assert measures["by_type"]["person"]["f1"] == 1.0
    prepared = Prepared([GOOD], encode(GOOD, config()), TOKENIZERS)
    developed = TASK.develop(Dictionary(), prepared, config())
    assert developed == {"f1": 1.0, "precision": 1.0, "recall": 1.0, "accuracy": 1.0, "n": 1}
    assert TASK.score({**developed, "accuracy": 0.9}) < TASK.score(developed)


def test_baselines_are_measured_on_the_test_set():
    train = [GOOD, TaggedExample(("in", "Rome", "."), ("O", "B-place", "O"), "")] * 3
    test = [TaggedExample(("Anna", "lives", "in", "Rome"), ("B-person", "O", "O", "B-place"), "")]
    table = EmbeddingTable.known(["in"], np.ones((1, 2), np.float32), "here")
    measures = TASK.baselines(splits(train, test=test), config(), StageOne(WordTokenizer(), table))
    assert list(measures) == ["commonest-tag", "window+logreg"]
    assert measures["commonest-tag"] == {"f1": 1.0, "precision": 1.0, "recall": 1.0, "accuracy": 1.0, "n": 1}


def test_the_report_shows_each_type():
    plots = TASK.plots([GOOD], predict([GOOD], config()), config())
    assert list(plots) == ["Entity types"]
    assert "person (1)" in plots["Entity types"]
    assert TASK.plots([sentence(["O"])], [{"tags": ["O"]}], config()) == {}


EIGHT = [TaggedExample((*first, verb, *last), (*(f"{p}-person" for p in "BI"[: len(first)]), "O",
                                               *(f"{p}-place" for p in "BI"[: len(last)])), "")
         for first, last in ((("Anna", "York"), ("Rome",)), (("Rome",), ("New", "York")))
         for verb in ("left", "saw", "likes", "fled")]


@pytest.mark.parametrize(("model", "longest"), [({}, 512), ({"convolutions": [3]}, 512), (BERT, 512), ({}, 3)],
                         ids=["plain", "convolutions", "bert", "in parts"])
def test_eight_sentences_are_learned_by_heart(tmp_path, model, longest):
    for part in ("train", "test"):
        write(tmp_path / f"{part}.conll", EIGHT)
    chosen = config((), data={"path": str(tmp_path), "max_length": longest}, source="random,dim=16",
                      model={"d_model": 32, "n_heads": 2, "d_ff": 32, "dropout": 0.0, **model},
                      training={"epochs": 40, "batch_size": 8, "lr": 1e-2, "ema": 0.0})
    measures = run(chosen.config, tmp_path / "run").metrics["test"]
    assert (measures["f1"], measures["accuracy"], measures["n"]) == (1.0, 1.0, 8)


def test_the_sample_is_learned_from_the_command_line(tmp_path):
    def command(*arguments):
        result = CliRunner().invoke(cli, list(map(str, arguments)), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    folder = tmp_path / "run"
    printed = command("run", "--data", SAMPLE, "--task", "tagging", "--source", "glove", "--out", folder, "-q")
    assert "n = 50 sentences" in printed
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test"]["f1"] > 0.9
    assert metrics["test"]["f1"] > max(of["f1"] for of in metrics["baselines"].values())
    assert set(metrics["test"]["by_type"]) == {"organisation", "person", "place"}
    assert "f1" in command("evaluate", folder, "--data", SAMPLE / "test.conll", "-q")
    shown = command("predict", folder, "Yesterday Clara Miller flew to Rome.", "-q")
    assert shown == "Yesterday Clara/B-person Miller/I-person flew to Rome/B-place .\n"
    told = json.loads(command("predict", folder, "Clara lives in Rome.", "--json", "-q"))
    assert told["entities"] == [{"type": "person", "text": "Clara", "start": 0, "end": 5},
                                {"type": "place", "text": "Rome", "start": 15, "end": 19}]


def test_names_that_differ_in_case_only_are_distinguished(tmp_path):
    rows = [TaggedExample((first, verb, second), ("B-name", "O", "O"), "")
            for verb in ("saw", "met", "bit", "fed") for first, second in (("Rose", "rose"), ("May", "may"))]
    rows += [TaggedExample((one.words[2], one.words[1], one.words[0]), ("O", "O", "B-name"), "") for one in rows]
    for part in ("train", "test"):
        write(tmp_path / f"{part}.conll", rows)
    made = run(config((), data={"path": str(tmp_path)}, source="random,dim=16", training={"epochs": 20, "lr": 5e-3},
                      model={"d_model": 32, "n_heads": 2, "d_ff": 32, "dropout": 0.0}).config, tmp_path / "run")
    assert made.metrics["test"]["f1"] == 1.0
    assert [e["start"] for e in load_run(made.path).predict(["rose saw Rose"])[0]["entities"]] == [9]


@pytest.mark.datasets
def test_names_in_posts_are_found(datasets, tmp_path):
    chosen = config((), data={"path": str(datasets / "wnut17_ner")}, training={"epochs": 3})
    made = run(chosen.config, tmp_path / "run").metrics
    assert (made["dev"]["n"], made["test"]["n"], made["test"]["n_entities"]) == (1009, 1287, 1079)
    assert made["test"]["f1"] > 0.15
    assert made["test"]["f1"] > max(of["f1"] for of in made["baselines"].values())


POS = [TaggedExample(("Anna", "lives", "here"), ("N", "V", "A"), "file:1"), TaggedExample(("Run",), ("V",), "file:5")]


def test_plain_tags_are_kept_and_measured_by_word():
    labels = TASK.resolve(RunConfig(), splits(POS)).labels
    assert labels == ("A", "N", "V")
    chosen = config(labels)
    measures = TASK.measure(POS, [{"tags": ["N", "V", "V"]}, {"tags": ["V"]}], chosen)
    assert {measures[name] for name in ("f1", "precision", "recall", "accuracy")} == {0.75}
    by_type = measures["by_type"]
    assert (measures["n"], by_type["V"]["precision"], by_type["A"]["n_entities"]) == (2, 2 / 3, 1)
    assert TASK.in_words(POS[0].tags, {"tags": ["N", "V", "V"], "words": list(POS[0].words)}) == ("N V A", "N V V")
    message = r"file:9: tags that are not among the model's: 'X' \(2 words\); its tags are A, N, V"
    with pytest.raises(DataError, match=message):
        TASK.measure([sentence(["X", "X"], "file:9")], [{"tags": ["V", "V"]}], chosen)


def test_one_plain_tag_is_nothing_to_learn():
    with pytest.raises(DataError, match=r"all words have the tag 'N', so there is nothing to learn; .*--tag-column"):
        TASK.resolve(RunConfig(), splits([sentence(["N", "N"])]))


@given(st.lists(st.lists(st.tuples(*[st.sampled_from(["O", "N", "V", "B-x"])] * 2), min_size=1), min_size=1))
def test_measures_of_plain_tags_are_those_of_sklearn(sentences):
    gold, predicted = ([[pair[side] for pair in one] for one in sentences] for side in (0, 1))
    flat = [[tag for one in tags for tag in one] for tags in (gold, predicted)]
    names = sorted({*flat[0], *flat[1]} - {"O"})
    measures = word_measures(gold, predicted)
    if names:
        expected = precision_recall_fscore_support(*flat, labels=names, average="micro", zero_division=0)
        assert [measures[name] for name in ("precision", "recall", "f1")] == pytest.approx(expected[:3])
    each = precision_recall_fscore_support(*flat, labels=names, average=None, zero_division=0) if names else [[]] * 4
    assert [list(of) for of in zip(*each, strict=True)] == [
        [pytest.approx(measures["by_type"][name][key]) for key in ("precision", "recall", "f1", "n_entities")]
        for name in names]
    assert measures["accuracy"] == pytest.approx(accuracy_score(*flat))


def test_a_run_on_parts_of_speech(tmp_path):
    words = {"the": "D", "a": "D", "dog": "N", "cat": "N", "sees": "V", "hears": "V"}
    lines = [[(str(i), word, words[word]) for i, word in enumerate((d, n, v, "a", m), 1)]
             for d in ("the", "a") for n in ("dog", "cat") for v in ("sees", "hears") for m in ("dog", "cat")] * 3
    path = tmp_path / "pos.conllu"
    path.write_text("\n\n".join("\n".join("\t".join(cells) for cells in one) for one in lines))
    made = run(config((), data={"path": str(path)}, source="random,dim=16", training={"epochs": 15, "lr": 5e-3},
                      model={"d_model": 16, "n_heads": 2, "n_layers": 1, "d_ff": 32}).config, tmp_path / "run")
    assert made.metrics["test"]["accuracy"] == made.metrics["test"]["f1"] > 0.9
    assert set(made.metrics["baselines"]) == {"commonest-tag", "window+logreg"}
    [prediction] = load_run(made.path).predict(["the cat sees a dog"])
    assert (prediction["tags"], prediction["entities"]) == (["D", "N", "V", "D", "N"], [])
    assert CliRunner().invoke(cli, ["evaluate", str(made.path), "--data", str(path)]).exit_code == 0
