"""Latents of user clips in buckets of one size each, encoded once and cached in files with checksums.

A clip goes to the bucket with the nearest aspect ratio, is scaled to cover it and cropped. A clip longer than one
window yields several consecutive windows. Each window can be cropped several times at random positions and scales.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...core.errors import KinemaError, MediaError
from ...core.whole import whole, write_text
from ...media.read import read_chunks
from ...media.resize import resize_frames
from ..core import checkpoints
from .own_clips import Item

SHAPES = (1.0, 4 / 3, 3 / 4, 16 / 9, 9 / 16, 2.0, 0.5)
"""Aspect ratios (width / height) of the buckets."""
SMALLEST, LARGEST = 0.78, 0.97
"""Range of a crop's sides, relative to the clip's."""
HELD_OUT = 10
"""One clip in so many is held out, if there are enough."""
Encode = Callable[[np.ndarray], Tensor]
"""uint8 frames (F, H, W, 3) to latents (F, C, h, w)."""


@dataclass(frozen=True)
class Bucket:
    """Clips of one size: latents (N, F, C, h, w), index of each clip's item (N,), first frames uint8 (N, H, W, 3)."""

    height: int
    width: int
    latents: Tensor
    item: Tensor
    first: Tensor

    # The interface that TemporalTask requires of a store:

    def __len__(self) -> int:
        return len(self.item)

    @property
    def num_frames(self) -> int:
        return int(self.latents.shape[1])

    @property
    def seed(self) -> Tensor:
        return self.item

    @property
    def weight(self) -> Tensor:
        """Uniform weights."""
        return torch.zeros(()).expand(len(self), self.num_frames, *self.latents.shape[-2:])

    def frames(self, index: Tensor, when: Tensor) -> tuple[Tensor, Tensor]:
        """(latents (B, C, h, w), weight (B, h, w)) of one frame of each clip, for ImageTask."""
        return self.latents[index, when].float(), self.weight[index, when].float()

    def part(self, chosen: Tensor) -> Bucket:
        return Bucket(self.height, self.width, self.latents[chosen], self.item[chosen], self.first[chosen])

    def split(self) -> tuple[Bucket, Bucket]:
        """Split into (training, held-out) by item; one item in HELD_OUT is held out. The same bucket twice if there are
        too few items."""
        items, of = self.item.unique(return_inverse=True)
        last = of % HELD_OUT == HELD_OUT - 1
        return (self, self) if len(items) < 2 * HELD_OUT else (self.part(~last), self.part(last))

    def first_frames(self, index: Tensor, start: int) -> Tensor:
        """Return the first frames of clips, for ImageToVideoTask. start must be 0."""
        if start:
            raise ValueError(f"start must be 0, got {start}: a bucket stores only the first frames of clips.")
        return self.first[index]


def size_of(item: Item, area: int, multiple: int) -> tuple[int, int]:
    """(height, width) of a clip's bucket: about `area` pixels, both sides multiples of `multiple`."""
    shape = min(SHAPES, key=lambda ratio: abs(math.log(ratio * item.info.height / item.info.width)))
    height = max(multiple, round(math.sqrt(area / shape) / multiple) * multiple)
    width = max(multiple, round(math.sqrt(area * shape) / multiple) * multiple)
    return height, width


def windows(item: Item, frames: int, fps: float) -> list[list[int]]:
    """Frame indices of each window of a clip, nearest in time at `fps`."""
    last = (item.info.num_frames - 1) / item.info.fps
    count = max(1, int((last * fps + 1.5) // frames))
    times = [[(first * frames + f) / fps for f in range(frames)] for first in range(count)]
    return [[min(round(t * item.info.fps), item.info.num_frames - 1) for t in each] for each in times]


def cut(frames_FHWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Crop all frames at one random position, with the clip's aspect ratio and SMALLEST to LARGEST of its sides."""
    share, sides = rng.uniform(SMALLEST, LARGEST), frames_FHWC.shape[1:3]
    height, width = (max(1, round(share * side)) for side in sides)
    top, left = (int(rng.integers(0, side - part + 1)) for side, part in zip(sides, (height, width), strict=True))
    return np.ascontiguousarray(frames_FHWC[:, top : top + height, left : left + width])


def fill(
    items: Sequence[Item], encode: Encode, folder: Path, *, frames: int, fps: float, area: int, multiple: int,
    encoder_id: str, crops: int = 1, size: tuple[int, int] | None = None,
    on_clip: Callable[[int, int], Any] = lambda done, count: None,
    on_unreadable: Callable[[int, MediaError], Any] | None = None,
) -> list[Bucket]:  # fmt: skip
    """Encode all windows of all clips; returns the buckets, largest first. folder: the cache. encoder_id: identifies
    the encoder in cache keys. crops: number of crops of each window; the first is the full window. size: (height,
    width) of all clips, instead of buckets by aspect ratio. on_clip: callback (done, total) after each clip.
    on_unreadable: callback (index, error) for a clip that cannot be decoded to its end, which is left out; without it
    MediaError is raised."""
    folder.mkdir(parents=True, exist_ok=True)
    held: dict[tuple[int, int], list[tuple[Tensor, Tensor, int]]] = {}
    for number, item in enumerate(items):
        height, width = size or size_of(item, area, multiple)
        settings = json.dumps([encoder_id, frames, fps, height, width] + ([crops] if crops > 1 else []))
        key = hashlib.sha256(settings.encode() + digest(item.path).encode()).hexdigest()
        kept = _read_cache(folder / f"{key}.pt")
        if kept is None:
            rng = np.random.default_rng(int(key[:16], 16))
            encoded, firsts = [], []
            try:
                for frames_FHWC in pixels(item.path, windows(item, frames, fps)):
                    for copy in range(crops):
                        part = resize_frames(cut(frames_FHWC, rng) if copy else frames_FHWC, height, width)
                        encoded.append(encode(part).cpu().half())
                        firsts.append(torch.from_numpy(part[0].copy()))
            except MediaError as error:
                if on_unreadable is None:
                    raise
                on_unreadable(number, error)
                continue
            kept = torch.stack(encoded), torch.stack(firsts)
            _write_cache(folder / f"{key}.pt", kept)
        held.setdefault((height, width), []).extend((*each, number) for each in zip(*kept, strict=True))
        on_clip(number + 1, len(items))
    found = []
    for (height, width), clips in held.items():
        latents_of, pictures, numbers = zip(*clips, strict=True)
        found.append(
            Bucket(height, width, torch.stack(latents_of), torch.tensor(numbers), torch.stack(pictures))
        )  # fmt: skip
    return sorted(found, key=len, reverse=True)


def pixels(path: Path, picks: Sequence[Sequence[int]]) -> Iterator[np.ndarray]:
    """Yield the frames of each window, (F, H, W, 3), with at most one window in memory."""
    frames = (frame for chunk in read_chunks(path, audio=False) for frame in chunk.frames)
    at, frame = -1, np.empty(0)
    for window in picks:
        held: list[np.ndarray] = []
        for pick in window:
            while at < pick:
                try:
                    frame = next(frames)
                except StopIteration:
                    expected = picks[-1][-1] + 1
                    raise MediaError(f"{path}: ends after {at + 1} frames, expected {expected}.") from None
                at += 1
            held.append(frame)
        yield np.stack(held)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_cache(path: Path, kept: tuple[Tensor, Tensor]) -> None:
    with whole(path) as beside:
        torch.save(kept, beside)
    write_text(path.with_suffix(".sha256"), digest(path))


def _read_cache(path: Path) -> tuple[Tensor, Tensor] | None:
    """Read latents and first frames from a cache file; None if it is missing or its checksum differs."""
    note = path.with_suffix(".sha256")
    if not path.is_file() or not note.is_file() or note.read_text(encoding="utf-8") != digest(path):
        return None
    try:
        latents, pictures = checkpoints.read(path)
    except (KinemaError, ValueError, TypeError):
        return None
    return latents, pictures
