"""Toyland clips on disk, rendered once in shards, with random access.

A shard is four .npy files and holds `SHARD` clips: frames (uint8, [n, F, H, W, 3]), masks (bits of [n, 2, F, H, W]),
tracks (float32, [n, 2, F, 2], px; NaN where the object is not visible) and seeds (int64, [n]). Scenes and captions
are computed from the seeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...core.whole import whole
from ...toyland.render import render
from ...toyland.scene import Scene, World, sample_scene
from ..core import processes
from ..core.budget import Budget

SHARD = 256
FEWEST = 16
"""Minimum number of clips to encode, regardless of the time."""


class ClipStore:
    """The clips of a folder in the order of their shards. `refresh` opens new shards."""

    def __init__(self, folder: Path, max_clips: int | None = None):
        self.folder, self.max_clips = folder, max_clips
        self.frames: list[np.ndarray] = []
        self.masks: list[np.ndarray] = []
        self.tracks: list[np.ndarray] = []
        self.seeds: list[np.ndarray] = []
        self.refresh()

    def refresh(self) -> int:
        """Open new shards; returns the number of clips."""
        for path in sorted(self.folder.glob("*.seeds.npy"))[len(self.seeds) :]:
            stem = str(path)[: -len("seeds.npy")]
            self.frames.append(np.load(stem + "frames.npy", mmap_mode="r"))
            self.masks.append(np.load(stem + "masks.npy", mmap_mode="r"))
            self.tracks.append(np.load(stem + "tracks.npy"))
            self.seeds.append(np.load(path))
        return len(self)

    def __len__(self) -> int:
        total = sum(len(seeds) for seeds in self.seeds)
        return total if self.max_clips is None else min(total, self.max_clips)

    @property
    def num_frames(self) -> int:
        return self.frames[0].shape[1]

    def _find(self, index: int) -> tuple[int, int]:
        for shard, seeds in enumerate(self.seeds):
            if index < len(seeds):
                return shard, index
            index -= len(seeds)
        raise IndexError("no such clip")

    def seed(self, index: int) -> int:
        """Seed of the scene of clip `index`."""
        shard, row = self._find(index)
        return int(self.seeds[shard][row])

    def track(self, index: int) -> np.ndarray:
        """(2, F, 2) pixel positions (x, y) of both actors; NaN where not visible."""
        shard, row = self._find(index)
        return self.tracks[shard][row]

    def masks_of(self, index: int) -> np.ndarray:
        """(2, F, H, W) bool: visible pixels of each actor."""
        shard, row = self._find(index)
        shape = (2, *self.frames[shard].shape[1:4])
        return np.unpackbits(self.masks[shard][row], count=int(np.prod(shape))).reshape(shape).astype(bool)

    def frames_of(self, index: int) -> np.ndarray:
        """(F, H, W, 3) uint8."""
        shard, row = self._find(index)
        return np.asarray(self.frames[shard][row])

    def pictures(self, index: Tensor, start: int) -> Tensor:
        """Frame `start` of these clips, (B, H, W, 3) uint8."""
        return torch.from_numpy(np.stack([self.frames_of(each)[start] for each in index.tolist()]))

    def take(self, indices: Sequence[int], start: int = 0, stop: int | None = None) -> tuple[Tensor, Tensor]:
        """Frames (B, F, H, W, 3) uint8 and the union of the actors' masks (B, F, H, W) bool of frames start to stop."""
        frames = np.stack([self.frames_of(index)[start:stop] for index in indices])
        masks = np.stack([self.masks_of(index)[:, start:stop].any(0) for index in indices])
        return torch.from_numpy(frames), torch.from_numpy(masks)


def write_shards(
    folder: Path, world: World, seeds: Sequence[int], *, num_frames: int, height: int, width: int, fps: float = 8.0,
    device: str = "cpu", scene: Callable[[int, World], Scene] = sample_scene, minutes: float | None = None,
    report: Callable[[int, int], object] = lambda done, total: None,
) -> None:  # fmt: skip
    """Render the scenes of `seeds` into shards; existing ones are kept. Safe to stop and start again. Several processes
    share the shards. After `minutes` no new shard is begun, except the first. report: callback (done, total) in
    clips."""
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, len(seeds), SHARD):
        part = list(seeds[first : first + SHARD])
        stem = str(folder / f"{first // SHARD:05d}.")
        if first and minutes is not None and time.monotonic() - started > 60 * minutes:
            break
        if Path(stem + "seeds.npy").exists() or first // SHARD % processes.count() != processes.rank():
            continue
        frames, masks, tracks = [], [], []
        for at in range(0, len(part), 32):
            scenes = [scene(seed, world) for seed in part[at : at + 32]]
            out = render(scenes, num_frames=num_frames, height=height, width=width, fps=fps, device=device)
            seen = out.visible_BNF[..., None].cpu()
            frames.append(out.frames_BFHWC.cpu().numpy())
            masks.append(np.packbits(out.masks_BNFHW.cpu().numpy().reshape(len(scenes), -1), axis=1))
            tracks.append(torch.where(seen, out.tracks_BNF2.cpu().float(), torch.nan).numpy())
            report(first + at + len(scenes), len(seeds))
        np.save(stem + "frames.npy", np.concatenate(frames))
        np.save(stem + "masks.npy", np.concatenate(masks))
        np.save(stem + "tracks.npy", np.concatenate(tracks))
        with whole(Path(stem + "seeds.npy")) as beside:  # written last: a shard with seeds is complete
            np.save(beside, np.asarray(part, dtype=np.int64))
    processes.wait()


def fitting(budget: Budget, count: int, each_s: float) -> int:
    """Number of clips, up to `count`, that all processes together can encode in the stage's time. each_s: seconds per
    clip in the first process."""
    sharing = min(processes.count(), -(-count // SHARD))
    return int(processes.agree(budget.fitting(count, FEWEST, each_s / sharing)))
