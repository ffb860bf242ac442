"""The send queue of one RTMP server, used on both sides of the pipe to its sidecar."""

from __future__ import annotations

import threading
from collections import deque

from .stream import MediaPacket


class Backlog:
    """Unsent packets. When `most` packets wait, all are dropped, and further ones up to the next keyframe."""

    def __init__(self, most: int) -> None:
        self.most, self.dropped, self.ended = most, 0, False
        self._packets: deque[MediaPacket] = deque()
        self._need_key = True
        self._change = threading.Condition()

    def put(self, media: MediaPacket) -> None:
        with self._change:
            if len(self._packets) >= self.most:
                self.dropped += len(self._packets)
                self._packets.clear()
                self._need_key = True
            if self._need_key and not media.key:
                self.dropped += 1
                return
            self._need_key = False
            self._packets.append(media)
            self._change.notify()

    def end(self) -> None:
        with self._change:
            self.ended = True
            self._change.notify()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for a packet, up to `seconds`; False if none came or the queue has ended."""
        with self._change:
            self._change.wait_for(lambda: self._packets or self.ended, seconds)
            return bool(self._packets)

    def get(self) -> MediaPacket | None:
        """Wait for the next packet; None at the end."""
        with self._change:
            return self._packets.popleft() if self.wait() else None

    def take(self, most: int) -> list[MediaPacket]:
        """The oldest packets, at most `most`, without waiting."""
        with self._change:
            return [self._packets.popleft() for _ in range(min(most, len(self._packets)))]

    def __len__(self) -> int:
        return len(self._packets)

    def from_the_newest_key(self) -> None:
        """Drop packets older than the last keyframe, where a new session begins."""
        with self._change:
            keys = [place for place, media in enumerate(self._packets) if media.key]
            drop = keys[-1] if keys else len(self._packets)
            for _ in range(drop):
                self._packets.popleft()
            self._need_key = not keys
            self.dropped += drop
