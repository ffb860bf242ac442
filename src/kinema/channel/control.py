"""What can be done with a channel, as functions: the command line calls them, and whoever else controls one may.

They act through the channel's folder, so they work from any process of the machine, while the channel runs or not.
Everything they give is plain JSON. Errors are KinemaErrors.
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

NAME = "channel"  # of the lock that the supervisor holds
STALE_S = 15.0

init = write_template


def start(file: str | os.PathLike[str], stop: threading.Event, tell: Callable[[dict[str, Any]], None]) -> None:
    """Run a channel until `stop`: checked first, then producer and playout, both watched. `tell`: its status, about
    once a second. KinemaError where it cannot run, or not go on."""
    from .making.producer import check
    from .running import run
    from .web.listening import check_free

    config = read(file)
    check(config)
    Library.open(config.root).close()
    lock = ChannelLock(config.root, NAME)
    try:
        if config.page.port:
            check_free(config.page.host, config.page.port)
        run(config, Path(file).resolve(), stop, lambda: tell(status(config)))
    finally:
        lock.close()


def stop(config: ChannelConfig, timeout_s: float = 30.0) -> bool:
    """Stop a running channel and wait until it has stopped; False where none runs. KinemaError where it does not."""
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
    """How the channel is: running, on air, stock, what is being made, what was set aside."""
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
    """What is coming: clips put up next by hand, the stock of the hour, shots in the making and planned."""
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
    """The clips that can air, oldest first, as a list for ffmpeg's concat demuxer (airing/playlist.py); those in it.
    RequestError where there are none, or the file cannot be written, or is none of ours to replace."""
    from .airing.playlist import check_target, write_playlist

    check_target(target, config.root)

    with _library(config) as library:
        clips = sorted(library.ready(), key=lambda clip: clip.made_at)
    if not clips:
        raise RequestError("The channel has no clip yet.", field="file", value=str(config.root), legal="after a start")
    try:
        return write_playlist(target, clips)
    except OSError as error:
        raise RequestError(f"{target}: {error.strerror or error}.", field="output", value=str(target)) from None


def skip(config: ChannelConfig) -> None:
    """Leave what is on air at its next keyframe."""
    with _library(config) as library:
        library.request_skip()


def ban(config: ChannelConfig, shot: str, reason: str = "") -> dict[str, Any]:
    """Never show a shot, whether it is planned, in the making, made or on air. RequestError: it is unknown."""
    reason = _text(reason, "reason") or "by hand"
    _text(shot, "shot")
    with _library(config) as library, _ledger(config) as ledger:
        clip, planned = library.get(shot), ledger.get(shot)
        if clip is None and planned is None:
            raise RequestError(f"No shot {shot!r} is known here.", field="shot", value=shot, legal="an id, see `queue`")
        if planned is not None:
            ledger.ban(shot, reason)
        if clip is not None:
            library.ban(shot, reason)
            on_air = library.as_run(1)
            if on_air and on_air[0].id == shot:
                library.request_skip()
        return {"id": shot, "state": "banned", "reason": reason, "made": clip is not None}


def suggest(config: ChannelConfig, text: str) -> int:
    """Take a viewer's theme, moderated; gives how many wait. RequestError: it may not be shown, or too many wait."""
    if not config.viewers.take:
        raise RequestError("This channel takes no suggestions.", field="theme", value=text)
    theme = Moderation(config.blocklist).theme(text, "viewer")
    with _ledger(config) as ledger:
        return ledger.suggest(theme.text, config.viewers.waiting)


def _text(text: str, field: str, limit: int = 500) -> str:
    """Text from a command line or over HTTP, as it may be kept. RequestError."""
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
