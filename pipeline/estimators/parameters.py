"""Conversion of the parameters of an estimator to a configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pipeline.config import RunConfig, keys, with_values
from pipeline.errors import ConfigError

NOT_SETTINGS = {
    "task": "the estimator sets it",
    "data.path": "the texts are arguments of fit",
    "data.labels": "the labels are those of y",
    "data.test_share": "all texts are for training; scikit-learn holds texts out",
    "baselines": "compare with other estimators of scikit-learn",
}
"""Keys that are not allowed in ``settings``, and the reasons."""


def configuration(task: str, named: Mapping[str, tuple[str, Any]], settings: Mapping[str, Any] | None) -> RunConfig:
    """Return the configuration of a run.

    Args:
        task: name of the task.
        named: key and value of each parameter that sets a key; None leaves the default.
        settings: further keys, dotted (``{"model.d_model": 64}``) or nested (``{"model": {"d_model": 64}}``).

    Raises:
        ConfigError: for an unknown key, one that a parameter sets or that is not allowed, or an invalid value.
    """
    if settings is not None and not isinstance(settings, Mapping):
        raise ConfigError(f"settings must be a mapping of keys, such as {{'training.lr': 0.001}}, not "
                          f"{type(settings).__name__}")
    parameter_of = {key: name for name, (key, _) in named.items()}
    given = [("task", task), ("baselines", ["none"]), *((key, value) for key, value in named.values()
                                                        if value is not None)]
    for key, value in _assignments(settings or {}):
        if key in parameter_of:
            raise ConfigError(f"settings[{key!r}]: set the parameter {parameter_of[key]} instead")
        if key in NOT_SETTINGS:
            raise ConfigError(f"settings[{key!r}]: leave it out; {NOT_SETTINGS[key]}")
        given.append((key, value))
    return RunConfig.from_mapping(with_values({}, given), where="the parameters")


def _assignments(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    known = {key for key, _ in keys()}
    for name, value in settings.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in known and any(one.startswith(f"{key}.") for one in known):
            yield from _assignments(value, f"{key}.")
        else:
            yield key, value


def seed_of(random_state: Any) -> int:
    """Return the seed of a run: the given integer, otherwise a random one.

    Args:
        random_state: an integer; a :class:`numpy.random.RandomState`; or None for NumPy's global one.

    Raises:
        ValueError: for another type.
    """
    from sklearn.utils import check_random_state

    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
