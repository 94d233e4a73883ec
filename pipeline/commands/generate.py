"""Generate text with a language model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from embeddings.special_tokens import END, END_ID
from embeddings.table.arguments import argument, either
from embeddings.tokenization.interface import TextTokenizer
from embeddings.tokenization.subwords import SubwordTokenizer
from pipeline.commands.subword_continuation import SubwordContinuation
from pipeline.errors import ConfigError
from pipeline.measures.detokenization import Detokenizer, detokenize
from pipeline.runs.trained import TrainedRun
from transformer.models.decoding import Writer, sample
from transformer.models.generation import GenerationConfig


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
    on_text: Callable[[str], None] | None = None,
) -> list[Continued]:
    """Continue a text by sampling.

    Args:
        trained: a run of the task ``language-model``.
        prompt: the beginning of the text; "" starts a new line. Its words may be words that were not seen in training.
        n: number of texts.
        config: ``max_tokens`` (ends of lines included), ``temperature``, ``top_k`` and ``top_p``; by default those of
            the run.
        seed: seed of the sampling.
        on_text: called with the parts of the first text as they are generated, beginning with the prompt; an exception
            ends the generation.

    Raises:
        ConfigError: if the run is not a language model.

    Example:
        >>> from pipeline import load_run                                  # doctest: +SKIP
        >>> print(generate(load_run("runs/stories"), "A fox")[0].text)     # doctest: +SKIP
    """
    if not trained.task.generates:
        raise ConfigError(f"the task {trained.config.task} of this run cannot continue a text; train a language model "
                          "with: " + either("vecformer run --task language-model", argument("task", "language-model")))
    lines = prompt.splitlines() or [""]
    lines += [""] * prompt.endswith("\n")
    source = trained.prepare([trained.task.reader.example(line, "") for line in lines]).tokenizers.source
    ids = np.concatenate([np.append(np.int32(END_ID), line) for line in source.encode(lines)])
    continuation = continuing(prompt, lines[-1], source)

    def write(tokens: torch.Tensor) -> None:
        if on_text:
            on_text(continuation.add(int(tokens[0])))

    if on_text:
        on_text(prompt)
    start = torch.from_numpy(ids.astype(np.int64)).to(trained.embedding.weight.device).repeat(n, 1)
    with trained.computing():
        model: Any = trained.model
        writer = Writer.continuing(model, start, window=trained.config.data.max_length)
        written = sample(writer, config=config or trained.config.generation, seed=seed, end=None,
                         on_tokens=write)
    if on_text:
        on_text(continuation.finish())
    return [Continued(joined(prompt, continuing(prompt, lines[-1], source), text.ids), text.log_probability)
            for text in written]


def joined(prompt: str, continuation: Continuing, ids: Iterable[int]) -> str:
    """Append the text of the tokens that follow, ends of lines included, to a prompt."""
    return "".join([prompt, *map(continuation.add, ids), continuation.finish()])


class Continuing(Protocol):
    """The text that continues a prompt, token by token."""

    def add(self, number: int) -> str:
        """Add a token by its id; return the text that is now certain, which may be of earlier tokens."""

    def finish(self) -> str:
        """Return the text of the remaining tokens of the line."""


def continuing(prompt: str, line: str, tokenizer: TextTokenizer) -> Continuing:
    """Return an empty continuation of a prompt, whose last line is ``line``, in the tokens of a tokenizer."""
    if isinstance(tokenizer, SubwordTokenizer):
        return SubwordContinuation(prompt, line, tokenizer)
    return OfWords(tokenizer.vocabulary(), Continuation(prompt, tokenizer.words(line)))


class OfWords:
    """The continuation of a prompt in the words of a vocabulary."""

    def __init__(self, words: Sequence[str], text: Continuation) -> None:
        self.words, self.text = words, text

    def add(self, number: int) -> str:
        """Add a token by its id; return the text that is now certain."""
        return self.text.add(self.words[number])

    def finish(self) -> str:
        """Return the text of the remaining words of the line."""
        return self.text.finish()


class Continuation:
    """The detokenised continuation of a prompt, word by word.

    Args:
        prompt: the prompt, unchanged.
        before: words of its last line.
    """

    def __init__(self, prompt: str, before: Sequence[str]) -> None:
        self.line = Detokenizer()   # of the words of the line, with those of the prompt
        self.alone = Detokenizer()  # of its new words, if the line is not detokenised as the prompt is written
        self.chosen: Detokenizer | None = None
        self.known = detokenize(before)
        self.texts = {self.line: "".join(map(self.line.add, before)), self.alone: " "}
        self.strip = prompt[-1:].isspace() or not before

    def add(self, word: str) -> str:
        """Add a word; return the text that is now certain, which may be of earlier words."""
        if word == END:
            text = self.finish() + "\n"
            self.line = self.chosen = Detokenizer()
            self.strip = False
            return text
        if self.chosen:
            return self._stripped(self.chosen.add(word))
        self.texts[self.line] += self.line.add(word)
        self.texts[self.alone] += self.alone.add(word)
        return self._choose() if len(self.texts[self.line]) >= len(self.known) else ""

    def finish(self) -> str:
        """Return the text of the remaining words of the line."""
        if self.chosen:
            return self._stripped(self.chosen.finish())
        for line in self.texts:
            self.texts[line] += line.finish()
        return self._choose()

    def _choose(self) -> str:
        """Choose whether to continue the text of the prompt or to begin a new one; return the text so far."""
        begins = self.texts[self.line].startswith(self.known)
        self.chosen = self.line if begins else self.alone
        return self._stripped(self.texts[self.chosen][len(self.known) if begins else 0:])

    def _stripped(self, text: str) -> str:
        """Return a text without the spaces after white space of the prompt."""
        if not self.strip:
            return text
        left = text.lstrip(" ")
        self.strip = not left
        return left
