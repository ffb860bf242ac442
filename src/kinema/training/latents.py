"""Latents of clips and of their conditions, encoded once before the transformer is trained.

For each clip of a store: its own latents, the weight of its objects on the latent grid, the condition latents of a
drawn path (reactive) and of one kind of known pixels (inactive: first frame, first and last frame, box, first clip),
and one reference picture of its object. What is not stored is the encoding of an all-zero (mid gray) clip.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.conditions.trajectory import draw
from kinema.toyland.palette import OBJECT_COLORS
from kinema.toyland.scene import World, sample_scene

from . import parallel_vae
from .store import SHARD, ClipStore
from .vace import letterbox, object_crop
from .vae import normalize, to_network

KNOWN = ("first", "first_last", "box", "extension")
KNOWN_ODDS = (0.32, 0.10, 0.35, 0.23)


def encoder(vae: nn.Module, device: str = "cpu") -> Callable[[Tensor], Tensor]:
    """Frames (B, 3, F, H, W) to normalised mean latents on the CPU."""

    @torch.no_grad()
    def encode(frames_BCFHW: Tensor) -> Tensor:
        frames = frames_BCFHW.to(device).contiguous(memory_format=torch.channels_last_3d)
        return normalize(vae, parallel_vae.encode(vae, frames)[0].float()).cpu()

    return encode


def draw_dots(tracks_NF2: np.ndarray, colors: list[tuple[int, int, int]], height: int, width: int) -> np.ndarray:
    """Control frames (F, H, W, 3) uint8 of the paths of several objects; no dot where a track is NaN."""
    frames = np.zeros((tracks_NF2.shape[1], height, width, 3), np.uint8)
    for track_F2, color in zip(tracks_NF2, colors, strict=True):
        points = (track_F2 + 0.5) / np.array([width, height])
        points = np.where(np.isnan(points), -1.0, points)
        frames = np.maximum(frames, draw(points, height, width, color))
    return frames


def known_mask(kind: str, masks_NFHW: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(F, H, W) bool, true where the model must generate, for one of KNOWN."""
    _, num_frames, height, width = masks_NFHW.shape
    if kind == "box":
        return box_mask(masks_NFHW[0], rng)
    mask = np.ones((num_frames, height, width), bool)
    if kind == "extension":
        mask[: int(rng.choice([5, 5, 9]))] = False
    else:
        mask[0] = False
        if kind == "first_last":
            mask[-1] = False
    return mask


def box_mask(object_FHW: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(F, H, W) bool: a box around the object's whole way, or one that follows it, or a box anywhere."""
    num_frames, height, width = object_FHW.shape
    mask = np.zeros((num_frames, height, width), bool)
    choice = rng.random()
    if choice < 0.7 and object_FHW.any():
        margin = int(rng.integers(2, 7))
        shared = object_FHW.any(0)
        for frame in range(num_frames):
            seen = shared if choice < 0.4 or not object_FHW[frame].any() else object_FHW[frame]
            rows, columns = np.nonzero(seen)
            top, left = max(rows.min() - margin, 0), max(columns.min() - margin, 0)
            mask[frame, top : rows.max() + 1 + margin, left : columns.max() + 1 + margin] = True
        return mask
    tall, wide = rng.integers(height * 3 // 8, height * 6 // 8, 2)
    top, left = rng.integers(0, height - tall), rng.integers(0, width - wide)
    mask[:, top : top + tall, left : left + wide] = True
    return mask


def object_weight(mask_BFHW: Tensor) -> Tensor:
    """Share of object pixels in each latent cell (B, T, h, w): frame 0 alone, then groups of four frames."""
    first = F.avg_pool2d(mask_BFHW[:, :1].float(), 8)
    later = F.avg_pool3d(mask_BFHW[:, 1:].float()[:, None], (4, 8, 8))[:, 0]
    return torch.cat([first, later], dim=1)


def encode_shard(
    vae_encode: Callable[[Tensor], Tensor], store: ClipStore, world: World, first: int, count: int
) -> dict:
    """All tensors of clips first to first + count (see the module's text); float16, masks as bits."""
    parts: dict[str, list] = {
        "clean": [],
        "weight": [],
        "dots": [],
        "known": [],
        "reference": [],
        "mask": [],
        "kind": [],
    }
    has_reference = []
    for at in range(first, first + count, 8):
        clips = range(at, min(at + 8, first + count))
        frames, mask = store.take(list(clips))
        dots, kept, references = [], [], []
        for index, clip in zip(clips, frames.numpy(), strict=True):
            rng = np.random.default_rng(store.seed(index))
            scene, masks, tracks = sample_scene(store.seed(index), world), store.masks_of(index), store.track(index)
            height, width = clip.shape[1:3]
            num = len(scene.actors) if rng.random() < 0.5 else 1
            colors = [OBJECT_COLORS[actor.color] if rng.random() < 0.85 else (255, 255, 255) for actor in scene.actors]
            dots.append(draw_dots(tracks[:num], colors[:num], height, width))
            kind = str(rng.choice(KNOWN, p=KNOWN_ODDS))
            generate = known_mask(kind, masks, rng)
            kept.append((to_network(torch.from_numpy(clip)[None])[0], torch.from_numpy(generate)))
            parts["kind"].append(KNOWN.index(kind))
            when = int(rng.integers(clip.shape[0]))
            crop = object_crop(clip[when], masks[0, when])
            has_reference.append(crop is not None)
            references.append(letterbox(crop if crop is not None else clip[0], height, width))
        pixels = torch.stack([picture for picture, _ in kept])
        masks_BFHW = torch.stack([mask_FHW for _, mask_FHW in kept])
        parts["clean"].append(vae_encode(pixels).half())
        parts["known"].append(vae_encode(pixels * ~masks_BFHW[:, None]).half())
        parts["dots"].append(vae_encode(to_network(torch.from_numpy(np.stack(dots)))).half())
        parts["reference"].append(vae_encode(torch.stack(references)[:, :, None]).half())
        parts["weight"].append(object_weight(mask).half())
        parts["mask"].append(torch.from_numpy(np.packbits(masks_BFHW.flatten(1).numpy(), axis=1)))
    kinds = torch.tensor(parts.pop("kind"))
    seeds = torch.tensor([store.seed(index) for index in range(first, first + count)])
    return {
        **{name: torch.cat(value) for name, value in parts.items()},
        "kind": kinds, "seed": seeds, "has_reference": torch.tensor(has_reference),
    }  # fmt: skip


def write_latents(
    vae: nn.Module, store: ClipStore, world: World, folder: Path, *, device: str = "cpu", limit: int, start: int = 0
) -> None:  # fmt: skip
    """Encode clips start to limit in shards of SHARD clips that are not there yet, and the gray clip (gray.pt)."""
    folder.mkdir(parents=True, exist_ok=True)
    vae_encode = encoder(vae, device)
    frames, _ = store.take([0])
    torch.save(vae_encode(torch.zeros_like(to_network(frames))), folder / "gray.pt")
    for first in range(start, min(limit, len(store)), SHARD):
        path = folder / f"{first // SHARD:05d}.pt"
        if path.exists():
            continue
        shard = encode_shard(vae_encode, store, world, first, min(SHARD, len(store) - first, limit - first))
        torch.save(shard, path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)


class LatentStore:
    """All shards of a folder in memory, in float16; `refresh` adds new ones."""

    def __init__(self, folder: Path, frame_shape: tuple[int, int, int]):
        self.folder, self.frame_shape = folder, frame_shape
        self.loaded: set[Path] = set()
        self.gray: Tensor = torch.load(folder / "gray.pt")
        self.tensors: dict[str, Tensor] = {}
        self.refresh()

    def refresh(self) -> int:
        for path in sorted(set(self.folder.glob("[0-9]*.pt")) - self.loaded):
            shard = torch.load(path, weights_only=True)
            self.tensors = {k: torch.cat([self.tensors[k], v]) if self.tensors else v for k, v in shard.items()}
            self.loaded.add(path)
        return len(self)

    def __len__(self) -> int:
        return len(self.tensors["seed"]) if self.tensors else 0

    def masks(self, index: Tensor) -> Tensor:
        """(B, F, H, W) float: 1 where the known condition of each clip wants pixels generated."""
        bits = np.unpackbits(self.tensors["mask"][index].numpy(), axis=1, count=int(np.prod(self.frame_shape)))
        return torch.from_numpy(bits).view(-1, *self.frame_shape).float()
