"""Own clips as latents, in buckets of one size each: encoded once, kept in files whose hashes are checked.

A clip goes to the bucket whose shape is nearest to its own, is scaled to cover it and cut. What is longer than a window
gives several windows, one after the other. A few clips can each be cut out several times, at other places and scales.
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
"""Widths over heights of the buckets."""
SMALLEST, LARGEST = 0.78, 0.97
"""Shares of a clip's sides that a cut has."""
HELD_OUT = 10
"""One clip in so many is held out, where there are enough."""
Encode = Callable[[np.ndarray], Tensor]
"""uint8 frames (F, H, W, 3) to latents (F, C, h, w)."""


@dataclass(frozen=True)
class Bucket:
    """Clips of one size. latents (N, F, C, h, w), and of each the number of its item and its first frame, uint8
    (N, H, W, 3)."""

    height: int
    width: int
    latents: Tensor
    item: Tensor
    first: Tensor

    # What TemporalTask asks of a store:

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
        """Nothing weighs more than the rest."""
        return torch.zeros(()).expand(len(self), self.num_frames, *self.latents.shape[-2:])

    def frames(self, index: Tensor, when: Tensor) -> tuple[Tensor, Tensor]:
        """(latents (B, C, h, w), weight (B, h, w)) of one frame of each clip, for ImageTask."""
        return self.latents[index, when].float(), self.weight[index, when].float()

    def part(self, chosen: Tensor) -> Bucket:
        return Bucket(self.height, self.width, self.latents[chosen], self.item[chosen], self.first[chosen])

    def apart(self) -> tuple[Bucket, Bucket]:
        """(taught, held out): all windows and cuts of one item in HELD_OUT; the same twice where items are too few."""
        items, of = self.item.unique(return_inverse=True)
        last = of % HELD_OUT == HELD_OUT - 1
        return (self, self) if len(items) < 2 * HELD_OUT else (self.part(~last), self.part(last))

    def first_frames(self, index: Tensor, start: int) -> Tensor:
        """For ImageToVideoTask, which here begins every clip at its first frame."""
        if start:
            raise ValueError(f"Only the first frames of clips are kept, not frame {start}.")
        return self.first[index]


def size_of(item: Item, area: int, multiple: int) -> tuple[int, int]:
    """(height, width) of the bucket for a clip: about `area` pixels, sides that are multiples of `multiple`."""
    shape = min(SHAPES, key=lambda ratio: abs(math.log(ratio * item.info.height / item.info.width)))
    height = max(multiple, round(math.sqrt(area / shape) / multiple) * multiple)
    width = max(multiple, round(math.sqrt(area * shape) / multiple) * multiple)
    return height, width


def windows(item: Item, frames: int, fps: float) -> list[list[int]]:
    """Numbers of the source's frames of each window of a clip, nearest in time."""
    last = (item.info.num_frames - 1) / item.info.fps
    count = max(1, int((last * fps + 1.5) // frames))
    times = [[(first * frames + f) / fps for f in range(frames)] for first in range(count)]
    return [[min(round(t * item.info.fps), item.info.num_frames - 1) for t in each] for each in times]


def cut(frames_FHWC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A place in a clip, the same in all frames, of its shape and SMALLEST to LARGEST of its sides."""
    share, sides = rng.uniform(SMALLEST, LARGEST), frames_FHWC.shape[1:3]
    height, width = (max(1, round(share * side)) for side in sides)
    top, left = (int(rng.integers(0, side - part + 1)) for side, part in zip(sides, (height, width), strict=True))
    return np.ascontiguousarray(frames_FHWC[:, top : top + height, left : left + width])


def fill(
    items: Sequence[Item], encode: Encode, folder: Path, *, frames: int, fps: float, area: int, multiple: int,
    of: str, crops: int = 1, on_clip: Callable[[int, int], Any] = lambda done, count: None,
    on_spoilt: Callable[[int, MediaError], Any] | None = None,
) -> list[Bucket]:  # fmt: skip
    """All windows of all clips in their buckets, the largest first. folder: the cache. of: what tells this encoder from
    others (a digest of its weights). crops: of each window, the first of them whole. on_clip: called after each clip
    with how many are done, and of how many. on_spoilt: called with the number of a clip that cannot be read to its end,
    which is left out; without it MediaError is raised."""
    folder.mkdir(parents=True, exist_ok=True)
    held: dict[tuple[int, int], list[tuple[Tensor, Tensor, int]]] = {}
    for number, item in enumerate(items):
        height, width = size_of(item, area, multiple)
        settings = json.dumps([of, frames, fps, height, width] + ([crops] if crops > 1 else []))
        key = hashlib.sha256(settings.encode() + _digest(item.path).encode()).hexdigest()
        kept = _kept(folder / f"{key}.pt")
        if kept is None:
            rng = np.random.default_rng(int(key[:16], 16))
            encoded, firsts = [], []
            try:
                for pixels in _pixels(item.path, windows(item, frames, fps)):
                    for copy in range(crops):
                        part = resize_frames(cut(pixels, rng) if copy else pixels, height, width)
                        encoded.append(encode(part).cpu().half())
                        firsts.append(torch.from_numpy(part[0].copy()))
            except MediaError as error:
                if on_spoilt is None:
                    raise
                on_spoilt(number, error)
                continue
            kept = torch.stack(encoded), torch.stack(firsts)
            _keep(folder / f"{key}.pt", kept)
        held.setdefault((height, width), []).extend((*each, number) for each in zip(*kept, strict=True))
        on_clip(number + 1, len(items))
    found = []
    for (height, width), clips in held.items():
        latents_of, pictures, numbers = zip(*clips, strict=True)
        found.append(
            Bucket(height, width, torch.stack(latents_of), torch.tensor(numbers), torch.stack(pictures))
        )  # fmt: skip
    return sorted(found, key=len, reverse=True)


def _pixels(path: Path, picks: Sequence[Sequence[int]]) -> Iterator[np.ndarray]:
    """The frames of one window after the other, (F, H, W, 3); no more than a window is in memory."""
    frames = (frame for chunk in read_chunks(path, audio=False) for frame in chunk.frames)
    at, frame = -1, np.empty(0)
    for window in picks:
        held: list[np.ndarray] = []
        for pick in window:
            while at < pick:
                try:
                    frame = next(frames)
                except StopIteration:
                    told = f"ends after {at + 1} frames, where {picks[-1][-1] + 1} are announced"
                    raise MediaError(f"{path}: {told}.") from None
                at += 1
            held.append(frame)
        yield np.stack(held)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _keep(path: Path, kept: tuple[Tensor, Tensor]) -> None:
    with whole(path) as beside:
        torch.save(kept, beside)
    write_text(path.with_suffix(".sha256"), _digest(path))


def _kept(path: Path) -> tuple[Tensor, Tensor] | None:
    """Latents and first frames in a file that is what it was when it was written; None for one that is not, or not
    there."""
    note = path.with_suffix(".sha256")
    if not path.is_file() or not note.is_file() or note.read_text(encoding="utf-8") != _digest(path):
        return None
    try:
        latents, pictures = checkpoints.read(path)
    except (KinemaError, ValueError, TypeError):
        return None
    return latents, pictures
