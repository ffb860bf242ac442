"""The database of jobs: SQLite (a file), or PostgreSQL (shared by several machines). Statements are the SQL that both
understand, with parameters as :name; rows are dicts.

SQLite's times are those of this machine; PostgreSQL's those of its server, so the machines' clocks need not agree.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..core.errors import KinemaError, ModelError, RequestError
from ..core.extras import install_command
from ..core.sqlite_state import SqliteState, StateBusy, holds_json
from .schema import MIGRATIONS, PARTS_TABLE

PATIENCE_S = 30.0
PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Between attempts to reach a database that is away, where nothing can be done without it."""
Found = TypeVar("Found")
Row = dict[str, Any]


class Do(Protocol):
    """Executes a statement of a transaction and returns its rows."""

    def __call__(self, statement: str, /, **values: Any) -> list[Row]: ...


class JobDatabase(Protocol):
    """where: the address without its password. locking: ends a SELECT whose rows are then changed; skipping: the same,
    without rows that another transaction has locked."""

    where: str
    locking: str
    skipping: str

    def work(self) -> contextlib.AbstractContextManager[Do]:
        """A transaction. KinemaError if the database cannot be reached or stays locked."""

    def look(self) -> contextlib.AbstractContextManager[Do]:
        """A transaction that only reads."""

    def now(self, do: Do) -> float:
        """Seconds since the epoch."""

    def version(self) -> str:
        """A text that differs from an earlier one if a transaction was committed since. It takes microseconds with
        SQLite and one short query with PostgreSQL, and may differ without a change."""

    def close(self) -> None: ...


def open_database(url: str) -> JobDatabase:
    """The database of a URL, its tables created. RequestError: neither SQLite nor PostgreSQL; KinemaError: it cannot be
    opened; ModelError: the driver is not installed."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return SqliteJobs(Path(rest[1:]))
    if scheme in ("postgresql", "postgres") and rest:
        return PostgresJobs(f"postgresql+psycopg://{rest}")
    raise RequestError(
        f"{scheme[:20]!r} is not a database of jobs." if rest else "The database has no address.", field="database",
        legal="sqlite:///FILE (sqlite:////FILE with a path from the root) or postgresql://USER@HOST:PORT/NAME",
    )  # fmt: skip


def outlast(action: Callable[[], Found]) -> Found:
    """Do something with the database, again if it is away for a moment. Raises StateBusy if it stays away."""
    for pause_s in PAUSES_S:
        try:
            return action()
        except StateBusy:
            time.sleep(pause_s)
    return action()


class SqliteJobs:
    """Jobs in an SQLite file, for the processes of one machine."""

    locking = skipping = ""

    def __init__(self, file: Path) -> None:
        self.where = str(file)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():  # bodies hold people's prompts
                os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise KinemaError(f"{file}: cannot be created ({error.strerror or error}).") from None
        sound = holds_json({"kinema_jobs": ("body", object), "kinema_job_events": ("data", dict)})
        self._state = SqliteState(file, MIGRATIONS, patience_s=PATIENCE_S, sound=sound)
        self._file, self._inode, self._watching = file, 0, threading.Lock()
        self._watch: sqlite3.Connection | None = None

    @contextlib.contextmanager
    def work(self) -> Iterator[Do]:
        with self._state.work() as db:
            yield _of_sqlite(db)

    @contextlib.contextmanager
    def look(self) -> Iterator[Do]:
        with self._state.look() as db:
            yield _of_sqlite(db)

    def now(self, do: Do) -> float:
        return time.time()

    def version(self) -> str:
        with self._watching:
            try:
                if self._watch is None or self._file.stat().st_ino != self._inode:  # a repaired file is another one
                    self._unwatch()
                    # A connection of its own: data_version counts the changes of all other connections.
                    self._watch = sqlite3.connect(self._file, timeout=1.0, check_same_thread=False)
                    self._inode = self._file.stat().st_ino
                return f"{self._inode}-{self._watch.execute('PRAGMA data_version').fetchone()[0]}"
            except (sqlite3.Error, OSError) as error:
                raise StateBusy(f"{self.where}: {error}.") from None

    def close(self) -> None:
        self._state.close()
        with self._watching:
            self._unwatch()

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None


class PostgresJobs:
    """Jobs in a PostgreSQL database, for the processes of several machines."""

    locking, skipping = " FOR UPDATE", " FOR UPDATE SKIP LOCKED"
    _LOCK = 0x6B6E6A62  # the advisory lock for creating tables

    def __init__(self, url: str) -> None:
        try:
            import psycopg  # noqa: F401
            import sqlalchemy as sa
        except ImportError:
            raise ModelError(f"PostgreSQL requires sqlalchemy and psycopg: {install_command('server')}") from None
        self._sa = sa
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise RequestError("The database address is not a URL.", field="database",
                               legal="postgresql://USER@HOST:PORT/NAME") from None  # fmt: skip
        self.where = parsed.set(drivername="postgresql").render_as_string(hide_password=True)
        self._engine = sa.create_engine(parsed, pool_pre_ping=True, pool_size=4, connect_args={"connect_timeout": 10})
        self._watch: Any = None  # a connection of its own: no transaction surrounds the query
        self._watching = threading.Lock()
        with self.work() as do:
            do("SELECT pg_advisory_xact_lock(:lock)", lock=self._LOCK)  # concurrent creation would fail
            do("CREATE TABLE IF NOT EXISTS kinema_jobs_schema (version integer NOT NULL)")
            version = (do("SELECT version FROM kinema_jobs_schema") or [{"version": 0}])[0]["version"]
            if version > len(MIGRATIONS):
                raise KinemaError(f"{self.where}: its jobs were written by a later version of Kinema; update Kinema.")
            for script in MIGRATIONS[version:]:
                for statement in filter(str.strip, script.split(";")):
                    do(statement)
            do(PARTS_TABLE)
            if version < len(MIGRATIONS):
                do("DELETE FROM kinema_jobs_schema")
                do("INSERT INTO kinema_jobs_schema (version) VALUES (:version)", version=len(MIGRATIONS))

    @contextlib.contextmanager
    def work(self) -> Iterator[Do]:
        sa = self._sa
        try:
            with self._engine.begin() as connection:

                def do(statement: str, /, **values: Any) -> list[Row]:
                    done = connection.execute(sa.text(statement), values)
                    return [dict(row) for row in done.mappings()] if done.returns_rows else []

                yield do
        except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
            raise self._busy(error) from None

    look = work

    def now(self, do: Do) -> float:
        return float(do("SELECT extract(epoch FROM clock_timestamp()) AS now")[0]["now"])

    def version(self) -> str:
        sa = self._sa
        with self._watching:
            try:
                if self._watch is None:
                    self._watch = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
                # The transactions that have ended or run: it changes with every commit, and reading changes nothing.
                return str(self._watch.execute(sa.text("SELECT pg_current_snapshot()::text")).scalar_one())
            except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
                self._unwatch()
                raise self._busy(error) from None

    def close(self) -> None:
        with self._watching:
            self._unwatch()
        self._engine.dispose()

    def _busy(self, error: Exception) -> StateBusy:
        return StateBusy(f"{self.where}: {str(getattr(error, 'orig', error)).strip()}")

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None


def _of_sqlite(db: sqlite3.Connection) -> Do:
    def do(statement: str, /, **values: Any) -> list[Row]:
        done = db.execute(statement, values)
        names = [column[0] for column in done.description or ()]
        return [dict(zip(names, row)) for row in done.fetchall()] if names else []

    return do
