"""Replace the vocabulary of a pretrained checkpoint, or remove the part of it that a text never uses."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings.formats.checkpoint_layouts import TOKENIZER
from embeddings.formats.hf_checkpoint import read_tokenizer_file
from embeddings.progress import Progress, silent
from embeddings.table.arguments import argument, flag
from embeddings.table.listing import listed
from embeddings.table.oov_policy import COPIED
from embeddings.table.safetensors import FLOATS
from embeddings.tokenization.tokenizer import WordTokenizer
from embeddings.tokenization.tokenizer_training import KINDS, NewTokenizer, kind_of, parse_new_tokenizer, train_like
from embeddings.transplant import Transplanted, Vocabulary, parse_method, tokens_of
from embeddings.transplant import transplant as transplanted
from embeddings.transplant.assembly import row_counts
from embeddings.transplant.base import Method
from embeddings.transplant.checkpoint import Checkpoint, open_checkpoint
from embeddings.transplant.pieces import checkpoint_vocabulary
from embeddings.transplant.static_tables import VECTORS, StaticOptions, with_static_vectors
from embeddings.transplant.trim import trimmed
from embeddings.transplant.writing import write_checkpoint
from pipeline.commands.transplant_card import write_card
from pipeline.commands.vectors import LoadOptions, open_vectors
from pipeline.data.config import DataConfig
from pipeline.data.corpus import TextCorpus
from pipeline.errors import PipelineError
from pipeline.runs.folder import write_json
from pipeline.runs.place import require_inputs_elsewhere
from pipeline.runs.workspace import new_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from pipeline.runs.checkpoint_training import CheckpointTraining, Freeze

METHOD = "focus"  # by default
FREEZE = ("table", "body", "none")
RECORD = "transplant.json"
WHAT = "transplanting"  # of progress


@dataclass(frozen=True)
class TransplantOptions:
    """Options of a transplant.

    Attributes:
        method: method that computes the rows of new tokens, such as ``omp,k=32``; None for ``focus``.
        vectors: static vectors of the new tokens: a source, a vector file or a run; None for FastText, trained on the
            text.
        checkpoint_vectors: static vectors in the language of the checkpoint, for ``wechsel``; None for ``vectors``.
        dictionary: pairs of words, the checkpoint's language first, by which ``vectors`` are rotated onto
            ``checkpoint_vectors``.
        tokenizer: ``wordpiece``, ``bpe`` or ``unigram`` with an option ``size``, to train on the text; or a
            ``tokenizer.json``, or a folder with one. None for the kind of the checkpoint's, with 8,000 tokens.
        trim: only remove the tokens that the text never uses.
        seed: seed of all random numbers.
        trust_pickle: allow pickle files among the vectors, which can execute arbitrary code.
        reading: columns, separator and encoding of the text.
        pretrain_budget: time for which the model is trained on the text afterwards, such as ``10m``; None for none.
        freeze: what this training keeps constant: ``table``, ``body`` or ``none``.
    """

    method: str | None = None
    vectors: str | None = None
    checkpoint_vectors: str | None = None
    dictionary: Path | None = None
    tokenizer: str | None = None
    trim: bool = False
    seed: int = 1
    trust_pickle: bool = False
    reading: DataConfig = field(default_factory=DataConfig)
    pretrain_budget: str | None = None
    freeze: Freeze = "none"


@dataclass(frozen=True)
class TransplantedCheckpoint:
    """A checkpoint with another vocabulary.

    Attributes:
        path: its folder.
        n_old: number of rows of the old vocabulary.
        n_new: number of rows of the new one.
        counts: number of new rows by provenance: ``copied``, ``mixed``, ``subword`` and ``random``.
        method: the method; "" if the vocabulary was only trimmed.
        n_parameters: number of parameters before and after.
        training: what the training on the text did; None without one.
    """

    path: Path
    n_old: int
    n_new: int
    counts: dict[str, int]
    method: str
    n_parameters: tuple[int, int]
    training: CheckpointTraining | None = None

    def lines(self) -> list[str]:
        """Describe the result for the terminal, one statement per line."""
        before, after = self.n_parameters
        return [f"{self.path}: {self.n_new:,} tokens instead of {self.n_old:,}, {after:,} parameters instead of "
                f"{before:,}", self.rows(), *([self.training.line()] if self.training else [])]

    def rows(self) -> str:
        """State how many rows were copied, mixed and drawn; other numbers than that of copied ones only if not 0."""
        if not self.method:
            return f"rows: {self.counts[COPIED]:,} copied; the text is encoded as before"
        return row_counts(Counter(self.counts).elements(), self.method)


@dataclass(frozen=True)
class Texts:
    """The texts of files without line ends, read in every iteration."""

    corpus: TextCorpus

    def __iter__(self) -> Iterator[str]:
        return (line.rstrip("\r\n") for line in self.corpus.lines())


def transplant(
    checkpoint: str, out: str | Path, *, text: Sequence[str | Path], options: TransplantOptions | None = None,
    overwrite: bool = False, progress: Progress = silent,
) -> TransplantedCheckpoint:
    """Write a checkpoint with another vocabulary to a folder that Hugging Face ``transformers`` loads.

    Args:
        checkpoint: a folder, the name of an installed package that contains a checkpoint, or a name on Hugging Face.
        out: the folder to create; it is complete or does not exist.
        text: files of text, tables, or folders of them.
        options: method, vectors, tokenizer and other options.
        overwrite: replace an earlier transplant.
        progress: progress callback.

    Raises:
        PipelineError: if ``out`` exists, options contradict each other, or the text is empty.
        EmbeddingError: if the checkpoint, the vectors, the dictionary or the tokenizer is invalid.
    """
    options = options or TransplantOptions()
    method, budget = _check(options), _budget(options)
    target, texts = Path(out), Texts(TextCorpus(tuple(map(Path, text)), options.reading))
    if overwrite:
        require_inputs_elsewhere(target, [checkpoint, *map(str, texts.corpus.files())])
    with new_folder(target, require_replaceable=require_transplant if overwrite else None) as folder:
        progress(WHAT, 0.0)
        source = open_checkpoint(checkpoint)
        if budget is not None:
            from transformer.pretrained.body import read_body

            read_body(source.folder)  # so that an architecture that cannot be trained is refused first
        if options.trim:
            tokenizer, origins = trimmed(source.tokenizer, partial(iter, texts), source.roles.values())
            result = Transplanted(tuple(table[origins] for table in source.tables()), (COPIED,) * len(origins), origins)
        else:
            tokenizer = _tokenizer(source, texts, options)
            progress(WHAT, 0.2)
            result = _rows(source, tokenizer, method, texts, options, progress)
        progress(WHAT, 0.8)
        write_checkpoint(folder, source, tokenizer, result.tables, result.origins)
        progress(WHAT, 1.0)
        made = TransplantedCheckpoint(
            target, source.n_rows, len(result.origins), result.counts(),
            "" if options.trim else options.method or METHOD, _parameters(source, len(result.origins)),
            None if budget is None else _train(folder, texts, budget, options, progress))
        write_card(folder, checkpoint, text, options, made, needs=method.needs, defaults=(METHOD, VECTORS))
        files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        training = {"training": asdict(made.training)} if made.training else {}
        write_json(folder / RECORD, {"transplant": made.counts, "method": made.method, **training,
                                     "files": [*files, RECORD]})
    return made


def require_transplant(folder: Path) -> None:
    """Require that a folder has what this command wrote, and nothing else.

    Raises:
        PipelineError: if it has not.
    """
    try:
        known = set(json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise PipelineError(f"{folder}: not written by a transplant, so {flag('overwrite')} does not replace it; "
                            f"remove it, or choose another {argument('out')}") from error
    others = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*"))
              if not path.is_dir() and str(path.relative_to(folder)) not in known]
    if others:
        raise PipelineError(f"{folder}: contains files that a transplant did not write ({listed(others, limit=3)}); "
                            f"{flag('overwrite')} does not replace it; move them, or choose another {argument('out')}")


def _check(options: TransplantOptions) -> Method:
    """Check that the options do not contradict each other, and return the method."""
    method = parse_method(options.method or METHOD)
    unused = {"method": options.trim, "tokenizer": options.trim, "vectors": options.trim or not method.needs,
              "checkpoint_vectors": options.trim or "old" not in method.needs,
              "dictionary": options.trim or "old" not in method.needs}
    for name, is_unused in unused.items():
        if is_unused and getattr(options, name) is not None:
            why = flag("trim") if options.trim else argument("method", options.method or METHOD)
            raise PipelineError(f"{argument(name)} is not used with {why}; leave it out")
    if options.dictionary and not options.checkpoint_vectors:
        raise PipelineError(f"{argument('dictionary')} aligns the vectors of two languages; add "
                            f"{argument('checkpoint_vectors', 'SPEC')}, vectors in the language of the checkpoint")
    return method


def _budget(options: TransplantOptions) -> float | None:
    """Check the options of the training on the text, and return its budget in seconds."""
    if options.freeze not in FREEZE:
        raise PipelineError(f"{argument('freeze', options.freeze)}: choose one of {', '.join(FREEZE)}")
    if options.pretrain_budget is None:
        if options.freeze != "none":
            raise PipelineError(f"{argument('freeze')} is for the training on the text; add "
                                f"{argument('pretrain_budget', '10m')}")
        return None
    if options.trim:
        raise PipelineError(f"{argument('pretrain_budget')} is not used with {flag('trim')}; leave it out")
    from pipeline.runs.budget import parse_budget  # imports torch

    return parse_budget(options.pretrain_budget, argument("pretrain_budget"))


def _train(
    folder: Path, texts: Texts, budget: float, options: TransplantOptions, progress: Progress
) -> CheckpointTraining:
    """Train the model in a folder on the text."""
    from pipeline.runs.checkpoint_training import train_checkpoint

    return train_checkpoint(folder, list(texts), budget, freeze=options.freeze, seed=options.seed, progress=progress)


def _tokenizer(source: Checkpoint, texts: Texts, options: TransplantOptions) -> Tokenizer:
    """Train or read the new tokenizer."""
    given = options.tokenizer
    path = Path(given) if given else None
    if path is not None and (path.is_file() or path.is_dir()):
        return read_tokenizer_file(path / TOKENIZER if path.is_dir() else path)
    if given:
        wanted = parse_new_tokenizer(given)
    elif kind := kind_of(source.tokenizer):
        wanted = NewTokenizer(kind)
    else:
        raise PipelineError(f"{source.folder}: its kind of tokenizer cannot be trained; choose one with "
                            f"{argument('tokenizer', 'KIND')}: {', '.join(KINDS)}")
    return train_like(source.tokenizer, texts, wanted, source.roles)


def _rows(
    source: Checkpoint, tokenizer: Tokenizer, method: Method, texts: Texts, options: TransplantOptions,
    progress: Progress,
) -> Transplanted:
    """Compute the rows of the new vocabulary."""
    old, new = checkpoint_vocabulary(source.tokenizer, source.n_rows), Vocabulary(tokens_of(tokenizer))
    if method.needs:
        counts = WordTokenizer(lowercase=False).count(texts)  # tokens may be capitalised
        if not counts:
            raise PipelineError(f"{texts.corpus.paths[0]}: contains no word; name a file with text")
        loading = LoadOptions(corpus=texts.corpus.paths, seed=options.seed, trust_pickle=options.trust_pickle,
                              reading=options.reading)
        static = StaticOptions(options.vectors or VECTORS, options.checkpoint_vectors, options.dictionary)
        old, new = with_static_vectors(
            method, old, new, (source.tokenizer, tokenizer), counts, static,
            lambda vectors, words: open_vectors(vectors, loading, vocabulary=words, progress=progress))
    return transplanted(method, source.tables(), old, new, seed=options.seed)


def _parameters(source: Checkpoint, n_new: int) -> tuple[int, int]:
    """Return the number of parameters before and after."""
    sizes = {name: math.prod(held.shape(name)) for name, held in source.weights.items() if held.kind(name) in FLOATS}
    before = sum(sizes.values())
    of_rows = sum(sizes[name] for name in source.vocabulary_tensors)
    return before, before - of_rows + of_rows // source.n_rows * n_new
