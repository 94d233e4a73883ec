"""Whether an exported model reads and scores texts as the run does that it comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from embeddings.special_tokens import MASK, SPECIAL_TOKENS
from embeddings.tokenization.tokenizer import WordTokenizer
from pipeline.data.features.batching import Feature
from pipeline.errors import ExportError
from pipeline.runs.trained import TrainedRun
from pipeline.tasks.base import Tokenizers
from transformer.models.models import LanguageModel, MaskedLanguageModel

N_TEXTS, LONGEST = 6, 20
TOLERANCE = 1e-4


def difference(trained: TrainedRun, tokenizer: WordTokenizer, architecture: str, folder: Path) -> float:
    """Load what was exported with ``transformers``, and compare it with the run on a few texts of its words.

    Args:
        trained: the run, with the vectors of all words that were exported.
        tokenizer: of those words.
        architecture: the class to load.
        folder: what was exported.

    Returns:
        The greatest difference between two scores.

    Raises:
        ExportError: if a text is not read alike, or the scores differ by more than 1e-4.
    """
    import transformers

    their_tokenizer, theirs = _load(architecture, folder)
    greatest = 0.0
    for text, context in _texts(trained, tokenizer):
        feature = _feature(trained, tokenizer, text, context)
        read = their_tokenizer(text, context or None, return_tensors="pt")
        wrong = "" if read["input_ids"][0].tolist() == feature.ids.tolist() else "the words are not numbered alike"
        if not wrong:
            with torch.inference_mode():
                distance = float((_ours(trained.model, feature) - _scores(theirs(**read))).abs().max())
            wrong = "" if distance <= TOLERANCE else f"scores differ by {distance:.2g}"
            greatest = max(greatest, distance)
        if wrong:
            raise ExportError(f"transformers {transformers.__version__} does not read the exported model as this run "
                              f"does: on {text!r} {wrong}; nothing was written. Try another version of transformers")
    return greatest


def _load(architecture: str, folder: Path) -> tuple[Any, Any]:
    """Their tokenizer and model, without the bar that loading draws."""
    import transformers
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return (transformers.AutoTokenizer.from_pretrained(folder),
                getattr(transformers, architecture).from_pretrained(folder).eval())
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _texts(trained: TrainedRun, tokenizer: WordTokenizer) -> list[tuple[str, str]]:
    """Texts of random words, and for tasks that read two, others to go with them."""
    random = np.random.default_rng(0)
    words = tokenizer.vocabulary()[len(SPECIAL_TOKENS):]
    longest = max(1, min(LONGEST, (trained.config.data.max_length - 3) // 2))
    drawn = [" ".join(random.choice(words, random.integers(1, longest + 1))) for _ in range(2 * N_TEXTS)]
    firsts, seconds = drawn[:N_TEXTS], drawn[N_TEXTS:]
    if isinstance(trained.model, MaskedLanguageModel):
        return [(f"{MASK} {text}", "") for text in firsts]
    two = trained.config.model.token_types > 0
    return list(zip(firsts, seconds if two else [""] * N_TEXTS, strict=True))


def _feature(trained: TrainedRun, tokenizer: WordTokenizer, text: str, context: str) -> Feature:
    example = trained.task.example(text, context)
    return trained.task.encode([example], Tokenizers(tokenizer, len(trained.tokenizer)), trained.config)[0]


def _ours(model: torch.nn.Module, feature: Feature) -> Tensor:
    ids = torch.from_numpy(feature.ids.astype(np.int64))[None]
    token_types = None if feature.token_types is None else torch.from_numpy(feature.token_types.astype(np.int64))[None]
    if isinstance(model, LanguageModel):
        scores: Tensor = model(ids)
    elif isinstance(model, MaskedLanguageModel):
        scores = model(ids, torch.ones_like(ids, dtype=torch.bool))[None]
    else:
        scores = model(ids, token_types)
    return scores


def _scores(output: Any) -> Tensor:
    """The scores of a model of theirs; starts and ends side by side."""
    scores: Tensor = output.logits if "logits" in output else torch.stack([output.start_logits, output.end_logits], -1)
    return scores
