"""Resolving a request against a card: the part of planning that all families share.

A family's own planning calls `resolve` first and then adds its own facts (the length of a source clip, for example).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from pydantic import JsonValue

from . import condition_rules
from .card import Card, Student
from .errors import RequestError
from .near import nearest
from .plan import Plan, Span
from .prompt import weight_notes
from .prompt_weights import weighted
from .request import Canvas, Request


def resolve(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """Resolve the request against the card. Raises RequestError for unsupported values, with the legal values, the
    nearest one, and those of the `known` cards that support the request."""
    changes: list[str] = []
    check_canvas(request, card, known)
    check_fill(request)
    condition_rules.check(request.conditions, card, known)
    rule = card.profiles[request.profile]
    options = _options(request, card, known)
    fps = request.fps or card.defaults.fps
    width, height = _size(request, card, known, changes)
    frames = _frames(request, card, known, fps, changes)
    condition_rules.check_pictures(request.conditions, frames)
    notes = []
    if (width, height) not in card.size.trained:
        sizes = ", ".join(f"{w}x{h}" for w, h in card.size.trained)
        notes.append(f"{width}x{height} is not a size the weights were trained on ({sizes}); quality may be lower.")
    if frames > card.frames.trained:
        notes.append(f"{frames} frames are more than the {card.frames.trained} that the weights were trained on.")
    negative = card.defaults.negative_prompt if request.negative_prompt is None else request.negative_prompt
    if request.negative_prompt is None and card.defaults.things and _is_removal(request):
        negative = card.defaults.things
        notes.append(f"{REMOVAL_NOTE} {negative}.")
    if options.get("prompt_weights", "off") == "off":
        notes.extend(weight_notes(request.prompt, negative))
    else:
        weighted(request.prompt + negative)
    steps = request.steps or rule.steps or card.defaults.steps
    guidance = card.defaults.guidance if request.guidance is None else request.guidance
    interval, reuse = rule.guidance_interval, rule.reuse
    student = rule.student
    if student is not None and (other := _unsupported(request, student)):
        notes.append(f"The few-step student of {card.id} does not support {other}: the model itself is used.")
        student = None
    if student is not None:
        steps, guidance, interval, reuse = student.steps, student.guidance, (0.0, 1.0), 1
        if "shift" in options:
            options["shift"] = student.shift
    return Plan(
        model=card.id,
        family=card.family,
        prompt=request.prompt,
        negative_prompt=negative,
        width=width,
        height=height,
        frames=frames,
        fps=fps,
        seed=secrets.randbelow(2**31) if request.seed is None else request.seed,
        steps=steps,
        guidance=guidance,
        guidance_interval=interval,
        reuse=reuse,
        low_precision=rule.low_precision,
        student=student.adapter if student is not None else "",
        sigmas=student.sigmas if student is not None else (),
        profile=request.profile,
        fit=request.fit,
        canvas=request.canvas,
        output=(width, height),
        spans=(Span(start=0, stop=frames),),
        conditions=request.conditions,
        options=options,
        changes=tuple(changes),
        notes=tuple(notes),
    )


REMOVAL_NOTE = "No prompt for the masked area, so objects are kept out by the negative prompt:"
"""The beginning of a note."""


def _is_removal(request: Request) -> bool:
    """Whether a masked area of a source is to be generated without a prompt."""
    kinds = {condition.kind for condition in request.conditions}
    hidden = any(c.kind == "mask" and not c.nothing and c.fill == "gray" for c in request.conditions)
    return not request.prompt.strip() and hidden and kinds <= {"source", "mask", "style"}


CANVASES: dict[Canvas, Callable[[Card], bool]] = {
    "model": lambda card: True,
    "source": lambda card: card.edits_in_place,
    "upscale": lambda card: card.begins_with_clip,
}
"""Whether a card supports a canvas."""


def check_fill(request: Request) -> None:
    """Raise RequestError for `fill` in a request that edits no clip in place."""
    if request.fill != "generate" and request.canvas != "source":
        raise RequestError(
            f"fill = {request.fill} requires an in-place edit.", field="fill", value=request.fill,
            legal='generate, or canvas = "source"',
        )  # fmt: skip


def check_canvas(request: Request, card: Card, known: Sequence[Card] = ()) -> None:
    """Raise RequestError if the card does not support the request's canvas."""
    can = CANVASES[request.canvas]
    if not can(card):
        raise RequestError(
            f"{card.id} does not support canvas = {request.canvas}.", field="canvas", value=request.canvas,
            legal=", ".join(name for name, able in CANVASES.items() if able(card)),
            models=[other.id for other in known if can(other)],
        )  # fmt: skip


def _unsupported(request: Request, student: Student) -> str:
    """The requested settings that the student does not support, in words; "" if none."""
    asked = (
        ("steps", request.steps, student.steps),
        ("guidance", request.guidance, student.guidance),
        ("shift", request.options.get("shift"), student.shift),
    )
    other = [f"{name} {wanted:g}" for name, wanted, known in asked if wanted is not None and wanted != known]
    return ", ".join(other)


def _options(request: Request, card: Card, known: Sequence[Card]) -> dict[str, JsonValue]:
    rule = card.profiles[request.profile]
    options = {name: option.default for name, option in card.options.items()} | rule.options
    for name, value in request.options.items():
        if name not in card.options:
            raise RequestError(
                f"{card.id} has no option {name!r}.",
                field=f"options.{name}",
                value=value,
                legal=f"{', '.join(sorted(card.options)) or 'no options'}; fields of a request: "
                + ", ".join(Request.model_fields),
                nearest=nearest(name, [*card.options, *Request.model_fields]),
                models=[other.id for other in known if name in other.options],
            )
        options[name] = card.options[name].check(name, value)
    return options


def _size(request: Request, card: Card, known: Sequence[Card], changes: list[str]) -> tuple[int, int]:
    if request.width is None or request.height is None:
        return card.size.trained[0]
    width, height = request.width, request.height
    if card.size.legal(width, height):
        return width, height
    near = card.size.nearest(width, height)
    if request.fit == "nearest":
        changes.append(f"size {width}x{height} -> {near[0]}x{near[1]}")
        return near
    raise RequestError(
        f"{card.id} cannot generate {width}x{height}.",
        field="size",
        value=f"{width}x{height}",
        legal=card.size.words(),
        nearest=f"{near[0]}x{near[1]}",
        models=[other.id for other in known if other.size.legal(width, height)],
    )


def _frames(request: Request, card: Card, known: Sequence[Card], fps: float, changes: list[str]) -> int:
    if request.seconds is not None:
        # A duration in seconds is rounded to the nearest legal frame count.
        wanted = request.seconds * fps
        if wanted > card.frames.maximum + card.frames.step / 2:
            most = card.frames.nearest(card.frames.maximum)
            raise RequestError(
                f"{card.id} cannot generate {request.seconds:g} seconds at {fps:g} fps in one clip.",
                field="seconds",
                value=request.seconds,
                legal=f"{card.frames.words()}, that is up to {most / fps:.2f} s",
                nearest=round(most / fps, 3),
                models=[other.id for other in known if wanted <= other.frames.maximum],
            )
        count = card.frames.nearest(wanted)
        if abs(count - wanted) > 0.5:
            changes.append(f"seconds {request.seconds:g} -> {count / fps:.3f} ({count} frames at {fps:g} fps)")
        return count
    if request.frames is None:
        return card.frames.trained
    if card.frames.legal(request.frames):
        return request.frames
    near = card.frames.nearest(request.frames)
    if request.fit == "nearest":
        changes.append(f"frames {request.frames} -> {near}")
        return near
    raise RequestError(
        f"{card.id} cannot generate {request.frames} frames.",
        field="frames",
        value=request.frames,
        legal=card.frames.words(),
        nearest=near,
        models=[other.id for other in known if other.frames.legal(request.frames)],
    )
