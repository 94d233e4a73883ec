"""Which weights are constant in an epoch: word vectors, the lowest layers, and layers that are not unfrozen yet."""

from __future__ import annotations

from torch import nn

from transformer.errors import TransformerError
from transformer.training.config import TrainingConfig
from transformer.training.schedule import depths_below_top, trained_tables


class Freezing:
    """Switches the gradient of weights off and on, by epoch.

    ``training.frozen_layers`` keeps the lowest layers constant, and the embeddings below them. With
    ``training.unfreeze_epochs`` only the head is trained at first, and then one more layer from the top after every so
    many epochs, the embeddings last (Howard & Ruder 2018, "gradual unfreezing"). ``training.freeze_epochs`` is for the
    embedding tables. A constant weight keeps its bytes: it has no weight decay either.

    Args:
        model: the model; weights without a gradient stay constant throughout.
        config: the settings of training.

    Raises:
        TransformerError: if the model does not have as many layers.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        depths = depths_below_top(model)
        self._config, self._tables = config, trained_tables(model)
        self._depths = [(weight, depths[name]) for name, weight in model.named_parameters() if weight.requires_grad]
        self._n_layers = max((depth for name, depth in depths.items() if ".layers." in f".{name}"), default=0)
        if config.frozen_layers > self._n_layers:
            raise TransformerError(f"training.frozen_layers={config.frozen_layers}: the model has {self._n_layers} "
                                   "layers; freeze at most as many")

    def apply(self, epoch: int) -> None:
        """Switch the weights of an epoch, counted from 1."""
        deepest = self._deepest(epoch)
        for weight, depth in self._depths:
            weight.requires_grad_(depth <= deepest)
        if epoch <= self._config.freeze_epochs:
            for table in self._tables:
                table.requires_grad_(False)

    def release(self) -> None:
        """Switch all gradients on again."""
        for weight, _ in self._depths:
            weight.requires_grad_(True)

    def _deepest(self, epoch: int) -> int:
        """Return the largest depth below the top that is trained; embeddings are one below the lowest layer."""
        config = self._config
        deepest = self._n_layers - config.frozen_layers if config.frozen_layers else self._n_layers + 1
        return min(deepest, (epoch - 1) // config.unfreeze_epochs) if config.unfreeze_epochs else deepest
