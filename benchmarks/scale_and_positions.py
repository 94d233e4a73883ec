"""How much of the distance between random and pretrained vectors is scale: the table behind docs/findings/2026-11-23.

usage: python benchmarks/scale_and_positions.py [SEEDS]

On BBC News with 50 labelled articles, each source at each scale of the table and of the sinusoidal positions; mean and
standard deviation of the test accuracy over the seeds. Each seed has a split, a draw of labels and initial weights of
its own, the same for every row. Articles are cut at 256 words.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import replace

from embeddings.progress import silent
from pipeline.chain import run_stage_one, run_stage_two
from pipeline.config import RunConfig
from pipeline.tasks import registry

SOURCES = ("random", "glove", "glove+word2vec")
SETTINGS = (("none", 1.0), ("match=4", 1.0), ("unit", 1.0), ("match=0.1", 1.0), ("none", 0.1), ("match=0.1", 0.1))


def main(n_seeds: int) -> None:
    """Print a row a source and setting."""
    task = registry.find("classification")
    print(f"{'source':16} {'scale':>10} {'positions':>9}  accuracy over {n_seeds} seeds")
    for source in SOURCES:
        stages = []
        for seed in range(1, n_seeds + 1):
            data = {"path": "bbc", "limit_train": 50, "max_length": 256, "unseen_words": 0}
            config = RunConfig.from_mapping({"source": source, "seed": seed, "data": data})
            splits = task.read(config)
            config = task.resolve(config, splits)
            stages.append((config, splits, run_stage_one(config, task, splits, silent)))
        for scale, positions in SETTINGS:
            scores = []
            for resolved, splits, stage_one in stages:
                config = replace(resolved, embedding=replace(resolved.embedding, scale=scale),
                                 model=replace(resolved.model, position_scale=positions))
                trained, _ = run_stage_two(config, task, splits, stage_one, silent)
                scores.append(100 * trained.evaluate(splits.test)["accuracy"])
            shown = f"{statistics.mean(scores):.1f} ± {statistics.stdev(scores):.1f}"
            print(f"{source:16} {scale:>10} {positions:>9}  {shown}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
