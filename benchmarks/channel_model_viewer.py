"""A model of an hls.js viewer: simulates its buffer from the playlist, without decoding."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

SEGMENT_S = 2.0


class Model:
    """Starts three segments behind the end and plays them by the clock of the calls of `look`. stalls: how often the
    next segment was missing. lost: segments that left the playlist before they were played."""

    def __init__(self, on_air: Path, now: float) -> None:
        self.on_air, self.stalls, self.stalled_s, self.lost = on_air, 0, 0.0, 0
        self.played, self._stalled = 0, False
        first, listed = self._listed()
        self._have = max(first, first + listed - 3)  # the playing segment
        self._until = now + SEGMENT_S

    def look(self, now: float) -> None:
        if now < self._until:
            return
        first, listed = self._listed()
        if self._have + 1 < first:
            self.lost += first - self._have - 1
            self._have = first - 1
        if self._have + 1 < first + listed:
            self._have += 1
            self.played += 1
            if self._stalled:
                self.stalled_s += now - self._until
                self._until = now
            self._until, self._stalled = self._until + SEGMENT_S, False
        elif not self._stalled:
            self.stalls, self._stalled = self.stalls + 1, True

    def watch(self) -> None:
        """Play in real time in a thread."""

        def run() -> None:
            while True:
                time.sleep(0.05)
                self.look(time.monotonic())

        threading.Thread(target=run, daemon=True).start()

    def _listed(self) -> tuple[int, int]:
        text = (self.on_air / "live.m3u8").read_text()
        return int(re.search(r"MEDIA-SEQUENCE:(\d+)", text)[1]), text.count("#EXTINF")
