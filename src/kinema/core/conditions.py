"""The vocabulary of conditions: what a person may give besides words. One tagged union, the same everywhere.

Pictures and clips are named by a path, a `file:` URL or a `data:` URI (so that a request is plain JSON).
Positions are fractions of the frame: x to the right, y down, both in [0, 1]. Masks: 1 = generate, 0 = keep.
New kinds are added, none is renamed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Media = Annotated[str, Field(min_length=1, description="path, file: URL or data: URI")]
Point = tuple[Fraction, Fraction]
Box = tuple[Fraction, Fraction, Fraction, Fraction]
ControlKind = Literal["depth", "flow", "gray", "scribble", "edge", "pose", "layout"]
CameraMove = Literal[
    "still", "pan_left", "pan_right", "tilt_up", "tilt_down", "zoom_in", "zoom_out", "roll_left", "roll_right"
]


class Value(BaseModel):
    """A frozen plain value: unknown fields, NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Image(Value):
    """A picture that one frame of the clip must be: the first, the last, or frame number `at` (0-based)."""

    kind: Literal["image"] = "image"
    image: Media
    at: Literal["first", "last"] | Annotated[int, Field(ge=0)] = "first"


class Reference(Value):
    """Pictures of things that should appear, anywhere, in the clip. Order is kept."""

    kind: Literal["reference"] = "reference"
    images: Annotated[tuple[Media, ...], Field(min_length=1)]


class Source(Value):
    """A clip to edit. Alone it is a hint for everything; with a `Mask`, what is outside the mask is kept."""

    kind: Literal["source"] = "source"
    video: Media


class Mask(Value):
    """Where to generate. Exactly one of: `boxes` (all frames), `track` (one box per frame; the last one stays),
    `image` (all frames), `video`, `everything`, `nothing`. A box is (left, top, right, bottom) in fractions."""

    kind: Literal["mask"] = "mask"
    boxes: tuple[Box, ...] = ()
    track: tuple[Box, ...] = ()
    image: Media | None = None
    video: Media | None = None
    everything: bool = False
    nothing: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Mask:
        given = [name for name in type(self).model_fields if name != "kind" and getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                f"a mask takes exactly one of boxes, track, image, video, everything, nothing; given: {given or 'none'}"
            )
        for left, top, right, bottom in (*self.boxes, *self.track):
            if left >= right or top >= bottom:
                raise ValueError(f"a box is (left, top, right, bottom), got {(left, top, right, bottom)}")
        return self


class Control(Value):
    """A clip that gives the structure: a depth, flow, gray, scribble, edge, pose or layout video."""

    kind: Literal["control"] = "control"
    control: ControlKind
    video: Media


class Trajectory(Value):
    """A drawn path that an object follows: two points or more, evenly spaced in time from first to last frame.

    `object` says which one, in words; `color` (RGB, 0..255) is that of the drawn dot where a model reads colour.
    """

    kind: Literal["trajectory"] = "trajectory"
    points: Annotated[tuple[Point, ...], Field(min_length=2)]
    object: str = ""
    color: tuple[int, int, int] | None = None

    @model_validator(mode="after")
    def _color_in_range(self) -> Trajectory:
        if self.color is not None and not all(0 <= part <= 255 for part in self.color):
            raise ValueError(f"color is three numbers 0..255, got {self.color}")
        return self


class Camera(Value):
    """A camera move; `amount` 1.0 is the ordinary strength."""

    kind: Literal["camera"] = "camera"
    move: CameraMove
    amount: Annotated[float, Field(gt=0.0, le=4.0)] = 1.0


class Continue(Value):
    """Go on from the last `frames` frames of a clip; the output begins with them."""

    kind: Literal["continue"] = "continue"
    clip: Media
    frames: Annotated[int, Field(ge=1)] = 5


class Style(Value):
    """An adapter (LoRA file, folder or name) and its weight."""

    kind: Literal["style"] = "style"
    adapter: str = Field(min_length=1)
    weight: Annotated[float, Field(ge=-4.0, le=4.0)] = 1.0


class Audio(Value):
    """A sound track that the clip is given or follows."""

    kind: Literal["audio"] = "audio"
    track: Media


Condition = Annotated[
    Image | Reference | Source | Mask | Control | Trajectory | Camera | Continue | Style | Audio,
    Field(discriminator="kind"),
]

KINDS: tuple[str, ...] = (
    "image", "reference", "source", "mask", "control", "trajectory", "camera", "continue", "style", "audio",
)  # fmt: skip


def feature(condition: Any) -> str:
    """The word by which a card says that it accepts a condition: its kind, with the place for images and the
    kind of control: `image:first`, `image:frame`, `control:depth`, `reference`, ..."""
    if condition.kind == "image":
        return f"image:{condition.at if isinstance(condition.at, str) else 'frame'}"
    if condition.kind == "control":
        return f"control:{condition.control}"
    return condition.kind
