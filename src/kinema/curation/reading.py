"""Read the frames of a clip for all stages in one decoding pass.

Legend: F frames, H W height and width.

A process holds the frames of one clip (`_held`) and the index of a few files: measurements of a clip are consecutive in
a worker. Memory is bounded by what the stages of one clip ask for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ..core.errors import MediaError
from ..media.open import reading, sniff

if TYPE_CHECKING:
    from ..media.decode_video import VideoClip

_VECTORS = np.dtype(
    [("source", "i1"), ("w", "u1"), ("h", "u1"), ("dst_x", "i2"), ("dst_y", "i2")]
    + [("motion_x", "i4"), ("motion_y", "i4"), ("motion_scale", "u2")]
)
VECTOR_FIELDS = _VECTORS.names or ()
_KINDS = {1: "I", 2: "P", 3: "B"}


@dataclass(frozen=True)
class FileSpan:
    """Frames `start` to `stop` (half-open) of a file at `fps`."""

    source: Path
    start: int
    stop: int
    fps: float


@dataclass(frozen=True)
class FrameRequest:
    """At most `most` frames, spread evenly over a span (the middle of each of `most` equal parts), or taken at `fps`
    frames per second from the first one; scaled down, never up, to a shorter side of `side_px` pixels."""

    most: int
    side_px: int | None = None
    fps: float | None = None


@dataclass(frozen=True)
class CodecFrame:
    """A frame as its codec describes it. number: within the clip. kind: "I", "P", "B" or "?". vectors: a structured
    array of FFmpeg's motion vectors: `source` (negative: from an earlier frame), block size `w`, `h` and centre
    `dst_x`, `dst_y` in px, `motion_x / motion_scale`, `motion_y / motion_scale` in px towards the source; empty for a
    frame without any."""

    number: int
    kind: str
    vectors: np.ndarray


@dataclass
class _Held:
    span: FileSpan | None = None
    frames: dict[FrameRequest, np.ndarray] = field(default_factory=dict)
    codec: list[CodecFrame] | None = None


_held = _Held()


def numbers(span: FileSpan, request: FrameRequest) -> list[int]:
    """The frames of the file that a request means, in order, without repeats."""
    num = span.stop - span.start
    if request.fps is not None:
        step = max(1.0, span.fps / request.fps)
        found = [int(k * step) for k in range(int((num - 1) / step) + 1)]
        if len(found) > request.most:
            found = [found[int((k + 0.5) * len(found) / request.most)] for k in range(request.most)]
    else:
        count = min(request.most, num)
        found = [int((k + 0.5) * num / count) for k in range(count)]
    return [span.start + each for each in dict.fromkeys(found)]


def read_frames(span: FileSpan, wanted: FrameRequest) -> np.ndarray:
    """Frames of a span, uint8 RGB (F, H, W, 3). Raises MediaError."""
    if _held.span == span and wanted in _held.frames:
        return _held.frames[wanted]
    return _read(span, (wanted,), None)[wanted]


def read_codec_frames(span: FileSpan) -> Iterator[CodecFrame]:
    """The frames of a span as the codec describes them. Raises MediaError."""
    if _held.span == span and _held.codec is not None:
        yield from _held.codec
        return
    codec: list[CodecFrame] = []
    _read(span, (), codec)
    yield from codec


def read_ahead(span: FileSpan, wanted: Sequence[FrameRequest], *, vectors: bool) -> None:
    """Decode a span once and hold the frames of these requests, and the motion vectors, until `forget`. Raises
    MediaError."""
    forget()
    codec: list[CodecFrame] | None = [] if vectors else None
    _held.frames.update(_read(span, wanted, codec))
    _held.span, _held.codec = span, codec


def _read(
    span: FileSpan, wanted: Sequence[FrameRequest], codec: list[CodecFrame] | None
) -> dict[FrameRequest, np.ndarray]:
    """The frames of all requests in one pass; appends every frame's description to `codec`."""
    places: dict[int, list[FrameRequest]] = {}
    for each in dict.fromkeys(wanted):
        for number in numbers(span, each):
            places.setdefault(number, []).append(each)
    found: dict[FrameRequest, list[np.ndarray]] = {each: [] for each in wanted}
    for number, picture_HWC in _decoded(span, sorted(places), codec):
        for each in places[number]:
            found[each].append(_scaled(picture_HWC, each.side_px))
    for each, pictures in found.items():
        if len(pictures) != len(numbers(span, each)):
            raise MediaError(f"{span.source}: ends before frame {span.stop}; the file is truncated.")
    return {each: np.stack(pictures) for each, pictures in found.items()}


def forget() -> None:
    """Release the held frames."""
    _held.span, _held.codec = None, None
    _held.frames.clear()


def _scaled(picture_HWC: np.ndarray, side_px: int | None) -> np.ndarray:
    height, width = picture_HWC.shape[:2]
    if side_px is None or min(height, width) <= side_px:
        return picture_HWC
    scale = side_px / min(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture_HWC, size, interpolation=cv2.INTER_AREA)


@lru_cache(maxsize=4)
def _opened(path: Path, modified_ns: int, num_bytes: int) -> VideoClip:
    from ..media.decode_video import VideoClip

    with reading(path):
        return VideoClip(path)


def opened(path: Path) -> VideoClip:
    """A video file with its index, which is read once for the clips of one file. Raises MediaError."""
    if sniff(path) != "container":
        raise MediaError(f"{path}: not a video.")
    status = path.stat()
    return _opened(path, status.st_mtime_ns, status.st_size)


def _decoded(span: FileSpan, wanted: list[int], codec: list[CodecFrame] | None) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (number in the file, picture) of the wanted frames, and append every frame's description to `codec`."""
    video = opened(span.source)
    if codec is None and not wanted:
        return
    stop = span.stop if codec is not None else wanted[-1] + 1
    needed = set(wanted)
    with reading(span.source):
        for number, frame in video.coded_frames(span.start, stop, vectors=codec is not None):
            if codec is not None:
                codec.append(_described(number - span.start, frame))
            if number in needed:
                yield number, video.upright(frame)


def _described(number: int, frame: Any) -> CodecFrame:
    held = frame.side_data.get("MOTION_VECTORS")
    vectors = np.empty(0, _VECTORS)
    if held is not None and len(found := held.to_ndarray()):
        vectors = np.empty(len(found), _VECTORS)
        for name in VECTOR_FIELDS:
            vectors[name] = found[name]
    return CodecFrame(number, _KINDS.get(int(frame.pict_type), "?"), vectors)
