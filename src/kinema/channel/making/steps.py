"""The steps of a shot: generate, second pass, interpolate (on whatever machine draws), then score, conform, publish
(where the channel is). Each takes a job that is plain JSON, leaves its result in a file or a row under the shot's name,
and does no harm when it is done again; each is done again only where its end was never noted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import KinemaError, ModelError, RequestError
from ..conform import Encoding, conform
from ..library import Library, LibraryClip
from ..running import encoding
from .beds import bed_for
from .finish import fitted, interpolate, second_pass
from .makers import Job, maker
from .work_files import WorkFiles, work_files

if TYPE_CHECKING:
    from ..config import ChannelConfig
    from .ledger import Ledger

GENERATE, SECOND, BETWEEN = "generate", "second", "between"


@dataclass
class Desk:
    """Where a process that draws stands. url: of the database, for files that travel through it. scratch: a folder of
    its own for what is not done yet. tell: of a shot, what is being done with it."""

    url: str
    scratch: Path
    tell: Callable[[str, str], None] = field(default=lambda _id, _step: None)
    _places: dict[str, WorkFiles] = field(default_factory=dict)

    def files(self, job: dict[str, Any]) -> WorkFiles:
        """Where the files of a job lie between its steps."""
        place = job["files"]
        if place not in self._places:
            self._places[place] = work_files(place, self.url)
        return self._places[place]


@dataclass
class Channel:
    """What the steps at the channel's own machine work with."""

    config: ChannelConfig
    ledger: Ledger
    library: Library

    @property
    def encoding(self) -> Encoding:
        return encoding(self.config)


def generate(desk: Desk, job: dict[str, Any]) -> dict[str, Any]:
    asked = Job.from_dict(job)
    return _made(desk, job, GENERATE, lambda target: maker(asked.model).make(asked, target))


def second(desk: Desk, job: dict[str, Any], before: str) -> dict[str, Any]:
    asked = Job.from_dict(job)
    return _made(desk, job, SECOND, lambda target: second_pass(asked, _taken(desk, job, before), target))


def between(desk: Desk, job: dict[str, Any], before: str) -> dict[str, Any]:
    how, fps, device = job["making"]["interpolate"], int(job["fps"]), Job.from_dict(job).device
    return _made(
        desk, job, BETWEEN, lambda target: interpolate(how, fps, device, _taken(desk, job, before), target)
    )  # fmt: skip


def score(channel: Channel, job: dict[str, Any]) -> dict[str, Any]:
    """A bed of music for the shot's theme: {"music": a path under the channel's folder, or ""}. A draft takes what is
    there already (the producer makes beds beside it)."""
    channel.ledger.at_step(job["planned"], "score")
    path = bed_for(channel.config, job["theme"], make=job["quality"] == "full")
    return {"music": str(path.relative_to(channel.config.root)) if path is not None else ""}


def conformed(channel: Channel, desk: Desk, job: dict[str, Any], drawn: dict[str, Any]) -> dict[str, Any]:
    """The clip in the channel's encoding, in its place: what the library must know of it."""
    from ...media.read import read_chunks

    planned, target = job["planned"], channel.library.clip_path(job["planned"])
    channel.ledger.at_step(planned, "conform")
    source = _taken(desk, job, drawn["step"])
    frames = fitted(
        read_chunks(source, audio=False), channel.encoding.width, channel.encoding.height, job["making"]["fit"]
    )
    made = conform(frames, target, channel.encoding)
    with contextlib.suppress(OSError):
        _scratch(desk, job["id"], f"of-{drawn['step']}").unlink(missing_ok=True)
    return {**asdict(made), "path": f"clips/{planned}.mp4"}


def publish(
    channel: Channel, desk: Desk, job: dict[str, Any], made: dict[str, Any], music: dict[str, Any]
) -> dict[str, Any]:
    """Into the library, once; files in between are deleted. {"state": "published"}, or what it was already."""
    planned, ledger = job["planned"], channel.ledger
    found = ledger.get(planned)
    if found is not None and found.state == "banned":
        (channel.config.root / made["path"]).unlink(missing_ok=True)
    else:
        channel.library.add(
            LibraryClip(
                planned, channel.config.root / made["path"], title=job["title"], prompt=job["prompt"],
                theme=job["theme"], frames=made["frames"], fps=made["frames"] / made["seconds"],
                fingerprint=made["fingerprint"], shot=job["shot"] | {"quality": job["quality"], "model": job["model"]},
                music=channel.config.root / music["music"] if music["music"] else None,
            )
        )  # fmt: skip
        ledger.end(planned, "published")
    desk.files(job).drop(job["id"])
    found = ledger.get(planned)
    return {"state": found.state if found is not None else "published"}


def set_aside(channel: Channel, desk: Desk, job: dict[str, Any], reason: str) -> dict[str, Any]:
    channel.ledger.end(job["planned"], "aside", reason[:2000])
    desk.files(job).drop(job["id"])
    return {"state": "aside", "reason": reason[:2000]}


def caught(work: Callable[..., dict[str, Any]], *given: Any) -> dict[str, Any]:
    """The result of a step, or {"failed": why, "again": may another try help}. What is not an Exception (Ctrl-C) goes
    through."""
    try:
        return work(*given)
    except (RequestError, ModelError) as error:
        return {"failed": str(error), "again": False}
    except KinemaError as error:
        return {"failed": str(error), "again": True}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}", "again": True}


def _made(desk: Desk, job: dict[str, Any], step: str, make: Callable[[Path], None]) -> dict[str, Any]:
    id, files = job["id"], desk.files(job)
    if not files.has(id, step):
        desk.tell(id, step)
        target = _scratch(desk, id, step)
        try:
            make(target)
            files.put(id, step, target)
        finally:
            for left in (target, target.with_suffix(".json")):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)
    return {"step": step}


def _taken(desk: Desk, job: dict[str, Any], step: str) -> Path:
    return desk.files(job).take(job["id"], step, _scratch(desk, job["id"], f"of-{step}"))


def _scratch(desk: Desk, id: str, step: str) -> Path:
    desk.scratch.mkdir(parents=True, exist_ok=True)
    return desk.scratch / f"{id}-{step}.mp4"
