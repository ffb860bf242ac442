"""Cached latents of clips and of their VACE conditions, encoded before the transformer is trained.

For each clip of a store: the latents of its target, the object weights on the latent grid, the two streams of one kind
of condition (condition_kinds.KINDS) and its mask, and two reference images of its objects. Gray streams share one
encoding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.whole import whole
from ...toyland.scene import World, sample_scene
from ..core import checkpoints, processes
from . import condition_kinds, parallel_vae
from .parallel_vae import normalize, to_network
from .store import SHARD, ClipStore
from .vace import letterbox, object_crop


def encoder(vae: nn.Module, device: str = "cpu") -> Callable[[Tensor], Tensor]:
    """Return a function that encodes frames (B, 3, F, H, W) to normalized mean latents on the CPU."""

    @torch.no_grad()
    def encode(frames_BCFHW: Tensor) -> Tensor:
        frames = frames_BCFHW.to(device).contiguous(memory_format=torch.channels_last_3d)
        return normalize(vae, parallel_vae.encode(vae, frames)[0].float()).cpu()

    return encode


def object_weight(mask_BFHW: Tensor) -> Tensor:
    """Share of object pixels in each latent cell (B, T, h, w): frame 0 alone, then groups of four frames."""
    first = F.avg_pool2d(mask_BFHW[:, :1].float(), 8)
    later = F.avg_pool3d(mask_BFHW[:, 1:].float()[:, None], (4, 8, 8))[:, 0]
    return torch.cat([first, later], dim=1)


def read_clip(store: ClipStore, index: int, world: World, fps: float = 8.0) -> condition_kinds.GroundTruthClip:
    scene = sample_scene(store.seed(index), world)
    return condition_kinds.GroundTruthClip(
        scene, store.frames_of(index), store.masks_of(index), store.track(index), fps
    )


def reference_pictures(clip: condition_kinds.GroundTruthClip, rng: np.random.Generator) -> tuple[Tensor, int]:
    """Two reference images on white, (2, 3, H, W) in [-1, 1], and how many of them show an object: the first object in
    a random frame, and the second object, or the first again."""
    height, width = clip.frames_FHWC.shape[1:3]
    pictures = []
    for slot in (0, min(1, len(clip.scene.actors) - 1)):
        when = int(rng.integers(len(clip.frames_FHWC)))
        crop = object_crop(clip.frames_FHWC[when], clip.masks_NFHW[slot, when])
        if crop is not None:
            pictures.append(letterbox(crop, height, width))
    count = len(pictures)
    return torch.stack([*pictures, *[torch.ones(3, height, width)] * (2 - count)]), count


def place_pictures(target_FHWC: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, int]:
    """Two frames of a place as reference images: (2, 3, H, W) in [-1, 1], and 2."""
    return torch.from_numpy(target_FHWC[rng.integers(len(target_FHWC), size=2)]).permute(0, 3, 1, 2), 2


def encode_streams(
    vae_encode: Callable[[Tensor], Tensor], conditions: list[condition_kinds.Condition], gray: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(inactive, reactive) latents and masks (B, F, H, W) of conditions. Gray streams use `gray`."""
    streams = []
    masks = torch.from_numpy(np.stack([mask for _, mask in conditions]))
    source = torch.from_numpy(np.stack([frames for frames, _ in conditions])).permute(0, 4, 1, 2, 3)
    for part in (~masks, masks):
        pixels = source * part[:, None]
        latents = gray.expand(len(conditions), *gray.shape[1:]).clone()
        some = pixels.flatten(1).any(1)
        if some.any():
            latents[some] = vae_encode(pixels[some])
        streams.append(latents)
    return streams[0], streams[1], masks


def encode_shard(
    vae_encode: Callable[[Tensor], Tensor], store: ClipStore, world: World, first: int, count: int, gray: Tensor,
    together: int = 8, fps: float = 8.0, leave_out: Sequence[str] = (),
    report: Callable[[int], object] = lambda done: None,
) -> dict:  # fmt: skip
    """Encode clips first to first + count, `together` at once; returns float16 tensors, masks packed to bits.
    leave_out: kinds of conditions not to use. report: callback with the number of clips done."""
    parts: dict[str, list[Tensor]] = {}
    numbers: dict[str, list[int]] = {"kind": [], "seed": [], "references": []}
    for at in range(first, first + count, together):
        conditions, references = [], []
        indices = list(range(at, min(at + together, first + count)))
        frames, objects = store.take(indices)
        targets = to_network(frames)
        for row, index in enumerate(indices):
            clip, rng = read_clip(store, index, world, fps), np.random.default_rng(store.seed(index))
            kind = condition_kinds.choose(rng, leave_out)
            conditions.append(condition_kinds.KINDS[kind][1](clip, rng))
            pictures, num = reference_pictures(clip, rng)
            if kind in condition_kinds.TARGETS:
                target = condition_kinds.TARGETS[kind](clip, conditions[-1])
                targets[row] = torch.from_numpy(target).permute(3, 0, 1, 2)
                if kind in condition_kinds.WITHOUT_OBJECTS:
                    pictures, num = place_pictures(target, rng)
            references.append(pictures)
            for name, number in zip(numbers, (condition_kinds.NAMES.index(kind), store.seed(index), num), strict=True):
                numbers[name].append(number)
        inactive, reactive, masks = encode_streams(vae_encode, conditions, gray)
        pictures = vae_encode(torch.cat(references)[:, :, None])
        new = {
            "clean": vae_encode(targets).half(),
            "inactive": inactive.half(),
            "reactive": reactive.half(),
            "reference": pictures.view(len(indices), 2, *pictures.shape[1:]).transpose(1, 2).flatten(2, 3).half(),
            "weight": object_weight(objects).half(),
            "mask": torch.from_numpy(np.packbits(masks.flatten(1).numpy(), axis=1)),
        }
        for name, value in new.items():
            parts.setdefault(name, []).append(value)
        report(at + len(indices))
    return {
        **{name: torch.cat(value) for name, value in parts.items()},
        **{name: torch.tensor(value) for name, value in numbers.items()},
    }


def write_latents(
    vae: nn.Module, store: ClipStore, world: World, folder: Path, *, device: str = "cpu", limit: int,
    minutes: float | None = None, fps: float = 8.0, leave_out: Sequence[str] = (),
    report: Callable[[int, int], object] = lambda done, total: None,
) -> None:  # fmt: skip
    """Encode clips up to `limit` in shards of SHARD clips, and a gray clip (gray.pt). Existing shards are kept.

    leave_out: kinds of conditions not to use. Several processes share the shards. After `minutes` no new shard is
    begun, except the first. report: callback (done, total) in clips.
    """
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    vae_encode = encoder(vae, device)
    frames, _ = store.take([0])
    gray = vae_encode(torch.zeros_like(to_network(frames)))
    if processes.first():
        with whole(folder / "gray.pt") as beside:
            torch.save(gray, beside)
    for first in range(0, min(limit, len(store)), SHARD):
        path = folder / f"{first // SHARD:05d}.pt"
        if first and minutes is not None and time.monotonic() - started > 60 * minutes:
            break
        if path.exists() or first // SHARD % processes.count() != processes.rank():
            continue
        count = min(SHARD, len(store) - first, limit - first)
        shard = encode_shard(
            vae_encode, store, world, first, count, gray, 8 if device == "cpu" else 64, fps, leave_out,
            lambda done: report(done, min(limit, len(store))),
        )  # fmt: skip
        with whole(path) as beside:
            torch.save(shard, beside)
    processes.wait()


class LatentStore:
    """All shards of a folder in device memory, in float16; `refresh` loads new ones."""

    def __init__(self, folder: Path, frame_shape: tuple[int, int, int], device: str = "cpu"):
        self.folder, self.frame_shape, self.device = folder, frame_shape, device
        self.loaded: set[Path] = set()
        self.gray: Tensor = checkpoints.read(folder / "gray.pt", device)
        self.tensors: dict[str, Tensor] = {}
        self.refresh()

    def refresh(self) -> int:
        new = sorted(set(self.folder.glob("[0-9]*.pt")) - self.loaded)
        shards = [checkpoints.read(path, self.device) for path in new]
        parts = [self.tensors, *shards] if self.tensors else shards
        if shards:
            self.tensors = {name: torch.cat([part[name] for part in parts]) for name in shards[0]}
        self.loaded.update(new)
        return len(self)

    def __len__(self) -> int:
        return len(self.tensors["seed"]) if self.tensors else 0

    def masks(self, index: Tensor) -> Tensor:
        """The masks of the conditions, (B, F, H, W) float, 1 = generate."""
        packed = self.tensors["mask"][index][..., None]
        bits = (packed >> torch.arange(7, -1, -1, device=packed.device, dtype=torch.uint8)) & 1
        return bits.flatten(1)[:, : math.prod(self.frame_shape)].view(-1, *self.frame_shape).float()
