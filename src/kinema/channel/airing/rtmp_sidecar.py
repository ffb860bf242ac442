"""Send packets from standard input to one RTMP server, as a separate process.

    python -m kinema.channel.airing.rtmp_sidecar

The process may block, fail or be killed: the playout feeds it without blocking and restarts it. It reconnects by
itself. A session begins with a keyframe at time 0 (so FLV's 32-bit milliseconds never overflow) and is renewed before
services end it after two days. The address comes through the pipe and appears in no message. Every half second, the
process writes its status as a line of JSON.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import time
from typing import Any

from .backlog import Backlog
from .rtmp_wire import read_hello, read_media
from .stream import MediaPacket, Muxer, StreamFormat

HELD_S = 15.0


class Sidecar:
    def __init__(self, url: str, shape: StreamFormat, session_s: float = 47 * 3600.0) -> None:
        self.url, self.shape, self.session_s = url, shape, session_s
        self.waiting = Backlog(round(HELD_S * (float(shape.fps) + 47)))
        self.state, self.trouble, self.sent, self.sessions = "connecting", "", 0, 0

    def run(self) -> None:
        """Run sessions until the pipe ends."""
        pause_s = 0.5
        while not self.waiting.ended:
            before = self.sent
            try:
                self.state = "connecting"
                if self._session():
                    continue
            except (OSError, ValueError, RuntimeError) as error:  # their messages contain the address
                number = getattr(error, "errno", None) or 0
                self.trouble = os.strerror(number) if number in errno.errorcode else type(error).__name__
            self.state = "retrying"
            pause_s = 0.5 if self.sent - before > 500 else min(8.0, 2 * pause_s)
            time.sleep(pause_s)

    def _session(self) -> bool:
        if not self.waiting.wait():
            return False
        muxer = Muxer(self.url, "flv", self.shape, options={"flvflags": "no_duration_filesize"})
        try:
            # Connecting may have taken long: skip packets from before the last keyframe.
            self.waiting.from_the_newest_key()
            first = self.waiting.get()
            if first is None:
                return False
            muxer.begin_at(first.at)
            began = time.monotonic()
            self.state, self.trouble = "on air", ""
            self.sessions += 1
            first_sample = self.shape.sample_of(first.at)
            media: MediaPacket | None = first
            while media is not None:
                if media.kind == "video" or media.at >= first_sample:
                    muxer.send(media)
                self.sent += 1
                media = self.waiting.get()
                if media is not None and media.key and time.monotonic() - began > self.session_s:
                    return True
        finally:
            muxer.close()
        return False

    def status(self) -> dict[str, Any]:
        return {
            "state": self.state, "trouble": self.trouble, "sent": self.sent, "sessions": self.sessions,
            "dropped": self.waiting.dropped,
        }  # fmt: skip


def main() -> int:
    pipe = sys.stdin.buffer
    hello = read_hello(pipe)
    if hello is None:
        return 0
    settings, shape = hello
    sidecar = Sidecar(settings["url"], shape, settings.get("session_s", 47 * 3600.0))

    def read() -> None:
        while (media := read_media(pipe)) is not None:
            sidecar.waiting.put(media)
        sidecar.waiting.end()
        time.sleep(3.0)
        os._exit(0)  # do not wait for a server that does not respond

    def report() -> None:
        while True:
            try:
                os.write(1, json.dumps(sidecar.status()).encode() + b"\n")
            except OSError:
                os._exit(0)
            time.sleep(0.5)

    for work in (read, report):
        threading.Thread(target=work, daemon=True).start()
    sidecar.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
