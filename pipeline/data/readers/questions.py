"""Questions whose answers are spans of a context, in the format of SQuAD (Rajpurkar et al. 2016; 2.0: 2018).

``.json`` is SQuAD 1.1 or 2.0: a list ``data`` of articles with ``paragraphs``, each with a ``context`` and ``qas``,
each of which has ``id``, ``question`` and ``answers`` with ``text`` and ``answer_start``. ``.jsonl`` has one question
per line: ``question``, ``context`` and ``answers`` (a list of objects or texts, or an object of two lists) or a single
``answer``; both are absent for unanswerable questions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError, field_validator

from embeddings.tokenization.tokenizer import Text
from pipeline.config import DataConfig
from pipeline.data.examples import Answer, QuestionExample
from pipeline.data.readers.base import Reader
from pipeline.data.readers.tables import lines_of, read_text
from pipeline.errors import DataError

log = logging.getLogger("vecformer")

LINES = (".jsonl", ".ndjson")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is blank")
    return text


NonBlank = Annotated[str, AfterValidator(_not_blank)]


class _Answer(BaseModel):
    text: NonBlank
    answer_start: int | None = None


class _Question(BaseModel):
    id: str | int = ""
    question: NonBlank
    answers: list[_Answer] = []
    is_impossible: bool = False

    @field_validator("answers", mode="before")
    @classmethod
    def _normalize(cls, answers: Any) -> Any:
        if isinstance(answers, dict):
            texts, starts = answers.get("text"), answers.get("answer_start")
            if not (isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts)):
                raise ValueError("text and answer_start must be lists of equal length")
            return [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
        if isinstance(answers, list):
            return [{"text": answer} if isinstance(answer, str) else answer for answer in answers]
        return [] if answers is None else answers


class _Line(_Question):
    context: NonBlank
    answer: str | None = None
    answer_start: int | None = None


class _Paragraph(BaseModel):
    context: NonBlank
    qas: list[_Question]


class _Article(BaseModel):
    paragraphs: list[_Paragraph]


class _Squad(BaseModel):
    data: list[_Article]


M = TypeVar("M", bound=BaseModel)


class QuestionReader(Reader[QuestionExample]):
    """Read SQuAD's JSON or JSON lines; the questions of one context stay on one side of a split."""

    def suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return ``.json`` and the suffixes of JSON lines."""
        return (".json", *LINES)

    def read_file(self, path: Path, config: DataConfig) -> tuple[QuestionExample, ...]:
        """Read one file.

        An answer that is not at its ``answer_start`` but occurs once elsewhere in the context is moved there with a
        warning.

        Raises:
            DataError: if the file is missing, malformed or has no question, or an answer is not in its context.
        """
        text = read_text(path)
        file = _File(path)
        examples = tuple(file.lines(text) if path.suffix.lower() in LINES else file.articles(text))
        if not examples:
            raise DataError(f"{path}: the file has no questions")
        if file.n_moved:
            log.warning("%s: %d answers are not at their answer_start but occur once elsewhere in the context; the "
                        "other position is used", path, file.n_moved)
        if file.n_ambiguous:
            log.warning("%s: %d answers have no answer_start and occur several times in the context; the first "
                        "occurrence is used", path, file.n_ambiguous)
        return examples

    def example(self, text: str, context: str) -> QuestionExample:
        """Make a question about a context.

        Raises:
            DataError: if there is no context.
        """
        if not context.strip():
            raise DataError(f"{text!r}: a question needs a context; add it with --context TEXT")
        return QuestionExample("", text, context, (), "the given question")

    def texts(self, examples: Sequence[QuestionExample]) -> list[Text]:
        """Return each context once, then the questions."""
        return [*dict.fromkeys(example.context for example in examples), *(example.question for example in examples)]


class _File:
    """Convert one file to examples, and count the corrections made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_moved = self.n_ambiguous = 0

    def articles(self, text: str) -> Iterator[QuestionExample]:
        """Yield the questions of SQuAD's JSON."""
        paragraphs = (p for article in _parse(_Squad, text, str(self.path)).data for p in article.paragraphs)
        pairs = ((question, paragraph.context) for paragraph in paragraphs for question in paragraph.qas)
        for number, (question, context) in enumerate(pairs, start=1):
            name = str(question.id) or str(number)
            yield self.example(name, question, context, question.answers, f"{self.path}:{name}")

    def lines(self, text: str) -> Iterator[QuestionExample]:
        """Yield the questions of JSON lines."""
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
        """Make an example; find the position of each answer in the context."""
        located = () if question.is_impossible else tuple(
            Answer(answer.text, self.find(answer.text, answer.answer_start, context, f"{where}: question {name!r}"))
            for answer in answers
        )
        return QuestionExample(name, question.question, context, located, where)

    def find(self, text: str, start: int | None, context: str, whose: str) -> int:
        """Return the start of an answer: the given one if it is correct, otherwise the only occurrence."""
        if start is not None and start >= 0 and context.startswith(text, start):
            return start
        first = context.find(text)
        again = context.find(text, first + 1)
        if first < 0:
            raise DataError(f"{whose}: the answer {text!r} is not in its context; an answer must be an exact copy of a "
                            "span of the context")
        if start is None:
            self.n_ambiguous += again >= 0
        elif again >= 0:
            raise DataError(f"{whose}: the answer {text!r} is not at answer_start {start} but occurs at {first}, "
                            f"{again} and possibly later; correct its answer_start")
        else:
            self.n_moved += 1
        return first


def _parse(model: type[M], text: str, where: str) -> M:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        position = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        message = first["msg"].removeprefix("Value error, ")
        raise DataError(f"{where}: not in SQuAD's format: {position}{': ' if position else ''}{message}") from error
