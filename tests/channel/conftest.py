"""A language model server for each test that asks for one."""

from __future__ import annotations

import pytest
from chat_server import ALL, Server


@pytest.fixture
def serve(tmp_path):
    started: list[Server] = []

    def start(*behaviours: str, formats: str = ALL) -> Server:
        started.append(Server(tmp_path / f"asked-{len(started)}.jsonl", formats, behaviours or ("good",)))
        return started[-1]

    yield start
    for server in started:
        server.stop()
