"""A clip upscaled by a super-resolution network: `Iterator[Chunk]` in and out.

from kinema.post.super_resolution.upscale import upscaled_by
chunks = upscaled_by(read_chunks("clip.mp4"), open_network(), scale=4)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import torch

from ...core.chunk import Chunk
from ...core.closing import closed_after
from ...core.errors import RequestError
from ...core.quiet import quietly
from ...media.cut import is_cut
from ...media.resize import resize_frames
from ...weights.device import default_device
from ...weights.residency import Residency
from .tiles import OVERLAP, TILE, in_tiles
from .weights import SuperResolution

BATCH_PX = 16 * 64 * 64
"""Pixels of the small frames that are processed at once; at least one frame."""


def upscaled_by(
    chunks: Iterable[Chunk], network: SuperResolution, scale: float | None = None, *,
    device: str | torch.device | None = None, tile: int = TILE, overlap: int = OVERLAP,
) -> Iterator[Chunk]:  # fmt: skip
    """Upscale a clip `scale` times; defaults to the network's own scale. A smaller one is reached by Lanczos from the
    network's result.

    Start, fps and sound are unchanged. A network that sees three frames gets the neighbours of each; at the ends and at
    cuts, the frame itself takes their place. At most two chunks are held; closing the result closes `chunks`. device:
    None: the best available. Raises RequestError for a scale below 1 or above the network's.
    """
    scale = network.scale if scale is None else scale
    check_scale(scale, network.scale)
    return _upscaled(chunks, FrameUpscaler(network, scale, device, tile, overlap))


def check_scale(scale: float, most: int) -> None:
    if not 1 <= scale <= most:
        raise RequestError(
            f"The network upscales {most} times, not {scale:g}.", field="scale", value=scale, legal=f"1 to {most}",
            nearest=1 if scale < 1 else most,
        )  # fmt: skip


class FrameUpscaler:
    """Upscales the frames of one chunk, given the frames before and after it."""

    def __init__(
        self, network: SuperResolution, scale: float, device: str | torch.device | None, tile: int, overlap: int
    ) -> None:
        self.network, self.scale, self.tile, self.overlap = network, scale, tile, overlap
        self.residency = Residency(torch.device(device) if device is not None else default_device(), [network.module])

    def __call__(self, frames_FHWC: np.ndarray, before: np.ndarray | None, after: np.ndarray | None) -> np.ndarray:
        height, width = frames_FHWC.shape[1:3]
        batch = max(1, BATCH_PX // (height * width)) if self.network.batches else 1
        size = round(height * self.scale), round(width * self.scale)
        made = np.empty((len(frames_FHWC), *size, 3), np.uint8)
        groups = self._groups(frames_FHWC, before, after)
        with torch.inference_mode(), self.residency.using(self.network.module):
            for first in range(0, len(groups), batch):
                seen = torch.from_numpy(np.stack(groups[first : first + batch])).to(self.residency.device)
                x = seen.permute(0, 1, 4, 2, 3).float().div_(255)
                large = in_tiles(self.network, x, self.tile, self.overlap).numpy()
                if large.shape[1:3] != size:
                    large = resize_frames(large, *size, "stretch")
                made[first : first + batch] = large
        return made

    def _groups(self, frames_FHWC: np.ndarray, before: np.ndarray | None, after: np.ndarray | None) -> list[np.ndarray]:
        """The frames that the network sees for each frame, uint8 (T, H, W, 3)."""
        if self.network.frames == 1:
            return [frame[None] for frame in frames_FHWC]
        line = [before, *frames_FHWC, after]
        joined = [
            a is not None and b is not None and a.shape == b.shape and not is_cut(a, b) for a, b in pairwise(line)
        ]
        found = []
        for k, frame in enumerate(frames_FHWC):
            left, right = line[k] if joined[k] else frame, line[k + 2] if joined[k + 1] else frame
            found.append(np.stack([left, frame, right]))  # type: ignore[list-item]
        return found


@quietly
def _upscaled(chunks: Iterable[Chunk], worker: FrameUpscaler) -> Iterator[Chunk]:
    source = iter(chunks)
    with closed_after(source):
        held, before = next(source, None), None
        while held is not None:
            coming = next(source, None)
            after = None if coming is None else coming.frames[0]
            made = dataclasses.replace(held, frames=worker(held.frames, before, after))
            before, held = held.frames[-1].copy(), coming
            yield made
            del made
