"""Continued pretraining of a checkpoint's folder: masked tokens for an encoder, the next token for a decoder."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from embeddings.formats.checkpoint_layouts import TOKENIZER
from embeddings.progress import Progress, silent
from embeddings.special_tokens import END_ID, MASK, MASK_ID, N_SPECIAL, PAD_ID, START_ID, UNK_ID
from embeddings.tokenization.subwords import SubwordTokenizer
from pipeline.config import PretrainingConfig, RunConfig
from pipeline.data.config import DataConfig
from pipeline.data.examples import Example
from pipeline.data.features.batching import Feature, collate
from pipeline.errors import DataError, PipelineError
from pipeline.runs.budget import seconds_of_step
from pipeline.runs.context import RunContext
from pipeline.runs.tokenizer import read_subwords
from pipeline.runs.training_batches import TrainingBatches
from pipeline.tasks.base import Task, Tokenizers
from pipeline.tasks.language_model import NextToken
from pipeline.tasks.masked_language_model import MaskedTokens
from pipeline.tasks.resolved import Resolved, Setup
from transformer.kernels.engine import use
from transformer.kernels.precision import autocast
from transformer.layers.embedding import TokenEmbedding
from transformer.models.models import LanguageModel, MaskedLanguageModel
from transformer.models.stack import Decoder, Encoder
from transformer.pretrained.body import TABLE, Body, load_stack, read_body
from transformer.pretrained.writing import write_weights
from transformer.training.config import TrainingConfig
from transformer.training.trainer import Trainer, choose_device

log = logging.getLogger("vecformer")

Freeze = Literal["table", "body", "none"]

WHAT = "pretraining"        # of progress
MAX_LENGTH = 128            # tokens of a window
MASKED_SHARE = 0.15         # Devlin et al. 2019
TRAINING_SHARE = 0.9        # of the time that remains when the speed is measured; the rest is writing, and a reserve
HELD_OUT_SHARE, MAX_HELD_OUT = 0.05, 500  # of the texts
TEXTS_PER_SECOND = 5000     # of the budget; more texts could not be used in time
BATCH = 32                  # features that are evaluated together
N_MEASURED = 4              # batches by which the speed is measured
TRAINING = TrainingConfig(lr=1e-4, ema=0.0, patience=0)
OF_ROWS = ("bias", "output.weight", "scores.output.weight")
"""Weights of the heads with one row for each token."""
OUTPUTS = OF_ROWS[1:]


@dataclass(frozen=True)
class CheckpointTraining:
    """What a training did.

    Attributes:
        objective: ``masked tokens`` or ``next token``.
        steps: number of optimizer steps.
        seconds: time from the start to the end, evaluation included.
        before: mean cross-entropy on the held-out texts before training, in nats per predicted token.
        after: the same after training.
        n_held_out: number of held-out texts.
    """

    objective: str
    steps: int
    seconds: float
    before: float
    after: float
    n_held_out: int

    def line(self) -> str:
        """Describe the training for the terminal."""
        return (f"training: {self.steps:,} steps ({self.objective}) in {self.seconds:.0f} s; loss on "
                f"{self.n_held_out:,} held-out texts: {self.before:.3f} before, {self.after:.3f} after")


def train_checkpoint(
    folder: Path, texts: Sequence[str], budget: float, *, freeze: Freeze = "none", seed: int = 1,
    progress: Progress = silent,
) -> CheckpointTraining:
    """Train the model in a folder on texts, and replace its weights.

    A share of the texts is held out for the losses that are reported. A head that the checkpoint lacks is trained too,
    and discarded.

    Args:
        folder: a checkpoint with ``config.json``, ``tokenizer.json`` and ``model.safetensors``.
        texts: the texts; empty ones are left out.
        budget: seconds that the training may take at most, evaluation included.
        freeze: ``table`` keeps the input and output embeddings constant, ``body`` all weights of the Transformer but
            its embedding table.
        seed: seed of the order of the texts, of the masks and of a new head.
        progress: progress callback.

    Raises:
        CheckpointError: if the architecture is not supported.
        DataError: if there are fewer than two texts.
        PipelineError: if an encoder's tokenizer has no mask token.
        DivergedError: if a loss is not finite.
    """
    began = time.monotonic()
    progress(WHAT, 0.0)
    torch.manual_seed(seed)
    body, tokenizer = read_body(folder), read_subwords(str(folder / TOKENIZER))
    require_mask(body, tokenizer)
    model = trainable_model(body, tokenizer).to(choose_device(TRAINING.device))
    freeze_weights(model, freeze)
    task: Task[Any, Any] = NextToken() if body.is_decoder else MaskedTokens()
    setup = _setup(body, seed)
    train, held_out = _split([text for text in texts if text.strip()], seed, int(TEXTS_PER_SECOND * budget))
    tokenizers = Tokenizers(tokenizer, len(tokenizer))
    evaluated = task.encode(held_out, tokenizers, setup)
    started = time.monotonic()
    before = mean_loss(model, task, evaluated, setup.config.training)
    end = began + budget - (time.monotonic() - started)  # the second evaluation takes as long
    features = (task.encode(train, tokenizers, setup, training=True) if isinstance(task, NextToken)
                else MaskedTokens().encode_texts([one.text for one in train], tokenizers, setup))
    steps = _train(model, task, setup, features, end, progress)
    after = mean_loss(model, task, evaluated, setup.config.training)
    write_weights(body, *weights_of(model, body, tokenizer))
    progress(WHAT, 1.0)
    return CheckpointTraining("next token" if body.is_decoder else "masked tokens", steps, time.monotonic() - began,
                              before, after, len(held_out))


def require_mask(body: Body, tokenizer: SubwordTokenizer) -> None:
    """Require a mask token for an encoder.

    Raises:
        PipelineError: if its tokenizer has none.
    """
    if not body.is_decoder and tokenizer.special[MASK] is None:
        raise PipelineError(f"{body.folder}: its tokenizer has no mask token, so that the model cannot be trained by "
                            "masked tokens; train without a budget")


def trainable_model(body: Body, tokenizer: SubwordTokenizer) -> nn.Module:
    """Make a language model with the weights of a checkpoint, whose rows are in the order of our ids.

    The layers of the head that the checkpoint lacks are new.
    """
    rows = body.stack[TABLE]
    width = body.config.embedding_width
    embedding = TokenEmbedding(n_words=len(tokenizer) - N_SPECIAL, dim=width, d_model=width)
    with torch.no_grad():
        embedding.weight.copy_(_ours(rows, tokenizer))
    stack = load_stack(body, embedding=embedding)
    model: nn.Module
    if isinstance(stack, Decoder):
        model = LanguageModel(decoder=stack, config=body.config)
    else:
        model = MaskedLanguageModel(encoder=stack, config=body.config)
    head = _head(model)
    known = head.state_dict()
    head.load_state_dict({name: _ours(body.head[name], tokenizer) if name in OF_ROWS else body.head[name]
                          for name in body.head if name in known}, strict=False)
    absent = torch.tensor(sorted({*range(len(tokenizer))} - {*_trained(tokenizer).values(), PAD_ID}))
    if len(absent) or tokenizer.file_ids[PAD_ID] < 0:  # rows without a token would have scores as well
        absent = absent if tokenizer.file_ids[PAD_ID] >= 0 else torch.cat([torch.tensor([PAD_ID]), absent])
        model.register_forward_hook(lambda _model, _given, scores: scores.index_fill(-1, absent.to(scores.device),
                                                                                    float("-inf")))
    return model


def freeze_weights(model: nn.Module, freeze: Freeze) -> None:
    """Exclude weights from training; a head is always trained, except for its output embeddings with ``table``."""
    stack = _stack(model)
    if freeze == "body":
        for name, weight in stack.named_parameters():
            weight.requires_grad_(name == TABLE)
    elif freeze == "table":
        stack.embedding.weight.requires_grad_(False)
        for name, weight in _head(model).named_parameters():
            weight.requires_grad_(name not in OUTPUTS)


def weights_of(
    model: nn.Module, body: Body, tokenizer: SubwordTokenizer
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the weights of the stack and of the head that a checkpoint has, in its order of the rows."""
    stack = {name: weight for name, weight in _stack(model).state_dict().items() if name in body.stack}
    stack[TABLE] = _theirs(stack[TABLE], body.stack[TABLE], tokenizer)
    head = {name: _theirs(weight, body.head[name], tokenizer) if name in OF_ROWS else weight
            for name, weight in _head(model).state_dict().items() if name in body.head}
    return stack, head


def mean_loss(model: nn.Module, task: Task[Any, Any], features: Sequence[Feature], config: TrainingConfig) -> float:
    """Return the mean loss over all targets of features, in evaluation mode."""
    model.eval()
    total, n_targets = 0.0, 0.0
    device = next(model.parameters()).device
    with torch.no_grad(), use(config.engine), autocast(device, config.precision):
        for start in range(0, len(features), BATCH):
            batch = collate(features[start : start + BATCH])
            if batch.n_targets:
                total += float(task.loss(model, batch.to(device))) * batch.n_targets
                n_targets += batch.n_targets
    return total / max(1.0, n_targets)


class _OutOfTimeError(Exception):
    """The budget is used up."""


def _train(
    model: nn.Module, task: Task[Any, Any], setup: Setup[Any], features: Sequence[Feature], end: float,
    progress: Progress,
) -> int:
    """Train until the end, a time of ``time.monotonic``; return the number of steps."""
    world, size = RunContext().world, setup.config.training.batch_size
    shuffled = [features[i] for i in np.random.default_rng(setup.config.seed).permutation(len(features))]
    measured = TrainingBatches(task, shuffled[: N_MEASURED * size], setup, world)(1)
    seconds = seconds_of_step(setup, task, model, measured)
    n_steps = int(TRAINING_SHARE * (end - time.monotonic()) / seconds)
    if n_steps < 1:
        log.warning("the budget is too short: a step takes %.1f s. Use a longer one", seconds)
        return 0
    batches = TrainingBatches(task, shuffled[: n_steps * size], setup, world)
    n_epochs = -(-n_steps // len(batches(1)))
    n_per_epoch = n_steps // n_epochs  # a part of each epoch, so that the learning rate decays to 0 in time
    done = 0

    def advance(_what: str, share: float) -> None:
        nonlocal done
        done += 1
        progress(WHAT, share)
        if time.monotonic() > end:
            raise _OutOfTimeError

    trainer = Trainer(model=model, batches=lambda epoch: batches(epoch)[:n_per_epoch], loss=task.loss, evaluate=None,
                      config=replace(setup.config.training, epochs=n_epochs), world=world, progress=advance)
    try:
        trainer.run()
    except _OutOfTimeError:
        log.warning("the machine became slower: training ended after %d of %d steps", done, n_epochs * n_per_epoch)
    return done


def _setup(body: Body, seed: int) -> Setup[Any]:
    """Return the settings of the training; an encoder reads each window between a start and an end token."""
    config = RunConfig(
        seed=seed, model=replace(body.config, pooling="mean-max" if body.is_decoder else "cls"),
        data=DataConfig(max_length=min(MAX_LENGTH, body.config.max_positions)), training=TRAINING,
        pretraining=PretrainingConfig(masked_share=MASKED_SHARE))
    return Setup(config, Resolved(token_types=body.config.token_types))


def _split(texts: Sequence[str], seed: int, limit: int) -> tuple[list[Example], list[Example]]:
    """Return the texts to train on, and those that are held out: a random sample of about ``limit`` texts."""
    if len(texts) < 2:
        raise DataError("training needs at least two lines of text, one of which is held out; name files with more "
                        "text")
    n_held_out = max(1, min(MAX_HELD_OUT, round(HELD_OUT_SHARE * len(texts))))
    order = np.random.default_rng(seed).permutation(len(texts))
    chosen = order[n_held_out : n_held_out + max(1, limit)], order[:n_held_out]
    train, held_out = ([Example(texts[number].replace(MASK, " "), "", f"text {number + 1}")
                        for number in sorted(numbers.tolist())] for numbers in chosen)
    return train, held_out


def _stack(model: nn.Module) -> Encoder | Decoder:
    stack: Encoder | Decoder = model.decoder if isinstance(model, LanguageModel) else model.encoder  # type: ignore[assignment]
    return stack


def _head(model: nn.Module) -> nn.Module:
    head: nn.Module = model.output if isinstance(model, LanguageModel) else model.head  # type: ignore[assignment]
    return head


def _ours(rows: Tensor, tokenizer: SubwordTokenizer) -> Tensor:
    """Return one row for each of our ids; a special token that the checkpoint lacks has the mean of all rows."""
    ids = torch.from_numpy(tokenizer.file_ids)
    found = rows[ids.clamp(min=0)]
    found[ids < 0] = rows.mean(dim=0)
    return found


def _theirs(rows: Tensor, old: Tensor, tokenizer: SubwordTokenizer) -> Tensor:
    """Return one row for each id of the checkpoint; padding, and a row without a token of ours, keeps its old value."""
    trained = _trained(tokenizer)
    made = old.clone()
    made[list(trained)] = rows.detach().cpu()[list(trained.values())]
    return made


def _trained(tokenizer: SubwordTokenizer) -> dict[int, int]:
    """Return our id of each id of the checkpoint whose row is trained: all but padding.

    Several special tokens can be the same token of the checkpoint (GPT-2): the row of the end of a text is trained.
    """
    ids = tokenizer.file_ids.tolist()
    order = [UNK_ID, START_ID, MASK_ID, *range(N_SPECIAL, len(ids)), END_ID]
    return {ids[number]: number for number in order if ids[number] >= 0}
