"""Rows on disk: an SQLite file, so that a killed run loses at most the clips in work.

A row is kept under the content of its clip (and of its partner, mask and words) and the protocol of its yardstick: a
changed file or setting finds no row. Arrays are stored as npz and read without pickle.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import MediaError
from ...core.sqlite_state import SqliteState, StateBusy
from .contract import Row

FILE = "rows.sqlite"
_MIGRATIONS = (
    """CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, data BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS figures (name TEXT PRIMARY KEY, about TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS members (name TEXT, side TEXT, clip TEXT, key TEXT, PRIMARY KEY (name, side, clip))""",
)


class RowsUnwritable(StateBusy, MediaError):
    """The rows cannot be written: no space, no permission, or another process holds the file."""


class RowStore:
    """Rows by key, and for each figure of the last complete run the clips that it was computed from."""

    def __init__(self, folder: Path) -> None:
        """Open the rows of a folder, or create them. Raises RowsUnwritable."""
        self._state = SqliteState(folder / FILE, _MIGRATIONS, busy=RowsUnwritable, durable=False)

    def close(self) -> None:
        self._state.close()

    def has(self, keys: Iterable[str]) -> set[str]:
        """Which of these keys have a row."""
        with self._state.look() as db:
            return {key for key in keys if db.execute("SELECT 1 FROM rows WHERE key = ?", (key,)).fetchone()}

    def add(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Keep rows, all in one transaction."""
        packed = [(key, pack(row)) for key, row in rows]
        with self._state.work() as db:
            db.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?)", packed)

    def rows(self, keys: Iterable[str]) -> Iterator[Row]:
        """Yield the rows of these keys, which exist."""
        for key in keys:
            with self._state.look() as db:
                found = db.execute("SELECT data FROM rows WHERE key = ?", (key,)).fetchone()
            yield unpack(found[0])

    def set_figures(self, figures: dict[str, tuple[dict[str, Any], dict[str, dict[str, str]]]]) -> None:
        """Replace what the figures were computed from: {figure: (about, {side: {clip: key}})}."""
        with self._state.work() as db:
            db.execute("DELETE FROM figures")
            db.execute("DELETE FROM members")
            for name, (about, sides) in figures.items():
                db.execute("INSERT INTO figures VALUES (?, ?)", (name, json.dumps(about, sort_keys=True)))
                db.executemany(
                    "INSERT INTO members VALUES (?, ?, ?, ?)",
                    [(name, side, clip, key) for side, keys in sides.items() for clip, key in keys.items()],
                )

    def figures(self) -> dict[str, tuple[dict[str, Any], dict[str, dict[str, str]]]]:
        """What `set_figures` stored."""
        found: dict[str, tuple[dict[str, Any], dict[str, dict[str, str]]]] = {}
        with self._state.look() as db:
            for name, about in db.execute("SELECT name, about FROM figures ORDER BY name").fetchall():
                sides: dict[str, dict[str, str]] = {}
                query = "SELECT side, clip, key FROM members WHERE name = ? ORDER BY side, clip"
                for side, clip, key in db.execute(query, (name,)).fetchall():
                    sides.setdefault(side, {})[clip] = key
                found[name] = json.loads(about), sides
        return found


@contextlib.contextmanager
def written(folder: Path) -> Iterator[None]:
    """Raise the system's errors of this block as RowsUnwritable."""
    try:
        yield
    except OSError as error:
        raise RowsUnwritable(f"{folder}: cannot be written ({error.strerror or error}).") from None


def key_of(content: Any) -> str:
    """The key of plain JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def pack(row: Row) -> bytes:
    """A row as npz. Raises TypeError for arrays that are not of numbers or text: reading objects would need pickle."""
    arrays = {name: np.asarray(value) for name, value in row.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "biufU":
            raise TypeError(f"{name}: an array of {array.dtype}; rows hold numbers and text.")
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def unpack(data: bytes) -> Row:
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
