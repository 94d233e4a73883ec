"""Export a finished run to a folder that Hugging Face ``transformers`` loads without this project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, processors

from embeddings.progress import Progress, silent
from embeddings.special_tokens import END, END_ID, MASK, PAD, PAD_ID, SPECIAL_TOKENS, START, START_ID, UNK
from embeddings.table.arguments import argument, flag, setting
from embeddings.table.atomic_files import write_atomically
from embeddings.table.oov_policy import parse_policy
from embeddings.tokenization.tokenizer import WordTokenizer
from pipeline.commands.export_check import difference
from pipeline.config import RunConfig
from pipeline.errors import ExportError
from pipeline.runs.folder import write_json
from pipeline.runs.trained import TrainedRun, load_run
from pipeline.runs.workspace import new_folder, owned
from pipeline.tasks.base import TASKS, Architecture
from pipeline.tasks.ngrams.scores import branch_of
from pipeline.tasks.tags import branch as word_features
from pipeline.word_vectors import unseen_words
from transformer.config import LIKE
from transformer.export.huggingface import bert_config, bert_state, gpt2_config, gpt2_state, save_weights
from transformer.models.decoding import NEVER_WRITTEN

EXTRA_WORDS = 50_000
EXPORTABLE_POSITIONS = ("learned", "sinusoidal")  # position encodings that are a table, or can be converted to one


NAMES = {"bert": "BERT", "gpt2": "GPT-2"}


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        path: the folder.
        architecture: class of ``transformers`` that loads it.
        n_words: number of words with vectors.
        n_extra: number of these that were not seen in training.
        difference: maximum absolute difference of its scores and those of the run on a few texts; None if
            ``transformers`` is not installed.
        without_ngrams: whether the run has an n-gram branch, which the exported model lacks.
    """

    path: Path
    architecture: str
    n_words: int
    n_extra: int
    difference: float | None
    without_ngrams: bool = False


def export(
    run: str | Path, out: str | Path, *, words: int = EXTRA_WORDS, without_ngrams: bool = False, verify: bool = True,
    progress: Progress = silent,
) -> Exported:
    """Export a run.

    Args:
        run: the run folder.
        out: the folder to create; it is complete or does not exist.
        words: number of words not seen in training to export, the source's first. All other words are ``<unk>`` in the
            exported model, while the run itself may find vectors for them by its out-of-vocabulary policy. Models whose
            output layer is the embedding table are exported without extra words.
        without_ngrams: export the Transformer of a run with an n-gram branch alone; its predictions differ from those
            of the run.
        verify: check that the files of the run have the SHA-256 that ``manifest.json`` lists.
        progress: progress callback.

    Raises:
        ExportError: if the folder exists, or the run has no equivalent among the exported architectures.
        PipelineError, EmbeddingError, TransformerError: if the run is damaged.
    """
    target = Path(out)
    with owned(target) as real:
        if real.exists():
            raise ExportError(f"{target}: already exists; choose another {argument('out')}, or remove it")
        return _export(run, target, words=words, without_ngrams=without_ngrams, verify=verify, progress=progress)


def _export(
    run: str | Path, target: Path, *, words: int, without_ngrams: bool, verify: bool, progress: Progress
) -> Exported:
    progress("exporting", 0.0)
    trained = load_run(run, verify=verify)
    architecture = require_architecture(trained.config, trained.task.architecture, origin=str(run))
    alone = branch_of(trained.model) is not None
    if alone and not without_ngrams:
        raise ExportError(f"{run}: {architecture.name} has no place for the n-gram branch of this run: train with "
                          f"{setting('ngrams.enabled=false')}, or export the Transformer alone with "
                          f"{flag('without_ngrams')}")
    if word_features.branch_of(trained.model) is not None:
        raise ExportError(f"{run}: {architecture.name} has no place for the features of words of this run: train with "
                          f"{setting('tagging.features=false')}")
    extra = _add_unseen(trained, words) if architecture.output else ()
    if architecture.prepare:
        architecture.prepare(trained.model, trained.setup)
    tokenizer = trained.tokenizer.with_vocabulary([*trained.tokenizer.vocabulary()[len(SPECIAL_TOKENS):], *extra])
    with new_folder(target) as folder:
        _write_model(trained, architecture, folder)
        _write_tokenizer(tokenizer, architecture, trained.config, folder)
        progress("exporting", 0.5)
        compared = None
        if find_spec("transformers"):
            compared = difference(trained, tokenizer, architecture, folder)
    progress("exporting", 1.0)
    return Exported(target, architecture.name, len(tokenizer) - len(SPECIAL_TOKENS), len(extra), compared, alone)


def require_architecture(config: RunConfig, architecture: Architecture | None, *, origin: str) -> Architecture:
    """Require that a run has an equivalent among the architectures of ``transformers``.

    Raises:
        ExportError: if it has none; the message names each option that has no equivalent.
    """
    if architecture is None:
        exportable = [name for name, cls in TASKS.available.items() if getattr(cls, "architecture", None)]
        raise ExportError(f"{origin}: the task {config.task!r} has no equivalent in BERT or GPT-2; the tasks that can "
                          f"be exported are {', '.join(exportable)}")
    name, model = NAMES[architecture.like], config.model
    wrong = [f"model.{key}={getattr(model, key)}" for key, value in LIKE[architecture.like].items()
             if key != "norm_eps" and getattr(model, key) != value]
    if model.positions not in EXPORTABLE_POSITIONS:
        wrong.append(f"model.positions={model.positions}")
    if not wrong and model.like != architecture.like:
        wrong.append(f"model.like={model.like!r}")
    if wrong:
        raise ExportError(f"{origin}: {', '.join(wrong)}: {'has' if len(wrong) == 1 else 'have'} no equivalent in "
                          f"{name}; train with {setting(f'model.like={architecture.like}')}")
    if config.data.han == "words":
        raise ExportError(f"{origin}: data.han=words: tokenizer.json cannot represent the splitting of Chinese into "
                          f"words; train with {setting('data.han=characters')}")
    return architecture


def _add_unseen(trained: TrainedRun, n: int) -> Sequence[str]:
    """Append the vectors of words not seen in training to the embedding layer, and return these words."""
    tokenizer, table = trained.tokenizer, trained.table
    seen = set(tokenizer.vocabulary())
    folded = dict.fromkeys(tokenizer.fold(word) for word in table.words)
    new = (word for word in folded if word not in seen and tokenizer.can_produce(word))
    found = unseen_words(table, islice(new, n), parse_policy(trained.config.unknown))
    trained.embedding.extend(found)
    return found.words


def _write_model(trained: TrainedRun, architecture: Architecture, folder: Path) -> None:
    config, model = trained.config, trained.setup.model
    network: Any = trained.model
    n_positions = max(model.max_positions, config.data.max_length)
    if architecture.like == "gpt2":
        state = gpt2_state(network, n_positions=n_positions)
        described = gpt2_config(model, state)
        write_json(folder / "generation_config.json", {
            "bos_token_id": END_ID, "eos_token_id": END_ID, "pad_token_id": PAD_ID,
            "suppress_tokens": list(NEVER_WRITTEN),
        })
    else:
        state = bert_state(network, output=architecture.output, n_positions=n_positions)
        described = bert_config(model, state)
    described |= {"architectures": [architecture.name], "pad_token_id": PAD_ID, "eos_token_id": END_ID,
                  "bos_token_id": END_ID if architecture.like == "gpt2" else START_ID}
    if architecture.problem_type:
        described["problem_type"] = architecture.problem_type
    if architecture.problem_type == "regression":
        described["id2label"], described["label2id"] = {"0": "value"}, {"value": 0}
    elif (labels := trained.setup.data.labels) and architecture.output == "classifier":
        described["id2label"] = {str(i): label for i, label in enumerate(labels)}
        described["label2id"] = {label: i for i, label in enumerate(labels)}
    write_json(folder / "config.json", described)
    save_weights(state, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)  # safetensors creates files with permissions for the owner only


def _write_tokenizer(tokenizer: WordTokenizer, architecture: Architecture, config: RunConfig, folder: Path) -> None:
    """Write the files of the tokenizer, which adds the special tokens of the task to a text."""
    path = folder / "tokenizer.json"
    tokenizer.save(path)
    theirs = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    theirs.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL_TOKENS])
    if architecture.like == "gpt2":
        single, pair = f"{END} $A", f"{END} $A $B"
        named = {"bos_token": END, "eos_token": END, "unk_token": UNK, "pad_token": PAD}
    else:
        single, pair = f"{START} $A {END}", f"{START} $A {END} $B:1 {END}:1"
        named = {"cls_token": START, "sep_token": END, "mask_token": MASK, "unk_token": UNK, "pad_token": PAD}
    theirs.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(START, START_ID), (END, END_ID)]
    )
    write_atomically(path, theirs.to_str(pretty=True))  # an error while the library writes has no class of its own
    inputs = ["input_ids", *(["token_type_ids"] if architecture.like == "bert" else []), "attention_mask"]
    write_json(folder / "special_tokens_map.json", named)
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": inputs,
        "model_max_length": config.data.max_length,
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": not architecture.reads_masks,  # "<s>" in a text is not a special token
        **named,
    })
