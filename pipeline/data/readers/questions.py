"""Questions whose answers are spans of a context, in the format of SQuAD (Rajpurkar et al. 2016; 2.0: 2018).

``.json`` is SQuAD 1.1 or 2.0: a list ``data`` of articles with ``paragraphs``, each with a ``context`` and ``qas``,
each of which has ``id``, ``question`` and ``answers`` with ``text`` and ``answer_start``. Tables (JSON lines, a JSON
list, a list under ``data``, Parquet) have one question per row: ``question``, ``context`` and ``answers`` (a list of
objects or texts, or an object of two lists) or a single ``answer``; an empty list for unanswerable questions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError, field_validator

from embeddings.table.arguments import either
from embeddings.table.paths import written
from embeddings.tokenization.interface import Text
from pipeline.data.config import DataConfig
from pipeline.data.examples import Answer, QuestionExample
from pipeline.data.readers import findings
from pipeline.data.readers.base import Reader
from pipeline.data.readers.cells import well_formed
from pipeline.data.readers.rows import Row, listed
from pipeline.data.readers.tables import compressed_suffixes, known_suffixes, read_rows
from pipeline.errors import DataError

MOVED = "answers are not at their answer_start but occur once elsewhere in the context; the other position is used"
AMBIGUOUS = "answers have no answer_start and occur several times in the context; the first occurrence is used"
CONVERTED = "answers have an answer_start that counts {}, not characters; it is converted"
UNITS = {"UTF-16 code units": "utf-16-le", "bytes of UTF-8": "utf-8"}
UNIT_BYTES = {"utf-16-le": 2, "utf-8": 1}


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is blank")
    return well_formed(text)


NonBlank = Annotated[str, AfterValidator(_not_blank)]


class _Answer(BaseModel):
    text: NonBlank
    answer_start: int | None = None


class _Question(BaseModel):
    id: str | int | None = None
    question: NonBlank
    answers: list[_Answer] = []
    is_impossible: bool | None = False

    @field_validator("answers", mode="before")
    @classmethod
    def _normalize(cls, answers: Any) -> Any:
        return _as_list(answers)


class _Record(_Question):
    context: NonBlank
    answer: list[_Answer] = []

    @field_validator("answer", mode="before")
    @classmethod
    def _normalize_answer(cls, answer: Any) -> Any:
        return _as_list(answer)


class _Paragraph(BaseModel):
    context: NonBlank
    qas: list[_Question]


class _Article(BaseModel):
    paragraphs: list[_Paragraph]


M = TypeVar("M", bound=BaseModel)


class QuestionReader(Reader[QuestionExample]):
    """Read SQuAD's JSON or tables; the questions of one context stay on one side of a split."""

    def suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return the suffixes of tables, which include ``.json``."""
        return (*known_suffixes(), *compressed_suffixes())

    def earlier_suffixes(self, config: DataConfig) -> tuple[str, ...]:
        """Return ``.json`` and the suffixes of JSON lines."""
        return (".json", ".jsonl", ".ndjson")

    def read_file(self, path: Path, config: DataConfig) -> tuple[QuestionExample, ...]:
        """Read one file.

        An answer that is not at its ``answer_start`` is moved if that counts UTF-16 code units or bytes, or if it
        occurs once elsewhere in the context. This is reported, as are questions without the key ``answers``.

        Raises:
            DataError: if the file is missing, malformed or has no question, an answer is not in its context, or no
                question has the key ``answers`` or ``answer``.
        """
        table = read_rows(path, config)
        file = _File(path)
        examples = tuple(file.articles(table) if "paragraphs" in table[0].places else file.records(table))
        if not examples:
            raise DataError(f"{path}: the file has no questions")
        file.report()
        return examples

    def example(self, text: str, context: str) -> QuestionExample:
        """Make a question about a context.

        Raises:
            DataError: if there is no context.
        """
        if not context.strip():
            raise DataError(f"{text!r}: a question needs a context; add it with "
                            f"{either('--context TEXT', 'contexts=[TEXT, ...]')}")
        return QuestionExample("", text, context, (), "the given question")

    def texts(self, examples: Sequence[QuestionExample]) -> list[Text]:
        """Return each context once, then the questions."""
        return [*dict.fromkeys(example.context for example in examples), *(example.question for example in examples)]


class _File:
    """Convert one file to examples, and count the corrections made and the questions without the key of the answers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.corrected: Counter[str] = Counter()
        self.n_with_key = self.n_without_key = 0
        self.without_key = ""  # a message about the first of them

    def articles(self, rows: Iterable[Row]) -> Iterator[QuestionExample]:
        """Yield the questions of SQuAD's articles."""
        number = 0
        for i, row in enumerate(rows):
            for paragraph in _parse(_Article, row.cells, str(self.path), f"data[{i}].").paragraphs:
                for question in paragraph.qas:
                    number += 1
                    name = _name(question.id, number)
                    where = f"{written(self.path)}:{name}"
                    keys = question.model_fields_set
                    self.count("answers" in keys or bool(question.is_impossible), where, sorted(keys), "")
                    yield self.example(name, question, paragraph.context, question.answers, where)

    def records(self, rows: Iterable[Row]) -> Iterator[QuestionExample]:
        """Yield the questions of the rows of a table."""
        for row in rows:
            values = row.cells
            if isinstance(values.get("answer"), str) and values["answer"].strip():
                values = {**values, "answer": {"text": values["answer"], "answer_start": values.get("answer_start")}}
            question = _parse(_Record, values, row.where)
            has_key = not {"answers", "answer"}.isdisjoint(values) or bool(question.is_impossible)
            self.count(has_key, row.where, list(values), "" if has_key else _copy_of_context(values))
            answers = [*question.answers, *question.answer]
            yield self.example(_name(question.id, row.line), question, question.context, answers, row.where)

    def count(self, has_key: bool, where: str, keys: Sequence[str], candidate: str) -> None:
        """Count a question with or without the key of the answers."""
        self.n_with_key += has_key
        self.n_without_key += not has_key
        if not has_key and not self.without_key:
            rename = f"rename {candidate!r} to 'answer'" if candidate else "add 'answers'"
            self.without_key = (f"{where}: neither 'answers' nor 'answer' is among the keys of the question "
                                f"({listed(keys)}); {rename}, or write \"answers\": [] for unanswerable questions")

    def report(self) -> None:
        """Report the counts.

        Raises:
            DataError: if no question has the key of the answers.
        """
        if not self.n_with_key:
            raise DataError(self.without_key)
        found = findings.current()
        if self.n_without_key:
            found.warn(f"{self.path}: {self.n_without_key} of {self.n_with_key + self.n_without_key} questions without "
                       f"answers are read as unanswerable; {self.without_key}")
        for what, count in self.corrected.items():
            found.warn(f"{self.path}: {count} {what}")

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
        if start is not None and start >= 0:
            if context.startswith(text, start):
                return start
            for unit, encoding in UNITS.items():
                converted = _in_characters(context, start, encoding)
                if context.startswith(text, converted):
                    self.corrected[CONVERTED.format(unit)] += 1
                    return converted
        first = context.find(text)
        again = context.find(text, first + 1)
        if first < 0:
            raise DataError(f"{whose}: the answer {text!r} is not in its context; an answer must be an exact copy of a "
                            "span of the context")
        if start is None:
            if again >= 0:
                self.corrected[AMBIGUOUS] += 1
        elif again >= 0:
            raise DataError(f"{whose}: the answer {text!r} is not at answer_start {start} but occurs at {first}, "
                            f"{again} and possibly later; correct its answer_start")
        else:
            self.corrected[MOVED] += 1
        return first


def _as_list(answers: Any) -> Any:
    """Return answers as a list of objects with ``text`` and ``answer_start``; other values are left to validation."""
    if isinstance(answers, dict):
        texts, starts = answers.get("text"), answers.get("answer_start")
        if isinstance(texts, str):
            return [answers] if texts.strip() else []
        if isinstance(texts, list) and starts is None:
            starts = [None] * len(texts)
        if not (isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts)):
            raise ValueError("text and answer_start must be lists of equal length")
        return [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    if isinstance(answers, list):
        return [{"text": answer} if isinstance(answer, str) else answer for answer in answers]
    if isinstance(answers, str):
        return [{"text": answers}] if answers.strip() else []
    return [] if answers is None else answers


def _name(given: str | int | None, number: int) -> str:
    return str("" if given is None else given) or str(number)


def _copy_of_context(values: Mapping[str, Any]) -> str:
    """Return the first key whose value is a part of the context; "" if there is none."""
    context = values.get("context", "")
    return next((key for key, value in values.items() if key not in ("context", "question", "id", "title")
                 and isinstance(value, str) and value.strip() and value in context), "")


def _in_characters(context: str, start: int, encoding: str) -> int:
    """Convert a position that counts the units of an encoding to one that counts characters."""
    before = context.encode(encoding, "surrogatepass")[: start * UNIT_BYTES[encoding]]
    return len(before.decode(encoding, "ignore"))


def _parse(model: type[M], values: Mapping[str, Any], where: str, within: str = "") -> M:
    try:
        return model.model_validate(values)
    except (ValidationError, RecursionError) as error:
        if isinstance(error, RecursionError):
            raise DataError(f"{where}: not in SQuAD's format: nested too deep") from error
        first = error.errors()[0]
        position = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "missing" and len(first["loc"]) == 1:
            message += f" (the keys are {listed(list(values))})"
        raise DataError(f"{where}: not in SQuAD's format: {within}{position}{': ' if within + position else ''}"
                        f"{message}") from error
