"""What kinema-mini-easyanimate's transformer is trained on with `--set buckets=...` (several sizes and lengths) or
`--data FOLDER` (the user's clips), and the autoencoder's clips from such a folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mini_easyanimate_networks import FPS, FRAMES, SIDE, WORLD

from kinema.core.errors import MediaError
from kinema.core.whole import whole
from kinema.evaluation.cases import HELD_OUT
from kinema.media.resize import resize_frames
from kinema.training.core import processes
from kinema.training.core.budget import Budget
from kinema.training.data import buckets, token_buckets
from kinema.training.data.clip_latents import encode_clips, write_clip_latents
from kinema.training.data.frame_latents import FrameLatents
from kinema.training.data.own_clips import FoundClips
from kinema.training.data.store import SHARD, ClipStore, fitting, write_shards
from kinema.training.data.token_buckets import Shape, TokenBuckets

NATIVE = Shape(SIDE, SIDE, FRAMES)
Stores = tuple[list[Any], list[Any]]
"""For training, and held out."""


def write_own_clips(found: FoundClips, folder: Path, held_out: Path) -> None:
    """Write the clips of a folder as training clips of the autoencoder: windows of one size, the shorter ones ending in
    a still. One clip in ten is held out if there are enough."""
    if processes.first():
        few = len(found.items) < 2 * buckets.HELD_OUT
        last = buckets.HELD_OUT - 1
        for place, kept in ((folder, False), (held_out, True)):
            chosen = [n for n in range(len(found.items)) if few or (n % buckets.HELD_OUT == last) == kept]
            _write(place, _windows(found, chosen))
    processes.wait()


def _windows(found: FoundClips, chosen: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    for number in chosen:
        item = found.items[number]
        try:
            for frames in buckets.pixels(item.path, buckets.windows(item, FRAMES, FPS)):
                yield number, resize_frames(frames, SIDE, SIDE)
        except MediaError as error:
            found.mark_unreadable(number, error)


def _write(folder: Path, windows: Iterator[tuple[int, np.ndarray]]) -> None:
    """Shards of store.py. The whole frame counts as an object."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(windows)
    for first in range(0, len(rows), SHARD):
        part, stem = rows[first : first + SHARD], str(folder / f"{first // SHARD:05d}.")
        np.save(stem + "frames.npy", np.stack([frames for _, frames in part]))
        np.save(stem + "masks.npy", np.full((len(part), 2 * FRAMES * SIDE * SIDE // 8), 255, np.uint8))
        np.save(stem + "tracks.npy", np.full((len(part), 2, FRAMES, 2), np.nan, np.float32))
        with whole(Path(stem + "seeds.npy")) as beside:
            np.save(beside, np.array([number for number, _ in part], np.int64))


class OwnSizes:
    """The user's clips in buckets."""

    def __init__(self, found: Callable[[], FoundClips], shapes: tuple[Shape, ...], out: Path, device: str) -> None:
        self.found, self.shapes, self.out, self.device = found, shapes, out, device

    def cache(self, vae: Any, *, bf16: bool, budget: Budget, **_: Any) -> dict[str, Any]:
        return {str(shape): len(each) for shape, each in self._fill(vae, bf16, budget.counting("encoding")).items()}

    def stores(self, vae: Any, bf16: bool) -> Stores:
        parts = [bucket.split() for bucket in self._fill(vae, bf16).values()]
        return [train for train, _ in parts], [other for _, other in parts]

    def _fill(self, vae: Any, bf16: bool, report: Any = lambda done, total: None) -> dict[Shape, buckets.Bucket]:
        weights = torch.cat([value.flatten().double() for value in vae.state_dict().values()])
        checksum = f"{float(weights.sum()):.12g} {float(weights.square().sum()):.12g}"

        def encode(frames_FHWC: np.ndarray) -> torch.Tensor:
            return encode_clips(vae, torch.from_numpy(frames_FHWC)[None], self.device, bf16)[0]

        return token_buckets.fill(
            self.found(), self.shapes, encode, self.out / "cache", fps=FPS, encoder_id=f"slice vae {checksum}",
            on_clip=report,
        )  # fmt: skip


class ToylandSizes:
    """Rendered clips in buckets, in OUT/sizes: as many of each."""

    def __init__(self, shapes: tuple[Shape, ...], out: Path, device: str) -> None:
        self.shapes, self.out, self.device = shapes, out / "sizes", device

    def cache(self, vae: Any, *, bf16: bool, budget: Budget, count: int, few: int) -> dict[str, Any]:
        """Render and encode `few` held-out clips of each bucket, and as many others, up to `count` in all, as fit the
        time."""
        how: dict[str, Any] = {"device": self.device, "bf16": bf16, "report": budget.counting("encoding")}
        found = {}
        for left, shape in zip(range(len(self.shapes), 0, -1), self.shapes, strict=True):
            folder, size = self.out / str(shape), {"width": shape.width, "height": shape.height, "fps": FPS}
            size |= {"num_frames": shape.frames, "device": self.device}
            write_shards(folder / "held_out", WORLD, range(HELD_OUT, HELD_OUT + few), **size)  # type: ignore[arg-type]
            began = time.monotonic()
            write_clip_latents(vae, ClipStore(folder / "held_out"), folder / "latents_held_out", **how)
            each_s = (time.monotonic() - began) / few
            limit = fitting(budget, max(1, count // len(self.shapes)), each_s * left)
            write_shards(folder / "clips", WORLD, range(limit), **size)  # type: ignore[arg-type]
            with budget.shortening():
                write_clip_latents(vae, ClipStore(folder / "clips"), folder / "latents", limit=limit, **how)
            found[str(shape)] = limit
        return found

    def stores(self, vae: Any, bf16: bool) -> Stores:
        both = [
            [FrameLatents(self.out / str(shape) / name, device=self.device) for shape in self.shapes]
            for name in ("latents", "latents_held_out")
        ]
        return both[0], both[1]


def batches(stores: list[Any], batch: int) -> TokenBuckets:
    """Batches of as many tokens as `batch` clips of the training's own size."""
    return TokenBuckets(stores, batch * ((FRAMES - 1) // 4 + 1) * (SIDE // 8) ** 2)
