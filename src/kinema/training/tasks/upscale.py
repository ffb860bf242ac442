"""Train an upscaling network: pixel errors that weigh more at edges, and optionally a relativistic adversarial loss.

The absolute error asks for the median of the possible pictures, which has sharp edges where a squared error asks for
their blurred mean; but it stays where it begins, so training begins with the squared error as well, which fades out. An
absolute error of differences between neighbouring pixels must not be added at the beginning: its optimum is a picture
of flat cells. Part of the small frames are rendered and blurred: they show what a sharp edge looks like, also where a
model's own frames are too far from the truth to tell. The adversary is ESRGAN's (Wang et al. 2018, arXiv 1809.00219,
equation 1 and 2): it judges which of two pictures of the same small frame is more real. It works on cells of scale x
scale pixels, next to the small frame, and is trained in the same step on a detached copy of the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...media.resize import resize_frames
from ...post.super_resolution.network import RGB, CompactNetwork
from ..core.sheets import sheet
from ..data.upscale_pairs import PairBatch, UpscalePairs
from .interpolation import psnr

EDGES, STEEP = 4.0, 0.05
"""Extra weight of pixels at true edges, and the difference between neighbours from which it is full."""
SQUARES, FADE = 4.0, 0.5
"""Weight of the squared error at the beginning, and the share of the training over which it falls to 0."""
BLURRED = 0.5
"""Share of the small frames that are rendered and blurred."""
CRITIC_FROM, RAMP = 0.4, 0.1
"""The adversarial loss begins at this share of the training and rises to its weight over RAMP. The adversary itself is
trained from half of RAMP earlier."""
CRITIC_WIDTH = 48


class Critic(nn.Module):
    """Logits (B, 1, h, w) that a large picture is real, given its small frame. Parameter names contain "critic"."""

    def __init__(self, scale: int, width: int = CRITIC_WIDTH) -> None:
        super().__init__()
        self.scale = scale
        wide = [RGB * (scale**2 + 1), width, width, width, 1]
        self.critic = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(wide))

    def forward(self, large_BCHW: Tensor, small_BCHW: Tensor) -> Tensor:
        x = torch.cat([F.pixel_unshuffle(large_BCHW, self.scale), small_BCHW], 1)
        for number, conv in enumerate(self.critic):
            x = F.leaky_relu(conv(x), 0.2) if number + 1 < len(self.critic) else conv(x)
        return x


class UpscaleTask:
    """Trains a network in place. adversarial: weight of that loss; 0: without."""

    def __init__(
        self, network: CompactNetwork, pairs: UpscalePairs, held_out: UpscalePairs, sheets: Path, *,
        device: str = "cpu", batch: int = 8, side: int = 32, adversarial: float = 0.0,
    ) -> None:  # fmt: skip
        self.network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.critic = Critic(network.config.scale).to(device)
        self.modules: Mapping[str, nn.Module] = {"upscaler": network, "critic": self.critic}
        self.names_for_adam = ("body.0.", f"body.{len(network.body) - 1}.", "critic")
        self.pairs, self.held_out, self.sheets = pairs, held_out, sheets
        self.device, self.batch_size, self.side, self.adversarial = device, batch, side, adversarial
        self.samples = 0

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = self.pairs.draw(self.batch_size, self.side, generator, BLURRED).to(self.device)
        self.samples += self.batch_size
        made, true = self.network(batch.small_BTCHW).float(), batch.large_BCHW
        weight, error = edge_weight(true), made - true
        plain, squared = (weight * error.abs()).mean(), (weight * error.square()).mean()
        numbers = {"l1": plain.item(), "l2": squared.item()}
        total = plain + SQUARES * max(0.0, 1 - progress / FADE) * squared
        if self.adversarial and progress > CRITIC_FROM - RAMP / 2:
            share = self.adversarial * min(1.0, max(0.0, (progress - CRITIC_FROM) / RAMP))
            fooled, told = self.adversary(made, batch)
            numbers |= {"fooled": fooled.item(), "told": told.item()}
            total = total + share * fooled + self.adversarial * told
        return total, numbers

    def adversary(self, made_BCHW: Tensor, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """(loss of the network, loss of the critic), both relativistic averages; each reaches only its own weights."""
        small, true = batch.small_BTCHW[:, batch.small_BTCHW.shape[1] // 2], batch.large_BCHW
        fixed = {name: value.detach() for name, value in self.critic.named_parameters()}

        def judged(picture: Tensor, learning: bool) -> Tensor:
            found = self.critic(picture, small) if learning else torch.func.functional_call(
                self.critic, fixed, (picture, small)
            )  # fmt: skip
            return found.float()

        fooled = relativistic(judged(made_BCHW, False), judged(true, False))
        return fooled, relativistic(judged(true, True), judged(made_BCHW.detach(), True))

    def evaluate(self, step: int) -> dict[str, Any]:
        """Held-out frames against Lanczos: PSNR in dB, sharpness (gradient energy, true frames have 1).
        Even clips are round trips through the autoencoder, odd ones also come part of the way from noise. Writes
        OUT/sheets/upscale_STEP.png."""
        found: dict[str, list[list[float]]] = {"autoencoder": [], "redrawn": []}
        rows: list[tuple[str, list[np.ndarray]]] = []
        count = self.held_out.large[0].shape[1]
        for clip in range(len(self.held_out)):
            one = self.held_out.whole(clip, clip % count)
            made = self.network(one.small_BTCHW.to(self.device)).float().clamp(0, 1).cpu()
            small, true = one.small_BTCHW[:, one.small_BTCHW.shape[1] // 2], one.large_BCHW
            plain = lanczos(small, self.held_out.scale)
            edge = sharpness(true)
            found["redrawn" if clip % 2 else "autoencoder"].append(
                [psnr(made, true), psnr(plain, true), sharpness(made) / edge, sharpness(plain) / edge]
            )
            if len(rows) < 12:
                rows.append((f"clip {clip}: Lanczos, network, true", [as_bytes(x) for x in (plain, made, true)]))
        sheet(rows, self.sheets / f"upscale_{step:06d}.png", columns=2)
        names = ("db", "lanczos_db", "sharpness", "lanczos_sharpness")
        return {
            f"{kind}_{name}": round(float(value), 3)
            for kind, values in found.items() if values
            for name, value in zip(names, np.mean(values, 0), strict=True)
        }  # fmt: skip


def edge_weight(true_BCHW: Tensor) -> Tensor:
    """Weights of pixels (B, 1, H, W), 1 on flat areas to 1 + EDGES at edges and their neighbours, with mean 1."""
    gray = true_BCHW.mean(1, keepdim=True)
    steep = F.pad(gray.diff(dim=-1).abs(), (0, 1)) + F.pad(gray.diff(dim=-2).abs(), (0, 0, 0, 1))
    weight = 1 + EDGES * F.max_pool2d((steep / STEEP).clamp(max=1), 5, 1, 2)
    return weight / weight.mean()


def relativistic(better: Tensor, worse: Tensor) -> Tensor:
    """The relativistic average loss of a critic that should judge `better` more real than the mean of `worse`, and
    `worse` less real than the mean of `better`."""
    up, down = better - worse.mean(), worse - better.mean()
    return (F.softplus(-up).mean() + F.softplus(down).mean()) / 2


def sharpness(frames_BCHW: Tensor) -> float:
    """Gradient energy of the gray picture: a sharp edge has more of it than the same edge over several pixels."""
    gray = frames_BCHW.mean(1)
    return float(gray.diff(dim=-1).square().mean() + gray.diff(dim=-2).square().mean())


def lanczos(frames_BCHW: Tensor, scale: int) -> Tensor:
    frames = frames_BCHW.mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    large = resize_frames(frames, scale * frames.shape[1], scale * frames.shape[2])
    return torch.from_numpy(large).permute(0, 3, 1, 2).float() / 255


def as_bytes(frame_1CHW: Tensor) -> np.ndarray:
    return frame_1CHW[0].permute(1, 2, 0).mul(255).round().byte().numpy()
