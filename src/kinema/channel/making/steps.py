"""The steps of a shot: generate, tail, upscale, interpolate (on whatever machine draws), then score, conform,
publish (where the channel is). Each takes a job that is plain JSON, leaves its result in a file or a row under the
shot's name, and does no harm when it is done again; each is done again only where its end was never noted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.chunk import Chunk
from ...core.errors import Cancelled, KinemaError, ModelError, RequestError
from ..conform import Encoding, conform
from ..library import Library, LibraryClip
from ..running import encoding
from .beds import bed_for
from .finish import fitted, interpolate, upscale
from .job import KNOWN_FRAMES, Down, Late, ShotOrder
from .makers import can_continue, maker
from .work_files import TAIL, WorkFiles, suffix, work_files

if TYPE_CHECKING:
    from ..config import ChannelConfig
    from .ledger import Ledger

GENERATE, CONTINUED, UPSCALED, BETWEEN = "generate", "continued", "upscaled", "between"
log = logging.getLogger("kinema.channel")


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
    """The clip. Where the shot should go on from the one before it, also {"goes_on": true}, or "why_cut". Which of them
    it was is in the name of its file, so that a process that comes later knows."""
    asked, id, files, why = ShotOrder.from_dict(job), job["id"], desk.files(job), job.get("why_cut", "")
    if job.get("before") and not why:
        done = files.has(id, CONTINUED)
        if not done and not files.has(id, GENERATE):
            done = _continued(desk, job, asked)
        if done:
            return {"step": CONTINUED, "goes_on": True}
        why = f"the last frames of {_planned(job['before'])} are not there, or could not be gone on from"
    made = _made(desk, job, GENERATE, lambda target: maker(asked.model).make(asked, target))
    return made | ({"why_cut": why} if why else {})


def _continued(desk: Desk, job: dict[str, Any], asked: ShotOrder) -> bool:
    """Make the clip from the last frames of the shot before it; False where that cannot be done, whatever the reason:
    a cut is always possible."""
    try:
        files, before = desk.files(job), job["before"]
        if not can_continue(asked.model) or not files.has(before, TAIL):
            return False
        tail = files.take(before, TAIL, _scratch(desk, job["id"], TAIL))
        on = dataclasses.replace(asked, tail=str(tail))
        _made(desk, job, CONTINUED, lambda target: maker(asked.model).make(on, target))
    except Exception as error:
        log.warning("%s cannot go on from the shot before it: %s", job["planned"], error)
        return False
    finally:
        with contextlib.suppress(OSError):
            _scratch(desk, job["id"], TAIL).unlink(missing_ok=True)
    return True


def tail(desk: Desk, job: dict[str, Any], before: str) -> dict[str, Any]:
    """The clip's last frames, without loss, for the shot that goes on from them."""
    from ...conditions import inputs
    from ...media.read import probe
    from ...media.write import write

    def make(target: Path) -> None:
        clip = _taken(desk, job, before)
        frames = inputs.tail(str(clip), KNOWN_FRAMES)
        if len(frames) < KNOWN_FRAMES:
            raise RequestError(f"The clip has {len(frames)} frames; {KNOWN_FRAMES} are needed to go on from it.")
        write([Chunk(frames, 0, probe(clip).fps)], target, quality="best")

    return _made(desk, job, TAIL, make)


def upscaled(desk: Desk, job: dict[str, Any], before: str) -> dict[str, Any]:
    asked = ShotOrder.from_dict(job)
    return _made(desk, job, UPSCALED, lambda target: upscale(asked, _taken(desk, job, before), target))


def between(desk: Desk, job: dict[str, Any], before: str) -> dict[str, Any]:
    how, fps, device = job["making"]["interpolate"], int(job["fps"]), ShotOrder.from_dict(job).device
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
    channel: Channel, desk: Desk, job: dict[str, Any], made: dict[str, Any], music: dict[str, Any],
    drawn: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
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
                fingerprint=made["fingerprint"],
                shot=job["shot"] | {"quality": job["quality"], "model": job["model"]} | _how(job, drawn or {}),
                made_at=_made_at(channel, job, drawn or {}),
                music=channel.config.root / music["music"] if music["music"] else None,
            )
        )  # fmt: skip
        ledger.end(planned, "published")
    found = ledger.get(planned)
    state = found.state if found is not None else "published"
    _drop(desk, job, keep=TAIL if job.get("keeps") and state == "published" else "")
    return {"state": state}


def set_aside(channel: Channel, desk: Desk, job: dict[str, Any], reason: str) -> dict[str, Any]:
    channel.ledger.end(job["planned"], "aside", reason[:2000])
    _drop(desk, job)
    return {"state": "aside", "reason": reason[:2000]}


def _drop(desk: Desk, job: dict[str, Any], keep: str = "") -> None:
    """Forget the files of a shot that is over, and what was kept for it of the shot before."""
    desk.files(job).drop(job["id"], keep)
    if job.get("before"):
        desk.files(job).forget(job["before"], TAIL)


def _how(job: dict[str, Any], drawn: dict[str, Any]) -> dict[str, Any]:
    """What the record says of a shot that should go on from the one before it. known_frames: how many frames of that
    one it was made from; they are not in its clip. left_out: steps that could not be done, and why."""
    left = {"left_out": drawn["left_out"]} if drawn.get("left_out") else {}
    if drawn.get("goes_on"):
        how = {"made_as": "continue", "goes_on_from": _planned(job["before"]), "known_frames": KNOWN_FRAMES}
    else:
        how = {"made_as": "cut", "why_cut": drawn["why_cut"]} if "why_cut" in drawn else {}
    return how | left


def _made_at(channel: Channel, job: dict[str, Any], drawn: dict[str, Any]) -> float:
    """A clip that goes on counts as made right after the one before it, whatever was made between, because new clips
    are shown in the order of making; 0, now, for all others."""
    before = channel.library.get(_planned(job["before"])) if drawn.get("goes_on") else None
    return before.made_at + 0.001 if before is not None else 0.0


def _planned(id: str) -> str:
    """A shot's name in the ledger, of its name in the database of the steps."""
    return id.partition("-")[2]


def caught(work: Callable[..., dict[str, Any]], *given: Any) -> dict[str, Any]:
    """The result of a step, or {"failed": why, "again": may another try help}, and "down": True where the shot itself
    may be good. What is not an Exception (Ctrl-C) goes through."""
    try:
        return work(*given)
    except (RequestError, ModelError, Cancelled, Late) as error:  # what took too long would take as long again
        return {"failed": str(error), "again": False}
    except Down as error:
        return {"failed": str(error), "again": True, "down": True}
    except KinemaError as error:
        return {"failed": str(error), "again": True}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}", "again": True}


def _made(desk: Desk, job: dict[str, Any], step: str, make: Callable[[Path], None]) -> dict[str, Any]:
    from ...media.manifest import sidecar_of

    id, files = job["id"], desk.files(job)
    if not files.has(id, step):
        desk.tell(id, step)
        target = _scratch(desk, id, step)
        try:
            make(target)
            files.put(id, step, target)
        finally:
            for left in (target, sidecar_of(target), *desk.scratch.glob(f"{id}-of-*")):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)
    return {"step": step}


def _taken(desk: Desk, job: dict[str, Any], step: str) -> Path:
    return desk.files(job).take(job["id"], step, _scratch(desk, job["id"], f"of-{step}"))


def _scratch(desk: Desk, id: str, step: str) -> Path:
    desk.scratch.mkdir(parents=True, exist_ok=True)
    return desk.scratch / f"{id}-{step}{suffix(step)}"
