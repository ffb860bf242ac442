"""VideoClip: one open video file as upright RGB frames at a constant rate, any run of them."""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.core.errors import MediaError
from kinema.media.open import open_container
from kinema.media.timeline import Timeline, timeline

if TYPE_CHECKING:
    import numpy as np

    from kinema.media.audio import AudioTrack

_SEEK_FROM = 48  # frames: below this, decoding from the start is as quick as seeking
MAX_PIXELS = 8192 * 8192
"""A file that claims larger frames is refused before one is decoded: each would take hundreds of megabytes."""
_HIDDEN_PACKETS = ("vp8",)  # codecs whose invisible frames travel as packets of their own


def start_seconds(container: Any) -> float:
    """When the picture begins on the container's clock (0 for sound files)."""
    if not container.streams.video:
        return 0.0
    video = container.streams.video[0]
    return float((video.start_time or 0) * video.time_base)


class VideoClip:
    """Reads the index of shown times once (packets only), then decodes on demand."""

    def __init__(self, path: Path, container: Any) -> None:
        if not container.streams.video or container.streams.video[0].codec_context is None:
            raise MediaError(f"{path}: holds no pictures.")
        self.path, self.container, self.stream = path, container, container.streams.video[0]
        self.stream.thread_type = "AUTO"
        context = self.stream.codec_context
        if context.width * context.height > MAX_PIXELS:
            raise MediaError(f"{path}: claims frames of {context.width}x{context.height}; {MAX_PIXELS} pixels at most.")
        self.codec = context.name
        self.bit_depth = context.format.components[0].bits if context.format is not None else 8
        self.has_audio = bool(container.streams.audio)
        self.pts, self.timeline = self._index()
        self._rewind(0)
        first = next(container.decode(self.stream), None)
        if first is None:
            raise MediaError(f"{path}: no frame of it can be decoded.")
        self.rotation = -round(first.rotation / 90) * 90 % 360
        turned = self.rotation in (90, 270)
        self.coded = (first.height, first.width)
        self.height, self.width = self.coded[::-1] if turned else self.coded

    def frames(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Frames `start` to `stop` of the timeline, uint8 RGB (H, W, 3). Ends early where a file is cut
        short."""
        import numpy as np

        if start >= stop:
            return
        sources = self.timeline.sources or range(self.timeline.num_frames)
        k = start
        for index, frame in self._decoded(sources[start]):
            if k >= stop:
                return
            if index < sources[k]:
                continue
            from kinema.media.color import to_rgb

            if (frame.height, frame.width) != self.coded:
                raise MediaError(f"{self.path}: the picture size changes at frame {k}, which is not supported.")
            picture_HWC = np.ascontiguousarray(np.rot90(to_rgb(frame), -self.rotation // 90))
            while k < stop and sources[k] <= index:
                yield picture_HWC
                k += 1

    def audio_track(self, stack: contextlib.ExitStack, first_sample: int) -> AudioTrack:
        """The sound from `first_sample` of the clip on; opens the file once more, so both can be read in
        step."""
        from kinema.core.chunk import AUDIO_RATE_HZ
        from kinema.media.audio import AudioTrack, decode_audio, num_channels

        container = stack.enter_context(open_container(self.path))
        channels = 1 if num_channels(container) == 1 else 2
        begin = start_seconds(container) + first_sample / AUDIO_RATE_HZ
        return AudioTrack(decode_audio(container, begin), channels)

    def _index(self) -> tuple[list[int] | None, Timeline]:
        """The shown times (sorted, in stream units; None where the file has none) and the rate they make."""
        stream = self.stream
        if self.codec in _HIDDEN_PACKETS:
            stamps = [(frame.pts, frame.duration) for frame in self.container.decode(stream)]
        else:
            packets = (p for p in self.container.demux(stream) if p.size and not p.is_discard and not p.is_corrupt)
            stamps = [(packet.pts, packet.duration) for packet in packets]
        if not stamps:
            raise MediaError(f"{self.path}: holds no frames.")
        rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
        known = {pts for pts, _ in stamps if pts is not None}
        if len(known) != len(stamps):
            rate = next((rate for rate in rates if rate), Fraction(25))
            return None, Timeline(Fraction(rate), len(stamps))
        pts = sorted(known)
        last = dict(stamps)[pts[-1]] or (round((pts[-1] - pts[0]) / (len(pts) - 1)) if len(pts) > 1 else 0)
        times = [float((one - pts[0]) * stream.time_base) for one in pts]
        return pts, timeline(times, times[-1] + float(last * stream.time_base), rates)

    def _decoded(self, first: int) -> Iterator[tuple[int, Any]]:
        """(index in the file, frame) from frame `first` or some frame before it on."""
        if self.pts is not None and first >= _SEEK_FROM:
            self._rewind(self.pts[first])
            frames = self.container.decode(self.stream)
            frame = next(frames, None)
            if frame is not None and frame.pts is not None and frame.pts <= self.pts[first]:
                yield self._place(frame, 0), frame
                for frame in frames:
                    yield self._place(frame, 0), frame
                return
        self._rewind(0 if self.pts is None else self.pts[0])
        for count, frame in enumerate(self.container.decode(self.stream)):
            yield self._place(frame, count), frame

    def _place(self, frame: Any, count: int) -> int:
        if self.pts is None or frame.pts is None:
            return count
        return max(0, bisect.bisect_right(self.pts, frame.pts) - 1)

    def _rewind(self, pts: int) -> None:
        self.container.seek(pts, stream=self.stream, backward=True)
        self.stream.codec_context.flush_buffers()
