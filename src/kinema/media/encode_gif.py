"""GifEncoder: an adaptive palette of 256 colours per scene, and times exact to the format's 10 ms."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from ..core.chunk import Chunk
from .formats import check_rate
from .manifest import gif_comment, gif_header_length, make_note

_DITHER = {"draft": 0.0, "good": 10.0, "best": 14.0}  # height of the pattern in levels
_GROUP = 16  # frames from which a palette is chosen
_TICK = Fraction(1, 100)


# ffmpeg's palettegen and paletteuse are not used: they buffer all frames, have one palette across cuts, and their
# ordered dithering is 0.8 to 3 dB worse (after a blur) in four clips of five.
class GifEncoder:
    """Encodes frames with a palette chosen from 16 frames; when the match gets worse (a cut), a new one is chosen."""

    def __init__(self, path: Path, first: Chunk, quality: str, manifest: str | None) -> None:
        check_rate(".gif", first.fps)
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
            packet.duration = frame.duration  # the encoder drops it, and no next frame ends the last one
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
    """Maps frames to a palette chosen from `frames`; a call returns (paletted frame, mean absolute error).

    The palette has 255 colours; the last index is transparent, and the encoder uses it for unchanged pixels. The
    nearest colours are cached in a table of 64 x 64 x 64 cells. Dithering is ordered: its pattern is static where the
    picture is, so it neither crawls nor costs bytes.
    """

    def __init__(self, frames: list[np.ndarray], strength: float) -> None:
        self.limit = 0.0
        pixels = np.concatenate([frame_HWC.reshape(-1, 3) for frame_HWC in frames])
        self.dither = np.zeros((1, 1, 1), np.int16)
        few = _few_colors(pixels)
        self.palette = _chosen_colors(pixels[:: max(1, len(pixels) // 24_000)]) if few is None else few
        if few is None:
            height, width = frames[0].shape[:2]
            tiles = np.tile(_BAYER, (height // 8 + 1, width // 8 + 1))[:height, :width]
            self.dither = np.rint(tiles * strength).astype(np.int16)[..., None]
        self.table = np.full(64**3, -1, np.int16)
        self.argb = np.zeros((256, 4), np.uint8)
        self.argb[:, 0] = 255
        self.argb[: len(self.palette), 1:] = self.palette
        self.argb[255] = 0

    def __call__(self, frame_HWC: np.ndarray) -> tuple[av.VideoFrame, float]:
        cells_HWC = np.clip(frame_HWC.astype(np.int16) + self.dither, 0, 255) >> 2
        cells_HW = (cells_HWC[..., 0] << 6 | cells_HWC[..., 1]).astype(np.int32) << 6 | cells_HWC[..., 2]
        new = np.flatnonzero((np.bincount(cells_HW.ravel(), minlength=64**3) > 0) & (self.table < 0))
        if len(new):
            centres = np.stack([new >> 12, new >> 6 & 63, new & 63], -1) * 4 + 1.5
            self.table[new] = _nearest(centres.astype(np.float32), self.palette.astype(np.float32))
        indices_HW = self.table[cells_HW].astype(np.uint8)
        # on 4x4 means, so that dithering does not count as an error
        error = float(np.abs(_means(self.palette[indices_HW]) - _means(frame_HWC)).mean())
        paletted: Any = (indices_HW, self.argb)
        return av.VideoFrame.from_ndarray(paletted, format="pal8"), error


def _few_colors(pixels_N3: np.ndarray) -> np.ndarray | None:
    """The exact colours if there are at most 255 (drawings, flat areas), else None. They need no dithering."""
    keys = pixels_N3.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    found = np.unique(keys[:4096])
    found = np.unique(keys) if len(found) <= 255 else found
    if len(found) > 255:
        return None
    return np.stack([found >> 16, found >> 8 & 255, found & 255], -1).astype(np.uint8)


def _chosen_colors(pixels_N3: np.ndarray) -> np.ndarray:
    """Choose up to 255 colours for the pixels: median cut, then two iterations of k-means."""
    image = Image.fromarray(pixels_N3[None])
    flat = image.quantize(255, method=Image.Quantize.MEDIANCUT, kmeans=0, dither=Image.Dither.NONE).getpalette()
    palette = np.unique(np.array(flat, np.float32).reshape(-1, 3)[:255], axis=0)
    pixels = pixels_N3.astype(np.float32)
    for _ in range(2):
        nearest = _nearest(pixels, palette)
        count = np.bincount(nearest, minlength=len(palette))
        sums = np.stack([np.bincount(nearest, pixels[:, c], minlength=len(palette)) for c in range(3)], -1)
        palette = np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], palette).astype(np.float32)
    return np.rint(palette).astype(np.uint8)


def _nearest(colors_N3: np.ndarray, palette_K3: np.ndarray) -> np.ndarray:
    """The index of the nearest palette colour of each colour, computed in blocks to bound memory."""
    square = (palette_K3**2).sum(-1) / 2
    blocks = np.array_split(colors_N3, len(colors_N3) // 8192 + 1)
    return np.concatenate([(block @ palette_K3.T - square).argmax(-1) for block in blocks])


def _bayer(side: int) -> np.ndarray:
    if side == 1:
        return np.zeros((1, 1))
    half = _bayer(side // 2)
    return np.block([[4 * half, 4 * half + 2], [4 * half + 3, 4 * half + 1]])


_BAYER = (_bayer(8) + 0.5) / 64 - 0.5  # each of 64 levels once, mean 0


def _means(frame_HWC: np.ndarray) -> np.ndarray:
    height, width = (side // 4 * 4 for side in frame_HWC.shape[:2])
    if not height or not width:
        return frame_HWC.astype(np.float32)
    return frame_HWC[:height, :width].reshape(height // 4, 4, width // 4, 4, 3).mean((1, 3), dtype=np.float32)
