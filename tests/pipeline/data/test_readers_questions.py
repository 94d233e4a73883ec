"""Questions and the spans that answer them: SQuAD's JSON, JSON lines, and answers that are not where they should be."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import DataConfig
from pipeline.data.examples import Answer
from pipeline.data.readers.questions import QuestionReader
from pipeline.errors import DataError

CONTEXT = "Anna met Ben. Ben met Cleo."
LETTERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(str.strip)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("questions")


def squad(*questions, context=CONTEXT):
    return {"data": [{"title": "t", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


def question(*answers, **more):
    return {"id": "q1", "question": "Who?", "answers": [{"text": t, "answer_start": s} for t, s in answers], **more}


def read(folder, content, name="a.json"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return QuestionReader().read_file(path, DataConfig())


def read_line(folder, **line):
    return read(folder, json.dumps({"question": "Who?", "context": CONTEXT, **line}), "a.jsonl")[0]


def warnings(caplog):
    return [message for name, level, message in caplog.record_tuples if (name, level) == ("vecformer", logging.WARNING)]


@given(context=LETTERS, data=st.data(), ascii_only=st.booleans())
def test_any_span_of_any_context(folder, context, data, ascii_only):
    start = data.draw(st.integers(0, len(context) - 1))
    text = context[start : data.draw(st.integers(start + 1, len(context)))]
    if text.strip():
        content = json.dumps(squad(question((text, start)), context=context), ensure_ascii=ascii_only)
        (example,) = read(folder, content)
        assert example.context == context
        assert example.answers == (Answer(text, start),)


def test_version_1_and_version_2(tmp_path):
    impossible = {"id": "q2", "question": "When?", "answers": [], "is_impossible": True}
    content = squad(question(("Ben", 9), ("Anna", 0)), impossible, question(("Anna", 0), id="q3", is_impossible=True))
    examples = read(tmp_path, json.dumps(content))
    assert [example.gold for example in examples] == [["Ben", "Anna"], [], []]
    assert [example.id for example in examples] == ["q1", "q2", "q3"]
    assert examples[0].where == f"{tmp_path / 'a.json'}:q1"
    assert examples[0].key == CONTEXT


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ({"answers": {"text": ["Anna"], "answer_start": [0]}}, (Answer("Anna", 0),)),
        ({"answers": ["Cleo", "Anna"]}, (Answer("Cleo", 22), Answer("Anna", 0))),
        ({"answer": "Cleo"}, (Answer("Cleo", 22),)),
        ({"answer": "Ben", "answer_start": 14}, (Answer("Ben", 14),)),
        ({"answers": []}, ()),
        ({"answers": None, "answer": ""}, ()),
        ({}, ()),
    ],
)
def test_json_lines(tmp_path, line, answers):
    example = read_line(tmp_path, **line)
    assert example.answers == answers
    assert (example.id, example.where) == ("1", f"{tmp_path / 'a.jsonl'}:1")


def test_an_answer_with_a_wrong_start_is_moved(tmp_path, caplog):
    (example,) = read(tmp_path, json.dumps(squad(question(("Anna", 3), ("Cleo", -1)))))
    assert example.answers == (Answer("Anna", 0), Answer("Cleo", 22))
    assert len(warnings(caplog)) == 1
    assert "a.json: 2 answers are not at their answer_start" in warnings(caplog)[0]


def test_the_first_of_several_occurrences_is_used_without_a_start(tmp_path, caplog):
    assert read_line(tmp_path, answer="Ben").answers == (Answer("Ben", 9),)
    assert "1 answers have no answer_start and occur several times in the context" in warnings(caplog)[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (squad(question(("Ben", 3))), r"a\.json:q1: question 'q1': the answer 'Ben' is not at answer_start"),
        (squad(question(("Dora", 3))), r"a\.json:q1: question 'q1': the answer 'Dora' is not in its"),
        (squad(question((" ", 4))), r"data\[0\]\.paragraphs\[0\]\.qas\[0\]\.answers\[0\]\.text: the text is blank"),
        (squad({"id": "q1"}), r"a\.json: not in SQuAD's format: data\[0\]\.paragraphs\[0\]\.qas\[0\]\.question: "),
        (squad(), r"a\.json: the file has no questions"),
        ([], r"a\.json: not in SQuAD's format: "),
        ({"version": "1.1"}, r"a\.json: not in SQuAD's format: data: Field required"),
    ],
)
def test_malformed_files_are_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, json.dumps(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"data": [', r"a\.jsonl:1: not in SQuAD's format: Invalid JSON"),
        (b'{"question": "?", "context": "x", "answer": "x"}\n\n{"question": "?"}', r"a\.jsonl:3: .*context: Field req"),
        (b'{"question": "?", "context": "x", "answers": {"text": ["x"], "answer_start": []}}', "lists of equal length"),
        (b'{"question": "?", "context": "\\ud800"}', r"a\.jsonl:1: not in SQuAD's format: Invalid JSON"),
        (b'{"question": "\0\xff"}', r"a\.jsonl:1: not text"),
        (b"\n", r"a\.jsonl: the file has no questions"),
    ],
)
def test_malformed_lines_are_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, content, "a.jsonl")


def test_the_questions_of_a_context_stay_together(tmp_path):
    lines = [{"question": f"{i}?", "context": f"context {i // 4}", "answer": "context"} for i in range(400)]
    (tmp_path / "all.jsonl").write_text("\n".join(map(json.dumps, lines)))
    config = DataConfig(path=str(tmp_path / "all.jsonl"), limit_train=200, dev_share=0.25)
    splits = QuestionReader().read(config, seed=1)
    kept = [{example.context for example in part} for part in (splits.train, splits.dev, splits.test)]
    assert not kept[0] & kept[1] and not kept[1] & kept[2] and not kept[0] & kept[2]
    assert (len(splits.train) + len(splits.dev), len(splits.test)) == (200, 100)
    assert splits.dev
    assert sum(text.endswith("?") for text in splits.unlabelled) == 100
