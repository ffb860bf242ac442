"""The commands of a channel as functions, for the command line, the site and your own programs.

They act through the channel's folder and work from any process of the machine, whether or not the channel runs.
Results are plain JSON; errors are KinemaErrors.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core.errors import KinemaError, RequestError
from ..core.outside import bounded
from .config import ChannelConfig, read, write_template
from .library import Library, LibraryClip
from .lock import ChannelLock, holder
from .making.ledger import Ledger, PlannedShot
from .state_file import read_state
from .writing.moderation import Moderation

NAME = "channel"  # the lock of a running channel
STALE_S = 15.0

init = write_template


def start(file: str | os.PathLike[str], stop: threading.Event, report: Callable[[dict[str, Any]], None]) -> None:
    """Check a channel, then run its producer and playout until `stop` is set. report: called with the status about once
    a second. KinemaError if it cannot start or continue."""
    from ..http.listening import check_free
    from .making.producer import check
    from .running import run

    config = read(file)
    check(config)
    Library.open(config.root).close()
    lock = ChannelLock(config.root, NAME)
    try:
        if config.page.port:
            check_free(
                config.page.host,
                config.page.port,
                "The port of the page",
                "page.port",
                "another port in the channel file, or 0 for no page",
            )
        run(config, Path(file).resolve(), stop, lambda: report(status(config)))
    finally:
        lock.close()


def stop(config: ChannelConfig, timeout_s: float = 30.0) -> bool:
    """Stop a running channel and wait for it; False if it is not running. KinemaError after the timeout."""
    pid = holder(config.root, NAME)
    if not pid:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + timeout_s
    while holder(config.root, NAME) is not None:
        if time.monotonic() > end:
            raise KinemaError(f"The channel (process {pid}) did not stop within {timeout_s:g} s.")
        time.sleep(0.1)
    return True


def status(config: ChannelConfig) -> dict[str, Any]:
    """The status of the channel: running, on air, stock, shots in progress, shots set aside."""
    with _library(config) as library, _ledger(config) as ledger:
        clock = config.clock.now()
        producer = read_state(config.root / "state" / "producer.json") or {}
        aired = library.as_run(1)
        theme = config.theme_at(clock)
        return {
            "title": config.title, "folder": str(config.root), "running": holder(config.root, NAME) is not None,
            "time": clock.isoformat(timespec="seconds"), "theme": theme, "fresh": library.fresh(theme),
            "library": library.counts(), "shots": ledger.counts(),
            "on_air": _aired(aired[0]) if aired else None,
            "producer": {**producer, "alive": holder(config.root, "producer") is not None,
                         "stale": time.time() - producer.get("at", 0) > STALE_S},
            "playout": read_state(config.root / "state" / "status.json"),
            "set_aside": [{"id": shot.id, "reason": shot.reason} for shot in ledger.lately("aside", 5)],
        }  # fmt: skip


def queue(config: ChannelConfig, limit: int = 20) -> dict[str, Any]:
    """Upcoming clips and shots: queued by the owner, ready for the current theme, in progress, planned."""
    with _library(config) as library, _ledger(config) as ledger:
        theme = config.theme_at(config.clock.now())
        ready = [clip for clip in library.ready() if not clip.aired]
        ready.sort(key=lambda clip: (clip.theme != theme, clip.made_at))
        return {
            "queued": [_clip(clip) for id in library.queue if (clip := library.get(id)) is not None],
            "ready": [_clip(clip) for clip in ready[:limit]],
            "making": [_shot(shot) for shot in ledger.in_state("making", limit)],
            "planned": [_shot(shot) for shot in ledger.in_state("planned", limit)],
        }


def playlist(config: ChannelConfig, target: Path) -> list[LibraryClip]:
    """Write the clips that can air, oldest first, as a list for ffmpeg's concat demuxer (airing/playlist.py), and
    return them. RequestError if there are no clips, or `target` cannot be written or is another kind of file."""
    from .airing.playlist import check_target, write_playlist

    check_target(target, config.root)

    with _library(config) as library:
        clips = sorted(library.ready(), key=lambda clip: clip.made_at)
    if not clips:
        raise RequestError("The channel has no clips yet.", field="file", value=str(config.root), legal="after a start")
    try:
        return write_playlist(target, clips)
    except OSError as error:
        raise RequestError(
            f"Cannot write {target}: {error.strerror or error}.", field="output", value=str(target)
        ) from None


def skip(config: ChannelConfig) -> None:
    """End the clip on air at its next keyframe."""
    with _library(config) as library:
        library.request_skip()


def ban(config: ChannelConfig, shot: str, reason: str = "") -> dict[str, Any]:
    """Ban a shot in any state: planned, in progress, finished or on air. RequestError: unknown shot."""
    reason = _text(reason, "reason") or "by hand"
    _text(shot, "shot")
    with _library(config) as library, _ledger(config) as ledger:
        clip, planned = library.get(shot), ledger.get(shot)
        if clip is None and planned is None:
            raise RequestError(f"Unknown shot: {shot!r}.", field="shot", value=shot, legal="an id, see `queue`")
        if planned is not None:
            ledger.ban(shot, reason)
        if clip is not None:
            library.ban(shot, reason)
            on_air = library.as_run(1)
            if on_air and on_air[0].id == shot:
                library.request_skip()
        return {"id": shot, "state": "banned", "reason": reason, "made": clip is not None}


def suggest(config: ChannelConfig, text: str) -> int:
    """Moderate and queue a viewer's theme; return the number waiting. RequestError: refused, or too many waiting."""
    if not config.viewers.take:
        raise RequestError("This channel does not accept suggestions.", field="theme", value=text)
    theme = Moderation(config.blocklist).theme(text, "viewer")
    with _ledger(config) as ledger:
        return ledger.suggest(theme.text, config.viewers.waiting)


def _text(text: str, field: str, limit: int = 500) -> str:
    """Check a text from a command line or HTTP request. RequestError."""
    bounded(text, f"The {field}", error=RequestError)
    if len(text) > limit:
        raise RequestError(f"The {field} has {len(text):,} characters.", field=field, legal=f"{limit} at most")
    return text


def _library(config: ChannelConfig) -> Library:
    return Library.open(config.root, create=False)


def _ledger(config: ChannelConfig) -> Ledger:
    return Ledger(config.root, create=False)


def _clip(clip: LibraryClip) -> dict[str, Any]:
    return {
        "id": clip.id, "title": clip.title, "theme": clip.theme, "prompt": clip.prompt,
        "seconds": round(clip.seconds, 3), "aired": clip.aired,
    }  # fmt: skip


def _shot(shot: PlannedShot) -> dict[str, Any]:
    return {
        "id": shot.id, "title": shot.title, "theme": shot.theme, "prompt": shot.prompt, "step": shot.step,
        "quality": shot.quality,
    }  # fmt: skip


def _aired(line: Any) -> dict[str, Any]:
    return {"id": line.id, "title": line.title, "kind": line.kind, "at": line.at}
