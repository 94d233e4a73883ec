"""Questions and the spans that answer them: SQuAD's JSON, JSON lines, and answers that are not where they should be."""

import json

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.config import DataConfig
from pipeline.data.examples import Answer
from pipeline.data.readers import findings
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


@pytest.fixture
def found():
    with findings.collecting() as collected:
        yield collected


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
        ({"answers": "Cleo"}, (Answer("Cleo", 22),)),
        ({"answers": {"text": ["Cleo"]}}, (Answer("Cleo", 22),)),
        ({"answers": {"text": "Ben", "answer_start": 14}}, (Answer("Ben", 14),)),
        ({"answers": {"text": [], "answer_start": []}}, ()),
        ({"answer": {"text": "Ben", "answer_start": 14}}, (Answer("Ben", 14),)),
        ({"answer": ["Cleo"]}, (Answer("Cleo", 22),)),
        ({"is_impossible": True}, ()),
    ],
)
def test_json_lines(tmp_path, line, answers):
    example = read_line(tmp_path, **line)
    assert example.answers == answers
    assert (example.id, example.where) == ("1", f"{tmp_path / 'a.jsonl'}:1")


def test_an_answer_with_a_wrong_start_is_moved(tmp_path, found):
    (example,) = read(tmp_path, json.dumps(squad(question(("Anna", 3), ("Cleo", -1)))))
    assert example.answers == (Answer("Anna", 0), Answer("Cleo", 22))
    [warning] = found.warnings
    assert "a.json: 2 answers are not at their answer_start" in warning


def test_the_first_of_several_occurrences_is_used_without_a_start(tmp_path, found):
    assert read_line(tmp_path, answer="Ben").answers == (Answer("Ben", 9),)
    [warning] = found.warnings
    assert "1 answers have no answer_start and occur several times in the context" in warning


@pytest.mark.parametrize(("unit", "start"), [("UTF-16 code units", 6), ("bytes of UTF-8", 11)])
def test_an_answer_start_in_other_units_is_converted(tmp_path, found, unit, start):
    context = "😀 é Ben, Ben"
    example = read_line(tmp_path, context=context, answers=[{"text": "Ben", "answer_start": start - (unit[0] == "U")}]
                        if unit[0] == "U" else [{"text": "Ben", "answer_start": len("😀 é ".encode())}])
    assert example.answers == (Answer("Ben", 4),)
    assert f"1 answers have an answer_start that counts {unit}" in found.warnings[0]


@pytest.mark.parametrize("layout", ["lines", "list", "data", "parquet", "squad"])
def test_a_file_without_the_key_of_answers_is_refused(tmp_path, layout):
    records = [{"id": f"q{i}", "question": "Who?", "context": CONTEXT, "answer_text": "Anna"} for i in range(2)]
    content = {"lines": "\n".join(map(json.dumps, records)), "list": json.dumps(records),
               "data": json.dumps({"data": records}), "squad": json.dumps(squad({"id": "q0", "question": "Who?"}))}
    name = {"lines": "a.jsonl", "parquet": "a.parquet"}.get(layout, "a.json")
    if layout == "parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(records), tmp_path / name)
    else:
        (tmp_path / name).write_text(content[layout])
    with pytest.raises(DataError, match="neither 'answers' nor 'answer' is among the keys") as raised:
        QuestionReader().read_file(tmp_path / name, DataConfig())
    assert layout == "squad" or "rename 'answer_text' to 'answer'" in str(raised.value)


def test_some_records_without_the_key_are_counted(tmp_path, found):
    lines = [{"question": "Who?", "context": CONTEXT, **more} for more in ({"answer": "Anna"}, {}, {"answers": []}, {})]
    examples = read(tmp_path, "\n".join(map(json.dumps, lines)), "a.jsonl")
    assert [example.gold for example in examples] == [["Anna"], [], [], []]
    [warning] = found.warnings
    assert "2 of 4 questions without answers are read as unanswerable" in warning and "a.jsonl:2: " in warning


def test_only_unanswerable_questions_are_read(tmp_path, found):
    assert read_line(tmp_path, answers=[]).answers == ()
    assert found.warnings == []


@given(layout=st.sampled_from(["lines", "list", "data", "parquet"]), starts=st.booleans())
def test_all_layouts_of_records_give_the_same(folder, layout, starts):
    answers = {"text": ["Anna"], **({"answer_start": [0]} if starts else {})}
    records = [{"id": "x", "question": "Who?", "context": CONTEXT, "answers": answers},
               {"id": "y", "question": "Where?", "context": CONTEXT, "answers": {"text": [], "answer_start": []}}]
    path = folder / {"lines": "l.jsonl", "parquet": "l.parquet"}.get(layout, "l.json")
    if layout == "parquet":
        pyarrow.parquet.write_table(pa.Table.from_pylist(records), path)
    else:
        path.write_text({"lines": "\n".join(map(json.dumps, records)), "list": json.dumps(records, indent=1),
                         "data": json.dumps({"version": 1, "data": records})}[layout])
    examples = QuestionReader().read_file(path, DataConfig())
    assert [(one.id, one.question, one.context, one.answers) for one in examples] == [
        ("x", "Who?", CONTEXT, (Answer("Anna", 0),)), ("y", "Where?", CONTEXT, ())]


def test_json_takes_precedence_over_formats_that_were_added_later(tmp_path):
    line = {"question": "Who?", "context": CONTEXT, "answer": "Anna"}
    for part in ("train", "test"):
        (tmp_path / f"{part}.jsonl").write_text(json.dumps(line))
    pyarrow.parquet.write_table(pa.Table.from_pylist([line | {"question": "no"}]), tmp_path / "train.parquet")
    splits = QuestionReader().read(DataConfig(path=str(tmp_path)), seed=1)
    assert splits.train[0].question == "Who?"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (squad(question(("Ben", 3))), r"a\.json:q1: question 'q1': the answer 'Ben' is not at answer_start"),
        (squad(question(("Dora", 3))), r"a\.json:q1: question 'q1': the answer 'Dora' is not in its"),
        (squad(question((" ", 4))), r"data\[0\]\.paragraphs\[0\]\.qas\[0\]\.answers\[0\]\.text: the text is blank"),
        (squad({"id": "q1"}), r"a\.json: not in SQuAD's format: data\[0\]\.paragraphs\[0\]\.qas\[0\]\.question: "),
        (squad(), r"a\.json: the file has no questions"),
        ([], r"a\.json: the file has no rows"),
        ({"version": "1.1"}, r"a\.json:1: not in SQuAD's format: question: Field required \(the keys are 'version'\)"),
    ],
)
def test_malformed_files_are_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, json.dumps(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"data": [', r"a\.jsonl:1: not JSON"),
        (b'{"question": "?", "context": "x", "answer": "x"}\n\n{"question": "?"}', r"a\.jsonl:3: .*context: Field req"),
        (b'{"question": "?", "context": "x", "answers": {"text": ["x"], "answer_start": []}}', "lists of equal length"),
        (b'{"question": "\0\xff"}', r"a\.jsonl:1: not text"),
        (b"\n", r"a\.jsonl: the file has no rows"),
    ],
)
def test_malformed_lines_are_named(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, content, "a.jsonl")


def test_lone_surrogates_are_replaced(tmp_path):
    example = read_line(tmp_path, context="\ud800 Ben", answers=[{"text": "Ben", "answer_start": 2}])
    assert (example.context, example.answers) == ("\ufffd Ben", (Answer("Ben", 2),))


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
