"""Export to a folder that Hugging Face ``transformers`` loads."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from embeddings.progress import Progress
from embeddings.special_tokens import END, END_ID, MASK, PAD, PAD_ID, SPECIAL_TOKENS, START, START_ID, UNK
from embeddings.table.arguments import setting
from embeddings.tokenization.interface import TextTokenizer
from pipeline.config import RunConfig
from pipeline.errors import ExportError
from pipeline.exports.base import Exported, ExportOptions, export_format
from pipeline.exports.huggingface_check import difference
from pipeline.exports.huggingface_code import KINDS, ExportedCode, write_with_code
from pipeline.exports.readme import write_readme
from pipeline.exports.vocabulary import (
    BERT_PAIR,
    BERT_TEXT,
    LINE,
    add_unseen,
    extended,
    require_characters,
    write_tokenizer_json,
)
from pipeline.runs.folder import write_json
from pipeline.runs.trained import TrainedRun
from pipeline.runs.workspace import new_folder
from pipeline.tasks.base import TASKS, Architecture
from pipeline.tasks.ngrams.scores import branch_of
from pipeline.tasks.tags import branch as word_features
from transformer.config import LIKE
from transformer.export.huggingface import bert_config, bert_state, gpt2_config, gpt2_state, save_weights
from transformer.models.decoding import NEVER_WRITTEN

EXPORTABLE_POSITIONS = ("learned", "sinusoidal")  # position encodings that are a table, or can be converted to one
NAMES = {"bert": "BERT", "gpt2": "GPT-2"}
README = """# A vecformer model with the architecture of {0}

```python
from transformers import AutoTokenizer, {1}

tokenizer = AutoTokenizer.from_pretrained(".")
model = {1}.from_pretrained(".")
print(model(**tokenizer("A text.", return_tensors="pt")))
```
"""


@dataclass(frozen=True)
class ExportedCheckpoint(Exported):
    """A checkpoint of Hugging Face ``transformers``.

    Attributes:
        architecture: class of ``transformers`` that loads it.
        n_words: number of words with vectors.
        n_extra: number of these that were not seen in training.
        difference: maximum absolute difference of its scores and those of the run on a few texts; None if
            ``transformers`` is not installed.
        without_ngrams: whether the run has an n-gram branch, which the exported model lacks.
    """

    architecture: str
    n_words: int
    n_extra: int
    difference: float | None
    without_ngrams: bool = False

    def lines(self) -> list[str]:
        """Describe the checkpoint and how it was compared with the run."""
        made = [f"{self.path}: {self.architecture}, {self.n_words:,} words, of which {self.n_extra:,} were not seen in "
                "training"]
        if self.without_ngrams:
            made.append("the n-gram branch is left out: the exported model is the Transformer alone, and its "
                        "predictions differ from those of the run")
        made.append("not compared with the run, because transformers is not installed: pip install 'vecformer[hf]'"
                    if self.difference is None else
                    f"compared with the run in transformers: scores differ by at most {self.difference:.1e}")
        return made


@export_format("hf")
class HuggingFace:
    """A checkpoint with BERT's or GPT-2's architecture, or with the code of its model; tokenizer included."""

    description = "a folder for Hugging Face transformers"
    options = ("words", "without_ngrams")

    def write(self, trained: TrainedRun, target: Path, options: ExportOptions, progress: Progress, *,
              origin: str) -> ExportedCheckpoint | ExportedCode:
        """Write the checkpoint; its scores are compared with those of the run if ``transformers`` is installed.

        A model that is neither a BERT nor a GPT-2, or that has a branch, is written with its code.

        Raises:
            ExportError: if the run has no equivalent among the exported architectures, or the scores differ.
        """
        task, config = trained.task, trained.config
        alone = branch_of(trained.model) is not None
        has_branch = (alone and not options.without_ngrams) or word_features.branch_of(trained.model) is not None
        if config.task in KINDS and (has_branch or without_equivalent(config, task.architecture)):
            return write_with_code(trained, target, options, progress, origin=origin)
        architecture = require_architecture(config, task.architecture, origin=origin)
        extra = add_unseen(trained, options.words) if architecture.output else ()
        if architecture.prepare:
            architecture.prepare(trained.model, trained.setup)
        tokenizer = extended(trained.tokenizer, extra)
        with new_folder(target) as folder:
            _write_model(trained, architecture, folder)
            _write_tokenizer(tokenizer, architecture, trained.config, folder)
            write_readme(folder, trained, README.format(NAMES[architecture.like], architecture.name),
                         library="transformers")
            progress("exporting", 0.5)
            compared = None
            if find_spec("transformers"):
                compared = difference(trained, tokenizer, architecture, folder)
        return ExportedCheckpoint(target, architecture.name, len(tokenizer) - len(SPECIAL_TOKENS), len(extra), compared,
                                  alone)


def require_architecture(config: RunConfig, architecture: Architecture | None, *, origin: str) -> Architecture:
    """Require that a run has an equivalent among the architectures of ``transformers``.

    Raises:
        ExportError: if it has none; the message names each option that has no equivalent.
    """
    if architecture is None:
        exportable = [name for name, cls in TASKS.available.items() if getattr(cls, "architecture", None)]
        raise ExportError(f"{origin}: the task {config.task!r} has no equivalent in BERT or GPT-2; the tasks that can "
                          f"be exported are {', '.join(exportable)}")
    if wrong := without_equivalent(config, architecture):
        raise ExportError(f"{origin}: {', '.join(wrong)}: {'has' if len(wrong) == 1 else 'have'} no equivalent in "
                          f"{NAMES[architecture.like]}; train with {setting(f'model.like={architecture.like}')}")
    require_characters(config, origin)
    return architecture


def without_equivalent(config: RunConfig, architecture: Architecture | None) -> list[str]:
    """Return the options of a model that its architecture in ``transformers`` does not have."""
    if architecture is None:
        return []
    model = config.model
    wrong = [f"model.{key}={getattr(model, key)}" for key, value in LIKE[architecture.like].items()
             if key != "norm_eps" and getattr(model, key) != value]
    if model.positions not in EXPORTABLE_POSITIONS:
        wrong.append(f"model.positions={model.positions}")
    if not wrong and model.like != architecture.like:
        wrong.append(f"model.like={model.like!r}")
    return wrong


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


def _write_tokenizer(tokenizer: TextTokenizer, architecture: Architecture, config: RunConfig, folder: Path) -> None:
    """Write the files of the tokenizer, which adds the special tokens of the task to a text."""
    if architecture.like == "gpt2":
        single, pair = LINE, f"{LINE} $B"
        named = {"bos_token": END, "eos_token": END, "unk_token": UNK, "pad_token": PAD}
    else:
        single, pair = BERT_TEXT, BERT_PAIR
        named = {"cls_token": START, "sep_token": END, "mask_token": MASK, "unk_token": UNK, "pad_token": PAD}
    write_tokenizer_json(tokenizer, folder / "tokenizer.json", single=single, pair=pair, special=SPECIAL_TOKENS)
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
