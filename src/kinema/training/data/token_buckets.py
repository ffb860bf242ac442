"""Clips of several sizes and lengths in one training (token-length buckets, arXiv 2405.18991): every batch is of one
bucket, and has so many clips that all batches have about as many tokens. A clip of one frame is a picture.

    64x64x17,96x64x9,64x64x1        width x height x frames of each bucket
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...core.errors import MediaError
from ...core.numerals import integer
from . import buckets
from .own_clips import FoundClips, Item

MOST = 32


@dataclass(frozen=True)
class Shape:
    """The clips of a bucket."""

    width: int
    height: int
    frames: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.frames}"


def parse(text: str, multiple: int, step: int) -> tuple[Shape, ...]:
    """The shapes that a text names. multiple: of width and height. step: frames are a multiple of it, and one more.
    ValueError with what is legal."""
    found = []
    for word in text.split(","):
        try:
            width, height, frames = (integer(part) for part in word.strip().split("x"))
        except ValueError:
            raise ValueError(f"{word!r} is no bucket. Legal: WIDTHxHEIGHTxFRAMES, as 64x64x17.") from None
        if min(width, height) < multiple or width % multiple or height % multiple:
            raise ValueError(f"{word}: width and height must be multiples of {multiple}.")
        if frames < 1 or (frames - 1) % step:
            raise ValueError(f"{word}: {frames} frames; legal are 1, {step + 1}, {2 * step + 1}, ...")
        found.append(Shape(width, height, frames))
    if len(set(found)) < len(found) or len(found) > MOST:
        raise ValueError(f"{text}: {len(found)} buckets; legal are up to {MOST}, each once.")
    return tuple(found)


class TokenBuckets:
    """Stores of clips (latents (N, T, C, h, w), weight (N, T, h, w), seed (N,)), one for each bucket. tokens: latent
    cells of a batch. Every clip is drawn equally often."""

    def __init__(self, stores: Sequence[Any], tokens: int) -> None:
        self.stores, self.tokens = [store for store in stores if len(store)], tokens
        if not self.stores:
            raise ValueError("No clip fits a bucket.")

    def count(self, store: Any, single: bool = False) -> int:
        """Clips of a batch, or single frames of so many clips: as many as the tokens allow."""
        frames, cells = store.latents.shape[1], math.prod(store.latents.shape[-2:])
        return max(1, self.tokens // (cells * (1 if single else frames)))

    def draw(self, generator: torch.Generator, single: bool = False) -> tuple[Any, Tensor]:
        """A store, and the clips of a batch. The share of a bucket's batches is that of an epoch."""
        batches = torch.tensor([len(store) / self.count(store, single) for store in self.stores])
        store = self.stores[int(torch.multinomial(batches, 1, generator=generator))]
        return store, torch.randint(len(store), (self.count(store, single),), generator=generator)


def assign(items: Sequence[Item], shapes: Sequence[Shape], fps: float) -> dict[Shape, list[int]]:
    """The items of each bucket. A clip goes to the buckets with the aspect ratio nearest to its own, of which it fills
    the area and the length; if it fills none, to the smallest of them, unless it is too short for all."""
    found: dict[Shape, list[int]] = {shape: [] for shape in shapes}
    for number, item in enumerate(items):
        own = math.log(item.info.width / item.info.height)
        apart = {shape: round(abs(math.log(shape.width / shape.height) - own), 6) for shape in shapes}
        frames = int((item.info.num_frames - 1) / item.info.fps * fps + 1.5) if item.info.num_frames > 1 else 1
        near = [shape for shape in shapes if apart[shape] == min(apart.values()) and shape.frames <= frames]
        filled = [shape for shape in near if shape.width * shape.height <= item.info.width * item.info.height]
        smallest = min((shape.width * shape.height for shape in near), default=0)
        for shape in filled or [shape for shape in near if shape.width * shape.height == smallest]:
            found[shape].append(number)
    return found


def fill(
    found: FoundClips, shapes: Sequence[Shape], encode: buckets.Encode, folder: Path, *, fps: float, encoder_id: str,
    on_clip: Callable[[int, int], Any] = lambda done, count: None,
) -> dict[Shape, buckets.Bucket]:  # fmt: skip
    """Encode the clips of a folder for every bucket that has some (data/buckets.py, with its cache); a clip that cannot
    be decoded to its end is marked in `found` and left out."""
    made: dict[Shape, buckets.Bucket] = {}
    for shape, numbers in assign(found.items, shapes, fps).items():
        usable = [number for number in numbers if number not in found.unreadable]
        if not usable:
            continue

        def unreadable(index: int, error: MediaError, usable: list[int] = usable) -> None:
            found.mark_unreadable(usable[index], error)

        each = buckets.fill(
            [found.items[number] for number in usable], encode, folder, frames=shape.frames, fps=fps,
            area=shape.width * shape.height, multiple=1, size=(shape.height, shape.width), encoder_id=encoder_id,
            on_clip=on_clip, on_unreadable=unreadable,
        )  # fmt: skip
        for bucket in each:
            made[shape] = replace(bucket, item=torch.tensor(usable)[bucket.item])
    return made
