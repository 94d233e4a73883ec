"""Export to a folder for ``transformers`` that contains the code of the model: for encoders that are not a BERT."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from embeddings.progress import Progress
from embeddings.special_tokens import END, END_ID, MASK, N_SPECIAL, PAD, PAD_ID, START, START_ID, UNK
from embeddings.table.arguments import setting
from embeddings.table.paths import utf8_path
from embeddings.tokenization.interface import TextTokenizer
from pipeline.errors import ExportError
from pipeline.exports.base import Exported, ExportOptions
from pipeline.exports.huggingface_check import scores_of, without_progress_bar
from pipeline.exports.readme import write_readme
from pipeline.exports.scores import branch_shift, run_scores, without_ngrams
from pipeline.exports.standalone_files import copy_files
from pipeline.exports.texts import Texts, test_texts, texts_of_words
from pipeline.exports.vocabulary import (
    BERT_PAIR,
    BERT_TEXT,
    add_unseen,
    extended,
    require_characters,
    require_whole_words,
    write_tokenizer_json,
)
from pipeline.runs.folder import write_json
from pipeline.runs.trained import TrainedRun
from pipeline.runs.workspace import new_folder
from pipeline.tasks.base import Prepared, Tokenizers
from pipeline.tasks.multi_label import UNTUNED
from pipeline.tasks.ngrams.scores import branch_of as ngrams_of
from pipeline.tasks.regression import in_units_of_the_data
from pipeline.tasks.tags.branch import branch_of as features_of
from transformer.export.huggingface import projected_table, save_weights
from transformer.models.heads import ClassificationHead, ClsHead, MeanHead, PairHead, SpanHead, TokenHead

TOLERANCE = 1e-4
HEADS = {ClassificationHead: "mean-max", MeanHead: "mean", ClsHead: "cls", PairHead: "pair", TokenHead: "token",
         SpanHead: "span"}
FILES = ("configuration_vecformer", "modeling_vecformer", "tokenization_vecformer", "vecformer_hashing",
         "vecformer_tags")


class Kind(NamedTuple):
    """The class of the model of a task.

    Attributes:
        name: its end: ``Vecformer…`` and ``AutoModel…`` have the same.
        problem_type: value of ``problem_type`` in the configuration; "" for none.
    """

    name: str
    problem_type: str = ""


KINDS = {
    "classification": Kind("ForSequenceClassification", "single_label_classification"),
    "multi-label": Kind("ForSequenceClassification", "multi_label_classification"),
    "regression": Kind("ForSequenceClassification", "regression"),
    "tagging": Kind("ForTokenClassification"),
    "question-answering": Kind("ForQuestionAnswering"),
}
"""The tasks whose models can be exported with their code."""


@dataclass(frozen=True)
class ExportedCode(Exported):
    """A checkpoint with the code of its model.

    Attributes:
        architecture: class of the model.
        n_words: number of words with vectors.
        n_extra: number of these that were not seen in training.
        difference: maximum absolute difference of its scores and those of the run; None if ``transformers`` is not
            installed.
        texts: the texts that were compared, in words.
        without_ngrams: the run has an n-gram branch, which the exported model lacks.
    """

    architecture: str
    n_words: int
    n_extra: int
    difference: float | None
    texts: str
    without_ngrams: bool

    def lines(self) -> list[str]:
        """Describe the checkpoint and how it was compared with the run."""
        made = [f"{self.path}: {self.architecture}, {self.n_words:,} words, of which {self.n_extra:,} were not seen in "
                "training",
                "the code of the model is in the folder, as transformers has no equivalent: load it with "
                "trust_remote_code=True"]
        if self.without_ngrams:
            made.append("the n-gram branch is left out: the exported model is the Transformer alone, and its "
                        "predictions differ from those of the run")
        made.append("not compared with the run, because transformers is not installed: pip install 'vecformer[hf]'"
                    if self.difference is None else
                    f"compared with the run in transformers on {self.texts}: scores differ by at most "
                    f"{self.difference:.1e}")
        return made


def write_with_code(
    trained: TrainedRun, target: Path, options: ExportOptions, progress: Progress, *, origin: str
) -> ExportedCode:
    """Write the checkpoint; its scores are compared with those of the run if ``transformers`` is installed.

    Raises:
        ExportError: if the tokenizer cannot be represented, or the scores differ.
    """
    require_characters(trained.config, origin)
    if trained.config.task == "tagging":
        advice = f"train with {setting('model.like=bert')} {setting('tagging.features=false')}, or "
        require_whole_words(trained.config, "the tokenizer of an exported model with its own code", origin,
                            advice=advice)
    alone = without_ngrams(trained, options)
    found = test_texts(trained)
    extra = add_unseen(trained, options.words, first=found.words if found else ())
    tokenizer = extended(trained.tokenizer, extra)
    texts = found or texts_of_words(trained, tokenizer)
    kind = KINDS[trained.config.task]
    with new_folder(target) as folder:
        _write_model(trained, kind, folder)
        _write_tokenizer(trained, tokenizer, folder)
        copy_files(folder, *FILES, relative=True)
        write_readme(folder, trained, _readme(kind), library="transformers")
        progress("exporting", 0.5)
        compared = None
        if find_spec("transformers"):
            compared = difference(trained, tokenizer, folder, kind, texts)
    return ExportedCode(target, f"Vecformer{kind.name}", len(tokenizer) - N_SPECIAL, len(extra), compared,
                        texts.described, alone)


def _write_model(trained: TrainedRun, kind: Kind, folder: Path) -> None:
    model: Any = trained.model
    setup, resolved, shape = trained.setup, trained.setup.resolved, trained.setup.model
    if kind.problem_type == "regression":
        model = copy.deepcopy(model)
        in_units_of_the_data(model, setup)
    state = {name: tensor for name, tensor in model.state_dict().items()
             if not name.startswith(("encoder.embedding.", "encoder.positions."))}
    state["encoder.embedding.weight"] = projected_table(model.encoder.embedding)
    positions = shape.positions
    n_positions = shape.max_positions if positions == "learned" else max(shape.max_positions, setup.data.max_length)
    if positions in ("learned", "sinusoidal"):
        positions, rows = "table", model.encoder.positions.rows(n_positions)
        state["encoder.positions.weight"] = rows.detach().clone()
    save_weights(state, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)  # safetensors creates files with permissions for the owner only
    labels = list(getattr(resolved, "labels", ())) or (["value"] if kind.problem_type else ["start", "end"])
    shift = branch_shift(trained)
    ngrams, features = ngrams_of(model), features_of(model)
    described = {
        "model_type": "vecformer", "architectures": [f"Vecformer{kind.name}"], "vocab_size": len(
            state["encoder.embedding.weight"]),
        "auto_map": {"AutoConfig": "configuration_vecformer.VecformerConfig",
                     f"AutoModel{kind.name}": f"modeling_vecformer.Vecformer{kind.name}"},
        "hidden_size": shape.d_model, "embedding_size": shape.embedding_width, "num_hidden_layers": shape.n_layers,
        "num_attention_heads": shape.n_heads,
        "intermediate_size": shape.d_ff, "dropout": shape.dropout, "norm": shape.norm, "activation": shape.activation,
        "positions": positions, "max_position_embeddings": n_positions, "embedding_norm": shape.embedding_norm,
        "layer_norm_eps": shape.norm_eps, "convolutions": list(shape.convolutions),
        "type_vocab_size": shape.token_types, "head": HEADS[type(model.head)],
        "ngram_buckets": 0 if ngrams is None else len(ngrams.idf),
        "feature_buckets": 0 if features is None else len(features.weight),
        "branch_weights": list(resolved.ngram_weights if ngrams else resolved.feature_weights if features else (1, 1)),
        "shift": [] if shift is None else shift.tolist(), "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)}, "pad_token_id": PAD_ID, "bos_token_id": START_ID,
        "eos_token_id": END_ID,
    }
    if kind.problem_type:
        described["problem_type"] = kind.problem_type
    if trained.config.task == "multi-label":
        described["thresholds"] = list(resolved.thresholds or (UNTUNED,))
    write_json(folder / "config.json", described)


def _write_tokenizer(trained: TrainedRun, tokenizer: TextTokenizer, folder: Path) -> None:
    """Write the tokenizer, and the inputs that it computes besides token ids."""
    config, setup, task = trained.config, trained.setup, trained.config.task
    pairs = task == "question-answering" or (task != "tagging" and setup.model.token_types > 0)
    framed = pairs or setup.model.pooling == "cls"
    write_tokenizer_json(tokenizer, folder / "tokenizer.json", single=BERT_TEXT if framed else "",
                         pair=BERT_PAIR if framed else "")
    own: dict[str, Any] = {"n_types": setup.model.token_types, "types": ""}
    if setup.model.token_types:
        by_word = task == "question-answering" and tokenizer.units == "words"
        own["types"] = "shapes" if task == "tagging" else "overlap of words" if by_word else "overlap"
    if ngrams_of(trained.model) is not None:
        own["ngrams"] = {"words": config.ngrams.words, "characters": list(config.ngrams.characters),
                         "buckets": setup.resolved.ngram_buckets}
    if features_of(trained.model) is not None:
        own["feature_buckets"] = setup.resolved.feature_buckets
    named = {"cls_token": START, "sep_token": END, "mask_token": MASK, "unk_token": UNK, "pad_token": PAD}
    write_json(folder / "special_tokens_map.json", named)
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "VecformerTokenizer",
        "auto_map": {"AutoTokenizer": [None, "tokenization_vecformer.VecformerTokenizer"]},
        "vecformer": own,
        "model_input_names": ["input_ids", *(["token_type_ids"] if own["types"] else []), "attention_mask"],
        "model_max_length": setup.data.max_length,
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,
        **named,
    })


def _readme(kind: Kind) -> str:
    has_context = kind.name == "ForQuestionAnswering"
    question, values = (', "It is in Paris."', "start_logits") if has_context else ("", "logits")
    return f"""# A vecformer model for transformers

The code of the model is in this folder; it requires only transformers and PyTorch.

```python
from transformers import AutoModel{kind.name}, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".", trust_remote_code=True)
model = AutoModel{kind.name}.from_pretrained(".", trust_remote_code=True)
print(model(**tokenizer("Where is it?"{question}, return_tensors="pt")).{values})
```
"""


def difference(trained: TrainedRun, tokenizer: TextTokenizer, folder: Path, kind: Kind, texts: Texts) -> float:
    """Load an exported model by its own code and compare its scores with those of the run.

    Texts that the run divides into windows are left out.

    Raises:
        ExportError: if ids, token types or scores differ.
    """
    import transformers

    theirs, model = _load(folder, kind)
    tokenizers = Tokenizers(tokenizer, len(trained.tokenizer))
    tolerance, worst = TOLERANCE, 0.0
    if kind.problem_type == "regression":  # in the units of the data, whose rounding error grows with them
        tolerance *= max(trained.setup.resolved.std, abs(trained.setup.resolved.mean))
    for text, context in map(_strings, texts.examples):
        examples = [trained.task.reader.example(text, context)]
        prepared = Prepared(examples, trained.task.encode(examples, tokenizers, trained.setup), tokenizers)
        if len(prepared.features) > 1 or not len(prepared.features[0]):
            continue
        (feature,), wrong = prepared.features, ""
        read = theirs(text, context or None, truncation=True, return_tensors="pt")
        if read["input_ids"][0].tolist() != feature.ids.tolist():
            wrong = "the token ids differ"
        elif feature.token_types is not None and read["token_type_ids"][0].tolist() != feature.token_types.tolist():
            wrong = "the token types differ"
        else:
            with torch.inference_mode():
                found = scores_of(model(**read))[0].numpy()
            (expected,) = run_scores(trained, prepared)
            found = found[feature.origin] if trained.config.task == "tagging" else found
            distance = float(np.abs(found - expected).max(initial=0.0))
            wrong = "" if distance <= tolerance else f"scores differ by {distance:.2g}"
            worst = max(worst, distance)
        if wrong:
            raise ExportError(f"the exported model differs from the run in transformers {transformers.__version__}: "
                              f"{wrong} for {text[:100]!r}; nothing was written. Try another version of transformers")
    return worst


def _strings(example: Any) -> tuple[str, str]:
    """Return both texts of an example; the words of a sentence are joined."""
    text = getattr(example, "question", None) or getattr(example, "text", "") or " ".join(getattr(example, "words", ()))
    return text, getattr(example, "context", "") or getattr(example, "text_b", "")


def _load(folder: Path, kind: Kind) -> tuple[Any, Any]:
    """Load tokenizer and model."""
    from pipeline.exports.standalone import modeling_vecformer, tokenization_vecformer

    with without_progress_bar(), utf8_path(folder) as readable:
        return (tokenization_vecformer.VecformerTokenizer.from_pretrained(readable),
                getattr(modeling_vecformer, f"Vecformer{kind.name}").from_pretrained(readable).eval())
