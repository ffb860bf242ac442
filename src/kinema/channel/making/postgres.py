"""A PostgreSQL database that the machines of a channel share: its address, and tables of our own beside the steps."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...core.errors import KinemaError, RequestError
from ..config import check_database_url, secret

_LOCK = 0x6B696E65  # of whoever creates tables


def address(url: str, password_env: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The address with its password, as SQLAlchemy reads it. RequestError where either is not legal."""
    import sqlalchemy as sa

    try:
        check_database_url(url)
        found = sa.make_url(url).set(drivername="postgresql")
    except (ValueError, sa.exc.ArgumentError) as error:
        raise RequestError(f"database: the address {error}.", field="database") from None  # it may hold a password
    if password_env is not None:
        found = found.set(password=secret(password_env, environ))
    return found.render_as_string(hide_password=False)


class Tables:
    """Statements on the database at an address. KinemaError where it cannot be reached."""

    def __init__(self, url: str, *create: str) -> None:
        import sqlalchemy as sa

        parsed = sa.make_url(url).set(drivername="postgresql+psycopg")
        self.where = parsed.render_as_string(hide_password=True)
        self._engine = sa.create_engine(parsed, pool_pre_ping=True, pool_size=2)
        with self._connected() as connection:
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))  # two at once would trip each other
            for statement in create:
                connection.execute(sa.text(statement))

    def do(self, statement: str, **values: Any) -> list[Any]:
        """Rows of one statement, in a transaction of its own."""
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
