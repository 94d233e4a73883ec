"""The tokenizer of a vecformer encoder in Hugging Face ``transformers``: it adds the inputs of the linear branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerFast

from pipeline.exports.standalone.vecformer_hashing import MAX_FEATURES, bucket, ngram_counts, word_features
from pipeline.exports.standalone.vecformer_tags import OTHER, shape_of, whole_words

N_SPECIAL, UNKNOWN = 5, 1
PADDING = {"ngram_buckets": 0, "ngram_counts": 0.0, "feature_buckets": -1}


class VecformerTokenizer(PreTrainedTokenizerFast):
    """Splits texts into words, and computes token types, n-grams, and features of words.

    ``tokenizer_config.json`` describes the inputs of the model under ``vecformer``: ``types`` (``overlap``,
    ``overlap of words`` or ``shapes``) and their number ``n_types``, ``ngrams`` and ``feature_buckets``.
    """

    @property
    def vecformer(self) -> dict[str, Any]:
        """What the model reads."""
        options: dict[str, Any] = self.init_kwargs.get("vecformer", {})
        return options

    def __call__(self, text: Any = None, text_pair: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Encode texts as every tokenizer does, and add the further inputs of the model."""
        encoded = super().__call__(text, text_pair, *args, **kwargs)
        batched = isinstance(text, (list, tuple))
        texts, pairs = (list(text), text_pair) if batched else ([text], [text_pair])
        if not all(isinstance(one, str) for one in texts):
            raise ValueError("give texts as strings; this tokenizer splits them into words itself")
        samples = [encoding_sample(encoded, i) for i in range(len(encoded.encodings))]
        seconds = list(pairs) if pairs is not None else [None] * len(texts)
        rows = [self._inputs(encoding, texts[i], seconds[i]) for i, encoding in zip(samples, encoded.encodings,
                                                                                  strict=True)]
        as_tensor = kwargs.get("return_tensors")
        for name in rows[0] if rows else ():
            values = [row[name] for row in rows]
            if as_tensor or batched:
                values = values if name not in PADDING else padded(values, PADDING[name])
                encoded[name] = tensor(values, as_tensor) if as_tensor else values
            else:
                encoded[name] = values[0]
        return encoded

    def pad(self, encoded_inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Pad encoded texts, the further inputs of the model included."""
        batch = encoded_inputs
        if isinstance(batch, (list, tuple)):
            batch = {name: [row[name] for row in encoded_inputs] for name in encoded_inputs[0]}
        own = {name: batch[name] for name in PADDING if name in batch}
        made = super().pad({name: value for name, value in batch.items() if name not in own}, *args, **kwargs)
        for name, values in own.items():
            rows = padded([row.tolist() if hasattr(row, "tolist") else row for row in values], PADDING[name])
            made[name] = tensor(rows, kwargs["return_tensors"]) if kwargs.get("return_tensors") else rows
        return made

    def _inputs(self, encoding: Any, text: str, second: str | None) -> dict[str, Any]:
        """Return the further inputs of one encoded text."""
        options = self.vecformer
        made: dict[str, Any] = {}
        if ngrams := options.get("ngrams"):
            counts = ngram_counts(f"{text} {second or ''}".strip(), words=ngrams["words"], buckets=ngrams["buckets"],
                                  characters=tuple(ngrams["characters"])) or {0: 0}
            made |= {"ngram_buckets": list(counts), "ngram_counts": [float(count) for count in counts.values()]}
        kind = options.get("types")
        if kind in ("overlap", "overlap of words"):
            made["token_type_ids"] = self._overlap(encoding, (text, second or ""), by_word=kind != "overlap")
        if kind == "shapes" or options.get("feature_buckets"):
            made |= self._of_words(encoding, text)
        return made

    def _overlap(self, encoding: Any, texts: tuple[str, str], *, by_word: bool) -> list[int]:
        """Return 0 or 1 for the text of each token, plus 2 if the token is in both texts."""
        keys: list[Any] = []
        for number, segment, special, (start, end) in zip(
                encoding.ids, encoding.type_ids, encoding.special_tokens_mask, encoding.offsets, strict=True):
            key = number if number >= N_SPECIAL and not special else None
            if by_word and number == UNKNOWN and not special:
                key = self.backend_tokenizer.normalizer.normalize_str(texts[segment][start:end])
            keys.append(key)
        parts = [{key for key, segment in zip(keys, encoding.type_ids, strict=True) if segment == part}
                 for part in (0, 1)]
        shared = (parts[0] & parts[1]) - {None}
        return [(segment + 2 * (key in shared)) % self.vecformer["n_types"]
                for key, segment in zip(keys, encoding.type_ids, strict=True)]

    def _of_words(self, encoding: Any, text: str) -> dict[str, Any]:
        """Return the shapes and the features of the words of a text."""
        options = self.vecformer
        whole = self.backend_tokenizer.encode(text, add_special_tokens=False)  # not truncated: for the neighbours
        words = whole_words(text, whole.offsets)
        number = {place: i for i, place in enumerate(whole.offsets)}
        real = [None if special else number.get(place) for special, place in zip(
            encoding.special_tokens_mask, encoding.offsets, strict=True)]
        made: dict[str, Any] = {}
        if options.get("types") == "shapes":
            made["token_type_ids"] = [OTHER if i is None else shape_of(words[i]) for i in real]
        if buckets := options.get("feature_buckets"):
            features = [[bucket(name, buckets) for name in names] for names in word_features(words)]
            rows = [[] if i is None else features[i] for i in real]
            made["feature_buckets"] = [row + [-1] * (MAX_FEATURES - len(row)) for row in rows]
        return made


def encoding_sample(encoded: Any, row: int) -> int:
    """Return the number of the text of a row; long texts can have several."""
    mapping = encoded.get("overflow_to_sample_mapping")
    return row if mapping is None else int(mapping[row])


def padded(rows: Sequence[Any], value: Any) -> list[Any]:
    """Pad lists of numbers, or of lists of the same length, to the same length."""
    longest = max((len(row) for row in rows), default=0)
    nested = next((row[0] for row in rows if len(row) and isinstance(row[0], list)), None)
    filler = value if nested is None else [value] * len(nested)
    return [list(row) + [filler] * (longest - len(row)) for row in rows]


def tensor(rows: Any, kind: Any) -> Any:
    """Convert lists to an array of PyTorch or NumPy."""
    if str(getattr(kind, "value", kind)) == "np":
        import numpy

        return numpy.array(rows)
    import torch

    return torch.tensor(rows)
