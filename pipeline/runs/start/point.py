"""Start a run from ``init_from``: a finished run, or a pretrained checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from torch import nn

from embeddings.formats.checkpoint_layouts import files_to_hash
from embeddings.formats.hf_checkpoint import find_checkpoint
from embeddings.table.paths import from_written
from pipeline.config import RunConfig
from pipeline.errors import RunFolderError
from pipeline.runs.folder import RunFolder, unfinished
from pipeline.runs.recipe.facts import Facts
from pipeline.runs.start import from_checkpoint, from_run
from pipeline.tasks.resolved import ChosenPart
from pipeline.word_vectors import StageOne
from transformer.pretrained.body import CONFIG


class Kind(Protocol):
    """What each kind of starting point can do."""

    def parts_of_start(self, config: RunConfig, facts: Facts) -> dict[str, ChosenPart]:
        """Return the values that a run takes over, as parts of the recipe."""
        ...

    def start_from(self, model: nn.Module, stage_one: StageOne, config: RunConfig) -> None:
        """Copy the weights into a new model."""
        ...


def kind_of(location: str) -> Kind:
    """Return the kind of a starting point: the folder of a run, or a checkpoint.

    Raises:
        RunFolderError: if it is the folder of neither.
    """
    folder = Path(from_written(location))
    files = [RunFolder(path) for path in (folder, unfinished(folder))]
    if any(one.config.is_file() or one.manifest.is_file() for one in files):
        return from_run
    if folder.is_dir() and not (folder / CONFIG).is_file():
        raise RunFolderError(f"{folder}: neither a finished run nor a checkpoint, which has a {CONFIG}; name "
                             "the folder of one of them")
    return from_checkpoint


def files_of_start(config: RunConfig) -> list[Path]:
    """Return the files and folders that decide the weights at the start; none without ``init_from``.

    Raises:
        RunFolderError, EmbeddingError: if there is neither such a run nor such a checkpoint.
    """
    if not config.init_from:
        return []
    location = from_written(config.init_from)
    return files_to_hash(find_checkpoint(location)) if is_pretrained(config) else [Path(location)]


def is_pretrained(config: RunConfig) -> bool:
    """Return whether a run starts from a pretrained checkpoint."""
    return bool(config.init_from) and kind_of(config.init_from) is from_checkpoint


def parts_of_start(config: RunConfig, facts: Facts) -> dict[str, ChosenPart]:
    """Return the values that a run takes over from ``init_from``, as parts of the recipe; none without it.

    Raises:
        ConfigError: if the configuration has another value for one of them.
        RunFolderError, CheckpointError, EmbeddingError: if it cannot be read.
    """
    return kind_of(config.init_from).parts_of_start(config, facts) if config.init_from else {}


def start_from(model: nn.Module, stage_one: StageOne, config: RunConfig) -> None:
    """Copy the weights of ``init_from`` into a new model; nothing without it.

    Weights of the head are not copied, except for a layer that the checkpoint has too. What the new model has besides,
    and what is not used, is logged.

    Args:
        model: an untrained model with the vectors of stage one, changed in place.
        stage_one: its vocabulary and vectors.
        config: the configuration.

    Raises:
        ConfigError: if it has no stack in common with the model, such as a decoder instead of an encoder.
    """
    if config.init_from:
        kind_of(config.init_from).start_from(model, stage_one, config)
