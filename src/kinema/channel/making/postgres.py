"""The PostgreSQL database shared by the machines of a channel: its address and Kinema's own tables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...core.errors import KinemaError, RequestError
from ..config import check_database_url, secret

_LOCK = 0x6B696E65  # the advisory lock for creating tables


def address(url: str, password_env: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The address with its password, for SQLAlchemy. RequestError: illegal address, or no password."""
    import sqlalchemy as sa

    try:
        check_database_url(url)
        parsed = sa.make_url(url).set(drivername="postgresql")
    except (ValueError, sa.exc.ArgumentError) as error:
        raise RequestError(f"The database address {error}.", field="database") from None  # it may contain a password
    if password_env is not None:
        parsed = parsed.set(password=secret(password_env, environ))
    return parsed.render_as_string(hide_password=False)


class Tables:
    """Executes statements on a database. KinemaError if it cannot be reached."""

    def __init__(self, url: str, *create: str) -> None:
        import sqlalchemy as sa

        parsed = sa.make_url(url).set(drivername="postgresql+psycopg")
        self.where = parsed.render_as_string(hide_password=True)
        self._engine = sa.create_engine(parsed, pool_pre_ping=True, pool_size=2)
        with self._connected() as connection:
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))  # concurrent creation would fail
            for statement in create:
                connection.execute(sa.text(statement))

    def do(self, statement: str, **values: Any) -> list[Any]:
        """Execute one statement in its own transaction and return its rows."""
        import sqlalchemy as sa

        with self._connected() as connection:
            done = connection.execute(sa.text(statement), values)
            return list(done.fetchall()) if done.returns_rows else []

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        import sqlalchemy as sa

        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            raise KinemaError(f"{self.where}: cannot be reached ({str(error.orig).strip()}).") from None
