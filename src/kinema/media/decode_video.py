"""VideoClip: read any range of a video file as upright RGB frames at a constant frame rate."""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import MediaError
from .decoder import frames_of, read_index
from .open import check_pixels, open_container

if TYPE_CHECKING:
    import numpy as np

    from .audio import AudioTrack

_SEEK_FROM = 48  # frames: below this, decoding from the start is as fast as seeking
_TRANSFERS = {16: "PQ", 18: "HLG"}
_PRIMARIES = {1: "BT.709", 5: "BT.470BG", 6: "SMPTE 170M", 9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}


class VideoClip:
    """An open video file. Reads the index of frame times once, then decodes on demand. Every range of frames opens the
    file again: only a decoder that starts at the first packet returns the same frames in every container."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_container(path) as container:
            if not container.streams.video or container.streams.video[0].codec_context is None:
                raise MediaError(f"{path}: contains no pictures.")
            context = container.streams.video[0].codec_context
            check_pixels(path, context.width, context.height)
            self.codec = context.name
            self.bit_depth = context.format.components[0].bits if context.format is not None else 8
            self.has_audio = bool(container.streams.audio)
            first = next(frames_of(container, container.streams.video[0]), None)
            if first is None:
                raise MediaError(f"{path}: no frame can be decoded.")
        self.index = read_index(path)
        self.timeline = self.index.lines
        self.transfer = _TRANSFERS.get(int(first.color_trc), "SDR")
        self.primaries = _PRIMARIES.get(int(first.color_primaries), "")
        self.rotation = -round(first.rotation / 90) * 90 % 360
        turned = self.rotation in (90, 270)
        self.coded = (first.height, first.width)
        self.height, self.width = self.coded[::-1] if turned else self.coded

    def frames(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yield frames `start` to `stop` of the timeline, uint8 RGB (H, W, 3); fewer if the file is truncated."""
        shown, picture_HWC = None, None
        for _, frame in self.coded_frames(start, stop):
            if frame is not shown:
                shown, picture_HWC = frame, self.upright(frame)
            assert picture_HWC is not None
            yield picture_HWC

    def coded_frames(self, start: int, stop: int, *, vectors: bool = False) -> Iterator[tuple[int, Any]]:
        """Yield (number in the timeline, av.VideoFrame) of the frames `start` to `stop`, not converted and not turned;
        fewer if the file is truncated. vectors: with the codec's motion vectors as side data."""
        if start >= stop:
            return
        sources = self.timeline.sources or range(self.timeline.num_frames)
        k = start
        with contextlib.closing(self._decoded(sources[start], vectors)) as decoded:
            for index, frame in decoded:
                if index < sources[k]:
                    continue
                if (frame.height, frame.width) != self.coded:
                    raise MediaError(f"{self.path}: the frame size changes at frame {k}, which is not supported.")
                while k < stop and sources[k] <= index:
                    yield k, frame
                    k += 1
                if k >= stop:
                    return

    def upright(self, frame: Any) -> np.ndarray:
        """A decoded frame as upright uint8 RGB (H, W, 3)."""
        import numpy as np

        from .color import to_rgb

        return np.ascontiguousarray(np.rot90(to_rgb(frame), -self.rotation // 90))

    def audio_track(self, stack: contextlib.ExitStack, first_sample: int) -> AudioTrack:
        """The clip's sound from `first_sample` to the last frame. Opens the file a second time, so that sound and
        frames can be read in parallel."""
        from ..core.chunk import AUDIO_RATE_HZ
        from .audio import AudioTrack, decode_audio, num_channels

        container = stack.enter_context(open_container(self.path))
        channels = 1 if num_channels(container) == 1 else 2
        skipped_s = first_sample / AUDIO_RATE_HZ
        left_s = max(0.0, float(self.timeline.num_frames / self.timeline.fps) - skipped_s)
        return AudioTrack(decode_audio(container, self.index.begin_s + skipped_s, left_s), channels)

    def _decoded(self, first: int, vectors: bool = False) -> Generator[tuple[int, Any]]:
        """Yield (index in the file, frame), starting at frame `first` or earlier."""
        pts = self.index.pts
        if pts is None or first < _SEEK_FROM or not (yield from self._from_keyframe(pts, first, vectors)):
            with open_container(self.path) as container:
                yield from enumerate(frames_of(container, container.streams.video[0], vectors=vectors))

    def _from_keyframe(self, pts: list[int], first: int, vectors: bool) -> Generator[tuple[int, Any], None, bool]:
        """As `_decoded`, after a seek; yields nothing and returns False unless the seek reaches a keyframe at or before
        `first`."""
        with open_container(self.path) as container:
            stream = container.streams.video[0]
            container.seek(pts[first], stream=stream, backward=True)
            frames = frames_of(container, stream, vectors=vectors)
            frame = next(frames, None)
            at = bisect.bisect_left(pts, frame.pts) if frame is not None and frame.pts is not None else len(pts)
            if frame is None or not frame.key_frame or at > first or pts[at] != frame.pts:
                return False
            yield at, frame
            for frame in frames:
                yield (at := at + 1) if frame.pts is None else bisect.bisect_right(pts, frame.pts) - 1, frame
            return True
