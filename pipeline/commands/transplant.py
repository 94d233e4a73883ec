"""Replace the vocabulary of a pretrained checkpoint, or remove the part of it that a text never uses."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from embeddings.formats.checkpoint_layouts import TOKENIZER
from embeddings.formats.hf_checkpoint import read_tokenizer_file
from embeddings.progress import Progress, silent
from embeddings.table.arguments import argument, flag
from embeddings.table.listing import listed
from embeddings.table.safetensors import FLOATS
from embeddings.tokenization.tokenizer import WordTokenizer
from embeddings.transplant import Transplanted, Vocabulary, parse_method, tokens_of
from embeddings.transplant import transplant as transplanted
from embeddings.transplant.assembly import COPIED
from embeddings.transplant.base import Method
from embeddings.transplant.checkpoint import Checkpoint, open_checkpoint
from embeddings.transplant.dictionary import aligned, read_dictionary
from embeddings.transplant.new_tokenizer import KINDS, NewTokenizer, kind_of, parse_new_tokenizer, train_like
from embeddings.transplant.pieces import checkpoint_vocabulary
from embeddings.transplant.static_vectors import token_vectors
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

    from embeddings.table import EmbeddingTable

METHOD, VECTORS = "focus", "fasttext"  # defaults
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
    """

    path: Path
    n_old: int
    n_new: int
    counts: dict[str, int]
    method: str
    n_parameters: tuple[int, int]

    def lines(self) -> list[str]:
        """Describe the result for the terminal, one statement per line."""
        before, after = self.n_parameters
        return [f"{self.path}: {self.n_new:,} tokens instead of {self.n_old:,}, {after:,} parameters instead of "
                f"{before:,}", self.rows()]

    def rows(self) -> str:
        """State how many rows were copied, mixed and drawn; other numbers than that of copied ones only if not 0."""
        if not self.method:
            return f"rows: {self.counts[COPIED]:,} copied; the text is encoded as before"
        names = {"copied": "copied", "mixed": f"mixed by {self.method}", "subword": "mean of their pieces",
                 "random": "random"}
        return "rows: " + ", ".join(f"{self.counts[why]:,} {name}" for why, name in names.items()
                                     if self.counts[why] or why == COPIED)


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
    method = _check(options)
    target, texts = Path(out), Texts(TextCorpus(tuple(map(Path, text)), options.reading))
    if overwrite:
        require_inputs_elsewhere(target, [checkpoint, *map(str, texts.corpus.files())])
    with new_folder(target, require_replaceable=require_transplant if overwrite else None) as folder:
        progress(WHAT, 0.0)
        source = open_checkpoint(checkpoint)
        if options.trim:
            tokenizer, origins = trimmed(source.tokenizer, partial(iter, texts), source.roles.values())
            result = Transplanted(tuple(table[origins] for table in source.tables()), (COPIED,) * len(origins), origins)
        else:
            tokenizer = _tokenizer(source, texts, options)
            progress(WHAT, 0.2)
            result = _rows(source, tokenizer, method, texts, options, progress)
        progress(WHAT, 0.8)
        write_checkpoint(folder, source, tokenizer, result.tables, result.origins)
        made = TransplantedCheckpoint(
            target, source.n_rows, len(result.origins), result.counts(),
            "" if options.trim else options.method or METHOD, _parameters(source, len(result.origins)))
        write_card(folder, checkpoint, text, options, made, needs=method.needs, defaults=(METHOD, VECTORS))
        files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        write_json(folder / RECORD, {"transplant": made.counts, "method": made.method, "files": [*files, RECORD]})
        progress(WHAT, 1.0)
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
        requested = counts + Counter(dict.fromkeys((token.text for token in new.tokens if token.text), 1))
        ours, theirs = _tables(method, texts, requested, options, progress)
        new = Vocabulary(new.tokens, token_vectors(new.tokens, ours, tokenizer, counts))
        if theirs is not None:
            old = Vocabulary(old.tokens, token_vectors(old.tokens, theirs, source.tokenizer), old.split, old.normalize)
    return transplanted(method, source.tables(), old, new, seed=options.seed)


def _tables(
    method: Method, texts: Texts, requested: Counter[str], options: TransplantOptions, progress: Progress
) -> tuple[EmbeddingTable, EmbeddingTable | None]:
    """Load static vectors for the new tokens and, if the method needs them, for the old ones."""
    loading = LoadOptions(corpus=texts.corpus.paths, seed=options.seed, trust_pickle=options.trust_pickle,
                          reading=options.reading)
    specification = options.vectors or VECTORS
    if "old" in method.needs and options.checkpoint_vectors is None:  # all words, for the tokens of the checkpoint
        both = open_vectors(specification, loading, progress=progress)
        return both, both
    pairs = read_dictionary(options.dictionary) if options.dictionary else []
    ours = open_vectors(specification, loading, vocabulary=requested + Counter(word for _, word in pairs),
                        progress=progress)
    if options.checkpoint_vectors is None:
        return ours, None
    theirs = open_vectors(options.checkpoint_vectors, loading, progress=progress)
    return aligned(ours, theirs, pairs) if options.dictionary else ours, theirs


def _parameters(source: Checkpoint, n_new: int) -> tuple[int, int]:
    """Return the number of parameters before and after."""
    sizes = {name: math.prod(held.shape(name)) for name, held in source.weights.items() if held.kind(name) in FLOATS}
    before = sum(sizes.values())
    of_rows = sum(sizes[name] for name in source.vocabulary_tensors)
    return before, before - of_rows + of_rows // source.n_rows * n_new
