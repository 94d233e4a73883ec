"""The parts of a Transformer, one a file: attention, feed-forward, positions, embedding, and the layer made of them."""

import os

import torch

from embeddings.threads import n_cores

if n_cores() < torch.get_num_threads() and "OMP_NUM_THREADS" not in os.environ:
    torch.set_num_threads(n_cores())  # PyTorch does not read the CPU quota of a container
