"""Conditions: the inputs of a request besides its prompt. One tagged union, the same everywhere.

Pictures and clips are named by a path, a `file:` URL or a `data:` URI (so that a request is plain JSON).
Positions are fractions of the frame: x to the right, y down, both in [0, 1] (those of a path may lie a little outside).
Masks: 1 = generate, 0 = keep.
New kinds are added, none is renamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema

from .strict import strict

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Media = Annotated[str, Field(min_length=1, description="path, file: URL or data: URI")]
Point = tuple[Fraction, Fraction]
Along = Annotated[float, Field(ge=-0.5, le=1.5)]
PathPoint = tuple[Along, Along]
"""A point of a path, which may lie up to half a frame outside the frame."""
MAX_PATH_POINTS = 200_000
Growth = Annotated[float, Field(ge=0.0, le=4.0)]
Box = tuple[Fraction, Fraction, Fraction, Fraction]
ControlKind = Literal["depth", "flow", "gray", "scribble", "edge", "pose", "layout"]
MaskShape = Literal["original", "original_expand", "hull", "hull_expand", "bbox", "bbox_expand"]
Tracker = Literal["auto", "opencv", "sam2"]
"""The tracker of an object. auto: SAM 2 if its weights are on this machine, else OpenCV."""
MASK_KINDS = ("boxes", "track", "polygon", "image", "video", "click", "object", "everything", "nothing")
CameraMove = Literal[
    "still", "pan_left", "pan_right", "tilt_up", "tilt_down", "zoom_in", "zoom_out", "roll_left", "roll_right"
]


class Value(BaseModel):
    """A frozen plain value. Unknown fields, NaN and infinity are refused; numbers, booleans and text are not converted
    into each other."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return strict(handler(source))


class Image(Value):
    """A picture to use as one frame of the clip: the first, the last, or frame number `at` (0-based).

    `seen`: another picture for the model's image encoder, which describes the picture to the denoiser; for example the
    whole one where `image` is cropped. Without it, the encoder receives the frame."""

    kind: Literal["image"] = "image"
    image: Media
    at: Literal["first", "last"] | Annotated[int, Field(ge=0)] = "first"
    seen: Media | None = None

    @model_serializer(mode="wrap")
    def _without_unset_seen(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `seen`, a picture is written as before it existed, so that sampling states stay valid."""
        found: dict[str, Any] = handler(self)
        if self.seen is None:
            found.pop("seen", None)
        return found


class Reference(Value):
    """Reference images of objects that should appear in the clip. Order is kept."""

    kind: Literal["reference"] = "reference"
    images: Annotated[tuple[Media, ...], Field(min_length=1)]


class Source(Value):
    """A clip to edit. Without a `Mask` all of it is a hint; with one, the area outside the mask is kept.

    `grow`: outpainting at the left, top, right and bottom, as fractions of the clip's width and height."""

    kind: Literal["source"] = "source"
    video: Media
    grow: tuple[Growth, Growth, Growth, Growth] = (0.0, 0.0, 0.0, 0.0)


class Mask(Value):
    """The area to generate. Exactly one of: `boxes` (all frames), `track` (one box per frame; the last one stays),
    `polygon` (three corners or more, all frames), `image` (all frames), `video`, `click` (the object at this point of
    the first frame, tracked), `object` (the object with this name, tracked), `everything`, `nothing`. A box is (left,
    top, right, bottom) in fractions. `follow`: boxes, a polygon or an image mark an object in the first frame, which is
    then tracked.

    `shape` makes the mask coarser, frame by frame: `original`, its convex `hull`, or its bounding box (`bbox`); with
    `_expand` grown by `ratio` of its size (conditions/mask_shape.py). A tight outline reveals the removed object to the
    model. `fill`: the model's input in the area to generate: mid-gray (no hint), or the source as a hint.
    `tracker`: the tracker to use; planning resolves `auto`. `shadow`: also the shadow or reflection of the object,
    found where the clip differs from its own background next to the mask; requires another `fill` of the request than
    `generate`.
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
    shadow: bool = False

    @property
    def follows(self) -> bool:
        """Whether an object has to be tracked through the source."""
        return self.follow or self.click is not None or bool(self.object)

    @model_validator(mode="after")
    def _one_kind(self) -> Mask:
        given = [name for name in MASK_KINDS if getattr(self, name) not in (None, (), "", False)]
        if len(given) != 1:
            raise ValueError(f"a mask takes exactly one of {', '.join(MASK_KINDS)}; got {given or 'none'}")
        for left, top, right, bottom in (*self.boxes, *self.track):
            if left >= right or top >= bottom:
                raise ValueError(f"a box is (left, top, right, bottom), got {(left, top, right, bottom)}")
        if self.follow and not (self.boxes or self.polygon or self.image):
            raise ValueError(f"follow requires boxes, polygon or image, got {given[0]}")
        if self.polygon and len(set(self.polygon)) < 3:
            raise ValueError(f"a polygon needs three or more different corners, got {len(set(self.polygon))}")
        return self


class Control(Value):
    """A control video: depth, flow, gray, scribble, edge, pose or layout. Without `video`, an in-place edit computes it
    from its source (conditions/control.py)."""

    kind: Literal["control"] = "control"
    control: ControlKind
    video: Media | None = None


class Trajectory(Value):
    """The path of one object, from the first to the last frame; one condition for each object.

    `points`: two or more. Outside the frame (by half a frame at most) the object stays at the nearest point of the edge
    (conditions/trajectory.py). `times`: when the object is at each point, in fractions of the clip's duration, each
    above the one before; it rests at the first point before the first time, and at the last point after the last time.
    Without times, the points are evenly spaced in time from the first to the last frame. Repeated points are pauses.
    `object` names the object in words; `color` (RGB, 0..255) is the colour of the drawn dot, for models that read it.
    """

    kind: Literal["trajectory"] = "trajectory"
    points: Annotated[tuple[PathPoint, ...], Field(min_length=2, max_length=MAX_PATH_POINTS)]
    times: tuple[Fraction, ...] = ()
    object: str = ""
    color: tuple[int, int, int] | None = None

    @model_validator(mode="after")
    def _legal(self) -> Trajectory:
        if self.color is not None and not all(0 <= part <= 255 for part in self.color):
            raise ValueError(f"color is three numbers 0..255, got {self.color}")
        if self.times and len(self.times) != len(self.points):
            raise ValueError(f"a path has one time per point, got {len(self.times)} times, {len(self.points)} points")
        for index, (before, after) in enumerate(zip(self.times, self.times[1:])):
            if after <= before:
                raise ValueError(
                    f"times increase from point to point; times[{index + 1}] = {after:g} follows {before:g}"
                )
        return self

    @model_serializer(mode="wrap")
    def _without_unset_times(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without times, a path is written as before they existed, so that sampling states stay valid."""
        found: dict[str, Any] = handler(self)
        if not self.times:
            found.pop("times", None)
        return found


CameraPose = Annotated[tuple[float, ...], Field(min_length=16, max_length=16)]
"""Focal lengths and centre of a camera (fx, fy, cx, cy) in fractions of a 16:9 frame, then the rows of the 3x4 matrix
that maps the world to the camera: x right, y down, z into the picture."""
MAX_CAMERA_POSES = 10_000


class Camera(Value):
    """A camera move; `amount` 1.0 is the default strength. Or `poses`: one for each frame, in place of a move
    (conditions/pose_file.py reads a file)."""

    kind: Literal["camera"] = "camera"
    move: CameraMove = "still"
    amount: Annotated[float, Field(gt=0.0, le=4.0)] = 1.0
    poses: Annotated[tuple[CameraPose, ...], Field(max_length=MAX_CAMERA_POSES)] = ()

    @model_validator(mode="after")
    def _legal(self) -> Camera:
        if self.poses and (self.move != "still" or self.amount != 1.0):
            raise ValueError("a camera has a move and its amount, or poses")
        for index, pose in enumerate(self.poses):
            if not (pose[0] > 0 and pose[1] > 0 and is_rotation((pose[4:7], pose[8:11], pose[12:15]))):
                raise ValueError(
                    f"poses[{index}] is no camera; legal: focal lengths above 0, the centre, and three rows of a "
                    "rotation, each followed by a shift"
                )
        return self

    @model_serializer(mode="wrap")
    def _without_unset_poses(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without poses, a camera is written as before they existed, so that sampling states stay valid."""
        found: dict[str, Any] = handler(self)
        if not self.poses:
            found.pop("poses", None)
        return found


def is_rotation(rows: Sequence[Sequence[float]]) -> bool:
    """Whether three rows of three numbers are a rotation, up to the rounding of files."""
    products = [[sum(a * b for a, b in zip(one, two)) for two in rows] for one in rows]
    square = all(abs(products[i][j] - (i == j)) < 0.02 for i in range(3) for j in range(3))
    (a, b, c), (d, e, f), (g, h, i) = rows
    return square and a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g) > 0


class Continue(Value):
    """Continue a clip: the output begins with its last `frames` frames; with place="end" it ends with its first
    ones."""

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
    """A sound track to add to the clip or to drive it."""

    kind: Literal["audio"] = "audio"
    track: Media


Condition = Annotated[
    Image | Reference | Source | Mask | Control | Trajectory | Camera | Continue | Style | Audio,
    Field(discriminator="kind"),
]

KINDS: tuple[str, ...] = (
    "image", "reference", "source", "mask", "control", "trajectory", "camera", "continue", "style", "audio",
)  # fmt: skip

SEEN = "image:seen"
"""In `Card.accepts`: a picture may have another one for the image encoder."""
MEDIA_FIELDS = ("image", "seen", "images", "video", "clip", "track")
FILE_FIELDS = (*MEDIA_FIELDS, "adapter")
"""Fields of conditions that name pictures, clips and sound; and those that name any file."""


def feature(condition: Any) -> str:
    """The name under which a card lists a condition as accepted: its kind, with the place of an image or the kind of a
    control: `image:first`, `image:frame`, `control:depth`, `reference`, `continue:end`, ..."""
    if condition.kind == "image":
        return f"image:{condition.at if isinstance(condition.at, str) else 'frame'}"
    if condition.kind == "control":
        return f"control:{condition.control}"
    if condition.kind == "continue" and condition.place == "end":
        return "continue:end"
    if condition.kind == "camera" and condition.poses:
        return "camera:poses"
    return condition.kind
