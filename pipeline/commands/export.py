"""A finished run as a folder that Hugging Face's ``transformers`` loads, without any code of this project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, processors
from torch import Tensor

from embeddings.progress import Progress, silent
from embeddings.special_tokens import END, END_ID, MASK, PAD, PAD_ID, SPECIAL_TOKENS, START, START_ID, UNK
from embeddings.table.oov_policy import parse_policy
from embeddings.tokenization.tokenizer import WordTokenizer
from pipeline.commands.export_check import difference
from pipeline.config import RunConfig
from pipeline.errors import ExportError
from pipeline.runs.folder import new_folder, write_json
from pipeline.runs.trained import TrainedRun, load_run
from pipeline.word_vectors import unseen_words
from transformer.config import LIKE
from transformer.export.huggingface import bert_config, bert_state, gpt2_config, gpt2_state, save_weights
from transformer.models.decoding import NEVER_WRITTEN
from transformer.models.models import LanguageModel, MaskedLanguageModel, TransformerModel

MORE_WORDS = 50_000
LIKE_OTHERS = ("learned", "sinusoidal")  # positions that are rows, or can be written as such


@dataclass(frozen=True)
class Form:
    """What a task's model is there.

    Attributes:
        like: whose arithmetic it has.
        architecture: the class.
        output: the name of its output layer; "" if that is the table.
    """

    like: str
    architecture: str
    output: str = ""


FORMS = {
    "classification": Form("bert", "BertForSequenceClassification", "classifier"),
    "tagging": Form("bert", "BertForTokenClassification", "classifier"),
    "question-answering": Form("bert", "BertForQuestionAnswering", "qa_outputs"),
    "masked-language-model": Form("bert", "BertForMaskedLM"),
    "language-model": Form("gpt2", "GPT2LMHeadModel"),
}
NAMES = {"bert": "BERT", "gpt2": "GPT-2"}


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the folder.
        architecture: the class that loads it.
        n_words: words it has vectors for.
        n_more: how many of them training did not meet.
        difference: the greatest, between its scores and the run's on a few texts; None if ``transformers`` is not
            installed, so that nothing was compared.
    """

    path: Path
    architecture: str
    n_words: int
    n_more: int
    difference: float | None


def export(run: str | Path, out: str | Path, *, words: int = MORE_WORDS, progress: Progress = silent) -> Exported:
    """Write a run in the form of Hugging Face.

    Args:
        run: the run's folder.
        out: the folder to make; it is whole, or it is not there.
        words: how many words that training did not meet to take along, the source's first ones. The run itself finds
            vectors for still others by their spelling or parts; there they are ``<unk>``. Models that write words have
            no more than those they can write.
        progress: told how far long work has come.

    Raises:
        ExportError: if the folder is taken, or the run has something that no existing architecture has.
        PipelineError, EmbeddingError, TransformerError: if the run is not in order.
    """
    target = Path(out)
    if target.exists():
        raise ExportError(f"{target}: exists already; choose another --out, or remove it")
    progress("exporting", 0.0)
    trained = load_run(run)
    form = form_of(trained.config, origin=str(run))
    more = _unseen(trained, words) if form.output else ()
    tokenizer = trained.tokenizer.with_vocabulary([*trained.tokenizer.vocabulary()[len(SPECIAL_TOKENS):], *more])
    with new_folder(target) as folder:
        _write_model(trained, form, folder)
        _write_tokenizer(tokenizer, form, trained.config, folder)
        progress("exporting", 0.5)
        compared = None
        if find_spec("transformers"):
            compared = difference(trained, tokenizer, form.architecture, folder)
    progress("exporting", 1.0)
    return Exported(target, form.architecture, len(tokenizer) - len(SPECIAL_TOKENS), len(more), compared)


def form_of(config: RunConfig, *, origin: str) -> Form:
    """The architecture that a run's model is there.

    Raises:
        ExportError: naming each option that has no form there.
    """
    form = FORMS.get(config.task)
    if form is None:
        raise ExportError(f"{origin}: the task {config.task!r} has no form in BERT or GPT-2, which have one stack of "
                          f"layers each; what can be exported is {', '.join(FORMS)}")
    name, model = NAMES[form.like], config.model
    wrong = [f"model.{key}={getattr(model, key)}" for key, value in LIKE[form.like].items()
             if key != "norm_eps" and getattr(model, key) != value]
    if model.positions not in LIKE_OTHERS:
        wrong.append(f"model.positions={model.positions}")
    if not wrong and model.like != form.like:
        wrong.append(f"model.like={model.like!r}")
    if wrong:
        raise ExportError(f"{origin}: {', '.join(wrong)}: {'has' if len(wrong) == 1 else 'have'} no {name} form; "
                          f"train with --set model.like={form.like}")
    if config.data.han == "words":
        raise ExportError(f"{origin}: data.han=words: Chinese is cut into words by a package that tokenizer.json "
                          "cannot name; train with --set data.han=characters")
    return form


def _unseen(trained: TrainedRun, n: int) -> Sequence[str]:
    """Give the model the vectors of words that training did not meet, and say which those are."""
    tokenizer, table = trained.tokenizer, trained.table
    met = set(tokenizer.vocabulary())
    folded = dict.fromkeys(tokenizer.fold(word) for word in table.words)
    new = (word for word in folded if word not in met and tokenizer.can_produce(word))
    found = unseen_words(table, islice(new, n), parse_policy(trained.config.unknown))
    trained.embedding.extend(found)
    return found.words


def _write_model(trained: TrainedRun, form: Form, folder: Path) -> None:
    config, model = trained.config, trained.model
    n_positions = max(config.model.max_positions, config.data.max_length)
    state: dict[str, Tensor] = {}
    described: dict[str, Any] = {}
    if isinstance(model, LanguageModel):
        state = gpt2_state(model, n_positions=n_positions)
        described = gpt2_config(config.model, state)
        write_json(folder / "generation_config.json", {
            "bos_token_id": END_ID, "eos_token_id": END_ID, "pad_token_id": PAD_ID,
            "suppress_tokens": list(NEVER_WRITTEN),
        })
    elif isinstance(model, TransformerModel | MaskedLanguageModel):
        state = bert_state(model, output=form.output, n_positions=n_positions)
        described = bert_config(config.model, state)
    described |= {"architectures": [form.architecture], "pad_token_id": PAD_ID, "eos_token_id": END_ID,
                  "bos_token_id": END_ID if form.like == "gpt2" else START_ID}
    if config.data.labels and form.output == "classifier":
        described["id2label"] = {str(i): label for i, label in enumerate(config.data.labels)}
        described["label2id"] = {label: i for i, label in enumerate(config.data.labels)}
    write_json(folder / "config.json", described)
    save_weights(state, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)  # safetensors makes files that only their owner can read


def _write_tokenizer(tokenizer: WordTokenizer, form: Form, config: RunConfig, folder: Path) -> None:
    """Write the tokenizer's files, with the special words around a text that the task puts there."""
    path = folder / "tokenizer.json"
    tokenizer.save(path)
    theirs = Tokenizer.from_file(str(path))
    theirs.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL_TOKENS])
    if form.like == "gpt2":
        single, pair = f"{END} $A", f"{END} $A $B"
        named = {"bos_token": END, "eos_token": END, "unk_token": UNK, "pad_token": PAD}
    else:
        single, pair = f"{START} $A {END}", f"{START} $A {END} $B:1 {END}:1"
        named = {"cls_token": START, "sep_token": END, "mask_token": MASK, "unk_token": UNK, "pad_token": PAD}
    theirs.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(START, START_ID), (END, END_ID)]
    )
    theirs.save(str(path))
    read = ["input_ids", "attention_mask"] if form.like == "gpt2" else ["input_ids", "token_type_ids", "attention_mask"]
    write_json(folder / "special_tokens_map.json", named)
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": read,
        "model_max_length": config.data.max_length,
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": form.architecture != "BertForMaskedLM",  # "<s>" in a text is no special word here
        **named,
    })
