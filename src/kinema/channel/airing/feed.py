"""Read the next clips ahead of time, so that an unreadable clip never reaches the air."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import MediaError
from ..packets import ClipPackets, read_packets
from .library_view import LibraryView
from .programme import Kind, Programme

log = logging.getLogger("kinema.channel")
TRIES = 8


@dataclass(frozen=True)
class Ready:
    """A clip in memory. id: "" for filler."""

    id: str
    title: str
    theme: str
    kind: Kind
    packets: ClipPackets


class Filler:
    """The ident and the conformed clips in FOLDER/filler, held in memory."""

    def __init__(self, ident: Path, name: str) -> None:
        self.name, self._turn = name, -1
        self.clips, self.ident = [read_packets(ident)], ident.read_bytes()
        for path in sorted(ident.parent.glob("*.mp4")):
            if path.name.startswith(("ident-", ".")):
                continue
            try:
                packets = read_packets(path)
                if packets.fingerprint == self.fingerprint:
                    self.clips.append(packets)
                else:
                    log.error("filler %s has another encoding; skipped", path.name)
            except MediaError as error:
                log.error("filler skipped: %s", error)

    @property
    def fingerprint(self) -> str:
        return self.clips[0].fingerprint

    def next(self) -> Ready:
        self._turn = (self._turn + 1) % len(self.clips)
        return Ready("", self.name, "", "filler", self.clips[self._turn])


class Feed:
    """`take` never blocks: it returns filler if no clip is ready. now: the wall clock. With `threaded`, a thread reads
    `ahead` clips in advance; otherwise `take` reads. fallbacks: the times filler aired although clips exist."""

    def __init__(
        self, programme: Programme, view: LibraryView, filler: Filler, now: Callable[[], float], *,
        threaded: bool = True, ahead: int = 2,
    ) -> None:  # fmt: skip
        self.programme, self.view, self.filler, self.now = programme, view, filler, now
        self._ready: queue.Queue[Ready] = queue.Queue(maxsize=ahead)
        self._end = threading.Event()
        self._lock = threading.Lock()
        self.fallbacks = 0
        self._threaded = threaded
        if threaded:
            threading.Thread(target=self._run, name="kinema-feed", daemon=True).start()

    def take(self) -> Ready:
        if not self._threaded:
            return self._read()
        while True:
            try:
                ready = self._ready.get_nowait()
            except queue.Empty:
                self.fallbacks += bool(self.view.snapshot.ready)
                return self.filler.next()
            if not ready.id or self.view.is_ready(ready.id):
                return ready
            log.warning("clip %s was removed before it aired", ready.id)

    def wait(self, seconds: float) -> None:
        """Wait up to `seconds` for the first clip."""
        end = threading.Event()
        for _ in range(round(seconds * 20)):
            if not self._threaded or not self._ready.empty():
                return
            end.wait(0.05)

    def upcoming(self) -> list[Ready]:
        """The clips that are ready, in order."""
        with self._ready.mutex:
            return list(self._ready.queue)

    def close(self) -> None:
        self._end.set()
        with contextlib.suppress(queue.Empty):
            self._ready.get_nowait()

    def _read(self) -> Ready:
        for _ in range(TRIES):
            choice = self.programme.next(self.now())
            clip = choice.clip
            if clip is None:
                break
            try:
                packets = read_packets(clip.path, clip.sha256)
                if packets.fingerprint != self.filler.fingerprint:
                    raise MediaError(f"{clip.path}: the encoding differs from the channel's.")
                return Ready(clip.id, clip.title, clip.theme, choice.kind, packets)
            except (MediaError, MemoryError) as error:
                self.view.broken(clip.id, str(error))
        return self.filler.next()

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                ready = self._read()
            except Exception:
                log.exception("choosing the next clip failed")
                ready = self.filler.next()
            if ready.kind == "filler" and not self.view.snapshot.ready:
                self._end.wait(0.2)  # `take` returns filler itself; queued filler would delay the first clip
                continue
            while not self._end.is_set():
                try:
                    self._ready.put(ready, timeout=0.5)
                    break
                except queue.Full:
                    continue
