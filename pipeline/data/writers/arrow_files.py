"""Parquet and Arrow files; a table of the same formats keeps its schema."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from embeddings.table.paths import utf8_path
from pipeline.data.writers.grid import MISSING, Added, Grid, cell_text, keys_of

FEATURES: Mapping[str, Any] = {  # how Hugging Face's datasets describe types of Arrow
    "string": {"dtype": "string", "_type": "Value"}, "double": {"dtype": "float64", "_type": "Value"},
    "int64": {"dtype": "int64", "_type": "Value"}, "bool": {"dtype": "bool", "_type": "Value"},
    "list<item: string>": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"},
    "list<item: double>": {"feature": {"dtype": "float64", "_type": "Value"}, "_type": "Sequence"},
}


def extended(path: Path, added: Added, suffix: str) -> bytes:
    """Return a Parquet or Arrow file with columns added; its schema and metadata are kept.

    Args:
        path: the file, which can be read.
        added: the columns.
        suffix: ``.parquet`` or ``.arrow``, the format of the result.
    """
    import pyarrow as pa
    import pyarrow.parquet

    with utf8_path(path) as readable:
        if path.suffix.lower() == ".parquet":
            table = pyarrow.parquet.ParquetFile(readable).read()
        else:
            with pa.OSFile(str(readable)) as file:
                is_file = file.read(6) == b"ARROW1"
                file.seek(0)
                table = (pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)).read_all()
    for i, name in enumerate(added.names):
        table = table.append_column(name, _column([row[i] for row in added.rows]))
    return _written(table.replace_schema_metadata(_metadata(table, added)), suffix)


def new_file(grid: Grid, added: Added, suffix: str) -> bytes:
    """Return a new file with one row for each row that is not blank."""
    import pyarrow as pa

    names = [*keys_of(grid), *added.names]
    rows = [grid.rows[at] for at in grid.filled]
    own = [[None if at >= len(row) or row[at] is MISSING else row[at] for row in rows] for at in range(len(grid.names))]
    new = [[added.rows[row][at] for row in grid.filled] for at in range(len(added.names))]
    return _written(pa.table([_column(values) for values in (*own, *new)], names=names), suffix)


def _column(values: Sequence[Any]) -> Any:
    """Return a column; of strings if the values have different types."""
    import pyarrow as pa

    blank = [None if value == "" and not all(isinstance(one, str | None) for one in values) else value
             for value in values]
    try:
        made = pa.array(blank)
        return made.cast(pa.string()) if pa.types.is_null(made.type) else made
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, TypeError, ValueError):
        return pa.array([None if value is None else cell_text(value).encode(errors="replace").decode()
                         for value in values], pa.string())


def _metadata(table: Any, added: Added) -> Mapping[bytes, bytes] | None:
    """Return the metadata of a table; the features of Hugging Face's ``datasets`` must name every column."""
    metadata = table.schema.metadata
    try:
        described = json.loads((metadata or {})[b"huggingface"])
        features = described["info"]["features"]
        for name in added.names:
            features[name] = FEATURES[str(table.schema.field(name).type)]
    except KeyError:
        return {key: value for key, value in (metadata or {}).items() if key != b"huggingface"} or None
    except (ValueError, TypeError):
        return metadata  # type: ignore[no-any-return]
    return {**metadata, b"huggingface": json.dumps(described).encode()}


def _written(table: Any, suffix: str) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet

    made = io.BytesIO()
    if suffix == ".parquet":
        pyarrow.parquet.write_table(table, made)
    else:
        with pa.ipc.new_file(made, table.schema) as writer:
            writer.write_table(table)
    return made.getvalue()
