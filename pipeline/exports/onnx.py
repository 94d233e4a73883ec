"""Export to ONNX: a graph, its tokenizer, and Python files that use both."""

from __future__ import annotations

import copy
import logging
import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from embeddings.progress import Progress
from embeddings.special_tokens import MASK, N_SPECIAL
from embeddings.table.arguments import argument, setting
from embeddings.table.paths import utf8_path
from pipeline.errors import ExportError
from pipeline.exports.base import Exported, ExportOptions, export_format
from pipeline.exports.onnx_readme import agreed_in_words, readme
from pipeline.exports.readme import write_readme
from pipeline.exports.scores import branch_shift, without_ngrams
from pipeline.exports.standalone_files import copy_files
from pipeline.exports.texts import test_texts, texts_of_words
from pipeline.exports.vocabulary import (
    BERT_PAIR,
    BERT_TEXT,
    LINE,
    add_unseen,
    extended,
    require_characters,
    require_whole_words,
    write_tokenizer_json,
)
from pipeline.runs.folder import write_json
from pipeline.runs.trained import TrainedRun
from pipeline.runs.workspace import new_folder
from pipeline.tasks.multi_label import UNTUNED
from pipeline.tasks.ngrams.scores import branch_of as ngrams_of
from pipeline.tasks.regression import in_units_of_the_data
from pipeline.tasks.tags.branch import branch_of as features_of
from pipeline.tasks.tags.scores import are_plain
from transformer.export.onnx import COUNTS, FEATURES, IDS, NGRAMS, OPSET, TYPES, Combination, Graph, save_onnx

TASKS = ("classification", "language-model", "masked-language-model", "multi-label", "question-answering",
         "regression", "tagging")
LANGUAGE_MODELS = ("language-model", "masked-language-model")
OF_WORDS = ("tagging", "question-answering")  # tasks that predict words
GRAPH, SMALL_GRAPH = "model.onnx", "model_int8.onnx"
NOT_QUANTISED = ["/idf/Gather", "/positions/Gather", "/head/output/Gemm"]  # small, and they matter most
MB, GB = 1_000_000, 1_000_000_000
LIMIT = 1.9 * GB  # of a file in the format of ONNX, which is 2 GB


@dataclass(frozen=True)
class ExportedGraph(Exported):
    """A folder with an ONNX graph.

    Attributes:
        n_words: number of words with vectors.
        n_extra: number of these that were not seen in training.
        difference: maximum absolute difference of its scores and those of the run.
        texts: the texts that were compared, in words.
        agreement: share of these texts for which the int8 graph predicts the same, and the maximum difference of its
            probabilities or values; None without one.
        sizes: size of each graph in bytes, by the name of its file.
        without_ngrams: the run has an n-gram branch, which the graph lacks.
    """

    n_words: int
    n_extra: int
    difference: float
    texts: str
    agreement: tuple[float, float | None] | None
    sizes: dict[str, int]
    without_ngrams: bool

    def lines(self) -> list[str]:
        """Describe the graph and how it was compared with the run."""
        made = [f"{self.path}: ONNX, opset {OPSET}, {self.n_words:,} words, of which {self.n_extra:,} were not seen in "
                "training"]
        if self.without_ngrams:
            made.append("the n-gram branch is left out: the exported model is the Transformer alone, and its "
                        "predictions differ from those of the run")
        made.append(f"compared with the run in onnxruntime on {self.texts}: the predictions are equal, scores differ "
                    f"by at most {self.difference:.1e}")
        made += [f"{name}: {size / MB:.1f} MB" for name, size in self.sizes.items()]
        if self.agreement is not None:
            made[-1] += f", {agreed_in_words(*self.agreement)}"
        return made


@export_format("onnx")
class Onnx:
    """A graph for ONNX Runtime, with its tokenizer."""

    description = "a folder for ONNX Runtime, for every task but translation"
    options = ("words", "without_ngrams", "int8")

    def write(self, trained: TrainedRun, target: Path, options: ExportOptions, progress: Progress, *,
              origin: str) -> ExportedGraph:
        """Write the folder; its predictions are compared with those of the run.

        Raises:
            ExportError: if a package is missing, the task has no export, or the predictions differ.
        """
        if missing := [name for name in ("onnx", "onnxruntime") if not find_spec(name)]:
            raise ExportError(f"export to ONNX requires the packages onnx and onnxruntime ({' and '.join(missing)} "
                              "missing): pip install 'vecformer[onnx]'")
        from pipeline.exports import onnx_check

        task = trained.config.task
        if task not in TASKS:
            raise ExportError(f"{origin}: the task {task!r} cannot be exported to ONNX; the tasks that can are "
                              f"{', '.join(TASKS)}")
        require_characters(trained.config, origin)
        if task in OF_WORDS:
            require_whole_words(trained.config, f"the Python file for a model of the task {task}", origin,
                                advice=f"export a run with {setting('model.like=bert')} with "
                                       f"{argument('to', 'hf')}, or ")
        alone = without_ngrams(trained, options)
        texts = test_texts(trained)
        first = texts.words if texts else ()
        extra = () if task in LANGUAGE_MODELS else add_unseen(trained, options.words, first=first)
        tokenizer = extended(trained.tokenizer, extra)
        texts = texts or texts_of_words(trained, tokenizer)
        graph = _graph(trained)
        size = sum(tensor.nbytes for tensor in graph.state_dict().values())
        if size > LIMIT:
            raise ExportError(f"{origin}: the graph would have {size / GB:.1f} GB, and the format allows 2 GB; export "
                              f"fewer words than {argument('words', str(options.words))}, or train with a smaller "
                              "data.max_words")
        with new_folder(target) as folder:
            save_onnx(graph, folder / GRAPH)
            config = _described(trained, graph)
            write_json(folder / "config.json", config)
            write_tokenizer_json(tokenizer, folder / "tokenizer.json", **_templates(config))
            copy_files(folder, "vecformer_onnx", "vecformer_hashing", "vecformer_tags")
            progress("exporting", 0.5)
            found = onnx_check.compare(trained, tokenizer, folder, texts)
            agreed = None
            if options.int8:
                _quantise(folder)
                agreed = onnx_check.agreement(folder, SMALL_GRAPH, texts)
            write_json(folder / "config.json", config | {
                "checked": {"texts": found.texts.described, "greatest_difference": found.difference,
                            "int8_agreement": agreed[0] if agreed else None}})
            write_readme(folder, trained, readme(config, found, agreed), library="onnx")
            sizes = {name: (folder / name).stat().st_size for name in (GRAPH, SMALL_GRAPH) if (folder / name).exists()}
            for file in folder.iterdir():
                file.chmod(0o644)
        return ExportedGraph(target, len(tokenizer) - N_SPECIAL, len(extra),
                             found.difference, found.texts.described, agreed, sizes, alone)


def _graph(trained: TrainedRun) -> Graph:
    """Return the model of a run, its branch included, in the form that is traced."""
    model: Any = trained.model
    setup, resolved = trained.setup, trained.setup.resolved
    ngrams, features = ngrams_of(model), features_of(model)
    if trained.config.task == "regression":
        model = copy.deepcopy(model)
        in_units_of_the_data(model, setup)
    weights = resolved.ngram_weights if ngrams else resolved.feature_weights if features else (1.0, 1.0)
    combination = Combination(ngrams or features, weights, branch_shift(trained))
    return Graph(model, n_positions=setup.data.max_length, combination=combination)


def _described(trained: TrainedRun, graph: Graph) -> dict[str, Any]:
    """Return the content of ``config.json``."""
    config, setup, resolved = trained.config, trained.setup, trained.setup.resolved
    task, labels = config.task, list(getattr(resolved, "labels", ()))
    padding = {IDS: 0, TYPES: 0, NGRAMS: 0, COUNTS: 0, FEATURES: getattr(resolved, "feature_buckets", 0)}
    made: dict[str, Any] = {
        "task": task, "opset": OPSET, "inputs": {name: padding[name] for name in graph.inputs},
        "per_token": task in (*LANGUAGE_MODELS, "tagging", "question-answering"), "max_length": setup.data.max_length,
        "token_types": setup.model.token_types, "framed": setup.model.pooling == "cls" and task != "language-model",
        "pairs": bool(setup.model.token_types) and task not in ("tagging", "question-answering"),
    }
    if config.data.units == "subwords":
        made["units"] = config.data.units
    if labels:
        made["labels"] = labels
    if task == "multi-label":
        made["thresholds"] = list(resolved.thresholds or (UNTUNED,))
    if NGRAMS in graph.inputs:
        made["ngrams"] = {"words": config.ngrams.words, "characters": list(config.ngrams.characters),
                          "buckets": resolved.ngram_buckets}
    if task == "tagging":
        made |= {"stride": setup.data.stride, "plain_tags": are_plain(labels), "decoding": config.tagging.decoding,
                 "feature_buckets": resolved.feature_buckets if FEATURES in graph.inputs else 0}
    if task == "question-answering":
        threshold = resolved.no_answer_threshold
        made |= {"stride": setup.data.stride, "max_answer_words": setup.data.max_answer_words,
                 "no_answer_threshold": 0.0 if threshold == "dev" else None if threshold == math.inf else threshold}
    return made


def _templates(config: dict[str, Any]) -> dict[str, Any]:
    """Return how the special tokens of a task are described in ``tokenizer.json``."""
    if config["task"] == "language-model":
        return {"single": LINE, "max_length": config["max_length"]}
    if config["pairs"] or config["task"] == "question-answering":
        return {"single": BERT_TEXT, "pair": BERT_PAIR, "max_length": config["max_length"]}
    special = (MASK,) if config["task"] == "masked-language-model" else ()
    return {"single": BERT_TEXT if config["framed"] else "", "special": special, "max_length": config["max_length"]}


def _quantise(folder: Path) -> None:
    """Write the graph with int8 weights, by ONNX Runtime's dynamic quantisation."""
    from onnxruntime.quantization import quantize_dynamic

    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # the library advises to preprocess the graph, which changes nothing
    try:
        with utf8_path(folder) as readable:
            quantize_dynamic(readable / GRAPH, readable / SMALL_GRAPH, nodes_to_exclude=NOT_QUANTISED)
    finally:
        logging.getLogger().setLevel(level)
