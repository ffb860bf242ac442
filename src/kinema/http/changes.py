"""Changes: one watcher of a store wakes any number of listeners in the event loop.

Listeners do not poll: a single thread waits for the store (only while somebody listens), so 1000 listeners cost as much
as one.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger("kinema.http")
WATCH_S = 1.0
PAUSE_S = 0.5
"""After an error of the store, the pause before it is watched again."""


class Changes:
    """look(since, timeout_s, stop): block until the store's version differs from `since`, at most timeout_s or until
    the event `stop` is set, and return it. All methods but `close` belong to one event loop."""

    def __init__(self, look: Callable[[Any, float, threading.Event], Any]) -> None:
        self._look, self.now, self.listeners = look, 0, 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._stop, self._idle = threading.Event(), threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def closed(self) -> bool:
        return self._stop.is_set()

    async def wait(self, seen: int, timeout_s: float) -> None:
        """Return when `now` differs from `seen`, or after timeout_s."""
        if self.now != seen or self._stop.is_set():
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        self._begin(loop)
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.add(future)
        self.listeners += 1
        self._idle.set()
        try:
            await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            pass
        finally:
            self.listeners -= 1
            self._waiting.discard(future)
            if not self.listeners:
                self._idle.clear()

    def close(self) -> None:
        """End the watcher and wake every listener. May be called from any thread."""
        self._stop.set()
        self._idle.set()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._thread is None:
            self._loop = loop
            self._thread = threading.Thread(target=self._watch, name="kinema-changes", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        """The first look has no version to compare with, and counts as a change: what came before it is not missed."""
        version, loop = None, self._loop
        assert loop is not None
        while not self._stop.is_set():
            self._idle.wait()
            try:
                found = self._look(version, WATCH_S, self._stop)
            except Exception as error:  # a database that is away
                log.warning("the store cannot be watched: %s", error)
                self._stop.wait(PAUSE_S)
                found = None
            if found is None or found != version:
                version = found
                if not loop.is_closed():
                    loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self.now += 1
        for future in list(self._waiting):
            if not future.done():
                future.set_result(None)
