"""The configuration of text generation."""

from __future__ import annotations

from dataclasses import dataclass

from transformer.config import option, require


@dataclass(frozen=True)
class GenerationConfig:
    """Generation of text."""

    beam: int = option(4, "number of hypotheses of beam search in translation, at least 1; 1 is greedy decoding")
    length_penalty: float = option(1.0, "exponent of the length by which beam search divides log-probabilities, at "
                                        "least 0")
    max_tokens: int = option(60, "maximum number of generated tokens, at least 1")
    temperature: float = option(1.0, "sampling temperature of language models, at least 0; 0 is greedy decoding")
    top_k: int = option(0, "sample from the k most probable tokens; 0 for all")
    top_p: float = option(1.0, "sample from the most probable tokens with this total probability, above 0 and at most "
                               "1")

    def __post_init__(self) -> None:
        require(self.beam >= 1, f"generation.beam must be 1 or more, not {self.beam}")
        require(self.length_penalty >= 0, f"generation.length_penalty must be 0 or more, not {self.length_penalty}")
        require(self.max_tokens >= 1, f"generation.max_tokens must be 1 or more, not {self.max_tokens}")
        require(self.temperature >= 0, f"generation.temperature must be 0 or more, not {self.temperature}")
        require(self.top_k >= 0, f"generation.top_k must be 0 (all) or more, not {self.top_k}")
        require(0 < self.top_p <= 1, f"generation.top_p must be above 0 and up to 1, not {self.top_p}")
