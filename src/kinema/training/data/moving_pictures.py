"""Synthetic triplets with exact optical flow, for training frame interpolation: textured layers with soft outlines pass
over each other while the camera pans, rotates and zooms. No photographs are used.

Suffixes: B triplets, N layers (the first is the background), T times (first, middle, last), H W px; motions are over
the whole interval. All triplets of a batch are rendered together, also on a GPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .textures import SIDE, Bank

MOST = 6
"""Maximum number of layers of a triplet; the minimum is two."""
CAMERA, OWN = 24.0, 28.0
"""Standard deviation in px of the fastest camera motions and of the fastest motions of single layers."""


@dataclass
class Triplets:
    """frames_BTCHW: float32 in [0, 1], T = first, middle, last. time_B: of the middle frame, in (0, 1). motion_B4HW:
    the exact motion over the whole interval on the middle frame's grid, in px: to the first frame (x, y), to the last
    (x, y); NaN: unknown."""

    frames_BTCHW: Tensor
    time_B: Tensor
    motion_B4HW: Tensor

    def to(self, device: str | torch.device) -> Triplets:
        return Triplets(self.frames_BTCHW.to(device), self.time_B.to(device), self.motion_B4HW.to(device))


@dataclass
class LayerMotions:
    """Position of the layers at each time: a point of a layer (px from its centre) maps to linear @ point + offset (px
    from the frame's centre). linear_BNT22, offset_BNT2."""

    linear_BNT22: Tensor
    offset_BNT2: Tensor


class MovingPictures:
    """Renders triplets of side x side px from a bank on `device`; deterministic for a generator's state."""

    def __init__(self, bank: Bank, side: int, device: str = "cpu") -> None:
        self.side, self.device = side, device
        self.textures, self.masks = bank.textures.to(device), bank.masks.to(device)
        line = torch.arange(side, device=device) - (side - 1) / 2
        self.points = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)

    def draw(self, count: int, generator: torch.Generator) -> Triplets:
        chance = _Random(generator)
        layers_B = chance.number(2, MOST + 1, count)
        time_B = torch.where(chance.share(count) < 0.6, 0.5, chance.uniform(0.12, 0.88, count))
        motions = _motions(chance, count, time_B, self.side)
        cover_BN = chance.number(0, len(self.masks), count, MOST)
        pictures = self._pictures(chance, count)
        light_BT = self._light(chance, time_B).to(self.device)
        frames, motion = torch.empty(()), torch.empty(())
        time_B = time_B.to(self.device)
        for n in range(MOST):
            rows = (layers_B > n).nonzero()[:, 0]
            if not len(rows):
                break
            cover = self.masks[cover_BN[rows, n].to(self.device)] if n else None
            rows = rows.to(self.device)
            linear = motions.linear_BNT22[:, n].to(self.device)[rows]
            offset = motions.offset_BNT2[:, n].to(self.device)[rows]
            local_BTHW2 = torch.einsum(
                "btij,bthwj->bthwi", torch.linalg.inv(linear), self.points - offset[:, :, None, None]
            )
            layer_motion = self._motion(linear, offset, local_BTHW2[:, 1], time_B[rows])
            colour = _sampled(pictures[rows, n], local_BTHW2, "reflection")
            if cover is None:
                frames, motion = colour, layer_motion
                continue
            share = _sampled(cover.float() / 255, local_BTHW2, "zeros")
            frames[rows] = torch.lerp(frames[rows], colour, share)
            motion[rows] = torch.where(share[:, 1] > 0.5, layer_motion, motion[rows])
        return Triplets((frames * light_BT[:, :, None, None, None]).clamp(0, 1), time_B, motion)

    def _motion(self, linear_BT22: Tensor, offset_BT2: Tensor, local_BHW2: Tensor, time_B: Tensor) -> Tensor:
        """The motion (B, 4, H, W) of a layer with these local coordinates in the middle frame."""
        before, after = (
            torch.einsum("bij,bhwj->bhwi", linear_BT22[:, end], local_BHW2)
            + offset_BT2[:, end, None, None]
            - self.points
            for end in (0, 2)
        )
        share = time_B.view(-1, 1, 1, 1)
        return torch.cat([before / share, after / (1 - share)], -1).permute(0, 3, 1, 2)

    def _pictures(self, chance: _Random, count: int) -> Tensor:
        """Draw the layers' textures with random colours and contrasts, some backgrounds blurred; (B, N, 3, SIDE,
        SIDE)."""
        pick_BN = chance.number(0, len(self.textures), count, MOST)
        order_BN3 = chance.share(count, MOST, 3).argsort(-1)
        gain_BN3 = chance.uniform(0.7, 1.3, count, MOST, 3)
        middle_BN = chance.uniform(0.3, 0.7, count, MOST)
        colour_BN = chance.uniform(0.1, 1.0, count, MOST)
        soft_B = chance.share(count) < 0.3
        picked = self.textures[pick_BN.to(self.device)].float() / 255
        order = order_BN3.to(self.device)[..., None, None].expand_as(picked)
        gain, middle, colour = (x.to(self.device).view(count, MOST, -1, 1, 1) for x in (gain_BN3, middle_BN, colour_BN))
        found = gain * (picked.gather(2, order) - 0.5) + middle
        found = torch.lerp(found.mean(2, keepdim=True), found, colour)
        back = F.avg_pool2d(found[:, 0], 3, 1, 1)
        found[:, 0] = torch.where(soft_B.to(self.device).view(-1, 1, 1, 1), back, found[:, 0])
        return found

    def _light(self, chance: _Random, time_B: Tensor) -> Tensor:
        """Brightness (B, T); it changes over time in some triplets."""
        change_B = torch.where(chance.share(len(time_B)) < 0.15, chance.uniform(-0.15, 0.15, len(time_B)), 0.0)
        return 1 + change_B[:, None] * _times(time_B)


class _Random:
    """Random numbers of several distributions from one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def share(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return self.share(*shape) * (high - low) + low

    def number(self, low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=self.generator)

    def speed(self, typical: float, *shape: int) -> Tensor:
        """Normally distributed velocities, most of them slow; (..., 2) px."""
        slow = self.uniform(0.1, 1.0, *shape, 1) ** 2
        return torch.randn((*shape, 2), generator=self.generator) * typical * slow


def _times(time_B: Tensor) -> Tensor:
    """The times of the three frames, from -0.5 to 0.5; (B, T)."""
    return torch.stack([torch.full_like(time_B, -0.5), time_B - 0.5, torch.full_like(time_B, 0.5)], 1)


def _motions(chance: _Random, count: int, time_B: Tensor, side: int) -> LayerMotions:
    """Draw a camera motion, scaled by each layer's depth, and a separate motion of each layer except the background."""
    own_N = (torch.arange(MOST) > 0).float()
    depth_BN = chance.uniform(0.3, 1.0, count, MOST) + 0.3 * torch.arange(MOST)
    camera_B2 = chance.speed(CAMERA, count) * (chance.share(count, 1) < 0.6)
    turning_B1 = chance.share(count, 1) < 0.4
    zoom_B1, roll_B1 = (chance.uniform(-most, most, count, 1) * turning_B1 for most in (0.15, 0.12))

    def rarely(most: float) -> Tensor:
        return chance.uniform(-most, most, count, MOST) * chance.share(count, MOST) ** 2 * own_N

    velocity_BN2 = camera_B2[:, None] * depth_BN[..., None] + chance.speed(OWN, count, MOST) * own_N[:, None]
    spin_BN, growth_BN = roll_B1 + rarely(0.4), zoom_B1 * depth_BN + rarely(0.3)
    centre_BN2 = chance.uniform(-0.5, 0.5, count, MOST, 2) * side * own_N[:, None]
    angle_BN = chance.uniform(0, 2 * math.pi, count, MOST)
    size_BN = torch.exp(
        torch.where(own_N > 0, chance.uniform(-0.9, 0.2, count, MOST), chance.uniform(0, 0.7, count, MOST))
    )
    times_B1T = _times(time_B)[:, None]
    turn, size = (
        angle_BN[..., None] + spin_BN[..., None] * times_B1T,
        size_BN[..., None] * torch.exp(growth_BN[..., None] * times_B1T),
    )
    cos, sin = torch.cos(turn), torch.sin(turn)
    linear = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2) * size[..., None, None]
    return LayerMotions(linear, centre_BN2[:, :, None] + velocity_BN2[:, :, None] * times_B1T[..., None])


def _sampled(picture_BCHW: Tensor, local_BTHW2: Tensor, padding: str) -> Tensor:
    """Sample a texture of SIDE px at points in px from its centre; (B, T, C, H, W)."""
    count, times = local_BTHW2.shape[:2]
    each = picture_BCHW[:, None].expand(-1, times, -1, -1, -1).flatten(0, 1)
    grid = local_BTHW2.flatten(0, 1) / (SIDE / 2)
    return F.grid_sample(each, grid, padding_mode=padding, align_corners=False).unflatten(0, (count, times))
