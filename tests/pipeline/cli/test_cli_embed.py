"""``vecformer embed``: each command does what it says, and each mistake is one message that leaves nothing behind."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import rich_click as click
from click.testing import CliRunner

from embeddings import load_vectors
from embeddings.table import EmbeddingTable
from embeddings.table.oov_composers import NgramVectors
from embeddings.tokenization.tokenizer import WordTokenizer
from pipeline import RunConfig, run
from pipeline.cli.embed import COMMANDS, embed_command
from pipeline.cli.main import cli
from pipeline.commands.vectors import fine_tuned_vectors, open_vectors, summarize
from pipeline.data.examples import Example
from pipeline.errors import RunFolderError
from pipeline.runs.trained import load_run


def call(*args, **more):
    return CliRunner().invoke(cli, ["embed", *map(str, args)], **more)


def good(*args):
    result = call(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def vectors(support):
    return support / "vectors.txt"


@pytest.fixture(scope="module")
def finished(support, tmp_path_factory):
    """A run whose width is not the table's, with words that training did not meet."""
    folder = tmp_path_factory.mktemp("runs") / "support"
    run(RunConfig.from_mapping({
        "data": {"path": str(support)}, "source": f"glove:{support / 'vectors.txt'}",
        "embedding": {"scale": "unit"}, "training": {"epochs": 1}, "model": {"d_model": 16, "n_heads": 2},
    }), folder)
    return folder


def test_help_is_light():
    code = ("import sys; from pipeline.cli.main import cli; cli(['embed', '--help'], standalone_mode=False); "
            "print(*sys.modules)")
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "gensim", "numpy", "sklearn", "pydantic", "matplotlib"} & set(printed.splitlines()[-1].split())
    assert all(f" {name} " in printed for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help_and_an_example(name):
    command = embed_command.get_command(click.Context(embed_command), name)
    assert f"vecformer embed {name}" in command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"
    lines = [line.strip() for line in good(name, "--help").splitlines()]
    assert sum(line.startswith(f"vecformer embed {name}") for line in lines) >= 2


def test_a_wrong_command_is_told_the_right_one():
    result = call("neighbours")
    assert result.exit_code == 2
    assert "Did you mean 'neighbors'?" in result.output


def test_neighbors_of_a_file(vectors):
    table = load_vectors(vectors)
    unit = table.vectors / np.linalg.norm(table.vectors, axis=1, keepdims=True)
    nearest = [table.words[row] for row in np.argsort(-unit @ unit[table.index["is"]])[1:4]]
    answer = json.loads(good("neighbors", vectors, "is", "IS", "-n", 3, "--json"))
    assert [one["word"] for one in answer[0]["neighbors"]] == nearest
    assert answer[1]["asked"] == {"IS": "folded"}
    assert answer[1]["neighbors"] == answer[0]["neighbors"]
    shown = good("neighbors", vectors, "is", "IS", "-n", 3)
    assert f"{nearest[0]:<7}" in shown
    assert "IS: vector is folded" in shown


def test_analogy_reads_as_the_files_of_questions_do():
    answer = json.loads(good("analogy", "glove,limit=20000", "man", "king", "woman", "--json", "-n", 1))
    assert answer["neighbors"][0]["word"] == "queen"
    assert "man is to king as woman is to" in good("analogy", "glove,limit=20000", "man", "king", "woman")


def test_info(vectors):
    table = load_vectors(vectors)
    described = json.loads(good("info", vectors, "--json"))
    assert (described["n_words"], described["dim"]) == table.vectors.shape
    assert described["spread"] == pytest.approx(table.vectors.std(), rel=1e-5)
    assert described["norm"]["mean"] == pytest.approx(np.linalg.norm(table.vectors, axis=1).mean(), rel=1e-5)
    assert described["norm_of_mean"] == pytest.approx(np.linalg.norm(table.vectors.mean(axis=0)), rel=1e-5)
    assert described["provenance"] == {"exact": len(table)}
    assert described["ngrams"] is False
    centred = json.loads(good("info", vectors, "--json", "--transform", "center", "--transform", "unit"))
    assert centred["transforms"] == ["center", "unit"]
    assert centred["norm"]["greatest"] == pytest.approx(1, abs=1e-5)
    shown = good("info", vectors)
    assert "text" in shown
    assert f"{len(table):,}" in shown


def test_a_summary_of_nothing_is_plain_values():
    json.dumps(summarize(EmbeddingTable.known([], np.zeros((0, 3), np.float32), "nothing")), allow_nan=False)


def test_coverage(vectors, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("The the is is is xyzzy xyzzy isn't\n")
    measured = json.loads(good("coverage", vectors, "--text", text, "--no-lowercase", "--json"))
    table = load_vectors(vectors)
    counts = WordTokenizer(lowercase=False).count([text.read_text()])
    known = {word: count for word, count in counts.items() if word in table or word.lower() in table}
    assert measured["tokens"] == pytest.approx(sum(known.values()) / sum(counts.values()))
    assert measured["types"] == pytest.approx(len(known) / len(counts))
    assert measured["by_provenance"]["folded"] == 1
    assert measured["types_by_provenance"]["folded"] == 1
    assert measured["misses"][0] == ["xyzzy", 2]
    as_it_stands = json.loads(
        good("coverage", vectors, "--text", text, "--no-lowercase", "--json", "--unknown", "subword")
    )
    assert "folded" not in as_it_stands["by_provenance"]
    assert "most frequent words without a vector: xyzzy (2)" in good("coverage", vectors, "--text", text)


def test_evaluate(vectors, tmp_path):
    from gensim.models import KeyedVectors

    table = load_vectors(vectors)
    peer = KeyedVectors(table.dim)
    peer.add_vectors(list(table.words), table.vectors)
    words = [word for word in table.words if word.isalpha()][:9]
    pairs, questions = tmp_path / "pairs.tsv", tmp_path / "questions.txt"
    pairs.write_text("".join(f"{a}\t{b}\t{i * i % 7}\n" for i, (a, b) in enumerate(pairwise(words))))
    questions.write_text(f": one\n{' '.join(words[:4])}\n: two\n{' '.join(words[4:8])}\n{' '.join(words[1:4])} zzz\n")
    scores = json.loads(good("evaluate", vectors, "--similarity", pairs, "--analogies", questions, "--json"))
    spearman = peer.evaluate_word_pairs(str(pairs))[1].statistic
    assert scores["similarity"] == [
        {"set": "pairs.tsv", "pairs": 8, "found": 8, "spearman": pytest.approx(spearman, abs=1e-6)}
    ]
    assert scores["analogies"][0]["accuracy"] == peer.evaluate_word_analogies(str(questions))[0]
    assert [(one["questions"], one["found"]) for one in scores["analogies"][0]["sections"]] == [(1, 1), (2, 1)]
    shown = good("evaluate", vectors, "--similarity", tmp_path / "pairs.tsv", "--analogies", questions, "--sections")
    assert f"{spearman:.4f}" in shown
    assert "  two" in shown


def test_evaluate_without_files_takes_the_usual_ones():
    scores = json.loads(good("evaluate", "glove,limit=3000", "--json"))
    assert [one["set"] for one in scores["similarity"]] == ["wordsim353.tsv", "simlex999.txt"]
    assert scores["analogies"][0]["questions"] == 19_544


@pytest.mark.parametrize("ending", [".safetensors", ".txt", ".vec.gz", ".bin", ".npy"])
def test_convert_keeps_every_value(vectors, tmp_path, ending):
    target = tmp_path / f"copy{ending}"
    printed = good("convert", vectors, "--to", target, "--limit", 100)
    assert "100 words, dimension 10" in printed
    copy, table = open_vectors(str(target)), load_vectors(vectors)
    assert copy.words == table.words[:100]
    assert np.array_equal(copy.vectors, table.vectors[:100])
    assert call("convert", vectors, "--to", target).exit_code == 1
    assert "--overwrite" in call("convert", vectors, "--to", target).output
    good("convert", vectors, "--to", target, "--overwrite", "--transform", "pca:4")
    assert open_vectors(str(target)).dim == 4


def test_convert_writes_the_tuned_vectors_of_a_run(finished, tmp_path):
    good("convert", finished, "--to", tmp_path / "tuned.txt")
    tuned, trained = open_vectors(str(tmp_path / "tuned.txt")), load_run(finished)
    layer = trained.model.encoder.embedding
    words = trained.tokenizer.vocabulary()[5:]
    assert np.array_equal(tuned.lookup(words).vectors, layer.weight.detach().numpy()[5:])
    rest = [word for word in trained.table.words if word not in set(words)]
    assert rest
    trained.prepare([Example(" ".join(rest), "", "here")])  # the model looks up what it was not trained on
    assert np.array_equal(tuned.lookup(rest).vectors, layer.extension.numpy())
    assert float(layer.table_scale) != 1
    assert set(tuned.words) == {*words, *rest}


def test_tuned_vectors_compose_at_the_scale_of_the_run(finished):
    trained = load_run(finished)
    ngrams = NgramVectors(np.random.default_rng(1).standard_normal((30, trained.table.dim)).astype(np.float32), 3, 4)
    table = EmbeddingTable(trained.table.words, trained.table.vectors, trained.table.provenance, "x", composer=ngrams)
    tuned = fine_tuned_vectors(replace(trained, stage_one=replace(trained.stage_one, table=table)))
    scale = float(trained.model.encoder.embedding.table_scale)
    before, after = (composer.compose(["unheard"]).vectors for composer in (ngrams, tuned.composer))
    assert np.allclose(after, scale * before, rtol=1e-5)
    assert tuned.transforms[-1] == "fine-tuned"


def test_a_run_of_mixed_up_files_is_one_message(finished):
    trained = load_run(finished)
    alone = trained.tokenizer.with_vocabulary(["alone"])
    mixed = replace(trained, stage_one=replace(trained.stage_one, tokenizer=alone))
    with pytest.raises(RunFolderError, match="do not belong together"):
        fine_tuned_vectors(mixed)


def test_every_command_takes_a_run(finished, tmp_path):
    assert json.loads(good("info", finished, "--json"))["format"] == "fine-tuned vectors of a run"
    word = load_run(finished).tokenizer.vocabulary()[5]
    assert json.loads(good("neighbors", finished, word, "--json"))[0]["asked"] == {word: "exact"}
    (tmp_path / "text.txt").write_text(word)
    assert json.loads(good("coverage", finished, "--text", tmp_path / "text.txt", "--json"))["tokens"] == 1


@pytest.mark.parametrize("name", ["word2vec,dim=8,epochs=2", "fasttext,dim=8,epochs=2,buckets=100"])
def test_train_writes_vectors_that_are_its_own(support, tmp_path, name):
    corpus, to = support / "unlabelled.txt", tmp_path / "vectors.safetensors"
    printed = good("train", corpus, "--to", to, "--source", name, "--deterministic")
    table = open_vectors(str(to))
    assert f"{len(table):,} words, dimension 8" in printed
    assert f"vecformer embed neighbors {to}" in printed
    again = tmp_path / "again.safetensors"
    good("train", corpus, "--to", again, "--source", name, "--deterministic")
    assert np.array_equal(open_vectors(str(again)).vectors, table.vectors)
    refused = call("train", corpus, "--to", to, "--source", name)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.output


def test_train_cuts_text_as_it_is_told(tmp_path):
    (tmp_path / "text.txt").write_text("Café 12 Café 34\n" * 5, encoding="utf-8")
    options = ["--source", "word2vec,dim=2,epochs=1", "--no-lowercase", "--strip-accents", "--fold-digits"]
    good("train", tmp_path / "text.txt", "--to", tmp_path / "v.txt", *options)
    assert set(open_vectors(str(tmp_path / "v.txt")).words) == {"Cafe", "00"}


def test_map_writes_a_page_and_a_picture(vectors, tmp_path):
    printed = good("map", vectors, "--out", tmp_path / "words", "--top", 40, "--method", "pca")
    page, picture = (tmp_path / "words.html").read_text(encoding="utf-8"), (tmp_path / "words.png").read_bytes()
    assert printed.split() == ["wrote", str(tmp_path / "words.html"), "wrote", str(tmp_path / "words.png")]
    assert picture.startswith(b"\x89PNG")
    assert "http" not in page.replace("http-equiv", "")  # nothing comes from elsewhere
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    assert len(data["words"]) == len(data["points"]) == len(data["neighbors"]) == 40
    assert all(len(near) == 8 and word not in dict(near)
               for word, near in zip(data["words"], data["neighbors"], strict=True))
    again = tmp_path / "again.png"
    good("map", vectors, "--out", again, "--top", 40, "--method", "pca")
    assert again.read_bytes() == picture


def test_map_draws_chosen_words_and_says_which_have_no_vector(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("</script><b> 1 2\n$a_{ 3 1\n東京 1 -1\nمدينة 0 1\nnew york 2 2\n", encoding="utf-8")
    chosen = tmp_path / "words.txt"
    chosen.write_text("</script><b>\n$a_{\n東京\nمدينة\nnew york\nnone\n", encoding="utf-8")
    result = call("map", path, "--out", tmp_path / "map", "--words-file", chosen, "--method", "pca")
    assert result.exit_code == 0, result.output
    assert "no vector for: none" in result.stderr
    page = (tmp_path / "map.html").read_text(encoding="utf-8")
    assert page.count("</script>") == 2  # the data's and the program's
    assert json.loads(page.partition('id="data">')[2].partition("</script>")[0])["words"][0] == "</script><b>"


MISTAKES = {
    "no such name": (["info", "vectrs.txt"],
                     "'vectrs.txt': no such vector file, run folder or source. Did you mean 'vectors.txt'?", 1),
    "no such source": (["info", "glvoe"], "Did you mean 'glove'?", 1),
    "no such option": (["info", "word2vec,dims=3"], "Did you mean 'dim'?", 2),
    "a folder": (["info", "folder"], "a folder, but not of a run", 1),
    "an unfinished run": (["info", "unfinished"], "not a finished run", 1),
    "a broken file": (["info", "broken.txt"], "broken.txt:2", 1),
    "nothing to learn from": (["info", "word2vec"], "--corpus", 1),
    "no such word": (["neighbors", "vectors.txt", "aple"], "Did you mean 'apple'?", 1),
    "no such transform": (["info", "vectors.txt", "--transform", "centre"], "Did you mean 'center'?", 2),
    "too wide a transform": (["info", "vectors.txt", "--transform", "pca:9"], "9", 1),
    "no such policy": (["neighbors", "vectors.txt", "apple", "--unknown", "cases"], "Did you mean 'case'?", 2),
    "no such text": (["coverage", "vectors.txt", "--text", "none.txt"], "none.txt", 1),
    "no words": (["coverage", "vectors.txt", "--text", "blank.txt"], "blank.txt", 1),
    "no such set": (["evaluate", "vectors.txt", "--similarity", "none.tsv"], "none.tsv: no such file", 1),
    "a broken set": (["evaluate", "vectors.txt", "--similarity", "broken.txt"], "broken.txt:2: expected 'word1", 1),
    "no such ending": (["convert", "vectors.txt", "--to", "out.xyz"], ".xyz", 1),
    "no such folder": (["convert", "vectors.txt", "--to", "none/out.txt"], "mkdir -p none", 1),
    "a folder to write": (["convert", "vectors.txt", "--to", "folder"], "a folder", 1),
    "what the format cannot hold": (["convert", "phrases.txt", "--to", "out.bin"], "new york", 1),
    "no such picture": (["map", "vectors.txt", "--out", "out.gif"], ".html or .png", 1),
    "too few words": (["map", "vectors.txt", "--out", "out.png", "--words", "apple,none"], "at least 3 words", 1),
    "words twice": (
        ["map", "vectors.txt", "--out", "out.png", "--words", "a", "--words-file", "b"], "cannot be combined", 1),
    "not a learner": (["train", "vectors.txt", "--to", "out.txt", "--source", "glove"], "word2vec", 2),
    "no such corpus": (["train", "none.txt", "--to", "out.txt"], "none.txt", 1),
    "rare words": (["train", "folder/text.txt", "--to", "out.txt", "--source", "word2vec,min_count=9"], "min_count", 1),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vectors.txt").write_text("apple 1 2\npear 2 1\nplum 0 1\n")
    (tmp_path / "phrases.txt").write_text("new york 1 2\npear 2 1\nplum 0 1\nfig 1 1\n")
    (tmp_path / "broken.txt").write_text("apple 1 2\npear 2\n")
    (tmp_path / "blank.txt").write_text("\n \n")
    for folder in ("folder", "unfinished"):
        (tmp_path / folder).mkdir()
    (tmp_path / "folder" / "text.txt").write_text("some words stand here\n")
    (tmp_path / "unfinished" / "config.toml").write_text("")
    before = sorted(tmp_path.rglob("*"))
    args, message, code = MISTAKES[mistake]
    result = call(*args)
    assert (result.exit_code, sorted(tmp_path.rglob("*"))) == (code, before), result.output
    assert message in result.output
    assert "Traceback" not in result.output


def test_coverage_and_corpus_read_the_named_columns_of_a_table(tmp_path):
    path, vectors = tmp_path / "Anfragen.csv", tmp_path / "v.txt"
    path.write_bytes("Betreff;Nachricht\nHallo;Wo ist das Paket für mich\n".encode("cp1252"))
    vectors.write_text("paket 1 2\nfür 3 4\n", encoding="utf-8")
    text = ("--text-column", "Nachricht")
    assert json.loads(good("coverage", vectors, "--text", path, *text, "--json"))["n_tokens"] == 6
    assert "choose one with --text-column NAME" in call("coverage", vectors, "--text", path).output
    source = "word2vec,dim=4,min_count=1"
    assert json.loads(good("info", source, "--corpus", path, *text, "--separator", ";", "--json"))["n_words"] == 6
