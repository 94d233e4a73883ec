"""Use a model that vecformer exported to ONNX. This file needs numpy, onnxruntime and tokenizers."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import PreTokenizedString, Tokenizer

from pipeline.exports.standalone.vecformer_hashing import bucket, encodable, ngram_counts, word_features
from pipeline.exports.standalone.vecformer_tags import OTHER, ends, entities, shape_of, starts, tags_of, windows

UNK_ID, START_ID, END_ID, MASK_ID, N_SPECIAL = 1, 2, 3, 4, 5
MASK = "<mask>"
AT_ONCE, N_BEST = 32, 5
BRACKETED = re.compile(r"</?([^<>]+)>")
Row = dict[str, Any]
"""The inputs of the graph for one text, by name, without padding."""


class Sentence(NamedTuple):
    """A text to tag.

    Attributes:
        text: the text.
        words: its words as written.
        folded: its words as in the vocabulary.
        places: start and end of each word in characters of the text.
    """

    text: str
    words: list[str]
    folded: list[str]
    places: list[tuple[int, int]]


class Model:
    """An exported model.

    Args:
        folder: the folder.
        file: name of the graph in it, such as ``model_int8.onnx``.

    Attributes:
        config: content of ``config.json``.
        tokenizer: splits texts and contains the vocabulary.
        session: runs the graph.
    """

    def __init__(self, folder: str | Path, file: str = "model.onnx") -> None:
        import onnxruntime

        folder = Path(folder)
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.vocabulary = self.tokenizer.get_vocab()
        self.session = onnxruntime.InferenceSession((folder / file).read_bytes(), providers=["CPUExecutionProvider"])

    def predict(self, texts: Sequence[Any], contexts: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Predict for texts.

        Args:
            texts: the texts; for question answering, the questions. For tagging, each can also be a list of words.
            contexts: the second text of each; for question answering, the texts with the answers.

        Returns:
            One dictionary for each text, with the keys of ``vecformer predict --json``.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be a list of strings, not one string")
        seconds = list(contexts) or [""] * len(texts)
        if len(seconds) != len(texts):
            raise ValueError(f"{len(texts)} texts, but {len(seconds)} contexts")
        task = self.config["task"]
        if task == "tagging":
            return [self.tagged(*found) for found in zip(*self.tag_scores(texts), strict=True)]
        if task == "question-answering":
            return self._answered(texts, seconds)
        scores = self.run([self.encode(text, second) for text, second in zip(texts, seconds, strict=True)])
        if task == "masked-language-model":
            return self._filled(texts, scores)
        if task == "language-model":
            return [{"next": self._best(row[-1])} for row in scores]
        return [self.labelled(row) for row in scores]

    def run(self, rows: Sequence[Row]) -> list[Any]:
        """Compute the scores of encoded texts: float32, one array for each, without padding."""
        order = np.argsort([len(row["input_ids"]) for row in rows], kind="stable")
        made: list[Any] = [None] * len(rows)
        for start in range(0, len(rows), AT_ONCE):
            chosen = order[start:start + AT_ONCE]
            batch = {name: _padded([rows[i][name] for i in chosen], self.config["inputs"][name]) for name in rows[0]}
            (scores,) = self.session.run(["logits"], batch)
            for i, of_row in zip(chosen, scores, strict=True):
                made[i] = of_row[: len(rows[i]["input_ids"])] if self.config["per_token"] else of_row
        return made

    def encode(self, text: str, context: str = "") -> Row:
        """Return the inputs of the graph for one text, or for a pair of texts."""
        limit, config = self.config["max_length"], self.config
        if config["task"] == "masked-language-model":
            parts = [self.text_ids(part) for part in text.split(MASK)]
            ids = [number for part in parts for number in (*part, MASK_ID)][:-1]
        elif config["task"] == "language-model":
            return {"input_ids": np.array([END_ID, *self.text_ids(text)][-limit:])}
        else:
            ids = self.text_ids(text)[:limit]
        row: Row = {}
        if config["pairs"]:
            one, other = shortened(ids, self.text_ids(context)[:limit], max(2, limit - 3))
            row["input_ids"] = np.array([START_ID, *one, END_ID, *other, END_ID])
            row["token_type_ids"] = token_types(one, other, config["token_types"])
        elif config["framed"]:
            row["input_ids"] = np.array([START_ID, *ids[: max(1, limit - 2)], END_ID])
        else:
            row["input_ids"] = np.array(ids[:limit], dtype=np.int64)
        if ngrams := config.get("ngrams"):
            counts = ngram_counts(f"{text} {context}".strip(), words=ngrams["words"], buckets=ngrams["buckets"],
                                  characters=tuple(ngrams["characters"]))
            row["ngram_buckets"] = np.array(list(counts), dtype=np.int64)
            row["ngram_counts"] = np.array(list(counts.values()), dtype=np.float32)
        return row

    def text_ids(self, text: str) -> list[int]:
        """Return the ids of the tokens of a text, which are words or subwords."""
        if self.config.get("units") == "subwords":
            return list(self.tokenizer.encode(encodable(text), add_special_tokens=False).ids)
        return self.ids(self.words(text))

    def words(self, text: str) -> list[str]:
        """Split a text into words."""
        folded = self.tokenizer.normalizer.normalize_str(encodable(text))
        return [word for word, _ in self.tokenizer.pre_tokenizer.pre_tokenize_str(folded)]

    def ids(self, words: Sequence[str]) -> list[int]:
        """Return the ids of words; that of an unknown word is 1."""
        return [self.vocabulary.get(word, UNK_ID) for word in words]

    def spans(self, text: str) -> list[tuple[str, int, int]]:
        """Split a text into words, with the start and end of each in characters of the text."""
        pieces = PreTokenizedString(encodable(text))
        pieces.normalize(self.tokenizer.normalizer.normalize)
        self.tokenizer.pre_tokenizer.pre_tokenize(pieces)
        found = [(word, place) for word, place, _ in pieces.get_splits("original", "char")]
        return [(word, start, end) for (word, (start, _)), end in zip(found, ends(text, [place for _, place in found]),
                                                                      strict=True)]

    def labelled(self, scores: Any) -> dict[str, Any]:
        """Return the prediction of a classification, a multi-label classification or a regression."""
        labels, exact = self.config.get("labels"), scores.astype(np.float64)
        if self.config["task"] == "regression":
            return {"value": float(exact[0])}
        if self.config["task"] == "multi-label":
            with np.errstate(over="ignore"):
                probabilities = 1 / (1 + np.exp(-exact))
            above = probabilities > np.array(self.config["thresholds"])
            ranked = np.argsort(-probabilities, kind="stable")
            return {"labels": [labels[i] for i in ranked if above[i]],
                    "probabilities": dict(zip(labels, probabilities.tolist(), strict=True))}
        probabilities = softmax(exact)
        return {"label": labels[int(probabilities.argmax())],
                "probabilities": dict(zip(labels, probabilities.tolist(), strict=True))}

    def _best(self, scores: Any) -> dict[str, float]:
        """Return the most probable words and their probabilities."""
        words = {number: word for word, number in self.vocabulary.items()}
        allowed = scores.astype(np.float64)
        end = allowed[END_ID]
        allowed[:N_SPECIAL] = -np.inf
        if self.config["task"] == "language-model":
            allowed[END_ID] = end
        probabilities = softmax(allowed)
        return {words[i]: float(probabilities[i]) for i in np.argsort(-probabilities, kind="stable")[:N_BEST].tolist()}

    def _filled(self, texts: Sequence[str], scores: Sequence[Any]) -> list[dict[str, Any]]:
        rows = [self.encode(text)["input_ids"] for text in texts]
        return [{"guesses": [self._best(of_text[i]) for i in np.flatnonzero(ids == MASK_ID)]}
                for ids, of_text in zip(rows, scores, strict=True)]

    def tag_scores(self, texts: Sequence[str | Sequence[str]]) -> tuple[list[Sentence], list[Any]]:
        """Compute the scores of the tags of each text. *Shape* of each: ``(n_words, n_tags)``, float32."""
        config, frame = self.config, int(self.config["framed"])
        rows, places, sentences = [], [], [self._sentence(text) for text in texts]
        for number, sentence in enumerate(sentences):
            ids, shapes = self.ids(sentence.folded), [shape_of(word) for word in sentence.words]
            features = None
            if buckets := config.get("feature_buckets"):
                features = [np.array([bucket(name, buckets) for name in names])
                            for names in word_features(sentence.words)]
            for start, end, first, last in windows(len(ids), room=max(1, config["max_length"] - 2 * frame),
                                                   overlap=config["stride"]):
                inside = [START_ID, *ids[start:end], END_ID] if frame else ids[start:end]
                row: Row = {"input_ids": np.array(inside, dtype=np.int64)}
                if config["token_types"]:
                    row["token_type_ids"] = np.pad(np.array(shapes[start:end], dtype=np.int64), frame,
                                                   constant_values=OTHER)
                if features is not None:
                    none = [np.zeros(0, dtype=np.int64)] * frame
                    row["feature_buckets"] = _padded([*none, *features[start:end], *none], buckets)
                rows.append(row)
                places.append((number, slice(first - start + frame, last - start + frame)))
        found: list[list[Any]] = [[] for _ in texts]
        for (number, tagged), scores in zip(places, self.run(rows), strict=True):
            found[number].append(scores[tagged])
        return sentences, [np.concatenate(parts) for parts in found]

    def _sentence(self, text: str | Sequence[str]) -> Sentence:
        if isinstance(text, str):
            found = self.spans(text)
            places = [(start, end) for _, start, end in found]
            return Sentence(text, [text[start:end] for start, end in places], [word for word, _, _ in found], places)
        plain = [match[1] if (match := BRACKETED.fullmatch(word)) else word for word in text]
        begins = np.cumsum([0, *(len(word) + 1 for word in text)]).tolist()
        folded = [self.tokenizer.normalizer.normalize_str(encodable(word)) for word in plain]
        return Sentence(" ".join(text), list(text), folded,
                        [(start, start + len(word)) for start, word in zip(begins, text, strict=False)])

    def tagged(self, sentence: Sentence, scores: Any) -> dict[str, Any]:
        """Return the tags and entities of a sentence by its scores."""
        tags = tags_of(scores, self.config["labels"], plain=self.config["plain_tags"],
                       constrained=self.config["decoding"] == "constrained")
        return {"tags": tags, "words": sentence.words,
                "entities": [{"type": name, "text": sentence.text[start:end], "start": start, "end": end}
                             for name, start, end in entities(tags, sentence.places)]}

    def _answered(self, questions: Sequence[str], contexts: Sequence[str]) -> list[dict[str, Any]]:
        config, rows, places = self.config, [], []
        spans = [self.spans(context) for context in contexts]
        for number, question in enumerate(questions):
            words = self.words(question)[: max(1, (config["max_length"] - 3) // 2)]
            inside = [word for word, _, _ in spans[number]]
            room = max(1, config["max_length"] - len(words) - 3)
            for start in starts(len(inside), room=room, overlap=config["stride"]):
                part = inside[start:start + room]
                rows.append({
                    "input_ids": np.array([START_ID, *self.ids(words), END_ID, *self.ids(part), END_ID]),
                    "token_type_ids": token_types(words, part, config["token_types"]),
                })
                places.append((number, start, len(words) + 2, len(part)))
        answers = [Answers(context, [(start, end) for _, start, end in found], config["max_answer_words"])
                   for context, found in zip(contexts, spans, strict=True)]
        for (number, first, offset, n_words), scores in zip(places, self.run(rows), strict=True):
            answers[number].add(first, offset, n_words, log_softmax(scores.astype(np.float64)))
        threshold = config["no_answer_threshold"]
        return [one.best(None if threshold is None else float(threshold)) for one in answers]


class Answers:
    """Scores of all spans of a context: log-probability of the first word plus that of the last.

    Args:
        context: the text.
        spans: positions of its words.
        longest: greatest number of words of an answer.
    """

    def __init__(self, context: str, spans: list[tuple[int, int]], longest: int) -> None:
        self.context, self.spans, self.longest, self.none = context, spans, longest, np.inf
        self.scores = np.full((len(spans), longest), -np.inf)

    def add(self, first: int, offset: int, n_words: int, scores: Any) -> None:
        """Add the scores of a window over the words from ``first``. *Shape:* ``(length, 2)``."""
        start, end = scores[offset:offset + n_words].T
        ends = np.append(end, np.full(self.longest, -np.inf))
        for i in range(n_words):
            here = self.scores[first + i]
            np.maximum(here, start[i] + ends[i:i + self.longest], out=here)
        self.none = min(self.none, float(scores[0].sum()))

    def best(self, threshold: float | None) -> dict[str, Any]:
        """Return the best answer; "" if the score of no answer exceeds it by more than ``threshold``, if any."""
        if not self.spans:
            return {"answer": "", "start": None, "end": None, "probability": 1.0}
        flat = self.scores.ravel()
        total = np.logaddexp.reduce(flat if threshold is None else np.append(flat, self.none))
        best = int(np.argsort(-flat, kind="stable")[0])
        if threshold is not None and self.none - flat[best] > threshold:
            return {"answer": "", "start": None, "end": None, "probability": float(np.exp(self.none - total))}
        first, more = divmod(best, self.longest)
        start, end = self.spans[first][0], self.spans[first + more][1]
        return {"answer": self.context[start:end], "start": start, "end": end,
                "probability": float(np.exp(flat[best] - total))}


def shortened(first: list[int], second: list[int], room: int) -> tuple[list[int], list[int]]:
    """Truncate a pair of texts to ``room`` tokens, the longer one first."""
    shorter = min(len(first), len(second), room // 2)
    if len(first) <= len(second):
        keep = min(len(first), max(shorter, room - len(second)))
        return first[:keep], second[: room - keep]
    keep = min(len(second), max(shorter, room - len(first)))
    return first[: room - keep], second[:keep]


def token_types(one: Sequence[Any], other: Sequence[Any], n_types: int) -> Any:
    """Return the token types of a pair: 0 or 1 for the text, plus 2 for a known token of both, modulo ``n_types``."""
    shared = {token for token in set(one) & set(other) if isinstance(token, str) or token >= N_SPECIAL}
    first, second = ([2 * (token in shared) + segment for token in part] for segment, part in ((0, one), (1, other)))
    return np.array([0, *first, 0, *second, 1]) % n_types


def softmax(scores: Any) -> Any:
    """Compute the softmax over the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def log_softmax(scores: Any) -> Any:
    """Compute the logarithm of the softmax over the first axis."""
    shifted = scores - scores.max(axis=0, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=0, keepdims=True))


def _padded(rows: Sequence[Any], value: float) -> Any:
    """Stack arrays and pad them with a value, to a length of at least 1."""
    if not rows:
        return np.full((0, 1), value, dtype=np.int64)
    shape = np.maximum(np.max([row.shape for row in rows], axis=0), 1)
    made = np.full((len(rows), *shape), value, dtype=rows[0].dtype)
    for i, row in enumerate(rows):
        made[i][tuple(slice(size) for size in row.shape)] = row
    return made


if __name__ == "__main__":
    for prediction in Model(Path(__file__).parent).predict(sys.argv[1:2], sys.argv[2:3]):
        print(json.dumps(prediction, ensure_ascii=False))
