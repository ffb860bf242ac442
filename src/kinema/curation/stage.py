"""The contract of curation: a CutClip is a part of a source file, a ClipStage measures it, a row of the table holds the
figures of all stages.

Legend: F frames, H W height and width, C channels.

A new stage is a file in stages/ and a line in table_of_stages.py. `measure` is called once per clip, in any process and
in any order, and must return the same values for the same clip: it keeps nothing from one clip to the next. What
depends on several clips (duplicates) is computed afterwards from the rows alone, by `across`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from .reading import CodecFrame, FileSpan, FrameRequest, read_codec_frames, read_frames

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["float", "int", "text", "list"]
WRITTEN = "caption_written"
"""The column of a caption that a stage writes: it is the clip's caption where that has none of its own."""


@dataclass(frozen=True)
class CutClip:
    """A part of a source file, without pixels. start, stop: half-open frames of the file at `fps`. id: the relative
    path with / and the span, the same in every run. caption: from the .txt beside the file or the folder's metadata."""

    source: Path
    start: int
    stop: int
    fps: float
    width: int
    height: int
    caption: str | None
    id: str

    @property
    def span(self) -> FileSpan:
        return FileSpan(self.source, self.start, self.stop, self.fps)

    @property
    def num_frames(self) -> int:
        return self.stop - self.start

    @property
    def seconds(self) -> float:
        return self.num_frames / self.fps

    def frames(self, *, most: int, side_px: int | None = None, fps: float | None = None) -> np.ndarray:
        """Read frames, uint8 RGB (F, H, W, 3), as a FrameRequest describes; at least one. Frames that a stage announces
        in its `reads` are decoded together with those of the other stages, in one pass. Raises MediaError."""
        return read_frames(self.span, FrameRequest(most, side_px, fps))

    def packets(self) -> Iterator[CodecFrame]:
        """The clip's frames as the codec describes them: number within the clip, kind (I, P, B) and motion vectors.
        Pixels are not converted. A stage whose `reads_vectors` is True shares the decoding pass of the frames. Raises
        MediaError."""
        return read_codec_frames(self.span)


@dataclass(frozen=True)
class Column:
    """A column of the table. title: for people, in the report. unit: "" for a bare number."""

    name: str
    kind: Kind
    title: str
    unit: str = ""


@dataclass(frozen=True)
class CurationSettings:
    """What stages are made from. device: for networks. options: NAME=VALUE of `kinema curate --set-stage`, by
    "stage.option"."""

    device: str = "cpu"
    options: Mapping[str, str] = field(default_factory=dict)

    def option(self, stage: str, name: str, default: str = "") -> str:
        return self.options.get(f"{stage}.{name}", default)


class ClipStage(Protocol):
    """A measurement of clips.

    version: raised when the values change; rows of another version are computed again. Optional attributes: `reads`, a
    tuple of FrameRequests that `measure` will ask for; `reads_vectors`, whether it calls `packets`; `gpus`, the number
    (or share) of GPUs a worker needs.
    """

    name: str
    version: int
    columns: tuple[Column, ...]

    def open(self) -> None:
        """Load models, once per worker. A RequestError names a missing extra or weights, before any work."""

    def measure(self, clip: CutClip) -> dict[str, Any]:
        """Values of the columns; None where there is no figure. A KinemaError becomes a row with that reason."""


@runtime_checkable
class AcrossClips(Protocol):
    """A ClipStage with a second pass over the rows of all clips."""

    fills: tuple[str, ...]
    """The columns that `across` fills; `measure` leaves them out."""

    def across(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
        """From the rows (`id` and the stage's columns) in the order of the table, yield (id, values of the columns in
        `fills`) for the clips that have any. Pure: no pixels, no models."""
