"""Inputs of the kinds that users reported, each with what it should give; the number is that of its folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib

import numpy as np
import pytest
from cases import (
    CASES,
    GIGABYTE,
    TINY,
    TOPICS,
    VECTORS,
    labelled,
    metrics,
    refused,
    resolved,
    vocabulary,
    words_of,
    works,
)
from safetensors.numpy import load_file
from scenarios import DATA, OUT


@pytest.mark.parametrize("n", [150, 300])
def test_01_many_labels_need_little_memory(n, vecformer, home):
    data = labelled(home / "labels.tsv", n)
    works(vecformer("run", "--data", data, "--set", "data.test_share=0.5", *TINY, memory=GIGABYTE, draws=True))
    assert len(resolved(home)["labels"]) == n
    assert (home / OUT / "report.html").stat().st_size < 5_000_000


@pytest.mark.slow
def test_02_ten_thousand_labels_within_three_gigabytes(vecformer, home):
    data = labelled(home / "labels.tsv", 10_000)
    works(vecformer("run", "--data", data, "--set", "data.test_share=0.5", *TINY, memory=3 * GIGABYTE, timeout=600,
                    draws=True))
    assert len(resolved(home)["labels"]) == 10_000


def test_03_paths_of_bytes_that_are_not_utf8(vecformer, home):
    data, vectors, out = (home / os.fsdecode(name) for name in (b"caf\xe9.tsv", b"vec\xe9.txt", b"out-caf\xe9"))
    shutil.copy(home / "ok.tsv", data)
    shutil.copy(VECTORS, vectors)
    works(vecformer("embed", "convert", vectors, "--to", "converted.safetensors"))
    for argv, made in ((("--data", data, *TINY), home / OUT), (("--data", "ok.tsv", *TINY[:-3], "--out", out), out)):
        works(vecformer("run", *argv, draws=True))
        assert (made / "report.html").is_file()
        assert tomllib.loads((made / "config.toml").read_text("utf-8"))["data"]["path"]
    refused(vecformer("run", "--resume", out), "already finished")


@pytest.mark.parametrize(("name", "tags"), [
    ("germeval-like.tsv", {"LOC", "ORG", "PER"}), ("numbered-conll03.conll", {"LOC", "PER"}),
    ("germeval-comment.tsv", {"LOC", "ORG", "PER"}),
])
def test_04_the_words_of_numbered_lines_are_in_the_second_column(name, tags, vecformer, home):
    works(vecformer("run", "--task", "tagging", "--data", name, *TINY))
    assert {"anna", "rome"} & vocabulary(home)
    assert not {"1", "2", "3"} & vocabulary(home)
    assert {label.rpartition("-")[2] for label in resolved(home)["labels"]} - {"O"} == tags


def test_06_a_byte_order_mark_in_a_vector_file_is_not_of_the_first_word(vecformer, home):
    content = VECTORS.read_bytes()
    for name, start in (("plain.txt", b""), ("bom.txt", b"\xef\xbb\xbf"), ("bom-header.vec", b"\xef\xbb\xbf312 10\n")):
        (home / name).write_bytes(start + content)
    found = []
    for name in ("plain.txt", "bom.txt", "bom-header.vec"):
        works(vecformer("run", "--data", DATA / "support", "--source", f"file:{name}", *TINY[2:]))
        found.append(metrics(home)["coverage"]["test_tokens"])
    assert len(set(found)) == 1
    plain, marked = (works(vecformer("embed", "neighbors", name, "the", "-n", 2)).stdout
                     for name in ("plain.txt", "bom.txt"))
    assert plain == marked
    assert "\ufeff" not in works(vecformer("embed", "info", "bom-header.vec")).stdout


def test_07_several_labels_in_a_cell_are_refused_with_advice_that_works(vecformer, home):
    refused(vecformer("run", "--data", "multi.jsonl", *TINY), "multi-label")
    works(vecformer("run", "--data", "multi.jsonl", "--task", "multi-label", *TINY))
    assert sorted(resolved(home)["labels"]) == ["billing", "delivery", "urgent"]


@pytest.mark.parametrize(("name", "labels"), [
    ("tokens.jsonl", TOPICS), ("bytes.parquet", TOPICS), ("decimal.parquet", None), ("doccano.jsonl", TOPICS),
])
def test_07_cells_that_are_not_strings(name, labels, vecformer, home):
    works(vecformer("run", "--data", name, *TINY))
    found = sorted(resolved(home)["labels"])
    assert found == labels if labels else all(re.fullmatch(r"\d+(\.\d+)?", label) for label in found)
    assert "parcel" in vocabulary(home)
    assert not {"[", '"'} & vocabulary(home)


@pytest.mark.parametrize("name", ["nan.jsonl", "nan.parquet"])
def test_08_nan_is_a_missing_label(name, vecformer, home):
    done = works(vecformer("run", "--data", name, *(word for word in TINY if word != "-q")))
    assert len(resolved(home)["labels"]) == 2
    assert "NaN" not in resolved(home)["labels"]
    assert re.search(r"\d+ [^,\n]*without a label", done.stdout + done.stderr)


def test_10_labels_under_another_key_are_counted(vecformer, home):
    done = vecformer("run", "--data", "case.jsonl", *(word for word in TINY if word != "-q"))
    if done.status:
        refused(done, "Label")
    else:
        assert re.search(r"\b8 [^,\n]*without a label|Label", done.stdout + done.stderr)


def test_10_the_first_row_may_be_without_a_label(vecformer, home):
    works(vecformer("run", "--data", "first-unlabelled.jsonl", "--label-column", "label", *TINY))
    works(vecformer("run", "--data", "first-unlabelled.jsonl", *TINY))
    assert sorted(resolved(home)["labels"]) == TOPICS


@pytest.mark.parametrize("name", ["c.csv", "c.jsonl"])
def test_11_a_corpus_that_is_a_table(name, vecformer, home):
    done = vecformer("embed", "train", name, "--to", "t.safetensors", "--source",
                     "word2vec,dim=4,min_count=1,epochs=1", "-q")
    if done.status:
        refused(done, name)
    else:
        words = words_of(home / "t.safetensors")
        assert "parcel" in words
        assert not {'"', "{", "}", ":", ",", "text", "label"} & set(words)


@pytest.mark.parametrize("name", ["c.csv", "c.jsonl"])
def test_11_a_table_of_texts_to_predict_for(name, vecformer, home):
    works(vecformer("run", "--data", "c.csv", *TINY))
    done = works(vecformer("predict", OUT, "--file", name, "--json"))
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["text"] for row in rows][:2] == ["the parcel never came", "where is my parcel"]
    assert len(rows) == 16


def test_12_rows_after_the_announced_ones_are_not_lost_in_silence(vecformer, home):
    done = vecformer("embed", "convert", "fewer.bin", "--to", "t.safetensors")
    if done.status:
        refused(done, "fewer.bin")
    elif len(words_of(home / "t.safetensors")) != 6:
        assert re.search("fewer.bin.*3", done.stderr), done.stderr
    else:
        assert words_of(home / "t.safetensors") == list("abcdef")


def test_12_a_word_with_a_space_does_not_shift_the_rows(vecformer, home):
    done = vecformer("embed", "convert", "phrase.bin", "--to", "t.safetensors")
    if done.status:
        refused(done, "phrase.bin")
    else:
        assert words_of(home / "t.safetensors") == ["a", "b", "new york", "d", "e", "f"]
        assert np.abs(load_file(home / "t.safetensors")["vectors"]).max() < 100


@pytest.mark.parametrize("name", ["v.vec.bz2", "v.vec.xz"])
def test_14_vectors_in_bz2_and_xz(name, vecformer, home):
    works(vecformer("embed", "info", name))


def test_14_a_corpus_in_bz2(vecformer, home):
    works(vecformer("embed", "train", "c.txt.bz2", "--to", "t.vec", "--source", "word2vec,dim=4,min_count=1"))


@pytest.mark.parametrize("name", ["semi.csv", "sep.csv"])
def test_15_semicolons(name, vecformer, home):
    done = works(vecformer("run", "--data", name, *(word for word in TINY if word != "-q")))
    assert sorted(resolved(home)["labels"]) == TOPICS
    assert re.search("semicolon|;", done.stdout + done.stderr)


@pytest.mark.parametrize(("name", "reason"), [
    ("unique.tsv", r"label.*(once|one example|single)|(once|one example|single).*label"),
    ("same.tsv", r"same|equal|identical|distinct|duplicate"),
])
def test_17_the_reason_why_there_is_no_test_set(name, reason, vecformer, home):
    done = refused(vecformer("run", "--data", name, *TINY), reason)
    assert "too few" not in done.stderr


def test_18_the_line_with_the_tab_is_named(vecformer, home):
    done = refused(vecformer("run", "--task", "tagging", "--data", "onetab.conll", *TINY), r"onetab\.conll:8\b")
    assert "onetab.conll:1:" not in done.stderr


@pytest.mark.parametrize("name", ["v,limit=5.txt", "x+word2vec"])
def test_19_existing_files_of_any_name(name, vecformer, home):
    shutil.copy(VECTORS, home / name)
    escaped = re.sub(r"([,+=])", r"\\\1", name)
    found = [vecformer("run", "--data", DATA / "support", "--source", f"file:{form}", *TINY[2:])
             for form in (name, f'"{name}"', f"'{name}'", escaped)]
    assert 0 in [done.status for done in found], [done.stderr for done in found]
    works(vecformer("embed", "info", name))


def test_21_no_warnings_of_libraries(vecformer, home):
    done = works(vecformer("run", "--data", "odd.csv", "--set", "data.test_share=0.5", *TINY))
    assert done.stderr == ""


def test_22_questions_without_the_answers_key(vecformer, home):
    done = vecformer("run", "--task", "question-answering", "--data", "d", *TINY)
    refused(done, r"test\.jsonl.*answers")


@pytest.mark.parametrize("name", ["list.json", "gz.csv.gz", "fasttext.txt", "saved", "shards", "names.parquet"])
def test_23_labelled_texts_of_other_formats(name, vecformer, home):
    works(vecformer("run", "--data", name, *TINY))
    assert sorted(resolved(home)["labels"]) == TOPICS
    assert "parcel" in vocabulary(home)


@pytest.mark.parametrize("name", ["tokens.jsonl", "pos.conll", "bmes.conll"])
def test_23_tagged_words_of_other_formats(name, vecformer, home):
    works(vecformer("run", "--task", "tagging", "--data", name, *TINY))
    assert {"anna", "rome"} <= vocabulary(home)
    labels = {label.rpartition("-")[2] for label in resolved(home)["labels"]}
    assert labels >= ({"NOUN", "X"} if name == "pos.conll" else {"LOC", "PER"})


@pytest.mark.parametrize("name", ["qa-list.json", "qa-data.json"])
def test_23_questions_of_other_formats(name, vecformer, home):
    works(vecformer("run", "--task", "question-answering", "--data", name, *TINY))
    assert {"bridge", "cafe", "river", "cave"} & vocabulary(home)


def test_23_translations_in_json_lines(vecformer, home):
    works(vecformer("run", "--task", "translation", "--data", "mt.jsonl", "--set", 'data.languages=["en","de"]', *TINY))


def test_the_settings_of_the_cases_are_valid(vecformer, home):
    works(vecformer("run", "--data", CASES / "03" / "ok.tsv", *TINY))
    assert tomllib.loads((home / OUT / "config.toml").read_text())["training"]["epochs"] == 1
