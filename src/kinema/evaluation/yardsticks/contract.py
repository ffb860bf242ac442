"""What a yardstick is: the values that it receives and returns.

A yardstick reads each clip once (`measure`), in any process and order, and keeps a small row of it. The figure follows
from the rows alone (`score`), in the order of the clips' names: so one or several workers give the same bytes, a
killed run continues at the clip, and memory does not grow with the number of frames. Legend: F frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np

MOST_FRAMES = 300
"""Frames of a clip that are read, from its first."""

Row = dict[str, "np.ndarray"]
"""What a yardstick keeps of one clip: named arrays of numbers, small. No objects, so that rows are read safely."""


@dataclass(frozen=True)
class ClipFile:
    """A clip of a set, without its pixels. name: its path in the set without the suffix, the key of pairs. caption: the
    words that it was made from, from its manifest or a text file. manifest: None if it has none."""

    name: str
    path: Path
    caption: str | None = None
    manifest: dict[str, Any] | None = None

    @property
    def shown(self) -> str:
        """The name with the suffix of the file, for messages."""
        return self.name + self.path.suffix


@dataclass(frozen=True)
class SetClip:
    """A clip that has been read. frames_FHWC: uint8 RGB, at most MOST_FRAMES. partner: the clip of the same name in the
    other set; only for yardsticks of pairs."""

    file: ClipFile
    frames_FHWC: np.ndarray
    fps: float
    partner: SetClip | None = None


@dataclass(frozen=True)
class Score:
    """A figure. value: None if it could not be measured; facts["why"] says why. low, high: 95 % interval of a bootstrap
    over clips. per_clip: the figure of each row, in their order (nan: not measured); None for figures of a set."""

    value: float | None
    low: float | None
    high: float | None
    unit: str
    per_clip: tuple[float, ...] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class YardstickSettings:
    """The choices for all yardsticks. features: a video encoder (`features/video_encoder.py`). pictures: an
    encoder of text and pictures (`features/text_and_pictures.py`). protocol: a named protocol of the Frechet video
    distance. tracker: how the objects of drawn paths are found. None: the yardstick's default."""

    device: str | None = None
    features: str | None = None
    pictures: str | None = None
    protocol: str | None = None
    tracker: str | None = None


class Yardstick(Protocol):
    """One figure. against: "no" (of a set alone), "set" (against another set), "pairs" (against the clip of the same
    name in another set). better: the direction of a better clip."""

    name: str
    title: str
    unit: str
    better: Literal["lower", "higher", "neither"]
    against: Literal["no", "set", "pairs"]

    def protocol(self) -> dict[str, Any]:
        """Everything that changes the figure, as plain JSON: frames, fps, resize, crop, covariance, backbone, digest of
        the weights. Rows are kept under it."""

    def check(self, clips: Sequence[ClipFile], against: Sequence[ClipFile]) -> None:
        """Raise RequestError for sets that it cannot measure, before any frame is read."""

    def measure(self, clip: SetClip) -> Row:
        """Return what is kept of one clip. Also called for the clips of the other set if `against` is "set". Raises
        MediaError for a clip that it cannot measure, such as one with too few frames: the others are measured."""

    def score(self, rows: Sequence[Row], against: Sequence[Row]) -> Score:
        """Return the figure of the rows, which are in the order of the clips' names."""
