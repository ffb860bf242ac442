"""Stores of jobs for tests, on SQLite and on a PostgreSQL server that the tests start."""

from __future__ import annotations

import pytest
from echo_kind import KINDS
from postgres_server import Server

from kinema.jobs.store import JobStore


@pytest.fixture(scope="session")
def postgres():
    server = Server()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, tmp_path):
    """An empty store on each database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    else:
        url = request.getfixturevalue("postgres").new_database()
    with JobStore.open(url, kinds=KINDS) as found:
        yield found
