"""Text that a language model writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from embeddings.special_tokens import END, END_ID
from pipeline.errors import ConfigError
from pipeline.measures.detokenization import detokenize
from pipeline.runs.trained import TrainedRun
from transformer.config import GenerationConfig
from transformer.models.decoding import Writer, sample
from transformer.models.models import LanguageModel


class Continued(NamedTuple):
    """A prompt and what a model wrote behind it.

    Attributes:
        text: all of it, as it is usually written.
        log_probability: natural logarithm of what the model wrote.
    """

    text: str
    log_probability: float


def generate(
    trained: TrainedRun, prompt: str = "", *, n: int = 1, config: GenerationConfig | None = None, seed: int = 1
) -> list[Continued]:
    """Continue a text.

    Args:
        trained: a run of the task ``language-model``.
        prompt: how the text begins; "" begins a new line. Its words are read by their own vectors, even those that
            training did not meet.
        n: how many texts are written.
        config: ``max_tokens`` (ends of lines counted), ``temperature``, ``top_k`` and ``top_p`` are looked at; by
            default those of the run.
        seed: decides what is drawn.

    Raises:
        ConfigError: if the run is not a language model.

    Example:
        >>> from pipeline import load_run                                  # doctest: +SKIP
        >>> print(generate(load_run("runs/stories"), "A fox")[0].text)     # doctest: +SKIP
    """
    model = trained.model
    if not isinstance(model, LanguageModel):
        raise ConfigError(f"the run was trained for {trained.config.task}, which writes no text; train one that does "
                          "with `vecformer run --task language-model`")
    lines = prompt.splitlines() or [""]
    lines += [""] * prompt.endswith("\n")
    source = trained.prepare([trained.task.example(line, "") for line in lines]).tokenizers.source
    ids = np.concatenate([np.append(np.int32(END_ID), line) for line in source.encode(lines)])
    start = torch.from_numpy(ids.astype(np.int64)).to(trained.embedding.weight.device).repeat(n, 1)
    with trained.computing():
        writer = Writer.continuing(model, start, window=trained.config.data.max_length)
        written = sample(writer, config=config or trained.config.generation, seed=seed, end=None)
    words = source.vocabulary()
    return [Continued(joined(prompt, source.words(lines[-1]), [words[i] for i in text.ids]), text.log_probability)
            for text in written]


def joined(prompt: str, before: Sequence[str], words: Sequence[str]) -> str:
    """A prompt and what stands behind it, as it is usually written.

    Args:
        prompt: left as it is.
        before: the words of its last line.
        words: those that follow, ends of lines among them.
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
