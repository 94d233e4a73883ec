"""Export of static vectors to ``model2vec``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from embeddings.progress import Progress
from embeddings.table.paths import utf8_path
from pipeline.exports.base import ExportOptions, export_format
from pipeline.exports.readme import write_readme
from pipeline.exports.static_vectors import ExportedVectors, check, static_vectors
from pipeline.runs.folder import write_json
from pipeline.runs.trained import TrainedRun
from pipeline.runs.workspace import new_folder

README = """# Static vectors from vecformer for model2vec

A text is the mean of the vectors of its known words.

```python
from model2vec import StaticModel

model = StaticModel.from_pretrained(".")
print(model.encode(["A text."]).shape)
```
"""


@export_format("model2vec")
class Model2Vec:
    """The folder of a ``StaticModel``; ``sentence-transformers`` reads it, too."""

    description = "a folder with static vectors for model2vec"
    options = ("words", "vectors")

    def write(self, trained: TrainedRun, target: Path, options: ExportOptions, progress: Progress, *,
              origin: str) -> ExportedVectors:
        """Write the folder and compare the vectors of texts with those of the run.

        Raises:
            ExportError: if the tokenizer cannot be represented, or vectors differ.
        """
        vectors = static_vectors(trained, options, origin=origin)
        dim = vectors.rows.shape[1]
        with new_folder(target) as folder:
            weights, tokenizer = folder / "model.safetensors", folder / "tokenizer.json"
            vectors.save(weights, tokenizer, name="embeddings")
            write_json(folder / "config.json", {
                "model_type": "model2vec", "architectures": ["StaticModel"], "hidden_dim": dim, "seq_length": 1_000_000,
                "normalize": False, "embedding_dtype": "float32"})
            write_json(folder / "modules.json", [{"idx": 0, "name": "0", "path": ".",
                                                  "type": "sentence_transformers.models.StaticEmbedding"}])
            write_readme(folder, trained, README, library="model2vec")
            progress("exporting", 0.5)

            def encode(texts: Sequence[str]) -> Any:
                from model2vec import StaticModel

                with utf8_path(folder) as readable:
                    return StaticModel.from_pretrained(readable).encode(list(texts), max_length=None)

            checked = check(vectors, weights, tokenizer, name="embeddings", package="model2vec", encode=encode,
                            scaled=False)
        return ExportedVectors(target, vectors.n_words, dim, options.vectors, checked)
