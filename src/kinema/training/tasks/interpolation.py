"""Train a FILM network on triplets: the middle frame, and the flow of every pyramid level."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...post.film.network import FilmNetwork
from ...post.film.warp import pyramid
from ...toyland.render import render
from ...toyland.scene import World, sample_scene
from ..core.sheets import sheet
from ..data.moving_pictures import MovingPictures, Triplets

FLOW = 0.012
"""Weight of the square root of the flow's endpoint error, in px, on each level; it decays to a quarter. Without the
root, motion beyond the search range would dominate."""
FARTHEST = 4
"""Maximum distance in frames between the first and the last frame of a Toyland triplet."""
DETAIL = 0.5
DETAIL_LEVELS = 4


class ToylandTriplets:
    """Triplets of rendered clips, uint8 (N, F, H, W, 3). Their flow is unknown (NaN): half of Toyland is plain colour,
    where flow is not observable."""

    def __init__(self, frames_NFHWC: np.ndarray) -> None:
        self.frames = frames_NFHWC

    def draw(self, count: int, generator: torch.Generator, side: int, middle: bool = False) -> Triplets:
        """Draw triplets, cropped to `side` px and randomly rotated, mirrored and reversed. middle: always use the
        centre frame."""
        length, height, width = self.frames.shape[1:4]

        def number(low: int, high: int) -> int:
            return int(torch.randint(low, high, (), generator=generator))

        made, times = [], []
        for _ in range(count):
            clip = self.frames[number(0, len(self.frames))]
            apart = 2 * number(1, min(FARTHEST, length - 1) // 2 + 1)
            inside = apart // 2 if middle or number(0, 10) < 6 else number(1, apart)
            first = number(0, length - apart)
            picks = [first, first + inside, first + apart]
            if number(0, 2):
                picks, inside = picks[::-1], apart - inside
            top, left = number(0, height - side + 1), number(0, width - side + 1)
            x = torch.from_numpy(clip[picks, top : top + side, left : left + side].copy()).permute(0, 3, 1, 2)
            x = torch.rot90(x, number(0, 4), (-2, -1))
            if number(0, 2):
                x = x.flip(-1)
            made.append(x[:, torch.randperm(3, generator=generator)].float() / 255)
            times.append(inside / apart)
        unknown = torch.full((count, 4, side, side), float("nan"))
        return Triplets(torch.stack(made), torch.tensor(times), unknown)


def render_triplets(path: Path, world: World, seeds: range, side: int, frames: int, rates: tuple[float, ...]) -> None:
    """Render scenes of a world at several frame rates in turn into one .npy file; an existing file is kept."""
    if path.exists():
        return
    made = []
    for start in range(0, len(seeds), 32):
        scenes = [sample_scene(seed, world) for seed in seeds[start : start + 32]]
        rate = rates[start // 32 % len(rates)]
        made.append(render(scenes, num_frames=frames, height=side, width=side, fps=rate).frames_BFHWC.numpy())
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.concatenate(made))


class FilmTask:
    """FILM task. from_toyland: number of Toyland triplets in a batch; the others are moving layers of textures."""

    names_for_adam = ("fusion.paint",)

    def __init__(
        self, network: FilmNetwork, moving: MovingPictures, toyland: ToylandTriplets, held_out: dict[str, Triplets],
        sheets: Path, *, device: str = "cpu", batch: int = 8, from_toyland: int = 2, side: int = 128,
    ) -> None:  # fmt: skip
        self.network = network.to(device)
        self.modules: Mapping[str, nn.Module] = {"film": network}
        self.moving, self.toyland, self.held_out, self.sheets = moving, toyland, held_out, sheets
        self.device, self.batch, self.from_toyland, self.side = device, batch, from_toyland, side
        self.samples = 0

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        parts = [
            self.moving.draw(self.batch - self.from_toyland, generator),
            self.toyland.draw(self.from_toyland, generator, self.side).to(self.device),
        ]
        frames, time, motion = (
            torch.cat([getattr(part, name) for part in parts]) for name in ("frames_BTCHW", "time_B", "motion_B4HW")
        )
        made, flows = self.network.with_flows(frames[:, 0], frames[:, 2], time)
        plain = (made - frames[:, 1]).abs().mean()
        detail = laplacian(made, frames[:, 1])
        off, rooted = flow_error(flows, motion, time, self.network.config.shrink)
        self.samples += len(frames)
        weight = FLOW * (1 - 0.75 * progress)
        numbers = {"l1": plain.item(), "detail": detail.item(), "off_px": off[0].item()}
        return plain + DETAIL * detail + weight * torch.stack(rooted).sum(), numbers

    def evaluate(self, step: int) -> dict[str, Any]:
        """Return the PSNR in dB of held-out middle frames and of blending; writes OUT/sheets/film_STEP.png."""
        found: dict[str, Any] = {}
        rows = []
        for name, triplets in self.held_out.items():
            frames = triplets.frames_BTCHW
            made, errors = [], []
            for start in range(0, len(frames), 8):
                part = slice(start, start + 8)
                first, last = (frames[part, k].to(self.device) for k in (0, 2))
                out, flows = self.network.with_flows(first, last, triplets.time_B[part].to(self.device))
                motion = triplets.motion_B4HW[part].to(self.device)
                off, _ = flow_error(flows, motion, triplets.time_B[part].to(self.device), self.network.config.shrink)
                errors.append(off[0])
                made.append(out.clamp(0, 1).cpu())
            out = torch.cat(made)
            share = triplets.time_B.view(-1, 1, 1, 1)
            blend = frames[:, 0] * (1 - share) + frames[:, 2] * share
            found[f"{name}_db"] = round(psnr(out, frames[:, 1]), 2)
            found[f"{name}_blend_db"] = round(psnr(blend, frames[:, 1]), 2)
            if not bool(triplets.motion_B4HW.isnan().all()):
                found[f"{name}_off_px"] = round(float(torch.stack(errors).mean()), 2)
            for k in range(6):
                shown = [frames[k, 0], blend[k], out[k], frames[k, 1], frames[k, 2]]
                pictures = [(x.permute(1, 2, 0) * 255).round().byte().numpy() for x in shown]
                rows.append((f"{name} t={float(triplets.time_B[k]):.2f}: first, blend, output, true, last", pictures))
        sheet(rows, self.sheets / f"film_{step:06d}.png", columns=2)
        return found


def psnr(made_BCHW: Tensor, true_BCHW: Tensor) -> float:
    """Mean PSNR over the images, in dB."""
    return float((-10 * torch.log10((made_BCHW - true_BCHW).square().mean((1, 2, 3)) + 1e-10)).mean())


def laplacian(made_BCHW: Tensor, true_BCHW: Tensor) -> Tensor:
    """Laplacian pyramid loss: absolute differences of each level, with larger weights for coarser levels."""
    total = made_BCHW.new_zeros(())
    levels = pyramid(made_BCHW - true_BCHW, DETAIL_LEVELS)
    for k, level in enumerate(levels):
        if k + 1 < len(levels):
            level = level - F.interpolate(levels[k + 1], scale_factor=2, mode="bilinear", align_corners=False)
        total = total + 2**k * level.abs().mean()
    return total


def flow_error(
    flows: list[Tensor], motion_B4HW: Tensor, time_B: Tensor, shrink: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Endpoint errors of each level's flow where the true motion is known, in px of the full size, over both
    directions: means, and means of square roots."""
    share = torch.stack([time_B, time_B, 1 - time_B, 1 - time_B], 1)[:, :, None, None]
    known = ~motion_B4HW.isnan().any(1, keepdim=True)
    true = torch.where(known, motion_B4HW, 0.0) * share
    found, rooted = [], []
    for level, flow in enumerate(flows):
        scale = shrink * 2**level
        aim, seen = F.avg_pool2d(true, scale), F.avg_pool2d(known.float(), scale)
        off = (flow * scale - aim).unflatten(1, (2, 2)).square().sum(2).add(0.01).sqrt()
        places = 2 * seen.sum() + 1e-6
        found.append((off * seen).sum() / places)
        rooted.append((off.sqrt() * seen).sum() / places)
    return found, rooted
