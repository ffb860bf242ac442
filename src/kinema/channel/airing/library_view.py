"""A non-blocking view of the library for the playout, whatever the state of the database.

Reads use the last snapshot. Writes are queued in order until the database accepts them; none is lost while the process
runs. A locked, damaged or missing database is reported and reopened.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ...core.errors import KinemaError, RequestError
from ..library import Aired, Library, LibraryBusy, LibraryClip

log = logging.getLogger("kinema.channel")
MOST_WAITING = 50_000


@dataclass(frozen=True)
class Snapshot:
    ready: dict[str, LibraryClip]
    queue: tuple[str, ...]
    """Ids queued by the owner and not taken yet."""
    recent: tuple[str, ...]
    """Ids aired last, the latest first, without filler."""


class LibraryView:
    """With `threaded`, a thread calls `refresh` every `every_s` seconds; otherwise the caller does."""

    def __init__(self, folder: Path, fingerprint: str, *, threaded: bool = True, every_s: float = 0.5) -> None:
        self.folder, self.fingerprint, self.every_s = folder, fingerprint, every_s
        self.snapshot = Snapshot({}, (), ())
        self.trouble = ""
        self.writes: deque[Callable[[Library], object]] = deque(maxlen=MOST_WAITING)
        self._skip, self._end = threading.Event(), threading.Event()
        # Changes that the database does not have yet; they correct each snapshot, under the lock.
        self._lock = threading.Lock()
        self._taken: list[str] = []
        self._broken: set[str] = set()
        self._library: Library | None = None
        self._inode = 0
        self._version: object = None
        self.refresh()
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(target=self._run, name="kinema-library", daemon=True)
            self._thread.start()

    def is_ready(self, id: str) -> bool:
        return id in self.snapshot.ready

    def aired(self, line: Aired) -> None:
        self.writes.append(lambda library: library.note_aired(line))

    def take_queued(self) -> LibraryClip | None:
        """Remove and return the first clip of the owner's queue that can air, or None. It is returned once, even if the
        database removes it later."""
        with self._lock:
            while self.snapshot.queue:
                id, *left = self.snapshot.queue
                self.snapshot = replace(self.snapshot, queue=tuple(left))
                self._taken.append(id)
                self.writes.append(functools.partial(self._unqueue, id))
                if (clip := self.snapshot.ready.get(id)) is not None:
                    return clip
        return None

    def broken(self, id: str, reason: str) -> None:
        log.error("clip %s cannot air: %s", id, reason)
        with self._lock:
            self._broken.add(id)
            ready = {key: clip for key, clip in self.snapshot.ready.items() if key != id}
            self.snapshot = replace(self.snapshot, ready=ready)
        self.writes.append(lambda library: self._note_broken(library, id, reason))

    def upcoming(self, ids: list[str]) -> None:
        """Record the clips that must not be evicted."""
        self.writes.append(lambda library: library.note("upcoming", ids))

    def take_skip(self) -> bool:
        if not self._skip.is_set():
            return False  # without a clear: a request may arrive right now
        self._skip.clear()
        return True

    def refresh(self) -> None:
        """Open the database, apply queued writes and read a new snapshot."""
        try:
            library = self._reached()
            while self.writes:
                with contextlib.suppress(RequestError):  # the clip was deleted
                    self.writes[0](library)
                self.writes.popleft()
            if library.take_skip():
                self._skip.set()
            version = library.version()
            if version != self._version:  # another process wrote; own writes are in the snapshot already
                ready = {clip.id: clip for clip in library.ready(self.fingerprint)}
                recent = tuple(line.id for line in library.as_run(200) if line.kind != "filler")
                self._show(library.queue, ready, recent)
                self._version = version
            else:
                self._show(library.queue)
            if self.trouble:
                log.warning("library: available again")
            self.trouble = ""
        except (KinemaError, OSError) as error:
            if not self.trouble:
                log.error("library: %s; continuing with the last snapshot", error)
            self.trouble = str(error)
            if not isinstance(error, LibraryBusy) or "locked" not in str(error):
                self._leave()

    def close(self) -> None:
        """Try the remaining writes once and close."""
        self._end.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self.refresh()
        self._leave()

    def _show(
        self, queue: list[str], ready: dict[str, LibraryClip] | None = None, recent: tuple[str, ...] | None = None
    ) -> None:
        """Set the snapshot from database rows, corrected by pending changes."""
        with self._lock:
            for id in self._taken:
                if id in queue:
                    queue.remove(id)
            now = self.snapshot
            if ready is not None:
                now = replace(now, ready={id: clip for id, clip in ready.items() if id not in self._broken})
            self.snapshot = replace(now, queue=tuple(queue), recent=now.recent if recent is None else recent)

    def _unqueue(self, id: str, library: Library) -> None:
        library.unqueue(id)
        with self._lock:
            self._taken.remove(id)

    def _note_broken(self, library: Library, id: str, reason: str) -> None:
        with contextlib.suppress(RequestError):  # the clip was deleted
            library.broken(id, reason)
        with self._lock:
            self._broken.discard(id)

    def _reached(self) -> Library:
        file = self.folder / "library.db"
        inode = file.stat().st_ino if file.is_file() else 0
        if self._library is None or inode != self._inode:
            self._leave()
            self._library = Library(self.folder, create=False, patience_s=0.1)
            self._inode, self._version = inode, None
        return self._library

    def _leave(self) -> None:
        if self._library is not None:
            with contextlib.suppress(Exception):
                self._library.close()
        self._library = None

    def _run(self) -> None:
        while not self._end.wait(self.every_s):
            began = time.monotonic()
            try:
                self.refresh()
            except Exception:
                log.exception("library: refresh failed")
            self._end.wait(min(10.0, 4 * (time.monotonic() - began)))  # query a slow database less often
