"""Rank sources of word vectors for a task by a forecast, before any Transformer is trained."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embeddings.progress import Progress, silent
from embeddings.request import VectorRequest
from embeddings.specification import sources
from embeddings.specification.transforms import parse_transform
from embeddings.table.arguments import argument, either
from embeddings.table.oov_policy import parse_policy
from embeddings.table.paths import from_written
from embeddings.tokenization.tokenizer import WordTokenizer
from pipeline.benchmark.forecast.choice_model import fit
from pipeline.benchmark.forecast.evaluation import evaluate, model_features
from pipeline.benchmark.forecast.features import MAX_LABELLED, TaskTexts, features_of
from pipeline.benchmark.forecast.loading import UntrainedSources
from pipeline.benchmark.forecast.stored_runs import settings_of, stored_rows
from pipeline.benchmark.grid import Initialisation
from pipeline.config import RunConfig
from pipeline.data.corpus import TextCorpus
from pipeline.data.readers.labelled import LabelledReader
from pipeline.data.readers.splitting import draw_evenly
from pipeline.errors import ConfigError, DataError, brief

TASK = "classification"


def rank(
    config: RunConfig, sources: Sequence[str], *, text: Sequence[str | Path] = (), progress: Progress = silent
) -> dict[str, Any]:
    """Forecast which source of word vectors is the best start of a Transformer for text classification.

    A model of the features of the sources was fitted to stored benchmarks (:mod:`.stored_runs`); no Transformer is
    trained. Sources that would be trained on the texts are represented by co-occurrence counts. The test set is not
    used.

    Args:
        config: data, out-of-vocabulary policy, corpus and seed; ``data.limit_train`` draws labelled examples as for a
            run.
        sources: source specifications, at least two, optionally with transforms: ``"glove | standardize"``.
        text: files or folders of unlabelled text, instead of labelled data.
        progress: progress callback.

    Returns:
        ``sources``, ranked, the best first, each with ``source``, ``probability`` (to be the best of these),
        ``trained`` (whether counts were used in place of training) and ``features``; ``data``, ``n_labelled``,
        ``n_texts``, ``with_labels``, ``seconds``; ``evaluation`` of such forecasts on the stored benchmarks
        (:func:`.evaluation.evaluate`).

    Raises:
        ConfigError: if there are fewer than two sources, or one is not supported.
        DataError: if the data cannot be read or are not suitable.
        EmbeddingError: if a source cannot be loaded.
    """
    began = time.perf_counter()
    starts = _initialisations(sources)
    _require_task(config)
    texts, name = _unlabelled(config, text) if text else _labelled(config)
    corpus = [Path(from_written(path)) for path in config.corpus]
    policy = parse_policy(config.unknown)
    loader = UntrainedSources(texts, VectorRequest(
        texts=TextCorpus(tuple(corpus), config.data) if corpus else None, seed=config.seed, dim=config.model.d_model,
        unknown=policy, trust_pickle=config.trust_pickle))
    found = []
    for number, start in enumerate(starts):
        progress(f"computing features of {start.name}", number / len(starts))
        table, is_trained = loader.load(start.source, start.transforms)
        found.append(features_of(table, texts, policy) | {"trained": float(is_trained)})
    progress("computing features", 1.0)
    settings, with_labels = settings_of(stored_rows()), bool(texts.labels)
    model = fit(settings, model_features(labels=with_labels))
    probabilities = model.probabilities(found)
    ranked = sorted(range(len(starts)), key=lambda number: (-probabilities[number], number))
    return {
        "data": name, "n_labelled": len(texts.labelled) if with_labels else 0, "n_texts": len(texts.texts),
        "with_labels": with_labels,
        "sources": [_described(starts[number], float(probabilities[number]), found[number]) for number in ranked],
        "evaluation": evaluate(settings, labels=with_labels),
        "seconds": time.perf_counter() - began,
    }


def _described(start: Initialisation, probability: float, features: Mapping[str, float]) -> dict[str, Any]:
    return {"source": start.name, "probability": probability, "trained": bool(features["trained"]),
            "features": {name: value for name, value in features.items() if name != "trained"}}


def _initialisations(names: Sequence[str]) -> list[Initialisation]:
    """Parse the names of sources, before any data are read."""
    starts = list({one.name: one for one in map(Initialisation.parse, names)}.values())
    if len(starts) < 2:
        raise ConfigError(f"a ranking needs at least two different sources, not {brief(list(names))}"
                          + either("; give --source SPEC for each", ""))
    for start in starts:
        sources.parse(start.source)
        for transform in start.transforms:
            parse_transform(transform)
        if start.frozen or start.settings:
            raise ConfigError(f"{start.name}: a forecast compares sources and transforms only; remove "
                              f"{', '.join([*['frozen'] * start.frozen, *start.settings])}")
    return starts


def _require_task(config: RunConfig) -> None:
    if config.task != TASK:
        raise ConfigError(f"task={brief(config.task)}: forecasts exist for {TASK} only; {_instead()}")


def _instead() -> str:
    return f"compare the sources by {either('`vecformer benchmark`', 'vecformer.benchmark')}"


def _labelled(config: RunConfig) -> tuple[TaskTexts, str]:
    """Read labelled texts, and draw those from which features are computed."""
    reader = LabelledReader()
    splits = reader.read(config.data, seed=config.seed)
    splits.findings.log()
    pair = next((one.where for one in splits.train if one.text_b), None)
    if pair is not None:
        raise DataError(f"{pair}: a pair of texts; forecasts exist for single texts only; {_instead()}")
    drawn, rest = draw_evenly(splits.train, MAX_LABELLED, seed=config.seed, label=reader.strata(splits.train))
    labels = [one.label for one in drawn]
    if len(set(labels)) < 2:
        raise DataError(f"{config.data.path}: only one label, {brief(labels[0])}; a ranking needs examples of at least "
                        "two")
    unlabelled = [*(one.text for one in rest), *map(str, splits.unlabelled)]
    return _task_texts(config, [one.text for one in drawn], labels, unlabelled), splits.name


def _unlabelled(config: RunConfig, paths: Sequence[str | Path]) -> tuple[TaskTexts, str]:
    """Read texts without labels."""
    if config.data.path:
        raise ConfigError(f"{argument('data')} and {argument('text')} were both given; give labelled data or "
                          "unlabelled text")
    files = tuple(Path(from_written(str(path))) for path in paths)
    texts = [line for line in TextCorpus(files, config.data).lines() if line.strip()]
    found = _task_texts(config, [], [], texts)
    if not found.words:
        raise DataError(f"{files[0]}: contains no word; name a file with text")
    return found, ", ".join(path.name for path in files)


def _task_texts(
    config: RunConfig, labelled: Sequence[str], labels: Sequence[str], unlabelled: Sequence[str]
) -> TaskTexts:
    data = config.data
    tokenizer = WordTokenizer(lowercase=data.lowercase, strip_accents=data.strip_accents, fold_digits=data.fold_digits,
                              han=data.han)
    return TaskTexts(labelled, labels, unlabelled, tokenizer, data.max_length)
