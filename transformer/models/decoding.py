"""Text generation token by token: greedy decoding, sampling and beam search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from embeddings.special_tokens import END_ID, MASK_ID, PAD_ID, START_ID, UNK_ID
from transformer.layers.attention import Memory
from transformer.models.generation import GenerationConfig
from transformer.models.models import EncoderDecoder, LanguageModel
from transformer.models.stack import Cache

MIN_TEMPERATURE = 1e-6  # below it, decoding is greedy: logits divided by less can overflow
NEVER_WRITTEN = (PAD_ID, UNK_ID, START_ID, MASK_ID)  # special tokens that are not generated


class Generated(NamedTuple):
    """A generated text.

    Attributes:
        ids: generated token ids, without the prompt and the end token.
        log_probability: natural logarithm of the probability of all generated tokens, with the end token.
        ended: True if the end token was generated, False if the text was cut off.
    """

    ids: list[int]
    log_probability: float
    ended: bool


class Writer:
    """A batch of texts to which tokens are appended one by one.

    Args:
        decode: the model; ``decode(ids, memory=memory, cache=cache)`` scores the next token at each position.
            *Shape:* ``(batch, length)`` to ``(batch, length, n_rows)``.
        prompts: initial token ids, padded on the left. *Shape:* ``(batch, length)``, int64; ``length`` at least 1.
        memory: the encoded source texts, for cross-attention.
        use_cache: keep the keys and values of earlier tokens. Without it all tokens are computed again for each new
            one: the same result, but slower.
        window: maximum context length in tokens; 0 for no limit. When a text is longer, the context is cut to the last
            half of the window.
        forbidden: token ids that are never generated.
    """

    def __init__(
        self, decode: Callable[..., Tensor], prompts: Tensor, *, memory: Memory | None = None, use_cache: bool = True,
        window: int = 0, forbidden: Sequence[int] = NEVER_WRITTEN,
    ) -> None:
        self.decode, self.ids, self.memory = decode, prompts, memory
        self.forbidden = torch.tensor(forbidden, dtype=torch.long, device=prompts.device)
        self.window, self.use_cache = window, use_cache
        self.context_start = max(0, prompts.shape[1] - window) if window else 0
        self.n_cached = self.context_start
        self.cache = Cache()

    @classmethod
    def continuing(cls, model: LanguageModel, prompts: Tensor, **options: Any) -> Writer:
        """Continue texts with a language model; further arguments as for the class."""
        model.eval()
        return cls(lambda ids, memory, cache: model(ids, cache=cache), prompts, **options)

    @classmethod
    def translating(cls, model: EncoderDecoder, source: Tensor, **options: Any) -> Writer:
        """Translate source texts with an encoder-decoder, from the start token.

        Args:
            model: the model.
            source: *Shape:* ``(batch, source length)``, int64.
            options: further arguments as for the class.
        """
        model.eval()
        with torch.inference_mode():
            memory = model.encoder(source).memory
        return cls(model.decode, torch.full_like(source[:, :1], START_ID), memory=memory, **options)

    def log_probabilities(self) -> Tensor:
        """Compute the log-probabilities of the next token; forbidden tokens have -inf.

        Returns:
            float32. *Shape:* ``(batch, n_rows)``.
        """
        length = self.ids.shape[1]
        if self.window and length - self.context_start > self.window:
            self.context_start = self.n_cached = length - max(1, self.window // 2)
            self.cache = Cache()
        if self.use_cache:
            scores = self.decode(self.ids[:, self.n_cached:], memory=self.memory, cache=self.cache)
        else:
            scores = self.decode(self.ids[:, self.context_start:], memory=self.memory, cache=None)
        self.n_cached = length
        logits = scores[:, -1].float().index_fill(1, self.forbidden, -torch.inf)          # (B, n_rows)
        return logits.log_softmax(dim=-1)

    def append(self, tokens: Tensor) -> None:
        """Append a token to each text. *Shape:* ``(batch,)``, int64."""
        self.ids = torch.cat([self.ids, tokens[:, None]], dim=1)

    def select(self, rows: Tensor) -> None:
        """Keep these texts, in this order; rows may repeat. *Shape:* ``(new batch,)``, int64."""
        self.ids = self.ids[rows]
        self.cache.select(rows)
        if self.memory is not None:
            self.memory = Memory(self.memory.hidden[rows], self.memory.mask[rows])


def greedy(
    writer: Writer, *, max_tokens: int, end: int | None = END_ID, on_tokens: Callable[[Tensor], None] | None = None
) -> list[Generated]:
    """Generate the most probable token at each step.

    Args:
        writer: the prompts and the model.
        max_tokens: maximum number of generated tokens.
        end: token id that ends a text; None generates ``max_tokens`` tokens.
        on_tokens: called with the tokens of each step. *Shape:* ``(unfinished texts,)``, int64.

    Returns:
        One text for each prompt.
    """
    return _generate(writer, lambda log_probs: log_probs.argmax(dim=-1), max_tokens=max_tokens, end=end,
                     on_tokens=on_tokens)


def sample(
    writer: Writer, *, config: GenerationConfig, seed: int, end: int | None = END_ID,
    on_tokens: Callable[[Tensor], None] | None = None,
) -> list[Generated]:
    """Sample each token from the distribution of the model.

    Args:
        writer: the prompts and the model.
        config: ``temperature`` (0 for :func:`greedy`), ``top_k``, ``top_p`` and ``max_tokens`` are used.
        seed: seed of the random numbers.
        end: as for :func:`greedy`, like the following.
        on_tokens: called with the tokens of each step.

    Returns:
        One text for each prompt.
    """
    if config.temperature < MIN_TEMPERATURE:
        return greedy(writer, max_tokens=config.max_tokens, end=end, on_tokens=on_tokens)
    random = torch.Generator().manual_seed(seed)

    def draw(log_probs: Tensor) -> Tensor:
        filtered = top_p_filter(top_k_filter(log_probs / config.temperature, config.top_k), config.top_p)
        drawn = torch.multinomial(filtered.softmax(dim=-1).cpu(), 1, generator=random)    # (B, 1)
        return drawn[:, 0].to(log_probs.device)

    return _generate(writer, draw, max_tokens=config.max_tokens, end=end, on_tokens=on_tokens)


def top_k_filter(logits: Tensor, k: int) -> Tensor:
    """Set all but the ``k`` largest logits of each row to -inf (Fan et al. 2018); 0 keeps all.

    *Shape:* ``(batch, n)``.
    """
    if not 0 < k < logits.shape[-1]:
        return logits
    return logits.masked_fill(logits < logits.topk(k, dim=-1).values[:, -1:], -torch.inf)


def top_p_filter(logits: Tensor, p: float) -> Tensor:
    """Keep the smallest set of tokens with total probability ``p`` in each row (Holtzman et al. 2020), others -inf.

    *Shape:* ``(batch, n)``.
    """
    if p >= 1:
        return logits
    ordered, order = logits.sort(dim=-1, descending=True)
    probabilities = ordered.softmax(dim=-1)
    removed = probabilities.cumsum(dim=-1) - probabilities >= p       # the more probable tokens already reach p
    removed[..., 0] = False                                           # also if p is rounded to 0
    return logits.masked_fill(torch.zeros_like(removed).scatter(-1, order, removed), -torch.inf)


def _generate(
    writer: Writer, choose: Callable[[Tensor], Tensor], *, max_tokens: int, end: int | None,
    on_tokens: Callable[[Tensor], None] | None,
) -> list[Generated]:
    """Generate tokens with a function that chooses the next one; finished texts are removed from the batch."""
    texts: list[list[int]] = [[] for _ in writer.ids]
    totals, active, ended = [0.0] * len(texts), list(range(len(texts))), set[int]()
    with torch.inference_mode():
        for _ in range(max_tokens):
            log_probs = writer.log_probabilities()                                        # (active, n_rows)
            tokens = choose(log_probs)                                                    # (active,)
            writer.append(tokens)
            if on_tokens:
                on_tokens(tokens)
            chosen = log_probs.gather(1, tokens[:, None])[:, 0].tolist()
            for text, token, log_prob in zip(active, tokens.tolist(), chosen, strict=True):
                totals[text] += log_prob
                if token == end:
                    ended.add(text)
                else:
                    texts[text].append(token)
            rows = [row for row, text in enumerate(active) if text not in ended]
            if not rows:
                break
            if len(rows) < len(active):
                active = [active[row] for row in rows]
                writer.select(torch.tensor(rows, device=tokens.device))
    return [Generated(text, totals[i], i in ended) for i, text in enumerate(texts)]


def beam_search(
    writer: Writer, *, beam: int, length_penalty: float, max_tokens: int, end: int | None = END_ID
) -> list[Generated]:
    """Search for the most probable text with a beam of hypotheses.

    The score of a finished hypothesis is ``log-probability / length ** length_penalty``; the end token counts towards
    the length. A search ends when ``beam`` finished hypotheses have a better score than every unfinished one.
    Hypotheses that are cut off at ``max_tokens`` are only used if none is finished.

    Args:
        writer: the prompts and the model.
        beam: number of hypotheses for each prompt.
        length_penalty: 0 compares log-probabilities, 1 compares means per token.
        max_tokens: maximum number of generated tokens.
        end: token id that ends a text; None generates ``max_tokens`` tokens.

    Returns:
        The best text for each prompt.
    """
    n_prompt = writer.ids.shape[1]
    searches = [_Search(beam, length_penalty) for _ in writer.ids]
    active = list(searches)
    with torch.inference_mode():
        totals = torch.zeros(len(active), 1, device=writer.ids.device)                    # (active, width)
        for length in range(1, max_tokens + 1):
            width = totals.shape[1]
            log_probs = writer.log_probabilities()                                        # (active * width, n_rows)
            n_rows = log_probs.shape[-1]
            log_probs = log_probs.view(-1, width, n_rows) + totals[..., None]             # (active, width, n_rows)
            found = log_probs.flatten(1).topk(min(2 * beam, width * n_rows), dim=-1)      # (active, candidates)
            parents, tokens = found.indices // n_rows, found.indices % n_rows
            is_end = tokens == (-1 if end is None else end)
            parents += width * torch.arange(len(active), device=parents.device)[:, None]  # rows of the writer
            for search, candidate in is_end[:, :beam].nonzero().tolist():
                total = float(found.values[search, candidate])
                active[search].add(writer.ids[parents[search, candidate], n_prompt:], total, length, ended=True)
            # at most one candidate of each hypothesis ends, so at least beam of the 2 * beam remain
            order = is_end.int().argsort(dim=-1, stable=True)[:, : min(beam, found.indices.shape[1] - width)]
            totals, tokens, parents = (part.gather(1, order) for part in (found.values, tokens, parents))
            remaining = [i for i, best in enumerate(totals[:, 0].tolist()) if not active[i].is_done(best, length)]
            if not remaining:
                break
            active, rows = [active[i] for i in remaining], torch.tensor(remaining, device=totals.device)
            totals, tokens, parents = totals[rows], tokens[rows], parents[rows]
            writer.select(parents.flatten())
            writer.append(tokens.flatten())
        else:
            best_ids = writer.ids[:: totals.shape[1], n_prompt:]                          # (active, max_tokens)
            for i, total in enumerate(totals[:, 0].tolist()):
                active[i].add(best_ids[i], total, max_tokens, ended=False)
    return [search.best() for search in searches]


class _Search:
    """The best finished hypotheses of one prompt."""

    def __init__(self, beam: int, length_penalty: float) -> None:
        self.beam, self.length_penalty = beam, length_penalty
        self.finished: list[tuple[float, Generated]] = []

    def add(self, ids: Tensor, total: float, length: int, *, ended: bool) -> None:
        """Add a hypothesis if its probability is not 0 and it is among the best."""
        if total == -torch.inf or (not ended and self.finished):
            return
        self.finished.append((self._score(total, length), Generated(ids.tolist(), total, ended)))
        self.finished = sorted(self.finished, key=lambda pair: -pair[0])[: self.beam]

    def is_done(self, total: float, length: int) -> bool:
        """Whether no unfinished hypothesis is better; ``total`` is the highest log-probability among them."""
        is_full = len(self.finished) == self.beam and self.finished[-1][0] >= self._score(total, length)
        return total == -torch.inf or is_full

    def best(self) -> Generated:
        """Return the best hypothesis, or an empty text if there is none."""
        return self.finished[0][1] if self.finished else Generated([], -torch.inf, ended=False)

    def _score(self, total: float, length: int) -> float:
        score: float = total / length**self.length_penalty
        return score
