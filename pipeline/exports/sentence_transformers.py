"""Export of static vectors to ``sentence-transformers``."""

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

MODULE = "0_StaticEmbedding"
README = """# Static vectors from vecformer for sentence-transformers

A text is the mean of the vectors of its words; that of an unknown word is zero, so that it does not change the cosine.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(".")
vectors = model.encode(["A text.", "Another text."])
print(model.similarity(vectors, vectors))
```
"""


@export_format("sentence-transformers")
class SentenceTransformers:
    """The folder of a ``SentenceTransformer`` with a ``StaticEmbedding``."""

    description = "a folder with static vectors for sentence-transformers"
    options = ("words", "vectors")

    def write(self, trained: TrainedRun, target: Path, options: ExportOptions, progress: Progress, *,
              origin: str) -> ExportedVectors:
        """Write the folder and compare the vectors of texts with those of the run.

        Raises:
            ExportError: if the tokenizer cannot be represented, or vectors differ.
        """
        vectors = static_vectors(trained, options, origin=origin)
        with new_folder(target) as folder:
            (folder / MODULE).mkdir()
            weights, tokenizer = folder / MODULE / "model.safetensors", folder / MODULE / "tokenizer.json"
            vectors.save(weights, tokenizer, name="embedding.weight")
            write_json(folder / "modules.json", [{"idx": 0, "name": "0", "path": MODULE,
                                                  "type": "sentence_transformers.models.StaticEmbedding"}])
            write_json(folder / "config_sentence_transformers.json", {
                "__version__": {}, "model_type": "SentenceTransformer", "prompts": {}, "default_prompt_name": None,
                "similarity_fn_name": "cosine"})
            write_readme(folder, trained, README, library="sentence-transformers")
            progress("exporting", 0.5)

            def encode(texts: Sequence[str]) -> Any:
                from sentence_transformers import SentenceTransformer

                with utf8_path(folder) as readable:
                    return SentenceTransformer(str(readable), device="cpu").encode(list(texts), show_progress_bar=False)

            checked = check(vectors, weights, tokenizer, name="embedding.weight", package="sentence_transformers",
                            encode=encode, scaled=True)
        return ExportedVectors(target, vectors.n_words, vectors.rows.shape[1], options.vectors, checked)
