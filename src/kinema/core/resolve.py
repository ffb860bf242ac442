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
from .request import Canvas, Request


def resolve(request: Request, card: Card, known: Sequence[Card] = ()) -> Plan:
    """The request against the card. Raises RequestError for what the model cannot do, naming what is legal, the
    nearest legal value, and which of the `known` cards can."""
    changes: list[str] = []
    check_canvas(request, card, known)
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
        notes.append(f"{width}x{height} is not a size these weights were trained on ({sizes}); expect less.")
    if frames > card.frames.trained:
        notes.append(f"{frames} frames are more than the {card.frames.trained} these weights were trained on.")
    negative = card.defaults.negative_prompt if request.negative_prompt is None else request.negative_prompt
    if request.negative_prompt is None and card.defaults.things and _wordless_removal(request):
        negative = card.defaults.things
        notes.append(f"No words say what is to be in the masked place, so things are kept out of it: {negative}.")
    notes.extend(weight_notes(request.prompt, negative))
    steps = request.steps or rule.steps or card.defaults.steps
    guidance = card.defaults.guidance if request.guidance is None else request.guidance
    interval, reuse = rule.guidance_interval, rule.reuse
    student = rule.student
    if student is not None and (other := _beside(request, student)):
        notes.append(f"{other} is not what the few-step student of {card.id} knows: the model itself is used.")
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


def _wordless_removal(request: Request) -> bool:
    """Is a place of a source hidden, and nothing said about it?"""
    kinds = {condition.kind for condition in request.conditions}
    hidden = any(c.kind == "mask" and not c.nothing and c.fill == "gray" for c in request.conditions)
    return not request.prompt.strip() and hidden and kinds <= {"source", "mask", "style"}


CANVASES: dict[Canvas, Callable[[Card], bool]] = {
    "model": lambda card: True,
    "source": lambda card: card.edits_in_place,
    "upscale": lambda card: card.begins_with_clip,
}
"""Which cards can make what a request's canvas asks for."""


def check_canvas(request: Request, card: Card, known: Sequence[Card] = ()) -> None:
    """RequestError where a card cannot make what the request's canvas asks for."""
    can = CANVASES[request.canvas]
    if not can(card):
        raise RequestError(
            f"{card.id} cannot make a clip with canvas = {request.canvas}.", field="canvas", value=request.canvas,
            legal=", ".join(name for name, able in CANVASES.items() if able(card)),
            models=[other.id for other in known if can(other)],
        )  # fmt: skip


def _beside(request: Request, student: Student) -> str:
    """What the request asks for that the student does not know, in words; empty where it can do what is asked."""
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
        f"{card.id} cannot make {width}x{height}.",
        field="size",
        value=f"{width}x{height}",
        legal=card.size.words(),
        nearest=f"{near[0]}x{near[1]}",
        models=[other.id for other in known if other.size.legal(width, height)],
    )


def _frames(request: Request, card: Card, known: Sequence[Card], fps: float, changes: list[str]) -> int:
    if request.seconds is not None:
        # A length in seconds is a wish on a grid: it takes the nearest count that the model can do.
        wanted = request.seconds * fps
        if wanted > card.frames.maximum + card.frames.step / 2:
            most = card.frames.nearest(card.frames.maximum)
            raise RequestError(
                f"{card.id} cannot make {request.seconds:g} seconds at {fps:g} fps in one clip.",
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
        f"{card.id} cannot make {request.frames} frames.",
        field="frames",
        value=request.frames,
        legal=card.frames.words(),
        nearest=near,
        models=[other.id for other in known if other.frames.legal(request.frames)],
    )
