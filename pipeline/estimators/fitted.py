"""The results of fitting an estimator: a finished run, or word vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from embeddings.table.oov_policy import parse_policy
from pipeline.baselines import MeanVectors
from pipeline.config import RunConfig
from pipeline.data.examples import Splits
from pipeline.drawing.summaries import run_html
from pipeline.estimators.packed_folder import PackedFolder
from pipeline.runs.chain import run
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder, read_json
from pipeline.runs.trained import TrainedRun, load_run, load_stage_one, save_stage_one
from pipeline.tasks.base import PredictionSetTask
from pipeline.telemetry.progress import shown
from pipeline.word_vectors import StageOne, prepare_vectors


class FittedRun(PackedFolder):
    """A finished run.

    Attributes:
        path: its folder.
        trained: the run, for predictions and inspection.
        metrics: contents of ``metrics.json``.
    """

    trained: TrainedRun
    metrics: Mapping[str, Any]

    @classmethod
    def train(
        cls, config: RunConfig, splits: Splits[Any], *, out: str | Path | None, overwrite: bool, verbose: bool
    ) -> FittedRun:
        """Run the chain on examples in memory; the parameters are those of :func:`pipeline.runs.chain.run`."""
        with shown(verbose) as progress:
            return cls.create(lambda path: run(config, path, splits=splits, overwrite=overwrite,
                                               keep_unfinished=out is not None, progress=progress), out)

    def _load(self) -> None:
        self.trained = load_run(self.path)
        self.metrics = read_json(RunFolder(self.path).metrics)

    @property
    def n_features(self) -> int:
        """Width of the outputs of the encoder."""
        return int(self.trained.setup.model.d_model)

    def probabilities(self, texts: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
        """Compute the probability of each label. *Shape:* ``(n_texts, n_labels)``, float64."""
        trained, task = self.trained, cast("PredictionSetTask[Any, Any]", self.trained.task)
        if not texts:
            return np.zeros((0, len(labels)))
        with self.lock, trained.computing():
            prepared = trained.prepare([trained.example(text) for text in texts])
            # A prediction has the probabilities of all labels of its prediction set: with this quantile, of all labels.
            predictions = task.predict_for_sets(trained.model, prepared, trained.setup, math.inf)
        return np.array([[prediction["probabilities"][label] for label in labels] for prediction in predictions])

    def _repr_html_(self) -> str:
        return run_html(self.path.name, self.metrics)


class FittedVectors(PackedFolder):
    """Word vectors of the training texts and of further words.

    Attributes:
        means: computes the mean of the word vectors of a text.
        stage_one: the vectors, and the tokenizer.
    """

    stage_one: StageOne
    means: MeanVectors

    @classmethod
    def prepare(
        cls, config: RunConfig, texts: Sequence[str], unlabelled: Sequence[str], *, verbose: bool
    ) -> FittedVectors:
        """Load or train the vectors."""
        def fill(path: Path) -> None:
            path.mkdir()
            with shown(verbose) as progress:
                stage_one = prepare_vectors(config, train=texts, held_out=(), unlabelled=unlabelled,
                                            context=RunContext(progress))
            save_stage_one(stage_one, RunFolder(path))
            config.save(RunFolder(path).config)

        return cls.create(fill)

    def _load(self) -> None:
        folder = RunFolder(self.path)
        self.stage_one = load_stage_one(folder)
        policy = parse_policy(RunConfig.load(folder.config).unknown)
        self.means = MeanVectors(self.stage_one.table, self.stage_one.tokenizer, policy)

    @property
    def n_features(self) -> int:
        """Dimension of the vectors."""
        return self.stage_one.table.dim
