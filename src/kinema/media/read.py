"""Read video files, animated pictures, folders of pictures and single pictures as Chunks.

Frames are upright (rotation applied) uint8 RGB at a constant fps, converted from BT.601 or BT.709, limited or full
range, and reduced from 10 bits to 8. A clip of variable frame rate is resampled to its average rate: each frame is
held until the next is due, and the number of frames does not change. Pixels are assumed square. A picture is a clip of
one frame; a folder of pictures is a clip in the order of the numbers in their names. Both default to 24 fps; a
kinema.json in the folder can set another.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.chunk import AUDIO_RATE_HZ, Chunk
from ..core.errors import MediaError
from . import decode_pictures, decode_video
from .decoder import begin_seconds
from .open import open_container, reading, sniff

if TYPE_CHECKING:
    import numpy as np

MAX_SOUND_S = 3600.0
SOUND_AFTER_S = 1.0
"""Duration of sound after the last frame that is still read, for example the end of an echo."""


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a clip as `read_chunks` returns it."""

    width: int  # upright
    height: int
    fps: float
    num_frames: int
    seconds: float
    rotation: int  # degrees clockwise that the stored picture is turned for display: 0, 90, 180, 270
    has_audio: bool
    variable_fps: bool
    codec: str
    bit_depth: int
    transfer: str = "SDR"  # or "PQ", "HLG": these are tone-mapped to SDR
    primaries: str = ""  # as tagged in the file, for example "BT.2020"; "" if untagged


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """The size, frame rate and duration of a clip. Reads the whole file, but decodes only the first frames if the
    container has an index (MP4, MOV, Matroska, WebM); otherwise decodes all frames to count them. Raises MediaError."""
    with _opened(Path(path)) as clip:
        lines = clip.timeline
        return VideoInfo(
            width=clip.width,
            height=clip.height,
            fps=float(lines.fps),
            num_frames=lines.num_frames,
            seconds=float(lines.num_frames / lines.fps),
            rotation=clip.rotation,
            has_audio=clip.has_audio,
            variable_fps=lines.sources is not None,
            codec=clip.codec,
            bit_depth=clip.bit_depth,
            transfer=clip.transfer,
            primaries=clip.primaries,
        )


def read_chunks(
    path: str | os.PathLike[str],
    *,
    start: int = 0,
    stop: int | None = None,
    chunk_frames: int = 16,
    audio: bool = True,
) -> Iterator[Chunk]:
    """Yield frames `start` to `stop` (half-open, not negative, limited to the clip's end) as Chunks.

    Each Chunk has `chunk_frames` frames; the last may have fewer. With `audio`, Chunks of a clip with sound include the
    samples of their frames. Opens the file at the first `next`; close the iterator to close the file. Memory does not
    grow with duration. Raises MediaError at the first frame or at the damaged one, and ValueError for illegal numbers.
    """
    import numpy as np

    if start < 0 or chunk_frames < 1 or (stop is not None and stop < start):
        raise ValueError(f"start {start}, stop {stop}, chunk_frames {chunk_frames}: not a range of frames.")
    path = Path(path)
    with contextlib.ExitStack() as stack:
        clip = stack.enter_context(_opened(path))
        fps = clip.timeline.fps
        stop = min(clip.timeline.num_frames, stop if stop is not None else clip.timeline.num_frames)
        track = clip.audio_track(stack, _sample(start, fps)) if audio and clip.has_audio else None
        waiting: list[np.ndarray] = []

        def chunk() -> Chunk:
            first = start + num_done
            sound = track.take(_sample(first + len(waiting), fps) - _sample(first, fps)) if track else None
            return Chunk(np.stack(waiting), first, float(fps), sound)

        num_done = 0
        for frame_HWC in clip.frames(start, stop):
            waiting.append(frame_HWC)
            if len(waiting) == chunk_frames:
                yield chunk()
                num_done += len(waiting)
                waiting.clear()
        if waiting:
            yield chunk()


def read_video(path: str | os.PathLike[str]) -> tuple[np.ndarray, float]:
    """Read all frames: (uint8 RGB of shape (F, H, W, 3), fps). For long clips, use `read_chunks`."""
    import numpy as np

    chunks = list(read_chunks(path, chunk_frames=64, audio=False))
    if not chunks:
        raise MediaError(f"{path}: contains no frames.")
    return np.concatenate([chunk.frames for chunk in chunks]), chunks[0].fps


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a picture as uint8 RGB, shape (H, W, 3): rotated by its EXIF orientation, composited over white, reduced
    from 16 bits to 8, converted from CMYK and palettes. Of an animation, read the first frame. Raises MediaError."""
    path = Path(path)
    kind = sniff(path)
    if kind != "picture":
        raise MediaError(f"{path}: {_not_a_picture(path, kind)}, not a picture.")
    return decode_pictures.read_picture(path)


def _not_a_picture(path: Path, kind: str) -> str:
    """A description of a file that is not a picture."""
    if kind == "folder":
        return "a folder"
    try:
        found = probe(path)
    except MediaError:
        return "not a readable clip"
    return f"a clip of {found.num_frames} frame{'s' if found.num_frames != 1 else ''}"


def read_audio(path: str | os.PathLike[str], *, seconds: float | None = None) -> np.ndarray | None:
    """Read the sound of a clip or sound file: float32 in [-1, 1], shape (samples, 1 or 2 channels), 48 kHz; None if it
    has none. A clip's sound starts at the first frame and ends at most a second after the last one. Gaps become
    silence. seconds: maximum duration, independent of the pictures' duration. Raises MediaError, also for more than an
    hour of sound."""
    import numpy as np

    from .audio import decode_audio

    path = Path(path)
    if sniff(path) != "container":
        return None
    with open_container(path) as container:
        if not container.streams.audio:
            return None
        begin = None
        if any(not _is_cover(stream) for stream in container.streams.video):
            begin = begin_seconds(path)
            if seconds is None:
                lines = decode_video.VideoClip(path).timeline
                seconds = float(lines.num_frames / lines.fps) + SOUND_AFTER_S
        limit = MAX_SOUND_S if seconds is None else min(seconds, MAX_SOUND_S)
        parts, count = [], 0
        for part in decode_audio(container, begin, limit + 1 if limit == MAX_SOUND_S else limit):
            parts.append(part)
            count += len(part)
            if count > MAX_SOUND_S * AUDIO_RATE_HZ:
                raise MediaError(f"{path}: its sound is longer than the limit of {MAX_SOUND_S:g} s.")
    return np.concatenate(parts) if parts else None


def _is_cover(stream: Any) -> bool:
    """Whether the stream is the cover picture of a sound file."""
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.attached_pic)


def _sample(frame: int, fps: Fraction) -> int:
    return round(frame * AUDIO_RATE_HZ / fps)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[decode_video.VideoClip | decode_pictures.PictureClip]:
    kind = sniff(path)
    if kind == "container":
        with reading(path):
            video = decode_video.VideoClip(path)
        yield video
    else:
        with decode_pictures.open_clip(path, is_folder=kind == "folder") as clip:
            yield clip
