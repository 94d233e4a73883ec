"""Questions about a text whose answers are spans of it, as SQuAD has them (Rajpurkar et al. 2016; 2.0: 2018).

``.json`` is SQuAD 1.1 or 2.0: ``data``, in each ``paragraphs``, in each a ``context`` and ``qas``, in each ``id``,
``question`` and ``answers`` of ``text`` and ``answer_start``. ``.jsonl`` has a question a line: ``question``,
``context`` and ``answers`` (also as an object of two lists, or as plain texts) or one ``answer``; or there is none.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError, field_validator

from pipeline.config import DataConfig
from pipeline.data.examples import Answer, QuestionExample, Splits
from pipeline.data.readers.splits import Kind, read_parts
from pipeline.data.readers.tables import lines_of, read_text
from pipeline.errors import DataError

log = logging.getLogger("vecformer")

LINES = (".jsonl", ".ndjson")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is blank")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]


class _Answer(BaseModel):
    text: Text
    answer_start: int | None = None


class _Question(BaseModel):
    id: str | int = ""
    question: Text
    answers: list[_Answer] = []
    is_impossible: bool = False

    @field_validator("answers", mode="before")
    @classmethod
    def _of_any_form(cls, answers: Any) -> Any:
        if isinstance(answers, dict):
            texts, starts = answers.get("text"), answers.get("answer_start")
            if not (isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts)):
                raise ValueError("expected lists text and answer_start of the same length")
            return [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
        if isinstance(answers, list):
            return [{"text": answer} if isinstance(answer, str) else answer for answer in answers]
        return [] if answers is None else answers


class _Line(_Question):
    context: Text
    answer: str | None = None
    answer_start: int | None = None


class _Paragraph(BaseModel):
    context: Text
    qas: list[_Question]


class _Article(BaseModel):
    paragraphs: list[_Paragraph]


class _File(BaseModel):
    data: list[_Article]


M = TypeVar("M", bound=BaseModel)


def read_questions(config: DataConfig, *, seed: int) -> Splits[QuestionExample]:
    """Read and cut a data set: a folder with train/dev/test files, or one file; a context's questions stay together.

    Raises:
        DataError: if nothing is there or something in it is broken.
    """
    return read_parts(_KIND, config, seed=seed)


def read_question_file(path: Path, config: DataConfig) -> tuple[QuestionExample, ...]:
    """Read one file; an answer that is not where it is said to be, but at one other place, is taken with a warning.

    Raises:
        DataError: if the file is missing, broken or holds no question, or an answer does not stand in its context.
    """
    text = read_text(path)
    read = _Reader(path)
    examples = tuple(read.lines(text) if path.suffix.lower() in LINES else read.articles(text))
    if not examples:
        raise DataError(f"{path}: the file holds no questions")
    if read.n_moved:
        log.warning("%s: %d answers do not stand at their answer_start, but once elsewhere in the context: taken there",
                    path, read.n_moved)
    if read.n_several:
        log.warning("%s: %d answers have no answer_start and stand in the context several times: the first is taken",
                    path, read.n_several)
    return examples


class _Reader:
    """Reads a file, and counts what was put right in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_moved = self.n_several = 0

    def articles(self, text: str) -> Iterator[QuestionExample]:
        """The questions of SQuAD's JSON."""
        paragraphs = (p for article in _parse(_File, text, str(self.path)).data for p in article.paragraphs)
        pairs = ((question, paragraph.context) for paragraph in paragraphs for question in paragraph.qas)
        for number, (question, context) in enumerate(pairs, start=1):
            name = str(question.id) or str(number)
            yield self.example(name, question, context, question.answers, f"{self.path}:{name}")

    def lines(self, text: str) -> Iterator[QuestionExample]:
        """The questions of JSON lines."""
        for number, line in enumerate(lines_of(text), start=1):
            if line.strip():
                where = f"{self.path}:{number}"
                question = _parse(_Line, line, where)
                answers = question.answers
                if question.answer and question.answer.strip():
                    answers = [*answers, _Answer(text=question.answer, answer_start=question.answer_start)]
                yield self.example(str(question.id) or str(number), question, question.context, answers, where)

    def example(
        self, name: str, question: _Question, context: str, answers: Iterable[_Answer], where: str
    ) -> QuestionExample:
        """Put the answers to their places in the context."""
        placed = () if question.is_impossible else tuple(
            Answer(answer.text, self.find(answer.text, answer.answer_start, context, f"{where}: question {name!r}"))
            for answer in answers
        )
        return QuestionExample(name, question.question, context, placed, where)

    def find(self, text: str, start: int | None, context: str, whose: str) -> int:
        """The start of an answer: the given one if that is right, or the only other one."""
        if start is not None and start >= 0 and context.startswith(text, start):
            return start
        first = context.find(text)
        again = context.find(text, first + 1)
        if first < 0:
            raise DataError(f"{whose} has the answer {text!r}, which is not in its context; answers are copied from "
                            f"there letter by letter")
        if start is None:
            self.n_several += again >= 0
        elif again >= 0:
            raise DataError(f"{whose} has the answer {text!r}, which is not at answer_start {start} but at {first}, "
                            f"{again} and perhaps later; say which is meant")
        else:
            self.n_moved += 1
        return first


def _parse(model: type[M], text: str, where: str) -> M:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        message = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{where}: not SQuAD's layout: {place}{': ' if place else ''}{message}") from error


def _texts(examples: Iterable[QuestionExample]) -> list[str]:
    examples = list(examples)
    return [*dict.fromkeys(example.context for example in examples), *(example.question for example in examples)]


_KIND = Kind(suffixes=(".json", *LINES), read=read_question_file, texts=_texts)
