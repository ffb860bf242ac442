"""Pairs for training an upscaler: small clips as a video model makes them, and the same scenes rendered large.

Toyland renders a scene exactly at any size, so the large frame is the truth. Large frames are kept for a few frames of
a clip, at all positions of the autoencoder's groups of four. Files of a shard: NUMBER.small.npy and NUMBER.true.npy,
uint8 (N, F, h, w, 3), by the model and rendered; NUMBER.large.npy, uint8 (N, K, s h, s w, 3), frames `shown`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...core.whole import whole
from ...toyland.render import render
from ...toyland.scene import Scene, World, sample_scene
from ..core import processes

SHARD = 8
EVERY = 3
"""A large frame is kept for every third frame."""
BLUR, NOISE = 1.1, 0.01
"""Greatest width of the blur, in small px, and standard deviation of the noise, of values in [0, 1]."""
TRIES = 3
"""Random crops of which the one with most detail is taken: most of a frame is plain sky."""

Made = Callable[[Tensor, Sequence[Scene], int], Tensor]
"""(true small frames uint8 (B, F, h, w, 3), their scenes, seed) -> the frames that a model makes of them."""


def write_pairs(
    folder: Path, world: World, seeds: Sequence[int], made: Made, *, num_frames: int, side: int, scale: int,
    fps: float = 8.0, minutes: float | None = None, report: Callable[[int, int], object] = lambda done, total: None,
) -> None:  # fmt: skip
    """Write the pairs of the scenes `seeds` in shards; existing ones are kept. Several processes share them. After
    `minutes` no new shard is begun, except the first."""
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(seeds), SHARD):
        path = folder / f"{first // SHARD:05d}.small.npy"
        if first and minutes is not None and time.monotonic() - started > 60 * minutes:
            break
        if path.exists() or first // SHARD % processes.count() != processes.rank():
            continue
        part = seeds[first : first + SHARD]
        scenes = [sample_scene(seed, world) for seed in part]
        true = render(scenes, num_frames=num_frames, height=side, width=side, fps=fps).frames_BFHWC
        large = render(
            scenes, num_frames=len(shown(num_frames)), height=scale * side, width=scale * side, fps=fps / EVERY
        ).frames_BFHWC
        np.save(folder / f"{first // SHARD:05d}.large.npy", large.numpy())
        np.save(folder / f"{first // SHARD:05d}.true.npy", true.numpy())
        with whole(path) as beside, beside.open("wb") as file:  # written last: a shard with it is complete
            np.save(file, made(true, scenes, part[0]).numpy())
        report(min(first + SHARD, len(seeds)), len(seeds))
    processes.wait()


def shown(num_frames: int) -> range:
    """The frames of a clip with a large frame."""
    return range(0, num_frames, EVERY)


@dataclass(frozen=True)
class PairBatch:
    """small: (B, T, 3, h, w), large: (B, 3, s h, s w), both in [0, 1]."""

    small_BTCHW: Tensor
    large_BCHW: Tensor

    def to(self, device: str) -> PairBatch:
        return PairBatch(self.small_BTCHW.to(device), self.large_BCHW.to(device))


class UpscalePairs:
    """All pairs of a folder. reach: neighbours on either side in the input; at the ends, the last frame repeats."""

    def __init__(self, folder: Path, reach: int = 1) -> None:
        stems = [path.name.split(".")[0] for path in sorted(folder.glob("*.small.npy"))]
        if not stems:
            raise ValueError(f"{folder} contains no pairs.")
        self.small = [np.load(folder / f"{stem}.small.npy", mmap_mode="r") for stem in stems]
        self.true = [np.load(folder / f"{stem}.true.npy", mmap_mode="r") for stem in stems]
        self.large = [np.load(folder / f"{stem}.large.npy", mmap_mode="r") for stem in stems]
        self.places = [(shard, clip) for shard, clips in enumerate(self.small) for clip in range(len(clips))]
        self.reach, self.num_frames = reach, self.small[0].shape[1]
        self.scale = self.large[0].shape[2] // self.small[0].shape[2]

    def __len__(self) -> int:
        return len(self.places)

    def whole(self, clip: int, which: int) -> PairBatch:
        """A batch of one whole frame: number `which` of those with a large frame."""
        shard, row = self.places[clip]
        return self._batch([self._input(self.small[shard][row], which)], [self.large[shard][row, which]])

    def draw(self, count: int, side: int, generator: torch.Generator, blurred: float = 0.0) -> PairBatch:
        """Draw crops of `side` small px, randomly mirrored, some reversed in time. blurred: share of the crops whose
        small frames are rendered and blurred: they lie exactly over the large one."""

        def number(high: int) -> int:
            return int(torch.randint(high, (), generator=generator))

        small, large, scale, few = [], [], self.scale, round(blurred * count)
        for order in range(count):
            shard, row = self.places[number(len(self.places))]
            which = number(self.large[shard].shape[1])
            clips = self.true if order < few else self.small
            frames, true = self._input(clips[shard][row], which), self.large[shard][row, which]
            height, width = frames.shape[1:3]
            corners = [(number(height - side + 1), number(width - side + 1)) for _ in range(TRIES)]
            top, left = max(corners, key=lambda at: _detail(frames[self.reach], at, side))
            frames = frames[:, top : top + side, left : left + side]
            true = true[scale * top : scale * (top + side), scale * left : scale * (left + side)]
            if number(2):
                frames, true = frames[:, :, ::-1], true[:, ::-1]
            if number(2):
                frames, true = frames[:, ::-1], true[::-1]
            small.append(frames[::-1] if number(2) else frames)
            large.append(true)
        batch = self._batch(small, large)
        if few:
            batch.small_BTCHW[:few] = blur(batch.small_BTCHW[:few], generator)
        return batch

    def _input(self, clip_FHWC: np.ndarray, which: int) -> np.ndarray:
        middle = EVERY * which
        near = np.clip(np.arange(middle - self.reach, middle + self.reach + 1), 0, self.num_frames - 1)
        return clip_FHWC[near]

    @staticmethod
    def _batch(small: Sequence[np.ndarray], large: Sequence[np.ndarray]) -> PairBatch:
        return PairBatch(
            torch.from_numpy(np.stack(small)).permute(0, 1, 4, 2, 3).float() / 255,
            torch.from_numpy(np.stack(large)).permute(0, 3, 1, 2).float() / 255,
        )


def blur(frames_BTCHW: Tensor, generator: torch.Generator) -> Tensor:
    """Blur each clip by a Gaussian of random width, up to BLUR px, and add a little noise."""
    count, channels = len(frames_BTCHW), frames_BTCHW.shape[1] * frames_BTCHW.shape[2]
    sigma = 0.2 + (BLUR - 0.2) * torch.rand(count, 1, generator=generator)
    line = torch.exp(-(torch.arange(-3, 4) ** 2) / (2 * sigma**2))
    line = (line / line.sum(1, keepdim=True)).repeat_interleave(channels, 0)  # B*C 7
    x = F.pad(frames_BTCHW.flatten(1, 2).flatten(0, 1)[None], (3, 3, 3, 3), mode="replicate")  # 1 B*C H W
    x = F.conv2d(x, line[:, None, None, :], groups=len(line))
    x = F.conv2d(x, line[:, None, :, None], groups=len(line)).view_as(frames_BTCHW)
    return (x + NOISE * torch.randn(x.shape, generator=generator)).clamp(0, 1)


def _detail(frame_HWC: np.ndarray, corner: tuple[int, int], side: int) -> float:
    top, left = corner
    return float(frame_HWC[top : top + side, left : left + side].std((0, 1)).sum())
