"""The files that the runs of a benchmark read."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from embeddings.compressed_files import split_location
from embeddings.request import Source
from embeddings.specification import sources
from embeddings.specification.transforms import Transform, parse_transform
from embeddings.table.paths import from_written
from pipeline.config import AUTO_SOURCE, RunConfig
from pipeline.runs.tokenizer import tokenizer_location

INSTALLED = tuple(Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib"))


def input_paths(config: RunConfig) -> list[Path]:
    """Return the files and folders that a run reads.

    Left out are those of installed packages, whose paths differ between machines, and names that are not paths.
    """
    names = [config.data.path, config.init_from, tokenizer_location(config.data), *config.corpus]
    specifications = {config.source, config.target_source} - {"", AUTO_SOURCE}
    readers: list[Source | Transform] = [*map(sources.parse, specifications), *map(parse_transform, config.transforms)]
    paths = [*(Path(from_written(name)) for name in names if name),
             *(split_location(path)[0] for reader in readers for path in reader.files())]
    return sorted({path for path in paths if path.exists() and not _is_installed(path)})


def _is_installed(path: Path) -> bool:
    return any(path.absolute().is_relative_to(folder) for folder in INSTALLED)
