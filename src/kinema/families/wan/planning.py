"""Planning for Wan: apply the card's rules, then the properties of the inputs. Reads headers of files; no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...conditions import camera, in_place, inputs, upscale
from ...conditions.source_clip import source_of
from ...core.card import Card
from ...core.conditions import Trajectory
from ...core.errors import RequestError
from ...core.plan import Plan
from ...core.request import Request
from ...core.resolve import resolve
from . import few_step, fun_layout, vocabulary
from .options import WanOptions


def plan(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """Resolve the request for a Wan model. Raises RequestError or MediaError before any weights are loaded."""
    if request.canvas == "source":
        found = in_place.plan(request, card, known)
    elif request.canvas == "upscale":
        found = upscale.plan(request, card, known)
    else:
        found = _on_model_canvas(request, card, known)
    found = _with_low_guidance(found, request)
    if found.student and Path(found.student).is_absolute():
        names = " and ".join(Path(file).name for file in few_step.paths(found.student, None))
        found = found.model_copy(update={"notes": (*found.notes, f"Four steps without guidance, by {names}.")})
    _check_layers(found, card)
    found = _check_skipped(found, card)
    WanOptions.of(found).check_windows()
    if WanOptions.of(found).unknown_words == "read":
        found = vocabulary.read_prompt(found, card)
    return found


def _on_model_canvas(request: Request, card: Card, known: Sequence[Card]) -> Plan:
    resolve(request, card, known)  # the card's refusals, before any file is opened
    source_of(request)
    filled = _fill_from_inputs(request, card)
    found = resolve(filled, card, known)
    _check_frame_numbers(found)
    _check_references(found, card)
    camera.check(found, WanOptions.of(found).camera_lens)
    if WanOptions.of(found).motion_words == "path":
        found = _motion_as_path(found)
    return found


def _with_low_guidance(found: Plan, request: Request) -> Plan:
    """The plan with the requested guidance for both experts, unless the request has another one for the second."""
    if "low_guidance" not in found.options or "low_guidance" in request.options:
        return found
    if request.guidance is None and not found.student:
        return found
    return found.model_copy(update={"options": found.options | {"low_guidance": found.guidance}})


def _one(request: Any, kind: str) -> Any:
    return next((condition for condition in request.conditions if condition.kind == kind), None)


def _fill_from_inputs(request: Request, card: Card) -> Request:
    """Set an unspecified duration, frame rate and size from the inputs: a source's duration, an image's aspect."""
    changes: dict[str, Any] = {}
    source, mask = _one(request, "source"), _one(request, "mask")
    if mask is not None and source is None:
        raise RequestError(
            "A mask requires a source.",
            field="conditions",
            value="mask",
            legal="source and mask",
        )
    if mask is not None and mask.follows:
        raise RequestError(
            "A mask that tracks an object requires editing the clip in place.",
            field="conditions.mask",
            value="follow",
            legal='canvas="source", or a mask clip from `kinema mask`',
        )
    drawn = _one(request, "control")
    if drawn is not None and drawn.video is None:
        raise RequestError(
            f"The {drawn.control} control has no clip.",
            field="conditions.control.video",
            legal='a control clip (from `kinema control`), or canvas="source", which derives it from the source',
        )
    open_length = request.frames is None and request.seconds is None
    clip = inputs.info(source.video) if source is not None else None
    if clip is not None:
        if open_length:
            changes["frames"] = card.frames.at_most(clip.num_frames)
        if request.fps is None:
            changes["fps"] = clip.fps
    for condition in (c for c in request.conditions if c.kind == "continue"):
        found = in_place.continued(condition)
        if request.fps is None:
            changes.setdefault("fps", found.fps)
    first = next((c for c in request.conditions if c.kind == "image" and c.at == "first"), None)
    shape = None
    if request.width is None and card.size.any_aspect:
        if first is not None:
            shape = inputs.picture(first.image).shape[:2]
        elif clip is not None:
            shape = clip.height, clip.width
    if shape is not None:
        rows, columns = shape
        changes["width"], changes["height"] = card.size.like(columns, rows)
    return request.changed(**changes) if changes else request


def _check_layers(plan: Plan, card: Card) -> None:
    scale = WanOptions.of(plan).conditioning_scale
    if len(scale) not in (1, card.network.hint_layers):
        raise RequestError(
            f"conditioning_scale has {len(scale)} numbers.",
            field="options.conditioning_scale",
            value=list(scale),
            legal=f"1 number, or {card.network.hint_layers} (one per VACE layer)",
        )


def _check_skipped(plan: Plan, card: Card) -> Plan:
    """Note blocks that the network does not have. RequestError if `skip_layers` is no list of numbers."""
    options = WanOptions.of(plan)
    layers = options.skip.layers
    if not re.fullmatch(r"[\d,;\s\[\]]*", options.skip_layers) or (options.skip_layers.strip() and not layers):
        raise RequestError(
            f"skip_layers = {options.skip_layers!r} is no list of blocks.", field="options.skip_layers",
            value=options.skip_layers, legal='numbers of blocks, as "7, 8, 9"',
        )  # fmt: skip
    beyond = sorted(layer for layer in layers if layer >= card.network.layers)
    if not beyond:
        return plan
    note = f"skip_layers: {', '.join(map(str, beyond))} have no effect; the network has {card.network.layers} blocks."
    return plan.model_copy(update={"notes": (*plan.notes, note)})


def _check_frame_numbers(plan: Plan) -> None:
    for index, condition in enumerate(plan.conditions):
        at = getattr(condition, "at", None)
        if isinstance(at, int) and at >= plan.frames:
            raise RequestError(
                f"Frame {at} is out of range for a clip of {plan.frames} frames.",
                field=f"conditions.{index}.at",
                value=at,
                legal=f"0 to {plan.frames - 1}",
                nearest=plan.frames - 1,
            )
    known = sum(condition.frames for condition in plan.conditions if condition.kind == "continue")
    if known >= plan.frames:
        raise RequestError(
            f"{known} context frames leave nothing to generate in a clip of {plan.frames} frames.",
            field="conditions.continue.frames",
            value=known,
            legal=f"1 to {plan.frames - 1}",
            nearest=min(5, plan.frames - 1),
        )


def _check_references(plan: Plan, card: Card) -> None:
    """A Fun model has one place for a reference picture."""
    images = [image for condition in plan.conditions if condition.kind == "reference" for image in condition.images]
    if fun_layout.is_fun(card.variant) and len(images) > 1:
        raise RequestError(
            f"{card.id} takes one reference picture, got {len(images)}.",
            field="conditions.reference", value=len(images), legal="one picture", nearest=1,
        )  # fmt: skip


def _motion_as_path(plan: Plan) -> Plan:
    """Convert the prompt's words for motion to drawn paths, one for each object, which the miniature follows better,
    and add a note. Applies only to plain prompts: the user's conditions are never overridden.
    """
    from ...toyland.palette import OBJECT_COLORS
    from ...toyland.understand import understand
    from ...toyland.worded_paths import worded_paths

    if plan.frames == 1 or any(condition.kind != "style" for condition in plan.conditions):
        return plan
    said = understand(plan.prompt)
    if not said.actors:
        return plan
    paths = worded_paths(said, plan.frames, fps=plan.fps, duration=plan.seconds, aspect=plan.width / plan.height)
    drawn = [
        Trajectory(
            points=tuple((round(float(x), 4), round(float(y), 4)) for x, y in path_F2.clip(0.0, 1.0)),
            object=" ".join(word for word in (actor.color, actor.kind) if word),
            color=OBJECT_COLORS.get(actor.color or "white"),
        )
        for actor, path_F2 in zip(said.actors, paths, strict=True)
    ]
    motions = [actor.motion for actor in said.actors if actor.motion]
    if said.camera not in (None, "still"):
        motions.append(f"camera {said.camera}")
    one = len(drawn) == 1
    words = f"The word{'s' * (len(motions) > 1)} for motion ({', '.join(motions)})" if motions else (
        "The resting object" if one else "The resting objects"
    )  # fmt: skip
    note = (
        f"{words} became {'a drawn path' if one else 'drawn paths'}, because the miniature follows paths better than "
        "words; --set motion_words=text uses only the words."
    )
    return plan.model_copy(update={"conditions": (*plan.conditions, *drawn), "notes": (*plan.notes, note)})
