"""Fixtures: a language model server, and a playout without the cost of audio encoding."""

from __future__ import annotations

import pytest
from chat_server import ALL, Server

from kinema.channel.airing.sound import SoundEncoder
from kinema.channel.airing.stream import MediaPacket


@pytest.fixture
def serve(tmp_path):
    started: list[Server] = []

    def start(*behaviours: str, formats: str = ALL) -> Server:
        started.append(Server(tmp_path / f"asked-{len(started)}.jsonl", formats, behaviours or ("good",)))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def quick_sound(monkeypatch):
    """Repeat one packet of silence, since audio encoding dominates the cost of tests."""

    class OnePacket(SoundEncoder):
        def take(self, block_SC, send=True):
            if not send:
                super().take(block_SC, send=False)
                self.packet = super().take(block_SC[:1024])[0].data
                self.next_at -= 1024
                return []
            self.next_at += len(block_SC)
            first = self.next_at - len(block_SC)
            return [MediaPacket("audio", first + at, self.packet) for at in range(0, len(block_SC), 1024)]

    monkeypatch.setattr("kinema.channel.airing.playout.SoundEncoder", OnePacket)
