"""Event streams: resuming, heartbeats, ends, and readers that are slow or gone."""

from __future__ import annotations

import asyncio
import threading

import pytest
from starlette.requests import Request

from kinema.core.errors import RequestError
from kinema.http.changes import Changes
from kinema.http.server_events import ServerEvent, encoded, event_stream, resume_after, wants_stream


class Log:
    """A store of numbered events whose version is its length."""

    def __init__(self, page: int = 10) -> None:
        self.events: list[ServerEvent] = []
        self.changed = threading.Condition()
        self.page, self.reads = page, 0

    def add(self, kind: str = "tick", is_last: bool = False) -> None:
        with self.changed:
            self.events.append(ServerEvent(len(self.events) + 1, kind, {"n": len(self.events) + 1}, is_last))
            self.changed.notify_all()

    def look(self, since, timeout_s: float, _stop: threading.Event) -> int:
        with self.changed:
            self.changed.wait_for(lambda: len(self.events) != since, timeout_s)
            return len(self.events)

    async def read(self, after: int):
        self.reads += 1
        return self.events[after : after + self.page]


def request(query: str = "", **headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": query.encode(), "headers": pairs})


async def numbers(log: Log, changes: Changes, after: int = 0, most: int = 1000, heartbeat_s: float = 60.0):
    """The numbers of the events of a stream until it ends, or `most` of them."""
    found = []
    stream = event_stream(log.read, changes, after, heartbeat_s=heartbeat_s).body_iterator
    async for part in stream:
        found += [int(line[3:]) for line in part.decode().splitlines() if line.startswith("id:")]
        if part.startswith(b":"):
            found.append("beat")
        if len(found) >= most:
            await stream.aclose()
            break
    return found


def test_listeners_come_and_go_and_miss_nothing():
    """Each reads a few events, disconnects and resumes after the last one, while events are added from a thread."""
    log = Log(page=3)
    total, listeners = 120, 20

    def write() -> None:
        for number in range(total):
            log.add(is_last=number == total - 1)
            threading.Event().wait(0.002)

    async def listen(changes: Changes, each: int):
        got: list[int] = []
        while not got or got[-1] != total:
            got += await numbers(log, changes, got[-1] if got else 0, most=1 + each % 7)
        return got

    async def run():
        changes = Changes(log.look)
        writer = threading.Thread(target=write)
        writer.start()
        try:
            return await asyncio.gather(*(listen(changes, each) for each in range(listeners)))
        finally:
            writer.join()
            changes.close()

    assert asyncio.run(run()) == [list(range(1, total + 1))] * listeners


def test_a_silent_stream_beats_and_reads_little():
    async def run():
        log, changes = Log(), Changes(lambda since, timeout_s, stop: (stop.wait(timeout_s) and None) or 0)
        found = await numbers(log, changes, most=3, heartbeat_s=0.05)
        changes.close()
        return found, log.reads

    found, reads = asyncio.run(run())
    assert found == ["beat"] * 3 and reads < 10


def test_closing_ends_every_stream():
    async def run():
        log = Log()
        log.add()
        changes = Changes(log.look)
        streams = [asyncio.create_task(numbers(log, changes)) for _ in range(5)]
        await asyncio.sleep(0.1)
        changes.close()
        return await asyncio.wait_for(asyncio.gather(*streams), 5), changes.listeners

    assert asyncio.run(run()) == ([[1]] * 5, 0)


def test_events_are_read_only_as_fast_as_they_are_taken():
    async def run():
        log = Log(page=2)
        for _ in range(1000):
            log.add()
        changes = Changes(log.look)
        stream = event_stream(log.read, changes).body_iterator
        for _ in range(5):
            await anext(stream)
        await stream.aclose()
        changes.close()
        return log.reads

    assert asyncio.run(run()) <= 3


def test_an_unreachable_store_is_looked_at_again():
    async def run():
        log, failures = Log(), iter([OSError("gone"), OSError("gone")])

        def look(since, timeout_s, stop):
            for failure in failures:
                raise failure
            return log.look(since, timeout_s, stop)

        changes = Changes(look)
        changes._stop.wait = lambda timeout=None: False
        listener = asyncio.create_task(numbers(log, changes, most=1))
        await asyncio.sleep(0.1)
        log.add()
        found = await asyncio.wait_for(listener, 10)
        changes.close()
        return found

    assert asyncio.run(run()) == [1]


def test_where_a_client_resumes():
    assert resume_after(request()) == 0
    assert resume_after(request("after=7")) == 7
    assert resume_after(request("after=7", last_event_id="9")) == 9
    for wrong in ("-1", "x", "1.5", "9" * 30, "\u0663"):
        with pytest.raises(RequestError, match="after"):
            resume_after(request(last_event_id=wrong))
    assert wants_stream(request()) and wants_stream(request(accept="text/event-stream, application/json"))
    assert not wants_stream(request(accept="application/json"))


def test_an_event_is_three_lines_whatever_it_holds():
    text = encoded(ServerEvent(3, "no\nte: x", {"text": "a\nb\r\u2028data: 9"})).decode()
    assert text.splitlines()[:2] == ["id: 3", "event: notex"] and text.count("\n") == 4 and text.isascii()
