"""Generate text with a language model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from embeddings.special_tokens import END, END_ID
from pipeline.errors import ConfigError
from pipeline.measures.detokenization import detokenize
from pipeline.runs.trained import TrainedRun
from transformer.models.decoding import GenerationConfig, Writer, sample


class Continued(NamedTuple):
    """A prompt with its continuation.

    Attributes:
        text: prompt and continuation, detokenised.
        log_probability: natural logarithm of the probability of the continuation.
    """

    text: str
    log_probability: float


def generation_config(trained: TrainedRun, options: Mapping[str, Any]) -> GenerationConfig:
    """Return the generation options of a run, with some of them replaced; None keeps the configured value.

    Raises:
        ConfigError: for an invalid value.
    """
    try:
        return replace(trained.config.generation,
                       **{name: value for name, value in options.items() if value is not None})
    except ValueError as error:
        raise ConfigError(str(error)) from error


def generate(
    trained: TrainedRun, prompt: str = "", *, n: int = 1, config: GenerationConfig | None = None, seed: int = 1,
    report: Callable[[str], object] | None = None,
) -> list[Continued]:
    """Continue a text by sampling.

    Args:
        trained: a run of the task ``language-model``.
        prompt: the beginning of the text; "" starts a new line. Its words may be words that were not seen in training.
        n: number of texts.
        config: ``max_tokens`` (ends of lines included), ``temperature``, ``top_k`` and ``top_p``; by default those of
            the run.
        seed: seed of the sampling.
        report: called after each token with the first text so far; an exception ends the generation.

    Raises:
        ConfigError: if the run is not a language model.

    Example:
        >>> from pipeline import load_run                                  # doctest: +SKIP
        >>> print(generate(load_run("runs/stories"), "A fox")[0].text)     # doctest: +SKIP
    """
    if not trained.task.generates:
        raise ConfigError(f"the task {trained.config.task} of this run cannot continue a text; train a language model "
                          "with: vecformer run --task language-model")
    lines = prompt.splitlines() or [""]
    lines += [""] * prompt.endswith("\n")
    source = trained.prepare([trained.task.reader.example(line, "") for line in lines]).tokenizers.source
    ids = np.concatenate([np.append(np.int32(END_ID), line) for line in source.encode(lines)])
    start = torch.from_numpy(ids.astype(np.int64)).to(trained.embedding.weight.device).repeat(n, 1)
    words, before, first = source.vocabulary(), source.words(lines[-1]), list[str]()

    def of_first(tokens: list[int]) -> None:
        first.append(words[tokens[0]])
        if report:
            report(joined(prompt, before, first))

    with trained.computing():
        model: Any = trained.model
        writer = Writer.continuing(model, start, window=trained.config.data.max_length)
        written = sample(writer, config=config or trained.config.generation, seed=seed, end=None,
                         report=of_first if report else None)
    return [Continued(joined(prompt, before, [words[i] for i in text.ids]), text.log_probability) for text in written]


def joined(prompt: str, before: Sequence[str], words: Sequence[str]) -> str:
    """Append the detokenised continuation to a prompt.

    Args:
        prompt: the prompt, unchanged.
        before: words of its last line.
        words: the words that follow, ends of lines included.
    """
    lines: list[list[str]] = [[]]
    for word in words:
        if word == END:
            lines.append([])
        else:
            lines[-1].append(word)
    known, whole = detokenize(before), detokenize([*before, *lines[0]])
    first = whole.removeprefix(known) if whole.startswith(known) else f" {detokenize(lines[0])}"
    if prompt[-1:].isspace() or not before:
        first = first.lstrip(" ")
    return prompt + "\n".join([first, *map(detokenize, lines[1:])])
