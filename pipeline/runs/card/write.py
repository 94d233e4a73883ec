"""Write the card of a run: YAML front matter that Hugging Face reads, then data, vectors, measures and limits.

The format is https://huggingface.co/docs/hub/model-cards. The card has no dates, times or speeds, so that the same run
has the same card.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.errors import EmbeddingError
from embeddings.request import UNKNOWN, Origin
from embeddings.specification import sources
from embeddings.table.atomic_files import write_atomically
from embeddings.table.listing import decimals
from pipeline.config import RunConfig
from pipeline.data.examples import Splits
from pipeline.drawing import markdown
from pipeline.drawing.page import render
from pipeline.runs.card.limits import label_counts, limits
from pipeline.runs.card.repeat import repeating_command
from pipeline.runs.coverage_advice import LANGUAGES
from pipeline.runs.recipe.facts import find_facts
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Measure, Task
from pipeline.tasks.ngrams.fusion import in_words

TEMPLATE = Path(__file__).parent / "card.md.jinja"
NORMAL_95 = 1.96   # standard errors on each side of an interval
MAX_LABELS = 50    # labels in the table; those with most training examples
_NOT_IN_NAMES = re.compile(r"[^\w.-]+", re.ASCII)


@dataclass(frozen=True)
class MeasureRow:
    """A row of the table of measures."""

    name: str
    help: str
    value: str
    interval: str


def write_card(
    path: Path, trained: TrainedRun, splits: Splits[Any], metrics: Mapping[str, Any], facts: Mapping[str, Any], *,
    name: str, error: Mapping[str, float], n_truncated: int,
) -> None:
    """Write the card of a run.

    Args:
        path: the file to write.
        trained: the trained model.
        splits: the data.
        metrics: contents of ``metrics.json``.
        facts: ``versions``, ``seed`` and ``data`` of ``manifest.json``.
        name: name of the run.
        error: standard errors of the test measures.
        n_truncated: number of test texts that are longer than the model reads.
    """
    setup, task = trained.setup, trained.task
    requested = setup.requested or setup.config
    languages = languages_of(trained, splits)
    named = " and ".join(LANGUAGES.get(code, code) for code in languages)
    origins = origins_of(setup.config)
    train, test = label_counts(splits.train), label_counts(splits.test)
    most = sorted(train | test, key=lambda label: (-train[label], label))
    body = render(
        TEMPLATE, filters={"plain": markdown.plain, "code": markdown.code, "code_cell": markdown.code_cell},
        autoescape=False,
        name=name, task=task, config=setup.config, data=facts["data"], path=requested.data.path,
        versions=facts["versions"],
        what=first_sentence(task), language=named, origins=origins, unknown=UNKNOWN, table=trained.table,
        labels=[(label, train[label], test[label]) for label in most[:MAX_LABELS]], n_labels=len(most),
        entities=any(hasattr(example, "tags") for example in splits.train[:1]),
        rows=measure_rows(task, metrics["test"], error), n=metrics["test"].get("n", len(splits.test)),
        baselines=metrics["baselines"], first=task.measures[0].name, decimals=decimals, coverage=metrics["coverage"],
        parameters=sum(weight.numel() for weight in trained.model.parameters()), model=setup.model,
        ngrams=in_words(setup.resolved), corpus=setup.config.corpus, self_training=setup.resolved.self_training,
        limits=list(limits(setup, splits, metrics, task.measures[0], language=named,
                           counts={label: train[label] for label in most},
                           n_truncated=n_truncated)),
        license=licences_of(origins),
        command=markdown.code_block(repeating_command(requested, out=f"{name}-again"), "bash"),
    )
    write_atomically(path, front_matter(task, metrics, facts, name, languages, origins) + body)


def front_matter(
    task: Task[Any], metrics: Mapping[str, Any], facts: Mapping[str, Any], name: str, languages: list[str],
    origins: list[Origin],
) -> str:
    """Return the metadata of the card as YAML between lines of dashes."""
    from huggingface_hub import EvalResult, ModelCardData

    data = facts["data"]["name"]
    slug = _NOT_IN_NAMES.sub("-", data).strip("-.") or "data"
    measured = [(measure, metrics["test"][measure.name]) for measure in task.measures
                if _is_number(metrics["test"].get(measure.name))]
    licences = licences_of(origins)
    tag = task.pipeline_tag or "other"
    card = ModelCardData(
        language=languages or None,
        license=(licences[0] if len(licences) == 1 else licences) or None,  # type: ignore[arg-type]
        library_name="vecformer",
        pipeline_tag=task.pipeline_tag or None,
        tags=["vecformer", "word-vectors", task.name],
        datasets=[slug],
        metrics=list(dict.fromkeys(measure.metric or measure.name for measure, _ in measured)) or None,
        model_name=_one_line(name),
        eval_results=[EvalResult(task_type=tag, task_name=task.name, dataset_type=slug, dataset_name=_one_line(data),
                                 dataset_split="test", metric_type=measure.metric or measure.name,
                                 metric_name=measure.name, metric_value=round(value, 6))
                      for measure, value in measured] or None,
    )
    return f"---\n{card.to_yaml(line_break=chr(10))}\n---\n\n"


def measure_rows(task: Task[Any], test: Mapping[str, Any], error: Mapping[str, float]) -> list[MeasureRow]:
    """Return the test measures of a task with 95% intervals: 1.96 standard errors, within the range of shares."""
    rows = []
    for measure in task.measures:
        value = test.get(measure.name, math.nan)
        if _is_number(value):
            rows.append(MeasureRow(measure.name, measure.help, decimals(value), _interval(measure, value, error)))
    return rows


def _interval(measure: Measure, value: float, error: Mapping[str, float]) -> str:
    """Return an interval; "" if the error is not known, or zero because all examples are right or all are wrong."""
    width = NORMAL_95 * error.get(measure.name, 0.0)
    if not width:
        return ""
    low, high = value - width, value + width
    if measure.is_share:
        low, high = max(0.0, low), min(1.0, high)
    return f"{decimals(low)} to {decimals(high)}"


def origins_of(config: RunConfig) -> list[Origin]:
    """Return the origins of the vectors of a run; of a source that is no longer installed, its specification."""
    named = [config.source, *([config.target_source] if config.target_source else [])]
    found: list[Origin] = []
    for specification in named:
        try:
            found += sources.parse(specification).origins()
        except EmbeddingError:
            found.append(Origin(specification))
    return list(dict.fromkeys(found))


def licences_of(origins: Sequence[Origin]) -> list[str]:
    """Return the identifiers of the licences; none if that of any vectors is unknown, or has no identifier."""
    if any(origin.licence == UNKNOWN for origin in origins):
        return []
    return sorted({origin.identifier for origin in origins if origin.identifier})


def languages_of(trained: TrainedRun, splits: Splits[Any]) -> list[str]:
    """Return ISO 639 codes: the languages of a translation if its files name them, or what the texts probably are."""
    given = [code for code in getattr(trained.setup.resolved, "languages", ()) if code in LANGUAGES]
    guessed = find_facts(trained.task, splits).language
    return given or ([guessed] if guessed else [])


def first_sentence(task: Task[Any]) -> str:
    """Return the first sentence of the description of a task."""
    paragraph = " ".join((type(task).__doc__ or task.name).strip().split("\n\n")[0].split())
    return paragraph if paragraph.endswith(".") else f"{paragraph}."


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _one_line(text: str) -> str:
    """Return a name without control characters, such as the end of a line."""
    from pipeline.drawing.terminal import cell

    return cell(text)
