"""State in an SQLite file: one connection for all threads of a process, WAL mode, a schema version and migrations.

The version is SQLite's `user_version`: the number of applied migrations. Opening an empty file, or one from before
versions were numbered, applies the missing ones. A file of a later version of Kinema is refused.

Damage is detected when a file is opened with `create`, that is when a channel starts: the file is renamed to
NAME.damaged-DATE, and all readable rows are copied to a new one. A process that has the old file open switches to the
new one at its next transaction.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import KinemaError
from .json_state import StateNewer, later_version
from .lock import locked
from .whole import hidden, put, set_aside

log = logging.getLogger("kinema")
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BESIDE = ("-wal", "-shm")

Sound = Callable[[str, dict[str, Any]], bool]


class StateBusy(KinemaError):
    """A database stayed locked, is damaged, or cannot be reached; a later retry may succeed."""


class SqliteState:
    """An open database. migrations: SQL scripts; the first must tolerate existing tables from before versions were
    numbered (IF NOT EXISTS). busy: the subclass of StateBusy to raise for database errors. create: create a missing
    file and repair a damaged one. patience_s: the lock timeout. durable: each transaction waits for the disk. sound:
    whether to keep a row (table, values by column) of a damaged file.

    Raises StateNewer for a file of a later version."""

    def __init__(
        self, file: Path, migrations: Sequence[str], *, busy: type[StateBusy] = StateBusy, create: bool = True,
        patience_s: float = 30.0, durable: bool = True, sound: Sound = lambda table, row: True,
    ) -> None:  # fmt: skip
        self.file, self.migrations, self.busy, self.patience_s = file, tuple(migrations), busy, patience_s
        self.durable, self._lock = durable, threading.RLock()
        if create:
            try:
                repair(file, self.migrations, sound)
            except StateBusy as error:
                raise busy(str(error)) from error
        self._open()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def work(self) -> Iterator[sqlite3.Connection]:
        """Open a write transaction. Waits for the lock up to `patience_s`."""
        with self._lock:
            self._reopen_where_replaced()
            self._patiently("BEGIN IMMEDIATE")
            with self._transaction() as db:
                yield db

    @contextlib.contextmanager
    def look(self) -> Iterator[sqlite3.Connection]:
        """Open a read transaction; writers do not block it."""
        with self._lock:
            self._reopen_where_replaced()
            self._patiently("BEGIN", "SELECT 1 FROM sqlite_schema")
            with self._transaction() as db:
                yield db

    def _open(self) -> None:
        try:
            self._db = sqlite3.connect(
                self.file, timeout=min(self.patience_s, 1.0), isolation_level=None, check_same_thread=False
            )
            self._inode = self.file.stat().st_ino
        except (sqlite3.Error, OSError) as error:
            raise self.busy(f"{self.file}: cannot be opened ({error}).") from error
        try:
            self._patiently("PRAGMA journal_mode=WAL", f"PRAGMA synchronous={'FULL' if self.durable else 'NORMAL'}")
            if _version(self._db) != len(self.migrations):
                self._patiently("BEGIN IMMEDIATE")
                with self._transaction() as db:
                    migrate(db, self.file, self.migrations)
        except sqlite3.Error as error:
            self._db.close()
            raise self._error(error) from error
        except BaseException:
            self._db.close()
            raise

    def _reopen_where_replaced(self) -> None:
        """Reopen the file if another process has repaired or deleted it."""
        try:
            replaced = self.file.stat().st_ino != self._inode
        except OSError:
            return
        if replaced:
            self._db.close()
            try:
                self._open()
            except BaseException:
                self._inode = 0  # the next transaction retries
                raise

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._undo()
            raise self._error(error) from error
        except BaseException:
            self._undo()
            raise

    def _patiently(self, *statements: str) -> None:
        end, wait_s = time.monotonic() + self.patience_s, 0.01
        while True:
            try:
                for statement in statements:
                    self._db.execute(statement).fetchall()
                return
            except sqlite3.OperationalError as error:
                self._undo()
                if time.monotonic() >= end:
                    raise self.busy(f"{self.file}: {error} for {self.patience_s:g} s.") from error
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, 0.5)
            except sqlite3.Error as error:
                self._undo()
                raise self._error(error) from error

    def _error(self, error: sqlite3.Error) -> StateBusy:
        if _is_damaged(error):
            return self.busy(
                f"{self.file}: damaged ({error}). The next start sets it aside and recovers the readable rows."
            )
        return self.busy(f"{self.file}: {error}.")

    def _undo(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")


def holds_json(columns: Mapping[str, tuple[str, type]]) -> Sound:
    """Return a `sound` that requires, by table, one column to be JSON of a type. Rows of other tables are kept."""

    def sound(table: str, row: dict[str, Any]) -> bool:
        if table not in columns:
            return True
        name, kind = columns[table]
        try:
            return isinstance(json.loads(row[name]), kind)
        except (TypeError, ValueError):
            return False

    return sound


def migrate(db: sqlite3.Connection, file: Path, migrations: Sequence[str]) -> None:
    """Apply the missing migrations inside the caller's transaction. Raises StateNewer."""
    version = _version(db)
    if version > len(migrations):
        raise StateNewer(later_version(file, version, len(migrations)))
    for number in range(version, len(migrations)):
        for statement in filter(str.strip, migrations[number].split(";")):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {number + 1}")


def repair(file: Path, migrations: Sequence[str], sound: Sound) -> Path | None:
    """Replace a damaged database by a new one with all readable rows; return the path to which the old one was moved,
    or None if the file is intact or missing. Raises StateBusy if the folder is not writable."""
    if not damaged(file):
        return None
    try:
        with locked(file):
            if not damaged(file):  # another process was first
                return None
            kept = set_aside(file)
            for ending in _BESIDE:  # a log of the old file would be read into the new one
                with contextlib.suppress(FileNotFoundError):
                    put(file.with_name(file.name + ending), kept.with_name(kept.name + ending), durable=False)
            saved = _salvaged(kept, file, migrations, sound)
    except (OSError, sqlite3.Error) as error:
        raise StateBusy(f"{file}: damaged, and the repair failed ({error}).") from error
    rows = ", ".join(f"{num} of {table}" for table, num in saved.items() if num) or "no rows"
    log.error("%s: was damaged; moved to %s, and a new file was created with %s", file, kept.name, rows)
    return kept


def damaged(file: Path) -> bool:
    """Whether the file exists and is not a database, or has corrupt pages. A locked one counts as intact."""
    if not file.is_file() or not file.stat().st_size:
        return False
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=1.0)) as db:
            return db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",)
    except sqlite3.Error as error:
        return _is_damaged(error)


def _salvaged(kept: Path, file: Path, migrations: Sequence[str], sound: Sound) -> dict[str, int]:
    """Write a new database with the rows of a damaged one; return their number by table. A table is read from its
    beginning to the first corrupt page and from its end back to the last."""
    fresh, found = hidden(file), dict[str, int]()
    try:
        with (
            contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as new,
            contextlib.closing(sqlite3.connect(kept, timeout=1.0)) as old,
        ):
            new.execute("BEGIN")
            migrate(new, file, migrations)
            with contextlib.suppress(sqlite3.Error):
                old.execute("PRAGMA writable_schema = ON")  # reads also where the file is shorter than its header says
            tables = [row[0] for row in new.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            for table in tables:
                names = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
                columns, marks = ", ".join(names), ", ".join("?" * len(names))
                for order in ("", " ORDER BY rowid DESC"):
                    with contextlib.suppress(sqlite3.Error):
                        for row in old.execute(f"SELECT {columns} FROM {table} NOT INDEXED{order}"):
                            if sound(table, dict(zip(names, row, strict=True))):
                                new.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", row)
                found[table] = new.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            new.execute("COMMIT")
        put(fresh, file)
    finally:
        fresh.unlink(missing_ok=True)
    return found


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _is_damaged(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED
