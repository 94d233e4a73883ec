"""Reads damaged files in one process, which the fork server limits in memory; everything unexpected is recorded."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fork_server import limit_memory
from mutations import mutate
from seeds import companions, seeds

JOB = "FAULTS_FUZZ"
SECONDS = 5  # of processor time
BEGINNING = 2_000  # characters of a message that are printed however long it is
MEMORY = 3 * 2**29  # bytes of address space above what the process has at its start
SPREADSHEETS = (".xlsx", ".xls", ".ods")  # a process is started for each of these, so that they are read less often
CONFIGURATIONS = ({}, {"languages": ("en", "de")})


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        name: its name.
        suffixes: suffixes of its files; a file of any content is given to it under one of these.
        read: reads a file.
        names_file: its messages name the file.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Path], object]
    names_file: bool = True


class HangError(BaseException):
    """A reader takes too long; not an Exception, so that no reader catches it."""


def targets() -> Iterator[Target]:
    """Return all readers, found in the registries of formats and tasks."""
    from embeddings.analysis.gold_standards import read_pairs, read_questions
    from embeddings.formats.detect import detect_format, formats, read_vectors
    from embeddings.formats.interface import RowSelection
    from embeddings.tokenization.corpus import CorpusFiles
    from embeddings.tokenization.tokenizer import WordTokenizer
    from pipeline.benchmark.grid import read_grid
    from pipeline.commands.prediction_inputs import Where, read_inputs
    from pipeline.commands.vectors import open_vectors
    from pipeline.config import RunConfig
    from pipeline.data.config import DataConfig
    from pipeline.runs.trained import TrainedRun
    from pipeline.tasks.base import TASKS
    from pipeline.tasks.resolved import Setup
    from transformer.checkpoint import read_checkpoint, read_weights

    packed = (".gz", ".bz2", ".xz", ".zst")
    written = sorted({suffix for one in formats() for suffix in one.suffixes} | {".kv", ".zip"})
    vectors = (*written, *(f"{suffix}{end}" for suffix in (".txt", ".vec") for end in packed))
    texts = (".txt", *(f".txt{end}" for end in packed), ".csv", ".jsonl")
    some = RowSelection(frozenset({"the", "cat"}), 1, 3)
    yield Target("vectors", vectors, lambda path: read_vectors(path, RowSelection()))
    yield Target("some vectors", vectors, lambda path: read_vectors(path, some))
    yield Target("format", vectors, detect_format)
    yield Target("corpus", texts, lambda path: list(CorpusFiles((path,))))
    yield Target("similarities", (".tsv", ".csv", ".txt"), read_pairs)
    yield Target("analogies", (".txt",), read_questions)
    yield Target("tokenizer", (".json",), WordTokenizer.load)
    yield Target("configuration", (".toml",), RunConfig.load, names_file=False)
    yield Target("grid", (".toml",), lambda path: read_grid(path, {}), names_file=False)
    yield Target("checkpoint", (".checkpoint", ".safetensors"), read_checkpoint)
    yield Target("weights", (".safetensors",), read_weights)
    yield Target("Hugging Face folder", (".json", ".safetensors"), _in_checkpoint(open_vectors), names_file=False)
    for name, cls in TASKS.available.items():
        reader = cls.reader
        trained: Any = TrainedRun(Setup(RunConfig.from_mapping({"task": name}), cls.resolved_type()), None, None)
        suffixes = tuple(dict.fromkeys((*texts, *reader.suffixes(DataConfig()))))
        yield Target(f"{name} predictions", suffixes,
                     lambda path, trained=trained: read_inputs(trained, Where(file=path)))
        for given in CONFIGURATIONS:
            config = DataConfig(**given)
            suffixes = reader.suffixes(config)
            yield Target(name, suffixes, lambda path, reader=reader, config=config: reader.read_file(path, config))
            yield Target(f"{name} data set", suffixes, lambda path, reader=reader, given=given: reader.read(
                DataConfig(path=str(path), **given), seed=1))


def _in_checkpoint(open_vectors: Callable[[str], object]) -> Callable[[Path], object]:
    """Return a reader of a Hugging Face folder in which one file is replaced."""
    import numpy as np
    from safetensors.numpy import save_file

    words = ["<pad>", "<unk>", "the", "cat"]
    pieces = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
              "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
              "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(words)}, "unk_token": "<unk>"}}
    sound = Path(tempfile.mkdtemp())
    (sound / "tokenizer.json").write_text(json.dumps(pieces))
    (sound / "config.json").write_text('{"model_type": "bert", "hidden_size": 3}')
    save_file({"bert.embeddings.word_embeddings.weight": np.ones((4, 3), np.float32)}, sound / "model.safetensors")

    def read(path: Path) -> object:
        name = "model.safetensors" if path.suffix == ".safetensors" else (
            "tokenizer.json" if path.stat().st_size % 2 else "config.json")
        with tempfile.TemporaryDirectory() as scratch:
            folder = shutil.copytree(sound, Path(scratch) / "checkpoint")
            shutil.copy(path, folder / name)
            return open_vectors(f"hf:{folder}")

    read(sound / "model.safetensors")
    return read


def fuzz() -> bool:
    """Read the files of a job: seed, first number, end, folder of results."""
    from click import ClickException

    from embeddings.errors import EmbeddingError
    from pipeline.errors import PipelineError
    from transformer.errors import TransformerError

    expected = (EmbeddingError, PipelineError, TransformerError, ClickException, OSError)
    seed, first, end, folder = json.loads(os.environ[JOB])
    scratch = Path(tempfile.mkdtemp(dir=folder))
    sound, readers = seeds(scratch), list(targets())
    every = [content for contents in sound.values() for content in contents]
    signal.signal(signal.SIGPROF, _hang)
    limit_memory(MEMORY)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (Path(folder) / "findings").open("a") as findings, (Path(folder) / "progress").open("a") as progress:
        for number in range(first, end):
            rng = random.Random(f"{seed} {number}")
            target = rng.choice(readers)
            suffix = rng.choice(target.suffixes)
            if suffix in SPREADSHEETS and rng.random() < 0.8:
                suffix = target.suffixes[0]
            own = sound.get(suffix) or every
            start = rng.choice(own if rng.random() < 0.9 else every)
            path = scratch / f"{number}{suffix}"
            path.write_bytes(mutate(rng, suffix, start, every))
            others = companions(path, sound)
            progress.write(f"{number}\t{target.name}\t{path}\n")
            progress.flush()
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            kind = text = ""
            try:
                target.read(path)
            except expected as error:
                if target.names_file and str(scratch) not in str(error)[:BEGINNING]:
                    kind, text = "message", f"does not name the file: {str(error)[:300]}"
            except MemoryError as error:
                kind, text = "memory", _last(error)
            except HangError as error:
                kind, text = "hang", _last(error)
            except Exception as error:
                kind, text = "traceback", _last(error)
            signal.setitimer(signal.ITIMER_PROF, 0)
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            if not kind and grown > 1_000_000:
                kind, text = "memory", f"grew by {grown // 1000} MB"
            before = max(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            if kind:
                findings.write(json.dumps([kind, target.name, str(path), text]) + "\n")
                findings.flush()
            else:
                for file in (path, *others):
                    file.unlink()
    return True


def _hang(_signal: int, _frame: Any) -> None:
    raise HangError(f"more than {SECONDS} s")


def _last(error: BaseException) -> str:
    frames = list(traceback.extract_tb(error.__traceback__))
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames[-4:]))
    return f"{type(error).__name__}: {str(error)[:200]} at {where}"
