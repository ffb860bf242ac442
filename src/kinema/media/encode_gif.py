"""GifEncoder: 256 well-chosen colours a scene, times exact to the format's hundredth of a second."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph

from kinema.core.chunk import Chunk
from kinema.core.errors import RequestError
from kinema.media.manifest import gif_comment, gif_header_length, make_note

_DITHER = {"draft": "bayer:bayer_scale=4", "good": "sierra2_4a", "best": "sierra2_4a"}
_GROUP = 16  # frames that a palette is chosen from
_TICK = Fraction(1, 100)


class GifEncoder:
    """Frames are matched to a palette made from the first 16; when the match turns bad (a cut), a new one is
    made."""

    def __init__(self, path: Path, first: Chunk, quality: str, manifest: str | None) -> None:
        if first.fps > 50:
            message = "A GIF shows at most 50 frames a second."
            raise RequestError(message, field="fps", value=first.fps, legal="up to 50", nearest=50)
        self.path, self.fps, self.quality, self.manifest = path, first.fps, quality, manifest
        self.height, self.width = first.frames.shape[1:3]
        self.waiting: list[np.ndarray] = []
        self.match: _Match | None = None
        self.num_frames = 0
        self.container = av.open(str(path), "w", format="gif", options={"loop": "0", "fflags": "+bitexact"})
        self.stream = self.container.add_stream("gif", rate=100)
        self.stream.width, self.stream.height, self.stream.pix_fmt = self.width, self.height, "pal8"
        self.stream.codec_context.time_base = _TICK

    def add(self, chunk: Chunk) -> None:
        for frame_HWC in chunk.frames:
            if self.match is not None and not self.waiting:
                frame, error = self.match(frame_HWC)
                if error <= self.match.limit:
                    self._encode(frame)
                    continue
            self.waiting.append(np.array(frame_HWC))
            if len(self.waiting) == _GROUP:
                self._new_palette()

    def _new_palette(self) -> None:
        self.match = _Match(self.waiting, _DITHER[self.quality])
        for frame_HWC in self.waiting:
            frame, error = self.match(frame_HWC)
            self.match.limit = max(self.match.limit, 1.5 * error + 1)
            self._encode(frame)
        self.waiting = []

    def _encode(self, frame: av.VideoFrame) -> None:
        frame.pts = round(self.num_frames * 100 / self.fps)
        frame.duration = round((self.num_frames + 1) * 100 / self.fps) - frame.pts
        frame.time_base = _TICK
        self.num_frames += 1
        for packet in self.stream.encode(frame):
            packet.duration = (
                frame.duration
            )  # the encoder forgets it, and the last frame has no next one to end it
            self.container.mux(packet)

    def finish(self) -> None:
        if self.waiting:
            self._new_palette()
        self.container.mux(self.stream.encode(None))
        self.container.close()
        data = self.path.read_bytes()
        note, at = make_note(self.fps, self.num_frames, self.manifest), gif_header_length(data)
        self.path.write_bytes(data[:at] + gif_comment(note) + data[at:])

    def close(self) -> None:
        self.container.close()


class _Match:
    """A palette for some frames, and frames matched to it: (paletted frame, mean absolute error on a
    sample)."""

    def __init__(self, frames: list[np.ndarray], dither: str) -> None:
        self.limit = 0.0
        palette = _palette(frames)
        height, width = frames[0].shape[:2]
        self.graph = Graph()
        self.source = self.graph.add_buffer(width=width, height=height, format="rgb24", time_base=_TICK)
        colors = self.graph.add_buffer(width=16, height=16, format=palette.format.name, time_base=_TICK)
        use = self.graph.add("paletteuse", f"dither={dither}")
        self.sink = self.graph.add("buffersink")
        self.source.link_to(use, 0, 0)
        colors.link_to(use, 0, 1)
        use.link_to(self.sink)
        self.graph.configure()
        colors.push(palette)
        colors.push(None)
        self.num_frames = 0

    def __call__(self, frame_HWC: np.ndarray) -> tuple[av.VideoFrame, float]:
        frame = _rgb(frame_HWC, self.num_frames)
        self.num_frames += 1
        self.source.push(frame)
        matched = self.sink.pull()
        rgb = matched.reformat(format="rgb24").to_ndarray()
        # blurred by 4x4 means, as the eye does, so that dithering itself does not count as an error
        error = float(np.abs(_means(rgb) - _means(frame_HWC)).mean())
        return matched, error


def _palette(frames: list[np.ndarray]) -> av.VideoFrame:
    height, width = frames[0].shape[:2]
    graph = Graph()
    source = graph.add_buffer(width=width, height=height, format="rgb24", time_base=_TICK)
    make, sink = graph.add("palettegen", "reserve_transparent=0"), graph.add("buffersink")
    source.link_to(make)
    make.link_to(sink)
    graph.configure()
    for k, frame_HWC in enumerate(frames):
        source.push(_rgb(frame_HWC, k))
    source.push(None)
    return sink.pull()


def _rgb(frame_HWC: np.ndarray, k: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
    frame.pts, frame.time_base = k, _TICK
    return frame


def _means(frame_HWC: np.ndarray) -> np.ndarray:
    height, width = (side // 4 * 4 for side in frame_HWC.shape[:2])
    if not height or not width:
        return frame_HWC.astype(np.float32)
    return frame_HWC[:height, :width].reshape(height // 4, 4, width // 4, 4, 3).mean((1, 3), dtype=np.float32)
