"""The steps of a shot: generate, tail, upscale, interpolate (on any machine), then score, conform, publish (on the
channel's machine).

Each takes a job as plain JSON and stores its result in a file or row under the shot's name. Steps are idempotent; a
step is repeated only if its end was not recorded.
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
from .job import KNOWN_FRAMES, ClipTimeout, ShotOrder, Unavailable
from .makers import can_continue, maker
from .work_files import TAIL, WorkFiles, suffix, work_files

if TYPE_CHECKING:
    from ..config import ChannelConfig
    from .ledger import Ledger

GENERATE, CONTINUED, UPSCALED, BETWEEN = "generate", "continued", "upscaled", "between"
log = logging.getLogger("kinema.channel")


@dataclass
class Workspace:
    """The workspace of a process that generates clips. url: the database, for files stored there. scratch: its folder
    for temporary files. report: called with a shot's id and its current step."""

    url: str
    scratch: Path
    report: Callable[[str, str], None] = field(default=lambda _id, _step: None)
    _places: dict[str, WorkFiles] = field(default_factory=dict)

    def files(self, job: dict[str, Any]) -> WorkFiles:
        """The storage of a job's files between its steps."""
        place = job["files"]
        if place not in self._places:
            self._places[place] = work_files(place, self.url)
        return self._places[place]


@dataclass
class Channel:
    """The stores used by the steps on the channel's machine."""

    config: ChannelConfig
    ledger: Ledger
    library: Library

    @property
    def encoding(self) -> Encoding:
        return encoding(self.config)


def generate(workspace: Workspace, job: dict[str, Any]) -> dict[str, Any]:
    """Generate the clip. For a shot that should continue the previous one, the result has {"goes_on": true} or
    "why_cut". The file name records which, for processes that resume the shot."""
    order, id, files, why = ShotOrder.from_dict(job), job["id"], workspace.files(job), job.get("why_cut", "")
    if job.get("before") and not why:
        done = files.has(id, CONTINUED)
        if not done and not files.has(id, GENERATE):
            done = _continue(workspace, job, order)
        if done:
            return {"step": CONTINUED, "goes_on": True}
        why = f"the last frames of {_planned(job['before'])} are missing, or continuing them failed"
    result = _run_once(workspace, job, GENERATE, lambda target: maker(order.model).make(order, target))
    return result | ({"why_cut": why} if why else {})


def _continue(workspace: Workspace, job: dict[str, Any], order: ShotOrder) -> bool:
    """Generate the clip from the last frames of the previous shot. False on any failure, since a cut remains
    possible."""
    try:
        files, before = workspace.files(job), job["before"]
        if not can_continue(order.model) or not files.has(before, TAIL):
            return False
        tail = files.take(before, TAIL, _scratch(workspace, job["id"], TAIL))
        continued = dataclasses.replace(order, tail=str(tail))
        _run_once(workspace, job, CONTINUED, lambda target: maker(order.model).make(continued, target))
    except Exception as error:
        log.warning("%s cannot continue the previous shot: %s", job["planned"], error)
        return False
    finally:
        with contextlib.suppress(OSError):
            _scratch(workspace, job["id"], TAIL).unlink(missing_ok=True)
    return True


def tail(workspace: Workspace, job: dict[str, Any], before: str) -> dict[str, Any]:
    """Store the clip's last frames losslessly, for the shot that continues them."""
    from ...conditions import inputs
    from ...media.read import probe
    from ...media.write import write

    def make(target: Path) -> None:
        clip = _taken(workspace, job, before)
        frames = inputs.tail(str(clip), KNOWN_FRAMES)
        if len(frames) < KNOWN_FRAMES:
            raise RequestError(f"The clip has {len(frames)} frames; {KNOWN_FRAMES} are required to continue it.")
        write([Chunk(frames, 0, probe(clip).fps)], target, quality="best")

    return _run_once(workspace, job, TAIL, make)


def upscaled(workspace: Workspace, job: dict[str, Any], before: str) -> dict[str, Any]:
    """Upscale the clip of step `before`."""
    order = ShotOrder.from_dict(job)
    return _run_once(workspace, job, UPSCALED, lambda target: upscale(order, _taken(workspace, job, before), target))


def interpolated(workspace: Workspace, job: dict[str, Any], before: str) -> dict[str, Any]:
    """Interpolate the clip of step `before` to the channel's frame rate."""
    how, fps, device = job["making"]["interpolate"], int(job["fps"]), ShotOrder.from_dict(job).device
    return _run_once(
        workspace, job, BETWEEN, lambda target: interpolate(how, fps, device, _taken(workspace, job, before), target)
    )  # fmt: skip


def score(channel: Channel, job: dict[str, Any]) -> dict[str, Any]:
    """Choose a music bed for the shot's theme: {"music": a path under the channel's folder, or ""}. A draft uses only
    existing beds (the producer composes them in the background)."""
    channel.ledger.at_step(job["planned"], "score")
    path = bed_for(channel.config, job["theme"], make=job["quality"] == "full")
    return {"music": str(path.relative_to(channel.config.root)) if path is not None else ""}


def conformed(channel: Channel, workspace: Workspace, job: dict[str, Any], drawn: dict[str, Any]) -> dict[str, Any]:
    """Write the clip to the library's folder in the channel's encoding; return its library fields."""
    from ...media.read import read_chunks

    planned, target = job["planned"], channel.library.clip_path(job["planned"])
    channel.ledger.at_step(planned, "conform")
    source = _taken(workspace, job, drawn["step"])
    frames = fitted(
        read_chunks(source, audio=False), channel.encoding.width, channel.encoding.height, job["making"]["fit"]
    )
    clip = conform(frames, target, channel.encoding)
    with contextlib.suppress(OSError):
        _scratch(workspace, job["id"], f"of-{drawn['step']}").unlink(missing_ok=True)
    return {**asdict(clip), "path": f"clips/{planned}.mp4"}


def publish(
    channel: Channel, workspace: Workspace, job: dict[str, Any], clip: dict[str, Any], music: dict[str, Any],
    drawn: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Add the clip to the library, once, and delete its work files. {"state": "published"}, or the state it already
    had."""
    planned, ledger = job["planned"], channel.ledger
    shot = ledger.get(planned)
    if shot is not None and shot.state == "banned":
        (channel.config.root / clip["path"]).unlink(missing_ok=True)
    else:
        channel.library.add(
            LibraryClip(
                planned, channel.config.root / clip["path"], title=job["title"], prompt=job["prompt"],
                theme=job["theme"], frames=clip["frames"], fps=clip["frames"] / clip["seconds"],
                fingerprint=clip["fingerprint"],
                shot=job["shot"] | {"quality": job["quality"], "model": job["model"]} | _how(job, drawn or {}),
                made_at=_made_at(channel, job, drawn or {}),
                music=channel.config.root / music["music"] if music["music"] else None,
            )
        )  # fmt: skip
        ledger.end(planned, "published")
    shot = ledger.get(planned)
    state = shot.state if shot is not None else "published"
    _drop(workspace, job, keep=TAIL if job.get("keeps") and state == "published" else "")
    return {"state": state}


def set_aside(channel: Channel, workspace: Workspace, job: dict[str, Any], reason: str) -> dict[str, Any]:
    """Record that a shot failed, with the reason, and delete its work files."""
    channel.ledger.end(job["planned"], "aside", reason[:2000])
    _drop(workspace, job)
    return {"state": "aside", "reason": reason[:2000]}


def _drop(workspace: Workspace, job: dict[str, Any], keep: str = "") -> None:
    """Delete the files of a finished shot, and the stored last frames of the shot before it."""
    workspace.files(job).drop(job["id"], keep)
    if job.get("before"):
        workspace.files(job).forget(job["before"], TAIL)


def _how(job: dict[str, Any], drawn: dict[str, Any]) -> dict[str, Any]:
    """The record of how a shot was generated. known_frames: the context frames from the previous shot, which are not in
    its clip. left_out: optional steps that failed, and why."""
    left = {"left_out": drawn["left_out"]} if drawn.get("left_out") else {}
    if drawn.get("goes_on"):
        how = {"made_as": "continue", "goes_on_from": _planned(job["before"]), "known_frames": KNOWN_FRAMES}
    else:
        how = {"made_as": "cut", "why_cut": drawn["why_cut"]} if "why_cut" in drawn else {}
    return how | left


def _made_at(channel: Channel, job: dict[str, Any], drawn: dict[str, Any]) -> float:
    """The creation time for the library. New clips air in this order, so a clip that continues another gets a time
    right after it; 0 (now) for all others."""
    before = channel.library.get(_planned(job["before"])) if drawn.get("goes_on") else None
    return before.made_at + 0.001 if before is not None else 0.0


def _planned(id: str) -> str:
    """The ledger id of a workflow id."""
    return id.partition("-")[2]


def caught(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """The result of a step, or {"failed": why, "again": whether a retry may help}, with "down": True if a service is
    unavailable. Exceptions that are not an Exception (Ctrl-C) propagate."""
    try:
        return work(*arguments)
    except (RequestError, ModelError, Cancelled, ClipTimeout) as error:  # a retry would take as long
        return {"failed": str(error), "again": False}
    except Unavailable as error:
        return {"failed": str(error), "again": True, "down": True}
    except KinemaError as error:
        return {"failed": str(error), "again": True}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}", "again": True}


def _run_once(workspace: Workspace, job: dict[str, Any], step: str, make: Callable[[Path], None]) -> dict[str, Any]:
    """Run a step that writes a file, unless the file exists."""
    from ...media.manifest import sidecar_of

    id, files = job["id"], workspace.files(job)
    if not files.has(id, step):
        workspace.report(id, step)
        target = _scratch(workspace, id, step)
        try:
            make(target)
            files.put(id, step, target)
        finally:
            for left in (target, sidecar_of(target), *workspace.scratch.glob(f"{id}-of-*")):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)
    return {"step": step}


def _taken(workspace: Workspace, job: dict[str, Any], step: str) -> Path:
    return workspace.files(job).take(job["id"], step, _scratch(workspace, job["id"], f"of-{step}"))


def _scratch(workspace: Workspace, id: str, step: str) -> Path:
    workspace.scratch.mkdir(parents=True, exist_ok=True)
    return workspace.scratch / f"{id}-{step}{suffix(step)}"
