"""Plan: a request resolved against one card (core/resolve.py). Every field is set and legal; requires no weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, JsonValue, ValidationError, model_validator

from .conditions import Condition, Fraction, Value
from .fields import refused
from .renamed import manifest_fields, plan_fields
from .request import MAX_STEPS, Canvas, Fit, Profile, Seed
from .upscale import FRAME_METHODS, Scale

V = TypeVar("V", bound=Value)
MAX_FRAMES = 10_000_000
SAID = {"estimate", "changes", "notes", "outside", "sources", "masked", "aligned"}
"""Fields of a plan that do not determine the frames."""
"""Four days at 30 fps: an in-place edit keeps the length of its clip."""
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
    """The estimated cost on `device`: seconds, gigabytes of its memory, PFLOP of the denoiser.

    start: seconds for imports and loading weights, not included in `seconds`. measured: corrected by measurements of
    similar work on this machine; False: by arithmetic alone. way: how the weights are placed on a GPU of this machine
    (engine/placement.py); ram_gb: those that wait in the CPU's memory.
    """

    device: str
    seconds: float
    gb: float
    pflop: float
    start: float = 0.0
    measured: bool = False
    way: str = ""
    ram_gb: float = 0.0


class PlannedStep(Value):
    """One upscale step. by: a pixel method or `network`, with its scale, or the model of `plan`, with scale 1."""

    by: Annotated[str, Field(min_length=1)]
    scale: Scale = 1
    plan: Plan | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> PlannedStep:
        if (self.by in FRAME_METHODS) == (self.plan is not None):
            raise ValueError(f"a step takes one of {', '.join(FRAME_METHODS)}, or a model's plan")
        return self


class Plan(Value):
    """Everything that determines the frames. With the hashes of weights and inputs it is the clip's manifest.

    `student`: an adapter in the model's folder that samples instead of the model, in Euler steps from each of `sigmas`
    to the next and from the last to 0. Empty: the model itself, with its own scheduler.
    `spans`: the windows in time, in sampling order. With `canvas="source"`, `width` and `height` are those of the
    model's canvas, `output` (width, height) is the size of the clip, and a span may extend beyond its end. The same
    with `canvas="upscale"`, where the canvas may be a tile of the output.
    `upscale`: steps applied to the finished clip (with `canvas="upscale"`: to its source, before the model).
    `fill`: the source of the pixels in the masked area, as in a request, with `auto` resolved. `sources`: the expected
    fractions of that area, from a survey of the clip: `propagated`, `patched`, `generated` (without a
    model: `unchanged`). `masked`: the fraction of the clip's pixels that the area covers, from the same survey.
    `aligned`: the fraction of alignments of other frames, from the same survey, that have to be finer than the camera's
    motion, and therefore take longer: 0 for a static camera.
    `outside`: warnings about inputs outside the model's domain.
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
    fill: Literal["generate", "propagate", "both"] = "generate"
    output: tuple[OutputSide, OutputSide] = (0, 0)
    spans: Annotated[tuple[Span, ...], Field(max_length=MAX_FRAMES)]
    conditions: tuple[Condition, ...]
    options: dict[str, JsonValue]
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    sources: dict[str, Fraction] = Field(default_factory=dict)
    masked: Fraction = 0.0
    aligned: Fraction = 1.0
    estimate: Estimate | None = None

    @property
    def seconds(self) -> float:
        return self.frames / self.fps

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the output frames; plans of old clips have no `output`."""
        whole = self.output if self.canvas != "model" and all(self.output) else None
        return whole or size_after((self.width, self.height), self.upscale)

    @property
    def uses_model(self) -> bool:
        """Whether a model runs."""
        return self.fill != "propagate"

    @property
    def by_model(self) -> tuple[Plan, ...]:
        """The plans of the steps of `upscale` by models, in order."""
        return tuple(step.plan for step in self.upscale if step.plan is not None)

    def deciding(self) -> dict[str, Any]:
        """The fields that determine the frames, as JSON: all except SAID."""
        found = self.model_dump(mode="json", exclude=SAID)
        steps = [step.plan.deciding() if step.plan is not None else None for step in self.upscale]
        if self.fill == "generate":  # states of before this field stay valid
            del found["fill"]
        return found | {"upscale": [each | {"plan": plan} for each, plan in zip(found["upscale"], steps)]}

    def ran_model(self, has_weights: bool) -> bool:
        """Whether a model ran. has_weights: whether the finished clip has digests of weights: with "both", only a clip
        that had something left to generate."""
        return self.uses_model and (self.fill != "both" or has_weights)

    def result(
        self, described: dict[str, Any], *, seconds: float, device: str, found: dict[str, Any]
    ) -> dict[str, Any]:  # fmt: skip
        """What is printed about the finished clip (`--json`) and stored with its job, whoever generated it. described:
        the plan in its manifest. found: what the run found out."""
        width, height = self.size
        estimate = self.estimate.model_dump() if self.estimate is not None else None
        return {
            "width": width, "height": height, "frames": self.frames, "fps": self.fps, "seconds": round(seconds, 3),
            "device": device, **found, "plan": described | {"estimate": estimate},
        }  # fmt: skip

    @property
    def quality(self) -> str:
        """Default quality of the written file; in-place edits should preserve the source."""
        return "best" if self.canvas == "source" else "good"

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, data: Any) -> Any:
        return plan_fields(data) if isinstance(data, dict) else data

    @classmethod
    def from_dict(cls, data: Any) -> Plan:
        """Parse a saved plan. Raises RequestError if it is not valid."""
        return _read(cls, data, "plan")


def size_after(size: tuple[int, int], steps: Sequence[PlannedStep]) -> tuple[int, int]:
    """(width, height) of frames of `size` after upscale steps."""
    for step in steps:
        size = step.plan.size if step.plan is not None else _times(size, step.scale)
    return size


def encoded(plan: Plan) -> dict[str, str]:
    """The texts that a run encodes, by their names in notes; the negative prompt only if guidance runs."""
    guided = plan.guidance > 1.0 and plan.guidance_interval[1] > plan.guidance_interval[0]
    return {"prompt": plan.prompt} | ({"negative prompt": plan.negative_prompt} if guided else {})


class Manifest(Value):
    """The origin of a clip: its plan, the SHA-256 of weights and inputs, and the versions used. threads: number of CPU
    threads, which affects the last bits of the frames; 0 if unknown.

    filled: the fractions of the masked area of a fill by source, as in `Plan.sources`, counted as the clip was made.
    moving: the fraction where something moves behind the area, so that other frames do not fit. lost, unsure: frames in
    which a tracked object is out of sight, and in which the tracker is unsure of it.
    """

    kinema: str
    plan: Plan
    weights: dict[str, str] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    device: str = ""
    threads: Annotated[int, Field(ge=0, le=65536)] = 0
    filled: dict[str, Fraction] = Field(default_factory=dict)
    moving: Fraction = 0.0
    lost: tuple[Span, ...] = ()
    unsure: tuple[Span, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_before(cls, data: Any) -> Any:
        return manifest_fields(data) if isinstance(data, dict) else data

    @classmethod
    def from_dict(cls, data: Any) -> Manifest:
        """Parse a saved manifest. Raises RequestError if it is not valid."""
        return _read(cls, data, "manifest")


def _times(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return round(size[0] * scale), round(size[1] * scale)


def _read(kind: type[V], data: Any, name: str) -> V:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise refused(error.errors(include_url=False), kind, f"Not a {name}: ") from None
