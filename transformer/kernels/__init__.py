"""Faster implementations of the forward pass of :mod:`transformer.models`, and the choice between them.

``with kernels.use("torch"):`` forces plain PyTorch.
"""

from transformer.kernels.engine import Engine, describe_engines, engine_for, explain, use

__all__ = ["Engine", "describe_engines", "engine_for", "explain", "use"]
