"""Planning of in-place edits (`canvas="source"`). Reads headers of files; requires neither torch nor weights.

The clip determines size, frame rate and length; the model's canvas and windows follow from the edit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core import windows
from ..core.card import Card
from ..core.conditions import Continue, Mask, Source
from ..core.errors import RequestError
from ..core.plan import Plan, Span
from ..core.request import Request
from ..core.resolve import check_canvas, resolve
from . import inputs, outpaint

if TYPE_CHECKING:
    from ..media.read import VideoInfo

TAKES = ("source", "mask", "control", "reference", "continue", "style")
WORDLESS = " "
"""Replaces an empty prompt: some text encoders fail on an empty text."""


def plan(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """Resolve a request for a clip that keeps its size, frame rate and sound. Raises RequestError or MediaError."""
    check_canvas(request, card, known)
    _check(request)
    source, mask, start, end = (
        _one(request, lambda c: isinstance(c, Source)),
        _one(request, lambda c: isinstance(c, Mask)),
        _one(request, lambda c: isinstance(c, Continue) and c.place == "start"),
        _one(request, lambda c: isinstance(c, Continue) and c.place == "end"),
    )
    lead = source.video if source is not None else (start or end).clip
    streams = (each for each in request.conditions if each.kind in ("source", "mask", "control", "continue"))
    for media in (getattr(each, name, None) for each in streams for name in ("video", "clip", "image")):
        if media is not None:
            inputs.refuse_array(media)
    given = inputs.info(lead)
    size = (given.width, given.height)
    if source is not None:
        size = outpaint.outer_size(*size, source.grow)
    local = mask is not None and not mask.everything and not (source and any(source.grow))
    width, height = _canvas(request, card, size, local)
    bare = request.changed(
        frames=None, seconds=None, width=width, height=height, fps=None, prompt=request.prompt or WORDLESS
    )
    found = resolve(bare, card, known)
    if source is not None:
        frames, spans = given.num_frames, windows.over_clip(given.num_frames, card.frames)
    else:
        frames, spans = _longer(request, card, start, end, given)
    _check_inputs(request, frames)
    better = card.profiles[request.profile].in_place
    options = found.options | {name: value for name, value in better.items() if name not in request.options}
    return found.model_copy(
        update={
            "options": options, "frames": frames, "fps": given.fps, "output": size,
            "spans": spans, "notes": (*found.notes, *inputs.remarks(given)),
            "fill": "generate" if request.fill == "auto" else request.fill,
        }
    )  # fmt: skip


def _one(request: Request, wanted: Any) -> Any:
    return next((condition for condition in request.conditions if wanted(condition)), None)


def check_kinds(request: Request, takes: Sequence[str], name: str) -> list[str]:
    """The kinds of the request's conditions. Raises RequestError for one that is not among `takes`. name: the subject
    of the message."""
    kinds: list[str] = [condition.kind for condition in request.conditions]
    for index, kind in enumerate(kinds):
        if kind not in takes:
            raise RequestError(
                f"{name} does not support the condition {kind!r}.", field=f"conditions.{index}", value=kind,
                legal=", ".join(takes),
            )  # fmt: skip
    return kinds


def _check(request: Request) -> None:
    kinds = check_kinds(request, TAKES, "An in-place edit")
    if ("source" in kinds) == ("continue" in kinds):
        raise RequestError(
            "An in-place edit requires one clip: a source to edit, or a clip to continue, not both.",
            field="conditions",
            value=kinds,
            legal="source, or continue",
        )
    if "mask" in kinds and "source" not in kinds:
        raise RequestError("A mask requires a source.", field="conditions", value="mask", legal="source and mask")
    _check_fill(request)
    fixed = {"fps": request.fps, "upscale": request.upscale[0].by if request.upscale else None}
    if "source" in kinds:
        fixed |= {"frames": request.frames, "seconds": request.seconds}
    for name, value in fixed.items():
        if value is not None:
            raise RequestError(
                f"An in-place edit keeps the clip's own {'size' if name == 'upscale' else name}.", field=name,
                value=value, legal=f"no {name}",
            )  # fmt: skip


def _check_fill(request: Request) -> None:
    """Raise RequestError for a fill from other frames that the conditions do not allow."""
    source, mask = (_one(request, lambda c, kind=kind: c.kind == kind) for kind in ("source", "mask"))
    if request.fill == "generate":
        if mask is not None and mask.shadow:
            raise RequestError(
                "The shadow of an object is found in other frames of the clip.", field="conditions.mask.shadow",
                value=True, legal='fill = "auto", "propagate" or "both"',
            )  # fmt: skip
        return
    partial = source is not None and (any(source.grow) or (mask is not None and not mask.everything))
    others = [each.kind for each in request.conditions if each.kind not in ("source", "mask", "style", "reference")]
    if not partial or others:
        raise RequestError(
            f"fill = {request.fill} takes the pixels of a masked area from other frames.", field="fill",
            value=request.fill, legal="a source with a mask of a part of the frame, or that grows; else generate",
        )  # fmt: skip


def continued(condition: Continue) -> VideoInfo:
    """The info of a clip to continue. Raises RequestError if it is shorter than the requested context frames."""
    found = inputs.info(condition.clip)
    if condition.frames > found.num_frames:
        one = found.num_frames == 1
        raise RequestError(
            f"{condition.clip[:200]} has {found.num_frames} frame{'' if one else 's'}; {condition.frames} context "
            "frames are requested.", field="conditions.continue.frames", value=condition.frames,
            legal="1" if one else f"1 to {found.num_frames}", nearest=None if one else found.num_frames,
        )  # fmt: skip
    return found


def _check_inputs(request: Request, frames: int) -> None:
    """Check that the other inputs exist and are long enough, before any weights are loaded."""
    for condition in request.conditions:
        if condition.kind == "reference":
            for picture in condition.images:
                inputs.info(picture)
        if condition.kind == "mask":
            for name in ("image", "video"):
                if (media := getattr(condition, name)) is None:
                    continue
                found = inputs.info(media).num_frames
                if name == "video":
                    inputs.check_mask_length(found, frames)


def _canvas(request: Request, card: Card, size: tuple[int, int], local: bool) -> tuple[int, int]:
    """The model's canvas: as requested; for local edits the trained size with the nearest aspect; for whole frames
    their aspect at the trained area."""
    if request.width is not None and request.height is not None:
        return request.width, request.height
    if local:
        return card.size.trained_like(*size)
    return card.size.like(*size)


def _longer(
    request: Request, card: Card, start: Continue | None, end: Continue | None, given: Any
) -> tuple[int, tuple[Span, ...]]:
    """(total frames, windows) of a clip that is continued at its end or start, or joined to another."""
    lengths = []
    for condition in (start, end):
        if condition is None:
            lengths.append(0)
            continue
        info = continued(condition)
        if condition.frames >= card.frames.trained:
            raise RequestError(
                f"{card.id} generates {card.frames.trained} frames at once; {condition.frames} context frames leave "
                "none to generate.",
                field="conditions.continue.frames",
                value=condition.frames,
                legal=f"1 to {card.frames.trained - 1}",
                nearest=windows.OVERLAP,
            )
        lengths.append(info.num_frames)
    known = [condition.frames if condition is not None else 0 for condition in (start, end)]
    room = card.frames.trained - sum(known)
    new = request.frames or (round(request.seconds * given.fps) if request.seconds else max(1, room))
    new = max(1, new)
    if start is None:
        spans = windows.before(new, known[1], card.frames)
    else:
        spans = windows.after(lengths[0], lengths[0] + new + known[1], card.frames, known[0])
    return lengths[0] + new + lengths[1], spans
