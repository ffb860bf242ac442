"""A running channel: the playout under its supervisor, and the producer and page as child processes.

They share only the folder: a producer or page that exits or fails to start does not affect the playout.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..core.child_process import ChildProcess
from ..core.environ import secret
from ..core.errors import KinemaError
from .config import ChannelConfig
from .conform import Encoding
from .day import MINUTES, time_text

REPORT_S, POLL_S = 1.0, 0.25


def encoding(config: ChannelConfig) -> Encoding:
    """The encoding of all clips of the channel, with one keyframe per second."""
    picture = config.picture
    return Encoding(picture.width, picture.height, picture.fps, gop=picture.fps, crf=picture.crf)


def run(config: ChannelConfig, file: Path, stop: threading.Event, report: Callable[[], None]) -> None:
    """Run all processes of a channel until `stop` is set. report: called about once a second. KinemaError if the
    playout fails."""
    from .airing.output_hls import HlsSettings
    from .airing.playout import PlayoutSettings
    from .airing.supervisor import Supervisor

    settings = PlayoutSettings(
        name=config.title, encoding=encoding(config), hls=HlsSettings(segment_s=float(config.hls.segment_s)),
        rtmp=[_address(each.url, secret(each.key_env)) for each in config.rtmp],
    )  # fmt: skip
    playout = Supervisor(config.root, settings, schedule=schedule(config) or None, timezone=config.timezone)
    failed: list[BaseException] = []

    def on_air() -> None:
        try:
            playout.run()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=on_air, name="kinema-playout", daemon=True)
    state = config.root / "state"
    producer = ChildProcess(
        "producer",
        [sys.executable, "-m", "kinema.channel.making.producer", str(file), str(os.getpid())],
        state / "producer.log",
        6.0,  # it stops its worker first
    )
    kept = [producer]
    if config.page.port:
        page = [sys.executable, "-m", "kinema.channel.web.site_process", str(file), "--kept"]
        kept.append(ChildProcess("page", page, state / "page.log", 5.0))
    thread.start()
    reported_at = 0.0
    try:
        while not stop.is_set() and thread.is_alive():
            for each in kept:
                each.look()
            if time.monotonic() - reported_at > REPORT_S:
                reported_at = time.monotonic()
                with contextlib.suppress(KinemaError):
                    report()
            stop.wait(POLL_S)
    finally:
        for each in kept:
            each.stop()
        playout.stop()
        for each in kept:
            each.wait()
        thread.join(30.0)
    if failed:
        raise failed[0]


def schedule(config: ChannelConfig) -> list[list[str]]:
    """The day as rows (from, until, theme) without gaps; empty if one theme is on all day."""
    if not config.part:
        return []
    rows = [[time_text(part.begin), time_text(part.until), part.theme] for part in config.part]
    if any(part.begin == part.until for part in config.part):
        return rows
    ends = sorted((part.until, part.begin) for part in config.part)
    begins = sorted(part.begin for part in config.part)
    for until, _ in ends:
        following = next((begin for begin in begins if begin >= until), begins[0] + MINUTES) % MINUTES
        if following != until:
            rows.append([time_text(until), time_text(following), config.theme])
    return rows


def _address(url: str, key: str) -> str:
    return f"{url.rstrip('/')}/{key}" if key else url
