"""Extractive question answering: the answer is a span of a context."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.special_tokens import PAD_ID
from embeddings.tokenization.interface import Text, TextTokenizer
from pipeline.baselines.question_answering import first_sentence, most_overlap
from pipeline.baselines.selection import train_selected
from pipeline.config import RunConfig
from pipeline.data.examples import QuestionExample, Splits
from pipeline.data.features.batching import Batch, Feature, collate
from pipeline.data.features.special_tokens import N_TOKEN_TYPES, framed, token_types_of
from pipeline.data.features.whole_words import whole_words
from pipeline.data.features.windows import windows
from pipeline.data.readers.questions import QuestionReader
from pipeline.errors import DataError
from pipeline.measures.question_answering import answer_measures, best_threshold, f1
from pipeline.tasks.base import Architecture, Measure, Measures, Prediction, Prepared, Task, Tokenizers, task
from pipeline.tasks.inference import outputs
from pipeline.tasks.resolved import Resolved, Setup
from pipeline.tasks.span_scores import SpanScores
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import SpanHead, TokenHead
from transformer.models.models import TransformerModel
from transformer.models.stack import Encoder

N_CANDIDATES = 5
NO_ANSWER = "no answer"


@dataclass(frozen=True)
class Threshold(Resolved):
    """The threshold for predicting no answer.

    Attributes:
        no_answer_threshold: predict no answer if its score exceeds that of the best span by more than this; inf always
            predicts an answer, "dev" is still to be tuned.
    """

    no_answer_threshold: float | Literal["dev"] = "dev"


@task("question-answering")
class QuestionAnswering(Task[QuestionExample, Threshold]):
    """Predict the span of a context that answers a question; trained with cross-entropy of its first and last word.

    The input is ``<s> question </s> context </s>``; a long context is divided into windows. The target of a window
    without the answer is ``<s>`` (Devlin et al. 2019, section 4.3), whether or not another window has the answer, so
    that the probabilities of different windows are comparable.
    """

    reader = QuestionReader()
    measures = (
        Measure("f1", "F1 of the words of the answer, as in SQuAD"),
        Measure("exact_match", "share of answers that are exactly correct, as in SQuAD"),
    )
    selection = ("f1", "exact_match")
    keys = ("data.stride", "data.max_answer_words", "data.no_answer_threshold")
    baseline_names = ("first-sentence", "most-overlap")
    pipeline_tag = "question-answering"
    resolved_type = Threshold
    text_columns = ("question", "query")
    context_columns = ("context", "passage", "paragraph", "document", "text")
    architecture = Architecture("bert", "BertForQuestionAnswering", "qa_outputs")

    def resolve(self, config: RunConfig, splits: Splits[QuestionExample]) -> Threshold:
        """Find the token types, and the threshold if it does not depend on dev.

        Raises:
            DataError: if no training question has an answer.
        """
        if not any(example.answers for example in splits.train):
            raise DataError(f"{config.data.path}: no training question has an answer, so there is nothing to learn")
        threshold = config.data.no_answer_threshold
        if threshold == "dev" and all(example.answers for example in splits.train):
            threshold = math.inf
        elif threshold == "dev" and not splits.dev:
            threshold = 0.0
        return Threshold(token_types=2 if config.model.like else N_TOKEN_TYPES, no_answer_threshold=threshold)

    def model(self, setup: Setup[Threshold], embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """Build an encoder with an output layer for the first and last word of the answer."""
        shape = setup.model
        head = (TokenHead(d_model=shape.d_model, n_outputs=2, dropout=shape.dropout) if shape.like else
                SpanHead(d_model=shape.d_model, dropout=shape.dropout))
        return TransformerModel(encoder=Encoder(config=shape, embedding=embeddings[0]), head=head)

    def encode(
        self, examples: Sequence[QuestionExample], tokenizers: Tokenizers, setup: Setup[Threshold], *,
        training: bool = False,
    ) -> list[Feature]:
        """Make one feature per window.

        The target has one row per answer inside the window, the positions of its first and last token, or one
        row ``(0, 0)``. *Shape:* ``(n_answers, 2)``, int64.
        """
        data, source = setup.data, tokenizers.source
        all_words = _with_all_words(source, self.reader.texts(examples))
        spans = {text: source.spans(text) for text in dict.fromkeys(example.context for example in examples)}
        contexts = [[span.word for span in tokens] for tokens in spans.values()]
        questions = [source.words(example.question)[: max(1, (data.max_length - 3) // 2)] for example in examples]
        context_ids, context_words = (dict(zip(spans, tokenizer.encode_tokens(contexts), strict=True))
                                      for tokenizer in (source, all_words))
        question_ids, question_words = source.encode_tokens(questions), all_words.encode_tokens(questions)
        words = {text: whole_words(text, tokens, source) for text, tokens in spans.items()}
        features = []
        for i, (example, ids) in enumerate(zip(examples, question_ids, strict=True)):
            text = example.context
            for window in windows(spans[text], n_question=len(ids), max_length=data.max_length, overlap=data.stride,
                                  words=words[text]):
                inside = slice(window.start, window.start + window.n_words)
                targets = [target for answer in example.answers if (target := window.target(answer)) is not None]
                types = token_types_of(question_words[i], context_words[text][inside]) % setup.model.token_types
                features.append(Feature(
                    ids=framed(ids, context_ids[text][inside]),
                    target=np.array(targets or [(0, 0)]),
                    example=i,
                    where=example.where,
                    token_types=types,
                    origin=window,
                ))
        return features

    def batch(self, features: Sequence[Feature], setup: Setup[Threshold], random: np.random.Generator) -> Batch:
        """Pad the ids and draw one of several answers. Targets: *Shape:* ``(batch, 2)``, int64."""
        return collate([replace(feature, target=random.choice(feature.target)) for feature in features])

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Compute the mean cross-entropy of the first and the last word over all tokens of the input."""
        scores = model(batch.ids, batch.token_types).float()                                   # (B, L, 2)
        masked = scores.masked_fill((batch.ids == PAD_ID)[..., None], float("-inf"))
        return F.cross_entropy(masked, batch.targets)

    def predict(
        self, model: nn.Module, prepared: Prepared[QuestionExample], setup: Setup[Threshold],
        progress: Progress = silent,
    ) -> list[Prediction]:
        """Predict the best span over all windows as ``answer``, and the best spans as ``candidates``.

        Each has its text, ``start`` and ``end`` in characters of the context, and its ``probability`` among all
        possible answers. The answer is "" if none is predicted; ``no_answer`` is the score of no answer minus that of
        the best span, if the threshold is finite.
        """
        scores = outputs(model, prepared.features, collate, lambda batch: model(batch.ids, batch.token_types),
                         progress=progress)
        found = [SpanScores(example.context, setup.data.max_answer_words) for example in prepared.examples]
        for feature, rows in zip(prepared.features, scores, strict=True):
            found[feature.example].add(feature.origin, rows[: len(feature)].double().log_softmax(dim=0).numpy())
        threshold = setup.resolved.no_answer_threshold
        return [spans.prediction(N_CANDIDATES, 0.0 if threshold == "dev" else threshold) for spans in found]

    def measure(
        self, examples: Sequence[QuestionExample], predictions: Sequence[Prediction], setup: Setup[Threshold]
    ) -> Measures:
        """Compute exact match and F1 as defined by SQuAD."""
        return answer_measures([example.gold for example in examples], [one["answer"] for one in predictions])

    def develop(self, model: nn.Module, prepared: Prepared[QuestionExample], setup: Setup[Threshold]) -> Measures:
        """Compute exact match and F1 at the best threshold for dev, if it is to be tuned."""
        return super().develop(model, prepared, replace(setup, resolved=self.tune(model, prepared, setup)))

    def tune(self, model: nn.Module, prepared: Prepared[QuestionExample], setup: Setup[Threshold]) -> Threshold:
        """Find the threshold with the best F1 on dev, if it is to be tuned."""
        if setup.resolved.no_answer_threshold != "dev":
            return setup.resolved
        predictions = self.predict(model, prepared, setup)
        answered = [(example.gold, one) for example, one in zip(prepared.examples, predictions, strict=True)
                    if one["candidates"]]
        best = best_threshold([gold for gold, _ in answered],
                              [one["candidates"][0]["answer"] for _, one in answered],
                              [one["no_answer"] for _, one in answered])
        return replace(setup.resolved, no_answer_threshold=best.value)

    def outcome(self, gold: Sequence[str], prediction: Prediction) -> float:
        """Return the F1 of the answer."""
        return f1(prediction["answer"], gold)

    def in_words(self, gold: Sequence[str], prediction: Prediction) -> tuple[str, str]:
        """Return the distinct gold answers and the predicted one."""
        return " / ".join(dict.fromkeys(gold)) or NO_ANSWER, prediction["answer"] or NO_ANSWER

    def show(self, example: QuestionExample, prediction: Prediction) -> str:
        """Return the answer, its probability, its position in the context and the question, separated by tabs."""
        span = "-" if prediction["start"] is None else f"{prediction['start']}-{prediction['end']}"
        return f"{prediction['answer']}\t{prediction['probability']:.4f}\t{span}\t{example.question}"

    def columns(self, prediction: Prediction) -> dict[str, Any]:
        """Return the ``answer``, its ``probability``, and its ``start`` and ``end`` in the context."""
        return {name: prediction[name] for name in ("answer", "probability", "start", "end")}

    def baselines(
        self, splits: Splits[QuestionExample], setup: Setup[Threshold], stage_one: StageOne
    ) -> dict[str, Measures]:
        """First sentence of the context; sentence with the most words of the question."""
        predicted = train_selected(setup.config, {
            "first-sentence": lambda: [first_sentence(example.context) for example in splits.test],
            "most-overlap": lambda: [most_overlap(example.question, example.context) for example in splits.test]})
        gold = [example.gold for example in splits.test]
        return {name: answer_measures(gold, answers) for name, answers in predicted.items()}


def _with_all_words(tokenizer: TextTokenizer, texts: Sequence[Text]) -> TextTokenizer:
    """Return a tokenizer that separates the unknown words of texts; every subword is known already."""
    return tokenizer.with_vocabulary(tokenizer.count(texts)) if tokenizer.units == "words" else tokenizer
