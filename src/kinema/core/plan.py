"""Plan: a request resolved against one card. Nothing is left open, everything is legal, no weights were needed.

`resolve` is the part that every family shares: it reads the card and refuses aloud. A family's own planning calls
it first and then adds what only it knows (the length of a source clip, say).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import Field, JsonValue, ValidationError, model_validator

from . import condition_rules
from .card import Card, Student
from .conditions import Condition, Fraction, Value
from .errors import RequestError
from .fields import refused
from .near import nearest
from .prompt import weight_notes
from .renamed import manifest_fields, plan_fields
from .request import MAX_STEPS, Canvas, Fit, Profile, Request, Seed
from .upscale import PIXEL_METHODS, Scale

V = TypeVar("V", bound=Value)
MAX_FRAMES = 10_000_000
"""Four days at 30 a second: a clip that is edited in place has the length that it has."""
Side = Annotated[int, Field(ge=1, le=16384)]
OutputSide = Annotated[int, Field(ge=0, le=16 * 16384)]


class Span(Value):
    """A window in time: pixel frames [start, stop) of the clip that are sampled together."""

    start: Annotated[int, Field(ge=-MAX_FRAMES, le=MAX_FRAMES)]
    stop: Annotated[int, Field(ge=-MAX_FRAMES, le=2 * MAX_FRAMES)]

    @property
    def num_frames(self) -> int:
        return self.stop - self.start


class Estimate(Value):
    """What the work is expected to cost on `device`: seconds, gigabytes of its memory, PFLOP of the denoiser.

    start: seconds before the work where nothing is loaded yet (imports, reading weights); they are not in `seconds`.
    measured: corrected by what such work took on this machine; False: by arithmetic alone.
    """

    device: str
    seconds: float
    gb: float
    pflop: float
    start: float = 0.0
    measured: bool = False


class PlannedStep(Value):
    """One step of an upscale. by: a pixel method, with its scale, or the model of `plan`, with 1."""

    by: Annotated[str, Field(min_length=1)]
    scale: Scale = 1
    plan: Plan | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> PlannedStep:
        if (self.by in PIXEL_METHODS) == (self.plan is not None):
            raise ValueError(f"a step by one of {', '.join(PIXEL_METHODS)}, or a plan of a model")
        return self


class Plan(Value):
    """Everything that decides the frames. With the hashes of weights and inputs it is the clip's manifest.

    `student`: an adapter in the model's folder that samples in the place of the model, in Euler steps from each of
    `sigmas` to the next and from the last to 0. Empty: the model itself, with its own scheduler.
    `spans`: windows in time that are sampled, in that order. With `canvas="source"`, `width` and `height` are those of
    the model's canvas, `output` (width, height) those of the clip, and a span may reach beyond its end. With
    `canvas="upscale"` the same, and that canvas is a tile of the output where it does not hold all of it.
    `upscale`: the steps that the finished clip goes through (with `canvas="upscale"`: its source, before the model).
    `outside`: what is asked for that the model has not learnt, in sentences.
    """

    model: str
    family: str
    prompt: str
    negative_prompt: str
    width: Side
    height: Side
    frames: Annotated[int, Field(ge=1, le=MAX_FRAMES)]
    fps: Annotated[float, Field(gt=0, le=1000)]
    seed: Seed
    steps: Annotated[int, Field(ge=1, le=1000)]
    guidance: Annotated[float, Field(ge=0, le=100)]
    guidance_interval: tuple[Fraction, Fraction]
    reuse: Annotated[int, Field(ge=1, le=1000)]
    low_precision: bool
    student: str = ""
    sigmas: Annotated[tuple[Fraction, ...], Field(max_length=1000)] = ()
    profile: Profile
    fit: Fit
    upscale: Annotated[tuple[PlannedStep, ...], Field(max_length=MAX_STEPS)] = ()
    canvas: Canvas = "model"
    output: tuple[OutputSide, OutputSide] = (0, 0)
    spans: Annotated[tuple[Span, ...], Field(max_length=MAX_FRAMES)]
    conditions: tuple[Condition, ...]
    options: dict[str, JsonValue]
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    estimate: Estimate | None = None

    @property
    def seconds(self) -> float:
        return self.frames / self.fps

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames that come out; plans of old clips do not name it."""
        whole = self.output if self.canvas != "model" and all(self.output) else None
        return whole or size_after((self.width, self.height), self.upscale)

    @property
    def by_model(self) -> tuple[Plan, ...]:
        """The plans of the steps of `upscale` that a model makes, in order."""
        return tuple(step.plan for step in self.upscale if step.plan is not None)

    def deciding(self) -> dict[str, Any]:
        """What of the plan decides the frames, as JSON: all but its cost and its remarks."""
        found = self.model_dump(mode="json", exclude={"estimate", "changes", "notes", "outside"})
        steps = [step.plan.deciding() if step.plan is not None else None for step in self.upscale]
        return found | {"upscale": [each | {"plan": plan} for each, plan in zip(found["upscale"], steps)]}

    @property
    def quality(self) -> str:
        """Of the file that is written: what is kept of a clip should come out as it went in."""
        return "best" if self.canvas == "source" else "good"

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, data: Any) -> Any:
        return plan_fields(data) if isinstance(data, dict) else data

    @classmethod
    def from_dict(cls, data: Any) -> Plan:
        """Read a saved plan; RequestError where it is not one."""
        return _read(cls, data, "plan")


def size_after(size: tuple[int, int], steps: Sequence[PlannedStep]) -> tuple[int, int]:
    """(width, height) of frames of `size` after the steps of an upscale."""
    for step in steps:
        size = step.plan.size if step.plan is not None else _times(size, step.scale)
    return size


def encoded(plan: Plan) -> dict[str, str]:
    """The texts that a run encodes, by what a note calls them; the negative one only where guidance runs."""
    guided = plan.guidance > 1.0 and plan.guidance_interval[1] > plan.guidance_interval[0]
    return {"prompt": plan.prompt} | ({"negative prompt": plan.negative_prompt} if guided else {})


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


def _times(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return round(size[0] * scale), round(size[1] * scale)


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


def _read(kind: type[V], data: Any, name: str) -> V:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise refused(error.errors(include_url=False), kind, f"Not a {name}: ") from None


class Manifest(Value):
    """What a clip is made of: its plan, the SHA-256 of weights and inputs, and the versions used. threads: of a
    CPU, on whose number the last bits of the frames depend; 0 where nobody noted it."""

    kinema: str
    plan: Plan
    weights: dict[str, str] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    device: str = ""
    threads: Annotated[int, Field(ge=0, le=65536)] = 0

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, data: Any) -> Any:
        return manifest_fields(data) if isinstance(data, dict) else data

    @classmethod
    def from_dict(cls, data: Any) -> Manifest:
        """Read a saved manifest; RequestError where it is not one."""
        return _read(cls, data, "manifest")
