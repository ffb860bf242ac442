"""The steps of a shot that any worker runs: generate, upscale, interpolate; and compose, a music bed.

Each is the work of a job (kinds.py): it gets the job's context and body, and returns its result, with the file that it
made as media of the store.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.chunk import Chunk
from ...core.closing import closed_after
from ...core.errors import Cancelled, RequestError
from ...jobs.attempts import is_broken
from ...jobs.context import Returned
from ...jobs.pool import is_out_of_memory
from .finish import interpolate, upscale
from .job import KNOWN_FRAMES, ClipTimeout, ShotOrder, Unavailable

if TYPE_CHECKING:
    from ...jobs.context import Context
    from .makers import Makers


def generate(makers: Makers, context: Context, body: dict[str, Any]) -> dict[str, Any]:
    """Generate the clip. The result also has "goes_on" (whether it continues the previous shot) or "why_cut", and
    "tail": its last frames, if another shot will continue it."""
    order = ShotOrder.from_dict(body, tail="", context=context)
    target = context.folder / "clip.mp4"
    how: dict[str, Any] = {}
    if body.get("tail") and not body["why_cut"] and _continue(makers, context, order, body["tail"], target):
        how["goes_on"] = True
    else:
        makers.of(order.model).make(order, target)
        if body["before"]:
            missing = f"the last frames of {body['before']} are missing, or continuing them failed"
            how["why_cut"] = body["why_cut"] or missing
        elif body["why_cut"]:
            how["why_cut"] = body["why_cut"]
    result = context.store_file(target, "video/mp4") | how
    if body["keeps"] and (kept := _tail(context, target)):
        result["tail"] = kept
    return result


def _continue(makers: Makers, context: Context, order: ShotOrder, tail: str, target: Path) -> bool:
    """Generate the clip from the last frames of the previous shot. False on a failure of it, since a cut remains
    possible."""
    try:
        if not makers.can_continue(order.model):
            return False
        frames = context.folder / "tail.webp"
        frames.write_bytes(context.media.path(tail).read_bytes())
        makers.of(order.model).make(dataclasses.replace(order, tail=str(frames)), target)
    except (Returned, Cancelled):
        raise
    except Exception as error:
        away = isinstance(error, Unavailable) and not isinstance(error, ClipTimeout)
        if away or is_out_of_memory(error) or is_broken(error):  # a cut would meet it too
            raise
        context.note(f"It cannot continue the previous shot: {error}")
        return False
    return True


def _tail(context: Context, clip: Path) -> str:
    """Store a clip's last frames losslessly, for the shot that continues them; return their hash. "" if that fails: the
    next shot will be a cut."""
    from ...conditions import inputs
    from ...media.read import probe
    from ...media.write import write

    try:
        frames = inputs.tail(str(clip), KNOWN_FRAMES)
        if len(frames) < KNOWN_FRAMES:
            raise RequestError(f"The clip has {len(frames)} frames; {KNOWN_FRAMES} are required to continue it.")
        file = write([Chunk(frames, 0, probe(clip).fps)], context.folder / "last.webp", quality="best")
        return str(context.store_file(file, "image/webp")["media"])
    except Exception as error:
        context.note(f"The last frames are not stored: {error}")
        return ""


def upscaled(context: Context, body: dict[str, Any]) -> dict[str, Any]:
    """Upscale the clip of the previous step."""
    order = ShotOrder.from_dict(body, tail="", context=context)
    return context.store_file(upscale(order, body["clip"]), "video/mp4")


def interpolated(context: Context, body: dict[str, Any]) -> dict[str, Any]:
    """Interpolate the clip of the previous step to the channel's frame rate."""
    from ...media.read import read_chunks
    from ...media.write import write

    chunks = read_chunks(context.media.path(body["clip"]), audio=False)
    how, fps = body["making"]["interpolate"], int(body["fps"])
    between = interpolate(how, fps, context.engines.device, stoppable(context, chunks))
    return context.store_file(write(between, context.folder / "between.mp4", quality="best"), "video/mp4")


def composed(context: Context, body: dict[str, Any]) -> dict[str, Any]:
    """Compose a music bed."""
    from ... import music

    track = music.make(body["words"], body["seconds"], body["seed"], model=body["model"] or None)
    target = context.folder / "bed.m4a"
    music.save(track, target)
    return context.store_file(target, "audio/mp4")


def stoppable(context: Context, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The chunks of a clip, as long as the work should not stop."""
    with closed_after(chunks):
        for chunk in chunks:
            context.check()
            yield chunk
