"""The table of a data set: a Parquet file with one row per clip, its figures, and the reasons for its place. Written
and read in batches; the same rows give the same bytes.

Parquet is read and written by pyarrow (extra `curate`).
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import KinemaError, MediaError
from ..core.extras import install_command
from ..core.whole import whole
from .marks import Threshold, reasons
from .stage import Column

BATCH = 1024
BASE = (
    Column("id", "text", "clip"),
    Column("source", "text", "file"),
    Column("start", "int", "first frame"),
    Column("stop", "int", "end"),
    Column("fps", "float", "frame rate", "fps"),
    Column("seconds", "float", "duration", "s"),
    Column("width", "int", "width", "px"),
    Column("height", "int", "height", "px"),
    Column("shorter_side_px", "int", "shorter side", "px"),
    Column("caption", "text", "caption"),
    Column("error", "text", "error"),
)
KEPT, REASONS = "kept", "reasons"


def write_table(
    file: Path, columns: Sequence[Column], rows: Iterable[Mapping[str, Any]], thresholds: Sequence[Threshold]
) -> dict[str, int]:
    """Write rows with their marks. thresholds: resolved. Returns the number of rows, of those kept, and of each reason.
    Raises KinemaError (no pyarrow, no disk space)."""
    arrow, parquet = pyarrow(), pyarrow("pyarrow.parquet")
    schema = _schema(columns)
    counts = {"clips": 0, "kept": 0}
    try:
        with whole(file) as partial, parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
            for batch in _batches(rows):
                marked = []
                for row in batch:
                    why = reasons(row, thresholds)
                    marked.append({**row, KEPT: not why, REASONS: why})
                    counts["clips"] += 1
                    counts["kept"] += not why
                    for each in why:
                        counts[each] = counts.get(each, 0) + 1
                writer.write_table(arrow.Table.from_pylist([_fitting(row, schema) for row in marked], schema=schema))
    except OSError as error:
        raise KinemaError(f"{file}: cannot be written ({error.strerror or error}).") from error
    return counts


def read_rows(file: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a table in order, in batches. columns: only these. Raises MediaError."""
    parquet = pyarrow("pyarrow.parquet")
    try:
        with parquet.ParquetFile(file) as table:
            for batch in table.iter_batches(batch_size=BATCH, columns=None if columns is None else list(columns)):
                yield from batch.to_pylist()
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error


def table_columns(file: Path) -> list[Column]:
    """The columns of a table with titles and units, without the marks. Raises MediaError."""
    parquet = pyarrow("pyarrow.parquet")
    try:
        schema = parquet.read_schema(file)
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error
    found = []
    for each in schema:
        if each.name not in (KEPT, REASONS):
            held = {key.decode(): value.decode() for key, value in (each.metadata or {}).items()}
            found.append(
                Column(each.name, held.get("kind", "text"), held.get("title", each.name), held.get("unit", ""))
            )  # type: ignore[arg-type]
    return found


def _unreadable(file: Path, error: Exception) -> MediaError:
    """pyarrow's errors are ValueErrors."""
    if not file.exists():
        return MediaError(f"{file}: no table yet; finish the curation with --resume.")
    return MediaError(f"{file}: not a readable table ({str(error).splitlines()[0]}).")


def pyarrow(name: str = "pyarrow") -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise KinemaError(f"The table requires pyarrow ({error}). Install it: {install_command('curate')}") from error


def _schema(columns: Sequence[Column]) -> Any:
    arrow = pyarrow()
    kinds = {
        "float": arrow.float64(),
        "int": arrow.int64(),
        "text": arrow.string(),
        "list": arrow.list_(arrow.float64()),
    }
    fields = [
        arrow.field(each.name, kinds[each.kind], metadata={"kind": each.kind, "title": each.title, "unit": each.unit})
        for each in columns
    ]
    return arrow.schema([*fields, arrow.field(KEPT, arrow.bool_()), arrow.field(REASONS, arrow.list_(arrow.string()))])


def _fitting(row: Mapping[str, Any], schema: Any) -> dict[str, Any]:
    """The values of the schema's columns; no NaN, because it equals nothing."""
    return {
        name: None if isinstance(value := row.get(name), float) and math.isnan(value) else value
        for name in schema.names
    }


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    batch: list[Mapping[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
