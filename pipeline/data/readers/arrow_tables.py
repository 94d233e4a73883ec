"""Tables of Parquet and Arrow files, with the class names that Hugging Face's ``datasets`` stores beside numbers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from embeddings.table.paths import utf8_path
from pipeline.data.readers.rows import Rows, Table, require_few_columns
from pipeline.errors import DataError

MAX_EXPANSION = 200        # memory of a table per byte of its file
FREE_EXPANSION = 2**29     # bytes of memory that any table may take
ROW_BYTES, CELL_BYTES = 300, 100  # of Python's objects, beyond the data
ROWS_AT_ONCE = 8192


def read_parquet(path: Path) -> Table:
    """Read a Parquet file.

    Raises:
        DataError: if it is damaged, takes too much memory, or has strings that are not UTF-8.
    """
    import pyarrow.parquet

    with _reports_damage(path, "a Parquet file"), utf8_path(path) as readable:
        file = pyarrow.parquet.ParquetFile(readable)
        return _table(path, file.schema_arrow, file.iter_batches(ROWS_AT_ONCE))


def read_arrow(path: Path) -> Table:
    """Read an Arrow file, in the format for files or for streams.

    Raises:
        DataError: as :func:`read_parquet`.
    """
    import pyarrow as pa

    with _reports_damage(path, "an Arrow file"), utf8_path(path) as readable, pa.OSFile(str(readable)) as file:
        if file.read(6) == b"ARROW1":
            reader = pa.ipc.open_file(file)
            return _table(path, reader.schema, (reader.get_batch(i) for i in range(reader.num_record_batches)))
        file.seek(0)
        stream = pa.ipc.open_stream(file)
        return _table(path, stream.schema, iter(stream))


@contextmanager
def _reports_damage(path: Path, kind: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except DataError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError, NotImplementedError, TypeError,
            KeyError, IndexError) as error:
        first = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(f"{path}: not {kind}, or damaged ({first}); download or write it again") from error


def _table(path: Path, schema: Any, batches: Iterator[Any]) -> Table:
    require_few_columns(path, len(schema.names), "write only the columns of the texts and the labels")
    classes = class_names(schema.metadata, path)
    limit = max(FREE_EXPANSION, MAX_EXPANSION * path.stat().st_size)
    names: tuple[str, ...] = tuple(schema.names)
    rows, size = Rows(path), 0
    for batch in batches:
        for i, name in enumerate(schema.names):
            _validate(batch.column(i), name, len(rows), path)  # before anything else, which could crash
        size += batch.nbytes + batch.num_rows * (ROW_BYTES + CELL_BYTES * len(schema.names))
        if size > limit:
            raise DataError(f"{path}: needs more than {MAX_EXPANSION} times the memory of its size; not a table")
        columns = [_values(batch, i, name, len(rows), path, classes.get(name))
                   for i, name in enumerate(schema.names)]
        for number, values in enumerate(zip(*columns, strict=True), start=len(rows) + 1):
            rows.add(names, values, number)
    counts = Counter(schema.names)
    repeated = {name: f"{counts[name]} columns are called {name!r}" for name in counts if counts[name] > 1}
    return Table(path, rows, tuple(counts), repeated)


def _values(batch: Any, i: int, name: str, n_before: int, path: Path, names: Sequence[str] | None) -> list[Any]:
    """Return the values of one column of a batch; numbers of classes as their names."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = batch.column(i)
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):  # times outside the range of Python's, or with nanoseconds
        values = pc.cast(column, pa.string()).to_pylist()
    if names is None:
        return values
    return [_class(value, names, f"{path}:{n_before + row}", name) for row, value in enumerate(values, start=1)]


def _validate(column: Any, name: str, n_before: int, path: Path) -> None:
    """Require that a column can be read: lengths and offsets within the data, and strings in UTF-8."""
    import pyarrow as pa

    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        if "UTF8" not in str(error):
            raise
        raise DataError(f"{path}: the column {name!r} has strings that are not UTF-8, between row {n_before + 1} and "
                        f"row {n_before + len(column)}; write the file again from text in UTF-8") from error


def _class(value: Any, names: Sequence[str], where: str, column: str) -> Any:
    if isinstance(value, list):
        return [_class(entry, names, where, column) for entry in value]
    if not isinstance(value, int) or value == -1:  # -1 is a missing label
        return None if value == -1 else value
    if not 0 <= value < len(names):
        raise DataError(f"{where}: {column!r} is class {value}, but the file names {len(names)} classes, from 0; "
                        "correct the row or the names")
    return names[value]


def class_names(metadata: Mapping[bytes, bytes] | None, path: Path) -> dict[str, Sequence[str]]:
    """Return the class names of columns, from the metadata of a schema or ``dataset_info.json`` beside the file."""
    content: bytes | None = (metadata or {}).get(b"huggingface")
    beside = path.parent / "dataset_info.json"
    if content is None and beside.is_file():
        content = beside.read_bytes()
    try:
        described = json.loads(content or b"{}")
        features = described.get("info", described).get("features") or {}
        found = {name: _names_in(feature) for name, feature in features.items()}
    except (ValueError, AttributeError, RecursionError):  # of another writer, or damaged
        return {}
    return {name: names for name, names in found.items() if names}


def _names_in(feature: Any) -> list[str]:
    """Return the class names of a feature or of the elements of a list; [] if it has none."""
    if isinstance(feature, list):
        return _names_in(feature[0]) if feature else []
    if not isinstance(feature, dict):
        return []
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    return [str(name) for name in names] if isinstance(names, list) else _names_in(feature.get("feature"))
