"""Export to one HTML file that classifies texts in a browser, offline."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from embeddings.progress import Progress
from embeddings.table.arguments import argument, setting
from embeddings.table.atomic_files import write_atomically
from embeddings.tokenization.word_pattern import WordRule
from pipeline.drawing.page import render
from pipeline.errors import ExportError
from pipeline.exports import browser
from pipeline.exports.base import Exported, ExportOptions, export_format
from pipeline.exports.browser.agreement import Agreement, agreement
from pipeline.exports.browser.page_data import PageData, block, page_data
from pipeline.runs.trained import TrainedRun

FOLDER = Path(browser.__file__).parent
SCRIPTS = ("characters.js", "tokenizer.js", "matrices.js", "ngrams.js", "model.js", "load.js", "occlusion.js",
           "page.js")
SUFFIXES = (".html", ".htm")
MAX_CHARACTERS = 8_000_000  # of the file
MIN_AGREEMENT = 0.9         # share of texts with the same label as the run


@dataclass(frozen=True)
class ExportedPage(Exported):
    """A page.

    Attributes:
        size: size of the file in bytes.
        data: the model in it.
        checked: agreement with the run.
        n_ngrams: number of n-gram buckets of the run that have a weight; 0 without an n-gram branch.
    """

    size: int
    data: PageData
    checked: Agreement
    n_ngrams: int

    def lines(self) -> list[str]:
        """Describe the page, what is left out, and how far it agrees with the run."""
        n_words, n_trained = len(self.data.words), self.data.n_trained
        lines = [f"{self.path}: {self.size / 1e6:.1f} MB, {n_words:,} words, of which {n_words - n_trained:,} were not "
                 "seen in training, int8 weights"]
        if self.data.ngrams:
            branch = self.data.ngrams
            lines.append(f"n-grams: the weights of {len(branch.kept):,} of {self.n_ngrams:,} buckets, "
                         f"{branch.values.dtype}")
        return [*lines, f"compared with the run: {self.checked}"]


@export_format("page")
class Page:
    """One HTML file with the model and plain JavaScript, for classification of single texts."""

    description = "one HTML file that classifies texts in a browser, offline"
    options = ("words",)

    def write(self, trained: TrainedRun, target: Path, options: ExportOptions, progress: Progress, *,
              origin: str) -> ExportedPage:
        """Write the page; its weights are compared with the run on held-out texts first.

        Raises:
            ExportError: if the page has no equivalent of the run, or the labels differ too often.
        """
        rule = require_equivalent(trained, target, origin=origin)
        template = _Template.read()
        data = page_data(trained, options.words, MAX_CHARACTERS - template.size)
        progress("exporting", 0.4)
        checked = agreement(trained, data)
        if checked.n_equal < MIN_AGREEMENT * checked.n:
            raise ExportError(f"{origin}: the page would differ too much from the run: {checked}; nothing was written. "
                              f"Include more words with {argument('words')}, or train with fewer words "
                              "(data.max_words)")
        progress("exporting", 0.8)
        content = template.filled(trained, data, rule, checked, name=Path(origin).resolve().name).encode()
        write_atomically(target, content)
        return ExportedPage(target, len(content), data, checked, _n_ngrams(trained))


def require_equivalent(trained: TrainedRun, target: Path, *, origin: str) -> WordRule:
    """Require that the page can compute what the run computes, and return the definition of a word.

    Raises:
        ExportError: if it cannot; the message names the cause.
    """
    config = trained.config
    if target.suffix.lower() not in SUFFIXES:
        raise ExportError(f"{target}: the page is a file whose name ends in .html; write, for instance, "
                          f"{argument('out', (target.name or 'model') + '.html')}")
    if config.task != "classification":
        raise ExportError(f"{origin}: a page classifies texts; it has no equivalent of the task {config.task!r}")
    if trained.setup.model.token_types:
        raise ExportError(f"{origin}: a page reads single texts, and this run reads pairs of texts")
    if trained.setup.model.embedding_width != trained.setup.model.d_model:
        raise ExportError(f"{origin}: model.d_embedding={trained.setup.model.d_embedding}: a page has no layer between "
                          f"embeddings and d_model; train with {setting('model.d_embedding=0')}")
    if config.model.pooling == "mean":
        raise ExportError(f"{origin}: model.pooling=mean: a page computes mean-max and cls only; train with "
                          f"{setting('model.pooling=mean-max')}")
    if config.data.han == "words":
        raise ExportError(f"{origin}: data.han=words: a page cannot split Chinese into words; train with "
                          f"{setting('data.han=characters')}")
    if config.data.units == "subwords":
        raise ExportError(f"{origin}: data.units={config.data.units}: a page cannot split texts into subwords; train "
                          f"with {setting('data.units=words')}")
    rule = trained.tokenizer.rule
    if rule is None:
        raise ExportError(f"{origin}: its tokenizer.json is of an earlier version, whose definition of a word a page "
                          "does not have; train the run again")
    return rule


@dataclass(frozen=True)
class _Template:
    """The files of the page without a model."""

    script: str
    style: str

    @classmethod
    def read(cls) -> _Template:
        texts = [(FOLDER / name).read_text(encoding="utf-8") for name in SCRIPTS]
        return cls('"use strict";\n' + "\n".join(texts), (FOLDER / "page.css").read_text(encoding="utf-8"))

    @property
    def size(self) -> int:
        """Upper bound of the number of characters besides the model."""
        return len(self.script.encode()) + len(self.style.encode()) + 50_000

    def filled(self, trained: TrainedRun, data: PageData, rule: WordRule, checked: Agreement, *, name: str) -> str:
        model, weights = block(trained, data, rule)
        policy = (f"default-src 'none'; script-src '{_hash(self.script)}'; style-src '{_hash(self.style)}'; "
                  "base-uri 'none'; form-action 'none'")
        return render(FOLDER / "page.html", title=name, policy=policy, script=self.script, style=self.style,
                      model=model, weights=weights, data=data, checked=checked, labels=trained.setup.resolved.labels,
                      n_ngrams=_n_ngrams(trained), max_length=trained.setup.data.max_length)


def _n_ngrams(trained: TrainedRun) -> int:
    """Return the number of buckets with a weight."""
    branch = getattr(trained.model, "ngrams", None)
    return int(branch.weight.any(dim=1).sum()) if branch is not None else 0


def _hash(text: str) -> str:
    """Return the hash of an inline script or style in the form of a Content Security Policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
