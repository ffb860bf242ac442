"""Training clips of Tora: latents, and motion maps compressed to the latents' grid, computed once.

Legend: N clips, D draws of key points, F frames, T latent frames, C K channels, H W pixels, h w latent cells.
A motion map has the colours of inference (families/cogvideox/tora/motion_map.py): stage 1 sees the dense flow, stage 2
the spread motion of 1 to 16 key points (arXiv 2407.21705, section 3.4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.errors import KinemaError
from ...core.whole import whole
from ...diffusion.pixels import to_unit
from ...families.cogvideox.tora import motion_map
from ...features.motion_filter import ClipMotion, measure
from ...toyland.render import render
from ...toyland.scene import World, sample_scene
from ..core import checkpoints
from . import key_points
from .buckets import HELD_OUT, Bucket

COMPRESSIONS = ("vae", "sample", "pool")
"""How a motion map gets the latents' grid (the ablation of the paper's table 2): the model's autoencoder; every fourth
frame; the mean of four frames. The last two are averaged over 8x8 px and have the map's three channels."""
DRAWS = 4
"""Different draws of key points per clip."""
SHARD = 32
Encode = Callable[[Tensor], Tensor]
"""Pixels (1, 3, F, H, W) in [-1, 1] to latents (1, C, T, h, w), scaled and padded for the transformer."""


@dataclass(frozen=True)
class MotionEncoder:
    """Computes the tensors of a clip from frames and flow. latent_channels: of `encode`. sigma_px: of the Gaussian of
    key points. picture_factor: for image-to-video models, the factor on the latents of the first frame alone, which are
    then computed too. seed: of the key points, which also depend on the clip's content, so that equal clips have equal
    draws. stride: frames per latent frame."""

    encode: Encode
    latent_channels: int
    sigma_px: float
    picture_factor: float | None = None
    compression: str = "vae"
    draws: int = DRAWS
    most_points: int = key_points.MOST
    seed: int = 0
    stride: int = 4

    @property
    def channels(self) -> int:
        """K, of a compressed motion map."""
        return self.latent_channels if self.compression == "vae" else 3

    def packed(self, frames_FHWC: np.ndarray, flow_FHW2: np.ndarray) -> Tensor:
        """All tensors of a clip, on one grid: (T, C + K + D K [+ C], h, w): latents, dense map, sparse maps, and with
        `picture_factor` the first frame's latents in every frame."""
        latents = self.encode(to_unit(frames_FHWC).transpose(0, 1)[None])
        grid = (int(latents.shape[2]), int(latents.shape[3]), int(latents.shape[4]))
        digest = hashlib.sha256(np.ascontiguousarray(frames_FHWC).tobytes()).digest()
        rng = np.random.default_rng([self.seed, *digest[:8]])
        maps = [motion_map.draw_dense(flow_FHW2), *(self.sparse(flow_FHW2, rng) for _ in range(self.draws))]
        parts = [latents, *(self.compress(each, grid) for each in maps)]
        if self.picture_factor is not None:
            first = self.picture_factor * self.encode(to_unit(frames_FHWC[:1]).transpose(0, 1)[None])[:, :, -1:]
            parts.append(first.expand(-1, -1, grid[0], -1, -1))
        return torch.cat(parts, 1)[0].transpose(0, 1).float().cpu()

    def sparse(self, flow_FHW2: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The motion map of a draw of key points, uint8 (F, H, W, 3); white for a clip without motion."""
        height, width = flow_FHW2.shape[1:3]
        paths = key_points.track(flow_FHW2, key_points.choose(flow_FHW2, rng, self.most_points))
        if not len(paths):
            return np.full((len(flow_FHW2) + 1, height, width, 3), 255, np.uint8)
        return motion_map.draw([path + 0.5 for path in paths], height, width, self.sigma_px)

    def compress(self, map_FHWC: np.ndarray, grid: tuple[int, int, int]) -> Tensor:
        """A motion map on the grid (T, h, w): (1, K, T, h, w)."""
        pixels = to_unit(map_FHWC).transpose(0, 1)[None]
        if self.compression == "vae":
            return self.encode(pixels)
        if self.compression not in COMPRESSIONS:
            raise ValueError(f"compression must be one of {', '.join(COMPRESSIONS)}, got {self.compression!r}.")
        extra = grid[0] - 1 - (pixels.shape[2] - 1) // self.stride  # in front, for the transformer's patches
        later = pixels[:, :, 1:].unflatten(2, (-1, self.stride))
        later = later[:, :, :, -1] if self.compression == "sample" else later.mean(3)
        found = torch.cat([pixels[:, :, :1]] * (1 + extra) + [later], 2)
        return F.adaptive_avg_pool3d(found, grid)


@dataclass(frozen=True)
class MotionClips:
    """Clips of one size: latents (N, T, C, h, w), dense (N, T, K, h, w), sparse (N, D, T, K, h, w), picture (N, C, h,
    w) or None, item (N,): index for the captions, weight (N,): relative frequency."""

    latents: Tensor
    dense: Tensor
    sparse: Tensor
    picture: Tensor | None
    item: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.item)

    @classmethod
    def unpack(cls, packed_NTCHW: Tensor, item: Tensor, weight: Tensor, encoder: MotionEncoder) -> MotionClips:
        """Undo `MotionEncoder.packed`."""
        c, k, d = encoder.latent_channels, encoder.channels, encoder.draws
        sizes = [c, k, d * k] + ([c] if encoder.picture_factor is not None else [])
        latents, dense, sparse, *first = packed_NTCHW.split(sizes, 2)
        sparse = sparse.unflatten(2, (d, k)).transpose(1, 2)
        return cls(latents, dense, sparse, first[0][:, 0] if first else None, item, weight)

    @classmethod
    def of_bucket(cls, bucket: Bucket, encoder: MotionEncoder, weight_of: Callable[[int], float]) -> MotionClips:
        weight = torch.tensor([weight_of(item) for item in bucket.item.tolist()])
        return cls.unpack(bucket.latents, bucket.item, weight, encoder)

    def part(self, chosen: Tensor) -> MotionClips:
        picture = None if self.picture is None else self.picture[chosen]
        latents, dense, sparse, item, weight = (
            each[chosen] for each in (self.latents, self.dense, self.sparse, self.item, self.weight)
        )
        return MotionClips(latents, dense, sparse, picture, item, weight)

    def split(self) -> tuple[MotionClips, MotionClips]:
        """Split into (training, held-out) by item, as Bucket.split."""
        items, of = self.item.unique(return_inverse=True)
        last = of % HELD_OUT == HELD_OUT - 1
        return (self, self) if len(items) < 2 * HELD_OUT else (self.part(~last), self.part(last))

    def motion(self, index: Tensor, draw: Tensor | None) -> Tensor:
        """The compressed motion maps (B, K, T, h, w) of clips: of these draws (B,), or the dense ones."""
        found = self.dense[index] if draw is None else self.sparse[index, draw]
        return found.float().transpose(1, 2)


def toyland(
    folder: Path, world: World, seeds: Sequence[int], encoder: MotionEncoder, *, num_frames: int, height: int,
    width: int, fps: float, encoder_id: str, report: Callable[[int, int], object] = lambda done, total: None,
) -> tuple[MotionClips, list[ClipMotion]]:  # fmt: skip
    """Toyland clips with their exact flow, and the motion of each. Encoded in shards in `folder`; shards of the same
    encoder and seeds are read again. item of a clip: its seed."""
    folder.mkdir(parents=True, exist_ok=True)
    packed, motions = [], []
    for first in range(0, len(seeds), SHARD):
        part = list(seeds[first : first + SHARD])
        words = repr((encoder_id, world, part, num_frames, height, width, fps))
        path = folder / f"{hashlib.sha256(words.encode()).hexdigest()[:32]}.pt"
        kept = _read(path)
        if kept is None:
            kept = {"packed": [], "motion": []}
            scenes = [sample_scene(seed, world) for seed in part]
            drawn = render(scenes, num_frames=num_frames, height=height, width=width, fps=fps, truth=True)
            assert drawn.flow_BFHW2 is not None
            for frames, flow in zip(drawn.frames_BFHWC, drawn.flow_BFHW2, strict=True):
                exact_FHW2 = flow[:-1].numpy()
                kept["packed"].append(encoder.packed(frames.numpy(), exact_FHW2).half())
                found = measure(exact_FHW2, fps)
                kept["motion"].append([found.score, found.explained, found.camera_margin, found.camera_speed])
            kept["packed"] = torch.stack(kept["packed"])
            with whole(path) as beside:
                torch.save(kept, beside)
        packed.append(kept["packed"])
        motions += [ClipMotion(*each) for each in kept["motion"]]
        report(first + len(part), len(seeds))
    weight = torch.tensor([each.weight for each in motions])
    return MotionClips.unpack(torch.cat(packed), torch.tensor(list(seeds)), weight, encoder), motions


def _read(path: Path) -> dict | None:
    """A shard; None if it is missing or damaged (it is then written again)."""
    try:
        return checkpoints.read(path)
    except (FileNotFoundError, KinemaError):
        return None
