"""ffmpeg's motion-compensated interpolation (the filter minterpolate) on a stream of frames."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

SETTINGS = "mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1:scd=none"
SMALLEST_PX = 32
"""The filter needs two blocks of 16 px on each side; smaller frames are padded by repeating their border."""
AFTER = 2


class Compensated:
    """Converts the frame rate of a stream, with a delay of some frames. Red, green and blue are passed to the filter as
    separate planes, without conversion to YUV; motion is estimated on green."""

    def __init__(self, height: int, width: int, fps: Fraction, target: Fraction) -> None:
        import av

        self.size = (height, width)
        self.padded = tuple(max(SMALLEST_PX, side + side % 2) for side in self.size)
        self.graph = av.filter.Graph()
        self.base = 1 / fps
        source = self.graph.add_buffer(
            width=self.padded[1], height=self.padded[0], format=av.VideoFormat("yuv444p"), time_base=self.base
        )
        rate = f"{target.numerator}/{target.denominator}"
        middle = self.graph.add("minterpolate", f"fps={rate}:{SETTINGS}")
        sink = self.graph.add("buffersink")
        source.link_to(middle)
        middle.link_to(sink)
        self.graph.configure()
        self.target, self.count = target, 0
        self.last: np.ndarray | None = None

    def push(self, frame_HWC: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Push one frame; yield (number at the new rate, frame) of all finished frames."""
        from av import VideoFrame

        edge = [(0, self.padded[k] - self.size[k]) for k in range(2)]
        planes = np.pad(frame_HWC, [*edge, (0, 0)], mode="edge")[..., [1, 2, 0]].transpose(2, 0, 1)
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv444p")
        frame.pts, frame.time_base = self.count, self.base
        self.count += 1
        self.last = frame_HWC
        self.graph.push(frame)
        return self._pull()

    def finish(self) -> Iterator[tuple[int, np.ndarray]]:
        """Flush the filter. The last frame is pushed again, because the filter needs frames after the current one."""
        for _ in range(AFTER):
            if self.last is not None:
                yield from self.push(self.last)
        self.graph.push(None)
        yield from self._pull()

    def _pull(self) -> Iterator[tuple[int, np.ndarray]]:
        from av.error import BlockingIOError as Nothing
        from av.error import EOFError as End

        while True:
            try:
                found: Any = self.graph.pull()
            except (Nothing, End):
                return
            number = round(found.pts * Fraction(found.time_base) * self.target)
            planes = found.to_ndarray()
            yield number, planes[[2, 0, 1], : self.size[0], : self.size[1]].transpose(1, 2, 0).copy()
