"""Writing text word by word: the likeliest word each time, drawn words, or several texts followed side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from embeddings.special_tokens import END_ID, MASK_ID, PAD_ID, START_ID, UNK_ID
from transformer.config import GenerationConfig
from transformer.layers.attention import Memory
from transformer.models.models import EncoderDecoder, LanguageModel
from transformer.models.stack import Cache

NEVER_WRITTEN = (PAD_ID, UNK_ID, START_ID, MASK_ID)


class Written(NamedTuple):
    """A text that a model wrote.

    Attributes:
        ids: its words, without the prompt and the end.
        log_probability: natural logarithm of all that was written, the end included.
        ended: it came to its end, and was not cut off.
    """

    ids: list[int]
    log_probability: float
    ended: bool


class Writer:
    """Texts that are being written side by side.

    Args:
        read: the model: ``read(ids, memory=memory, cache=cache)`` scores what follows each place. *Shape:* ``(batch,
            length)`` to ``(batch, length, n_rows)``.
        prompts: what stands there already, padding on the left. *Shape:* ``(batch, length)``, int64; ``length`` at
            least 1.
        memory: the texts that these are made from, if there are any.
        use_cache: keep keys and values of the words so far. Without, every word reads all of them again: the same text,
            slowly.
        window: words that the model can look back on; when they are full it goes on from the last half of them. 0 for
            no limit.
        forbidden: words that are never written.
    """

    def __init__(
        self, read: Callable[..., Tensor], prompts: Tensor, *, memory: Memory | None = None, use_cache: bool = True,
        window: int = 0, forbidden: Sequence[int] = NEVER_WRITTEN,
    ) -> None:
        self.read, self.ids, self.memory = read, prompts, memory
        self.forbidden = torch.tensor(forbidden, dtype=torch.long, device=prompts.device)
        self.window, self.use_cache = window, use_cache
        self.first = max(0, prompts.shape[1] - window) if window else 0  # of the words in view
        self.n_read = self.first
        self.cache = Cache()

    @classmethod
    def continuing(cls, model: LanguageModel, prompts: Tensor, **options: Any) -> Writer:
        """Continue texts; further arguments as the class takes them."""
        model.eval()
        return cls(lambda ids, memory, cache: model(ids, cache=cache), prompts, **options)

    @classmethod
    def translating(cls, model: EncoderDecoder, source: Tensor, **options: Any) -> Writer:
        """Write the other text of each source text, from the start word on.

        Args:
            model: what translates.
            source: *Shape:* ``(batch, source length)``, int64.
            options: further arguments as the class takes them.
        """
        model.eval()
        with torch.inference_mode():
            memory = model.encoder(source).memory
        return cls(model.decode, torch.full_like(source[:, :1], START_ID), memory=memory, **options)

    def log_probabilities(self) -> Tensor:
        """Of every word as the next one, forbidden ones -inf. *Shape:* ``(batch, n_rows)``, float32."""
        length = self.ids.shape[1]
        if self.window and length - self.first > self.window:
            self.first = self.n_read = length - max(1, self.window // 2)
            self.cache = Cache()
        if self.use_cache:
            scores = self.read(self.ids[:, self.n_read:], memory=self.memory, cache=self.cache)
        else:
            scores = self.read(self.ids[:, self.first:], memory=self.memory, cache=None)
        self.n_read = length
        following = scores[:, -1].float().index_fill(1, self.forbidden, -torch.inf)       # (B, n_rows)
        return following.log_softmax(dim=-1)

    def write(self, words: Tensor) -> None:
        """Put a word behind each text. *Shape:* ``(batch,)``, int64."""
        self.ids = torch.cat([self.ids, words[:, None]], dim=1)

    def select(self, rows: Tensor) -> None:
        """Keep these texts, in this order; one may come twice. *Shape:* ``(new batch,)``, int64."""
        self.ids = self.ids[rows]
        self.cache.select(rows)
        if self.memory is not None:
            self.memory = Memory(self.memory.hidden[rows], self.memory.mask[rows])


def greedy(writer: Writer, *, max_tokens: int, end: int | None = END_ID) -> list[Written]:
    """Write the likeliest word each time.

    Args:
        writer: with the prompts.
        max_tokens: texts are cut off here.
        end: the word that a text ends with; None if texts run on.

    Returns:
        An entry a prompt.
    """
    return _write(writer, lambda logs: logs.argmax(dim=-1), max_tokens=max_tokens, end=end)


def sample(writer: Writer, *, config: GenerationConfig, seed: int, end: int | None = END_ID) -> list[Written]:
    """Draw each word by its probability.

    Args:
        writer: with the prompts.
        config: ``temperature`` (0 is :func:`greedy`), ``top_k``, ``top_p`` and ``max_tokens`` are looked at.
        seed: decides the draws.
        end: as in :func:`greedy`.
    """
    if not config.temperature:
        return greedy(writer, max_tokens=config.max_tokens, end=end)
    random = torch.Generator().manual_seed(seed)

    def draw(logs: Tensor) -> Tensor:
        kept = nucleus(likeliest(logs / config.temperature, config.top_k), config.top_p)
        drawn = torch.multinomial(kept.softmax(dim=-1).cpu(), 1, generator=random)        # (B, 1)
        return drawn[:, 0].to(logs.device)

    return _write(writer, draw, max_tokens=config.max_tokens, end=end)


def likeliest(logs: Tensor, k: int) -> Tensor:
    """The ``k`` best scores of each row (Fan et al. 2018), the others -inf; 0 keeps all. *Shape:* ``(batch, n)``."""
    if not 0 < k < logs.shape[-1]:
        return logs
    return logs.masked_fill(logs < logs.topk(k, dim=-1).values[:, -1:], -torch.inf)


def nucleus(logs: Tensor, p: float) -> Tensor:
    """The fewest best scores whose softmax makes up ``p`` (Holtzman et al. 2020), the others -inf.

    *Shape:* ``(batch, n)``.
    """
    if p >= 1:
        return logs
    ordered, order = logs.sort(dim=-1, descending=True)
    shares = ordered.softmax(dim=-1)
    beyond = shares.cumsum(dim=-1) - shares >= p                                          # better ones suffice
    return logs.masked_fill(torch.zeros_like(beyond).scatter(-1, order, beyond), -torch.inf)


def _write(
    writer: Writer, choose: Callable[[Tensor], Tensor], *, max_tokens: int, end: int | None
) -> list[Written]:
    """Write words that are chosen one by one; texts that have ended are left out of the batch."""
    texts: list[list[int]] = [[] for _ in writer.ids]
    totals, alive, ended = [0.0] * len(texts), list(range(len(texts))), set[int]()
    with torch.inference_mode():
        for _ in range(max_tokens):
            logs = writer.log_probabilities()                                             # (alive, n_rows)
            words = choose(logs)                                                          # (alive,)
            writer.write(words)
            gained = logs.gather(1, words[:, None])[:, 0].tolist()
            for text, word, log in zip(alive, words.tolist(), gained, strict=True):
                totals[text] += log
                if word == end:
                    ended.add(text)
                else:
                    texts[text].append(word)
            rows = [row for row, text in enumerate(alive) if text not in ended]
            if not rows:
                break
            if len(rows) < len(alive):
                alive = [alive[row] for row in rows]
                writer.select(torch.tensor(rows, device=words.device))
    return [Written(text, totals[i], i in ended) for i, text in enumerate(texts)]


def beam_search(
    writer: Writer, *, beam: int, length_penalty: float, max_tokens: int, end: int | None = END_ID
) -> list[Written]:
    """Follow the likeliest texts side by side, and keep those that end.

    Finished texts are compared by ``log-probability / length ** length_penalty``, the end counted as a word. A search
    is over when ``beam`` texts have ended that are all better than any that is still being written. One that is cut
    off counts only if none has ended.

    Args:
        writer: with the prompts.
        beam: texts that are followed for each prompt.
        length_penalty: 0 compares log-probabilities, 1 means a word.
        max_tokens: texts are cut off here.
        end: the word that a text ends with; None if texts run on.

    Returns:
        The best for each prompt.
    """
    n_prompt = writer.ids.shape[1]
    searches = [_Search(beam, length_penalty) for _ in writer.ids]
    active = list(searches)
    with torch.inference_mode():
        totals = torch.zeros(len(active), 1, device=writer.ids.device)                    # (active, width)
        for length in range(1, max_tokens + 1):
            width = totals.shape[1]
            logs = writer.log_probabilities()                                             # (active * width, n_rows)
            n_rows = logs.shape[-1]
            logs = logs.view(-1, width, n_rows) + totals[..., None]                       # (active, width, n_rows)
            found = logs.flatten(1).topk(min(2 * beam, width * n_rows), dim=-1)           # (active, candidates)
            parents, words = found.indices // n_rows, found.indices % n_rows
            is_end = words == (-1 if end is None else end)
            parents += width * torch.arange(len(active), device=parents.device)[:, None]  # rows of the writer
            for number, place in is_end[:, :beam].nonzero().tolist():
                total = float(found.values[number, place])
                active[number].add(writer.ids[parents[number, place], n_prompt:], total, length, ended=True)
            # of the 2 * beam candidates at most one a row ends, so that enough others are left
            order = is_end.int().argsort(dim=-1, stable=True)[:, : min(beam, found.indices.shape[1] - width)]
            totals, words, parents = (part.gather(1, order) for part in (found.values, words, parents))
            going = [number for number, (search, best) in enumerate(zip(active, totals[:, 0].tolist(), strict=True))
                     if not search.is_over(best, length)]
            if not going:
                break
            active, rows = [active[number] for number in going], torch.tensor(going, device=totals.device)
            totals, words, parents = totals[rows], words[rows], parents[rows]
            writer.select(parents.flatten())
            writer.write(words.flatten())
        else:
            for search, text, total in zip(active, writer.ids[:: totals.shape[1]], totals[:, 0].tolist(), strict=True):
                search.add(text[n_prompt:], total, max_tokens, ended=False)
    return [search.best() for search in searches]


class _Search:
    """The finished texts of one prompt."""

    def __init__(self, beam: int, length_penalty: float) -> None:
        self.beam, self.length_penalty = beam, length_penalty
        self.finished: list[tuple[float, Written]] = []

    def add(self, ids: Tensor, total: float, length: int, *, ended: bool) -> None:
        """Keep a text, if it can be written at all and is among the best."""
        if total == -torch.inf or (not ended and self.finished):
            return
        self.finished.append((self._score(total, length), Written(ids.tolist(), total, ended)))
        self.finished = sorted(self.finished, key=lambda pair: -pair[0])[: self.beam]

    def is_over(self, total: float, length: int) -> bool:
        """Whether no text that is still being written, the likeliest of them as it is, is better than the finished."""
        enough = len(self.finished) == self.beam and self.finished[-1][0] >= self._score(total, length)
        return total == -torch.inf or enough

    def best(self) -> Written:
        """The best; an empty one if nothing could be written."""
        return self.finished[0][1] if self.finished else Written([], -torch.inf, ended=False)

    def _score(self, total: float, length: int) -> float:
        score: float = total / length**self.length_penalty
        return score
