"""Conform clips to the encoding of a channel, so that packets of any two clips can be concatenated without re-encoding.

H.264 without B-frames, closed GOPs of constant length, parameter sets in every keyframe, whole GOPs only (the last
frame is repeated to fill the last GOP; a few frames beyond a full GOP are dropped), BT.709 limited range, constant
frame rate, no audio (the playout adds the music bed). The same frames give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.chunk import Chunk
from ..core.closing import closed_after
from ..core.errors import MediaError, RequestError
from ..core.whole import whole
from .packets import read_packets

if TYPE_CHECKING:
    import numpy as np

LEFT_OUT_S = 0.25
"""Maximum duration dropped from the end of a clip to reach whole GOPs. Models generate 4 n + 1 frames; repeating the
last frame for nearly a second would look worse."""
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


@dataclass(frozen=True)
class Encoding:
    """The encoding of all clips of a channel. gop: frames from keyframe to keyframe; clip lengths are multiples of it.
    crf: x264 quality, lower is better."""

    width: int = 576
    height: int = 320
    fps: int = 24
    gop: int = 24
    crf: int = 20
    preset: str = "veryfast"

    def __post_init__(self) -> None:
        for field, value, low, high in (
            ("width", self.width, 32, 4096), ("height", self.height, 32, 4096), ("fps", self.fps, 1, 60),
            ("gop", self.gop, 1, 10 * self.fps), ("crf", self.crf, 1, 51),
        ):  # fmt: skip
            if not low <= value <= high:
                near = min(max(value, low), high)
                raise RequestError(
                    f"{field} {value}.", field=field, value=value, legal=f"{low} to {high}", nearest=near
                )
        for field, value in (("width", self.width), ("height", self.height)):
            if value % 2:
                raise RequestError(
                    f"{field} {value}.", field=field, value=value, legal="even numbers", nearest=value + 1
                )
        if self.preset not in PRESETS:
            legal = ", ".join(PRESETS)
            raise RequestError(f"preset {self.preset!r}.", field="preset", value=self.preset, legal=legal)

    @property
    def key(self) -> str:
        """A short readable key. Clips whose encodings have the same key can be concatenated."""
        return f"{self.width}x{self.height}-{self.fps}fps-gop{self.gop}-crf{self.crf}-{self.preset}"


@dataclass(frozen=True)
class Conformed:
    """A clip that can go on air."""

    path: Path
    frames: int
    fingerprint: str
    seconds: float
    bytes: int
    sha256: str


def conform(
    source: Iterable[Chunk] | str | os.PathLike[str],
    target: str | os.PathLike[str],
    encoding: Encoding | None = None,
    *,
    how: str = "cover",
) -> Conformed:
    """Encode frames or a video file to a conformed .mp4, written next to `target` under a hidden name and renamed.

    how: "cover" fills the picture and crops; "contain" letterboxes on black. Other frame rates are converted by
    repeating or dropping frames, so the duration is preserved except for whole GOPs. `source` is closed.
    Raises MediaError (unreadable, no frames, unwritable) and RequestError."""
    encoding = encoding or Encoding()
    target = Path(target)
    if target.suffix.lower() != ".mp4":
        raise RequestError(
            f"{target.name}: a conformed clip is an .mp4.", field="target", value=str(target), legal=".mp4"
        )
    if isinstance(source, str | os.PathLike):
        from ..media.read import read_chunks

        source = read_chunks(source, audio=False)
    chunks = iter(source)
    with closed_after(chunks):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with whole(target) as partial:
                _encode(_on_the_grid(_fitted(chunks, encoding, how), encoding), partial, encoding)
                packets = read_packets(partial)
                size = partial.stat().st_size
        except OSError as error:
            raise MediaError(f"Cannot write {target}: {error.strerror or error}.") from error
    seconds = float(packets.frames / packets.fps)
    return Conformed(target, packets.frames, packets.fingerprint, seconds, size, packets.sha256)


def fingerprint(path: str | os.PathLike[str]) -> str:
    """The fingerprint of a conformed clip, equal for all clips of a channel. MediaError: see packets.py."""
    return read_packets(path).fingerprint


def _fitted(chunks: Iterator[Chunk], encoding: Encoding, how: str) -> Iterator[tuple[np.ndarray, Fraction]]:
    """Frames (H, W, 3) at the channel's size, each with the source's frame rate."""
    from ..media.resize import resize_frames
    from ..media.timeline import exact_rate

    for chunk in chunks:
        frames_FHWC = chunk.frames
        if frames_FHWC.shape[1:3] != (encoding.height, encoding.width):
            frames_FHWC = resize_frames(frames_FHWC, encoding.height, encoding.width, how)  # type: ignore[arg-type]
        rate = exact_rate(chunk.fps)
        for frame_HWC in frames_FHWC:
            yield frame_HWC, rate


def _on_the_grid(frames: Iterator[tuple[np.ndarray, Fraction]], encoding: Encoding) -> Iterator[np.ndarray]:
    """Frames at the channel's frame rate, in whole GOPs: the last frame is repeated to fill a GOP; up to LEFT_OUT_S
    beyond a full GOP is dropped. MediaError if there are no frames."""
    sent, last = 0, None
    over: list[np.ndarray] = []
    for number, (frame_HWC, rate) in enumerate(frames):
        due = (number + 1) * encoding.fps / rate
        while sent + len(over) + Fraction(1, 2) < due:
            over.append(frame_HWC)
            if not sent or sent % encoding.gop or len(over) > LEFT_OUT_S * encoding.fps:
                yield from over
                sent += len(over)
                over = []
        last = frame_HWC
    if last is None:
        raise MediaError("The clip has no frames.")
    while sent == 0 or sent % encoding.gop:
        yield last
        sent += 1


def _encode(frames: Iterator[np.ndarray], path: Path, encoding: Encoding) -> None:
    import av

    from ..media.color import tag_bt709, to_yuv

    gop, rate = encoding.gop, Fraction(encoding.fps)
    # mbtree reads past the last macroblocks (media/encode_video.py); stitchable makes headers independent of content
    params = f"repeat-headers=1:stitchable=1:keyint={gop}:min-keyint={gop}:scenecut=0:open-gop=0:bframes=0:mbtree=0"
    options = {"preset": encoding.preset, "profile": "high", "crf": str(encoding.crf), "x264-params": params}
    with av.open(str(path), "w", format="mp4", options={"fflags": "+bitexact", "movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = encoding.width, encoding.height, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, 0
        stream.codec_context.thread_count = 1  # the bytes depend on the number of threads
        tag_bt709(stream.codec_context)
        for number, frame_HWC in enumerate(frames):
            frame = to_yuv(frame_HWC, "yuv420p")
            frame.pts, frame.time_base, frame.duration = number, 1 / rate, 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
