"""The vocabulary of conditions: what a person may give besides words. One tagged union, the same everywhere.

Pictures and clips are named by a path, a `file:` URL or a `data:` URI (so that a request is plain JSON).
Positions are fractions of the frame: x to the right, y down, both in [0, 1]. Masks: 1 = generate, 0 = keep.
New kinds are added, none is renamed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema

from .strict import strict

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Media = Annotated[str, Field(min_length=1, description="path, file: URL or data: URI")]
Point = tuple[Fraction, Fraction]
Growth = Annotated[float, Field(ge=0.0, le=4.0)]
Box = tuple[Fraction, Fraction, Fraction, Fraction]
ControlKind = Literal["depth", "flow", "gray", "scribble", "edge", "pose", "layout"]
MaskShape = Literal["original", "original_expand", "hull", "hull_expand", "bbox", "bbox_expand"]
Tracker = Literal["auto", "opencv", "sam2"]
"""Who follows a thing: SAM 2 where its weights are here and else OpenCV, or the one that is named."""
MASK_WAYS = ("boxes", "track", "polygon", "image", "video", "click", "object", "everything", "nothing")
CameraMove = Literal[
    "still", "pan_left", "pan_right", "tilt_up", "tilt_down", "zoom_in", "zoom_out", "roll_left", "roll_right"
]


class Value(BaseModel):
    """A frozen plain value: unknown fields, NaN and infinity are refused, and so are true, false and text where a
    number is due (and all but text, or true and false, where those are)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return strict(handler(source))


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
    """A clip to edit. Alone it is a hint for everything; with a `Mask`, what is outside the mask is kept.

    `grow`: how much wider the frame becomes at its left, top, right and bottom, in fractions of the clip's own width
    and height; what is new there is generated (outpainting)."""

    kind: Literal["source"] = "source"
    video: Media
    grow: tuple[Growth, Growth, Growth, Growth] = (0.0, 0.0, 0.0, 0.0)


class Mask(Value):
    """Where to generate. Exactly one of: `boxes` (all frames), `track` (one box per frame; the last one stays),
    `polygon` (three corners or more, all frames), `image` (all frames), `video`, `click` (the thing at this point of
    the first frame, followed through the clip), `object` (the thing with this name, followed), `everything`,
    `nothing`. A box is (left, top, right, bottom) in fractions. `follow`: boxes, a polygon or an image say where a
    thing is in the first frame, and it is followed.

    `shape` then makes it coarser, frame by frame: its convex `hull`, the box around it (`bbox`), or as it is; with
    `_expand` grown by `ratio` of its size (conditions/mask_shape.py). A tight outline tells the model what stood there.
    `fill`: what the model is shown where it generates, mid-gray, which says nothing, or the source as a hint.
    `tracker`: who follows; planning settles which one `auto` is.
    """

    kind: Literal["mask"] = "mask"
    boxes: tuple[Box, ...] = ()
    track: tuple[Box, ...] = ()
    polygon: tuple[Point, ...] = ()
    image: Media | None = None
    video: Media | None = None
    everything: bool = False
    nothing: bool = False
    shape: MaskShape = "original"
    ratio: Fraction = 0.3
    click: Point | None = None
    object: Annotated[str, Field(max_length=200)] = ""
    follow: bool = False
    fill: Literal["gray", "source"] = "gray"
    tracker: Tracker = "auto"

    @property
    def follows(self) -> bool:
        """Does it have to be found in every frame of the source?"""
        return self.follow or self.click is not None or bool(self.object)

    @model_validator(mode="after")
    def _one_way(self) -> Mask:
        given = [name for name in MASK_WAYS if getattr(self, name) not in (None, (), "", False)]
        if len(given) != 1:
            raise ValueError(f"a mask takes exactly one of {', '.join(MASK_WAYS)}; given: {given or 'none'}")
        for left, top, right, bottom in (*self.boxes, *self.track):
            if left >= right or top >= bottom:
                raise ValueError(f"a box is (left, top, right, bottom), got {(left, top, right, bottom)}")
        if self.follow and not (self.boxes or self.polygon or self.image):
            raise ValueError(f"follow goes with boxes, polygon or image, not with {given[0]}")
        if self.polygon and len(set(self.polygon)) < 3:
            raise ValueError(f"a polygon has three different corners or more, got {len(set(self.polygon))}")
        return self


class Control(Value):
    """A clip that gives the structure: a depth, flow, gray, scribble, edge, pose or layout video. Without one, an edit
    in place draws it from its source (conditions/control.py)."""

    kind: Literal["control"] = "control"
    control: ControlKind
    video: Media | None = None


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
    """Go on from a clip: the output begins with its last `frames` frames, or, placed at the end, it leads up to the
    clip and ends with its first ones."""

    kind: Literal["continue"] = "continue"
    clip: Media
    frames: Annotated[int, Field(ge=1)] = 5
    place: Literal["start", "end"] = "start"


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

MEDIA_FIELDS = ("image", "images", "video", "clip", "track")
FILE_FIELDS = (*MEDIA_FIELDS, "adapter")
"""Fields of conditions that name pictures, clips and sound, and those that name any file."""


def feature(condition: Any) -> str:
    """The word by which a card says that it accepts a condition: its kind, with the place for images and the
    kind of control: `image:first`, `image:frame`, `control:depth`, `reference`, `continue:end`, ..."""
    if condition.kind == "image":
        return f"image:{condition.at if isinstance(condition.at, str) else 'frame'}"
    if condition.kind == "control":
        return f"control:{condition.control}"
    if condition.kind == "continue" and condition.place == "end":
        return "continue:end"
    return condition.kind
