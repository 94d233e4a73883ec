"""Answers that are spans of a context."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from embeddings.progress import Progress, silent
from embeddings.special_tokens import PAD_ID
from embeddings.tokenization.tokenizer import Text
from pipeline.baselines.question_answering import first_sentence, most_overlap
from pipeline.config import DataConfig, RunConfig
from pipeline.data.examples import QuestionExample, Splits
from pipeline.data.features.batching import Batch, Feature, collate
from pipeline.data.features.special_tokens import N_TOKEN_TYPES, framed, token_types_of
from pipeline.data.features.windows import windows
from pipeline.data.readers.questions import read_question_file, read_questions
from pipeline.errors import DataError
from pipeline.measures.question_answering import answer_measures, best_threshold, f1
from pipeline.tasks.base import Measures, Prediction, Prepared, Task, Tokenizers, task
from pipeline.tasks.inference import outputs
from pipeline.tasks.span_scores import SpanScores
from pipeline.word_vectors import StageOne
from transformer.layers.embedding import TokenEmbedding
from transformer.models.heads import SpanHead, TokenHead
from transformer.models.models import TransformerModel
from transformer.models.stack import Encoder

N_CANDIDATES = 5
NO_ANSWER = "no answer"


@task("question-answering")
class QuestionAnswering(Task[QuestionExample]):
    """Where the answer to a question stands in a context, by cross-entropy of its first and its last word.

    The model reads ``<s> question </s> context </s>``, a long context window by window. A window without the answer is
    to point to ``<s>`` (Devlin et al. 2019, section 4.3), whether the question has none or another window has it: only
    so are the probabilities of different windows comparable.
    """

    measure_name = "f1"

    def read(self, config: RunConfig) -> Splits[QuestionExample]:
        """Read questions, contexts and answers."""
        return read_questions(config.data, seed=config.seed)

    def read_examples(self, path: Path, config: DataConfig) -> tuple[QuestionExample, ...]:
        """Read one file of questions, contexts and answers."""
        return read_question_file(path, config)

    def example(self, text: str, context: str) -> QuestionExample:
        """A question about a context.

        Raises:
            DataError: if there is no context.
        """
        if not context.strip():
            raise DataError(f"{text!r}: a question needs a text that it is about; give it with --context")
        return QuestionExample("", text, context, (), "the question given")

    def resolve(self, config: RunConfig, splits: Splits[QuestionExample]) -> RunConfig:
        """Fix the kinds of words that the model tells apart, and whether it may give no answer.

        Raises:
            DataError: if no training question has an answer.
        """
        if not any(example.answers for example in splits.train):
            raise DataError(f"{config.data.path}: no training question has an answer, so there is nothing to learn")
        kinds = replace(config.model, token_types=2 if config.model.like else N_TOKEN_TYPES)
        threshold = config.data.no_answer_threshold
        if threshold == "dev" and all(example.answers for example in splits.train):
            threshold = math.inf
        elif threshold == "dev" and not splits.dev:
            threshold = 0.0
        return replace(config, model=kinds, data=replace(config.data, no_answer_threshold=threshold))

    def texts(self, examples: Sequence[QuestionExample]) -> list[Text]:
        """The questions, and each context once."""
        return [*dict.fromkeys(example.context for example in examples), *(example.question for example in examples)]

    def model(self, config: RunConfig, embeddings: Sequence[TokenEmbedding]) -> nn.Module:
        """An encoder, and an output layer for starts and ends."""
        width, dropout = config.model.d_model, config.model.dropout
        head = (TokenHead(d_model=width, n_outputs=2, dropout=dropout) if config.model.like else
                SpanHead(d_model=width, dropout=dropout))
        return TransformerModel(encoder=Encoder(config=config.model, embedding=embeddings[0]), head=head)

    def encode(self, examples: Sequence[QuestionExample], tokenizers: Tokenizers, config: RunConfig) -> list[Feature]:
        """A feature a window; the target has a row an answer in it: where its first and its last word stand."""
        data, source = config.data, tokenizers.source
        all_words = source.with_vocabulary(source.count(self.texts(examples)))  # unknown ones are told apart as well
        places = {text: source.spans(text) for text in dict.fromkeys(example.context for example in examples)}
        contexts = [[place.word for place in spans] for spans in places.values()]
        questions = [source.words(example.question)[: max(1, (data.max_length - 3) // 2)] for example in examples]
        context_ids, context_words = (dict(zip(places, cutter.encode(contexts), strict=True))
                                      for cutter in (source, all_words))
        question_ids, question_words = source.encode(questions), all_words.encode(questions)
        features = []
        for i, (example, ids) in enumerate(zip(examples, question_ids, strict=True)):
            text = example.context
            for window in windows(places[text], n_question=len(ids), max_length=data.max_length, overlap=data.stride):
                part = slice(window.start, window.start + window.n_words)
                targets = [target for answer in example.answers if (target := window.target(answer)) is not None]
                features.append(Feature(
                    ids=framed(ids, context_ids[text][part]),
                    target=np.array(targets or [(0, 0)]),
                    example=i,
                    where=example.where,
                    token_types=token_types_of(question_words[i], context_words[text][part]) % config.model.token_types,
                    origin=window,
                ))
        return features

    def batch(self, features: Sequence[Feature], config: RunConfig, random: np.random.Generator) -> Batch:
        """Pad the ids; of several answers one is drawn, so that each counts. Targets: ``(batch, 2)``, int64."""
        return collate([replace(feature, target=random.choice(feature.target)) for feature in features])

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy over the words of the question and the window: the mean of that of starts and of ends."""
        scores = model(batch.ids, batch.token_types).float()                                   # (B, L, 2)
        words_only = scores.masked_fill((batch.ids == PAD_ID)[..., None], float("-inf"))
        return F.cross_entropy(words_only, batch.targets)

    def predict(
        self, model: nn.Module, prepared: Prepared[QuestionExample], config: RunConfig, progress: Progress = silent
    ) -> list[Prediction]:
        """The best span over all windows, and those after it.

        Each has its text, its place in the context in characters and its probability among all that could be answered.
        An answer of "" is that there is none; how much speaks for that is ``no_answer``, where the model may say so.
        """
        scores = outputs(model, prepared.features, collate, lambda batch: model(batch.ids, batch.token_types),
                         progress=progress)
        found = [SpanScores(example.context, config.data.max_answer_words) for example in prepared.examples]
        for feature, rows in zip(prepared.features, scores, strict=True):
            found[feature.example].add(feature.origin, rows[: len(feature)].double().log_softmax(dim=0).numpy())
        threshold = config.data.no_answer_threshold
        return [spans.prediction(N_CANDIDATES, 0.0 if threshold == "dev" else threshold) for spans in found]

    def measure(
        self, examples: Sequence[QuestionExample], predictions: Sequence[Prediction], config: RunConfig
    ) -> Measures:
        """Exact match and F1 as SQuAD defines them."""
        return answer_measures([example.gold for example in examples], [guess["answer"] for guess in predictions])

    def outcome(self, gold: Sequence[str], prediction: Prediction) -> float:
        """The F1 of the answer's words."""
        return f1(prediction["answer"], gold)

    def in_words(self, gold: Sequence[str], prediction: Prediction) -> tuple[str, str]:
        """The distinct right answers, and the one given."""
        return " / ".join(dict.fromkeys(gold)) or NO_ANSWER, prediction["answer"] or NO_ANSWER

    def develop(self, model: nn.Module, prepared: Prepared[QuestionExample], config: RunConfig) -> Measures:
        """Exact match and F1, at the threshold that is best on dev if it is still to be found."""
        return super().develop(model, prepared, self.tune(model, prepared, config))

    def tune(self, model: nn.Module, prepared: Prepared[QuestionExample], config: RunConfig) -> RunConfig:
        """Find the no-answer threshold with the best F1, if the configuration leaves that to dev."""
        if config.data.no_answer_threshold != "dev":
            return config
        predictions = self.predict(model, prepared, config)
        answered = [(example.gold, guess) for example, guess in zip(prepared.examples, predictions, strict=True)
                    if guess["candidates"]]
        best = best_threshold([gold for gold, _ in answered],
                              [guess["candidates"][0]["answer"] for _, guess in answered],
                              [guess["no_answer"] for _, guess in answered])
        return replace(config, data=replace(config.data, no_answer_threshold=best.value))

    def score(self, measures: Measures) -> tuple[float, ...]:
        """F1; at equal F1 the exact match."""
        return (measures["f1"], measures["exact_match"])

    def baselines(
        self, splits: Splits[QuestionExample], config: RunConfig, stage_one: StageOne
    ) -> dict[str, Measures]:
        """The first sentence of the context, and that with most of the question's words."""
        guesses = {"first-sentence": [first_sentence(example.context) for example in splits.test],
                   "most-overlap": [most_overlap(example.question, example.context) for example in splits.test]}
        gold = [example.gold for example in splits.test]
        return {name: answer_measures(gold, answers) for name, answers in guesses.items()}

    def show(self, example: QuestionExample, prediction: Prediction) -> str:
        """The answer, its probability, where it stands in the context, and the question, with tabs between."""
        place = "-" if prediction["start"] is None else f"{prediction['start']}-{prediction['end']}"
        return f"{prediction['answer']}\t{prediction['probability']:.4f}\t{place}\t{example.question}"
