"""Planning for EasyAnimate: a source clip sets the duration and fps, a picture the aspect. No torch, no weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...conditions import camera, in_place, inputs, outpaint, upscale
from ...conditions.source_clip import from_source, source_of
from ...core.card import Card
from ...core.errors import RequestError
from ...core.plan import Plan
from ...core.request import Request
from ...core.resolve import resolve
from .cards import STRENGTH
from .options import EasyAnimateOptions


def plan(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """Resolve the request against a card of this family. RequestError, or MediaError for an unreadable input."""
    if request.canvas == "upscale":
        return upscale.plan(request, card, known)
    found = in_place.plan(request, card, known) if request.canvas == "source" else _on_canvas(request, card, known)
    options = EasyAnimateOptions.of(found)
    options.check_windows()
    camera.check(found, options.camera_lens)
    return _with_strength(found, request)


def _on_canvas(request: Request, card: Card, known: Sequence[Card]) -> Plan:
    resolve(request, card, known)  # the card's refusals, before any file is opened
    source = source_of(request)
    _check_inputs(request, source)
    changes: dict[str, Any] = {}
    first = _one(request, "image")
    shape = None
    if request.width is None and card.size.any_aspect:
        if first is not None:
            shape = inputs.picture(first.image).shape[:2]
        elif source is not None:
            clip = inputs.info(source.video)
            wide, tall = outpaint.outer_size(clip.width, clip.height, source.grow)
            shape = tall, wide
    if shape is not None:
        changes["width"], changes["height"] = card.size.like(shape[1], shape[0])
    for condition in (each for each in request.conditions if each.kind == "continue"):
        clip = in_place.continued(condition)
        if request.fps is None:
            changes.setdefault("fps", clip.fps)
    filled = request.changed(**changes) if changes else request
    found = _with_source(source, filled, card, known)
    kept = sum(each.frames for each in found.conditions if each.kind == "continue")
    if kept >= found.frames:
        raise RequestError(
            f"{kept} context frames leave nothing to generate in a clip of {found.frames} frames.",
            field="conditions.continue.frames", value=kept, legal=f"1 to {found.frames - 1}",
            nearest=min(5, found.frames - 1),
        )  # fmt: skip
    return found


def _with_source(source: Any, request: Request, card: Card, known: Sequence[Card]) -> Plan:
    """Resolve with the length and frame rate of the source. If parts of it are kept, the clip may be longer."""
    if source is None:
        return resolve(request, card, known)
    kept = _one(request, "mask") is not None or any(source.grow)
    if "mask" not in card.accepts or not kept:
        return from_source(source, request, card, known)
    given = inputs.info(source.video)
    changes: dict[str, Any] = {} if request.fps is not None else {"fps": given.fps}
    if request.frames is None and request.seconds is None:
        changes["frames"] = card.frames.at_most(given.num_frames)
    found = resolve(request.changed(**changes), card, known)
    if found.frames > given.num_frames and _with_strength(found, request).options["strength"] != 1.0:
        raise RequestError(
            f"The clip has {given.num_frames} frames, but {found.frames} are requested.", field="frames",
            value=found.frames, legal=f"{card.frames.minimum} to {given.num_frames}, or strength = 1",
            nearest=card.frames.at_most(given.num_frames),
        )  # fmt: skip
    return found


def _one(request: Any, kind: str) -> Any:
    return next((condition for condition in request.conditions if condition.kind == kind), None)


def _check_inputs(request: Request, source: Any) -> None:
    mask, control = _one(request, "mask"), _one(request, "control")
    if mask is not None and source is None:
        raise RequestError("A mask requires a source.", field="conditions", value="mask", legal="source and mask")
    if mask is not None and mask.follows:
        raise RequestError(
            "A mask that tracks an object requires editing the clip in place.", field="conditions.mask",
            value="follow", legal='canvas="source", or a mask clip from `kinema mask`',
        )  # fmt: skip
    if control is not None and _one(request, "trajectory") is not None:
        raise RequestError(
            "Paths are drawn as a control clip, so a request has paths or a control clip.", field="conditions",
            value="control and trajectory", legal="one of them",
        )  # fmt: skip
    if control is not None and control.video is None:
        raise RequestError(
            f"The {control.control} control has no clip.", field="conditions.control.video",
            value=None, legal="a control clip (from `kinema control`)",
        )  # fmt: skip


def _with_strength(found: Plan, request: Request) -> Plan:
    """The plan with the published strength for a source that is only a hint, unless the request has one."""
    source, mask = _one(found, "source"), _one(found, "mask")
    hint = source is not None and (mask is None or mask.fill == "source") and not any(source.grow)
    if not hint or "strength" in request.options or "strength" not in found.options:
        return found
    return found.model_copy(update={"options": found.options | {"strength": STRENGTH}})
