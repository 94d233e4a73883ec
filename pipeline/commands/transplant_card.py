"""The model card of a checkpoint with another vocabulary."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings.formats.hf_checkpoint import declared_licence
from embeddings.table.arguments import argument, flag, for_command_line
from embeddings.table.atomic_files import write_atomically
from embeddings.table.paths import written
from pipeline.drawing.markdown import code, code_block, code_cell, plain

if TYPE_CHECKING:
    from pipeline.commands.transplant import TransplantedCheckpoint, TransplantOptions
    from pipeline.runs.checkpoint_training import CheckpointTraining

MEANINGS = {
    "copied": "the row of the same token in the checkpoint",
    "mixed": "computed by the method from rows of the checkpoint",
    "subword": "the mean of the rows of the pieces into which the checkpoint splits the token",
    "random": "drawn with the mean and standard deviation of the checkpoint's rows",
}
LICENCE, HUB_NAME = re.compile(r"[A-Za-z0-9.-]+"), re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
USE = """from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModel.from_pretrained(".")
print(model(**tokenizer("A text.", return_tensors="pt")).last_hidden_state.shape)"""


def write_card(
    folder: Path, checkpoint: str, text: Sequence[str | Path], options: TransplantOptions,
    made: TransplantedCheckpoint, *, needs: Sequence[str], defaults: tuple[str, str],
) -> None:
    """Write ``README.md``: licence, method, vectors, number of rows by origin, use and command.

    Args:
        folder: where to write it.
        checkpoint: the checkpoint, as the user named it.
        text: the text, as the user named it.
        options: the options.
        made: the result.
        needs: vocabularies whose static vectors the method needs.
        defaults: default method and vectors.
    """
    licence, identifier = declared_licence(checkpoint)
    licences = [f"license: {identifier}"] if LICENCE.fullmatch(identifier) else []
    bases = [f"base_model: {checkpoint}"] if _is_hub_name(checkpoint) else []
    lines = ["---", *licences, *bases, "library_name: transformers", "tags:", "- vecformer", "- vocabulary-transplant",
             "---", "", f"# {plain(Path(checkpoint).name)} with another vocabulary", ""]
    if options.trim:
        lines += ["The tokens that a text never uses were removed. The model computes the same outputs for this text; "
                  "other texts may be split into more tokens."]
    else:
        lines += [_trained(made.training)]
    facts = {"checkpoint": code_cell(written(checkpoint)), "licence of the checkpoint": plain(licence),
             "tokens before": f"{made.n_old:,}", "tokens": f"{made.n_new:,}"}
    if not options.trim:
        facts["method"] = code_cell(options.method or defaults[0])
        if needs:
            facts["static vectors"] = (code_cell(written(options.vectors)) if options.vectors
                                       else f"{code(defaults[1])}, trained on the text")
        if options.checkpoint_vectors:
            facts["static vectors of the checkpoint's tokens"] = code_cell(written(options.checkpoint_vectors))
    lines += ["", "| fact | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items()), "",
              "| rows | number | meaning |", "|---|---:|---|",
              *(f"| {why} | {n:,} | {MEANINGS[why]} |" for why, n in made.counts.items()), "",
              code_block(USE, "python"), "", f"Written by {code('vecformer transplant')}:", "",
              code_block(command(checkpoint, text, made.path, options), "bash"), ""]
    write_atomically(folder / "README.md", "\n".join(lines))


def _trained(training: CheckpointTraining | None) -> str:
    if training is None:
        return ("The vocabulary was replaced; all weights without a row per token are those of the checkpoint. The "
                "model has not been trained with the new vocabulary: train it before use.")
    return (f"The vocabulary was replaced, and the model was trained on the text: {training.steps:,} steps "
            f"({training.objective}). The loss on {training.n_held_out:,} held-out texts was {training.before:.3f} "
            f"before and {training.after:.3f} after.")


def _is_hub_name(checkpoint: str) -> bool:
    return HUB_NAME.fullmatch(checkpoint) is not None and not Path(checkpoint).exists()


def command(checkpoint: str, text: Sequence[str | Path], out: Path, options: TransplantOptions) -> str:
    """Return the command that repeats a transplant."""
    with for_command_line():
        parts = ["vecformer transplant", shlex.quote(written(checkpoint)),
                 *(f"{argument('text')} {shlex.quote(written(one))}" for one in text),
                 f"{argument('out')} {shlex.quote(written(out))}"]
        for name in ("method", "vectors", "checkpoint_vectors", "dictionary", "tokenizer", "pretrain_budget"):
            if (value := getattr(options, name)) is not None:
                parts.append(f"{argument(name)} {shlex.quote(written(value))}")
        if options.trim:
            parts.append(flag("trim"))
        if options.freeze != "none":
            parts.append(argument("freeze", options.freeze))
        if options.seed != 1:
            parts.append(f"{argument('seed')} {options.seed}")
    return " ".join(parts)
