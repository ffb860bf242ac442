"""Train a CogVideoX transformer from scratch, with its text encoder (arXiv 2408.06072, velocity prediction).

Shapes: B batch, T latent frames, C channels, h w latent cells.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ...families.cogvideox.positions import rotary
from ..core import processes
from ..data.captioner import Captioner
from ..data.frame_latents import FrameLatents
from .ddpm import Schedule, weighted_error
from .flow import noise_like

HELD_OUT_STEPS = (300, 600, 850)
GATE = 0.5
"""Initial gate of every residual branch."""


def initialize(transformer: Any) -> None:
    """Initialize without an effect of the timestep, with all residual gates at GATE, and with a first prediction near
    zero."""
    width = transformer.norm_final.weight.shape[0]
    for block in transformer.transformer_blocks:
        for norm in (block.norm1, block.norm2):  # the order of the parts: shift, scale, gate, for video and text
            nn.init.zeros_(norm.linear.weight)
            nn.init.zeros_(norm.linear.bias)
            norm.linear.bias.data.view(6, width)[[2, 5]] = GATE
    nn.init.zeros_(transformer.norm_out.linear.weight)
    nn.init.zeros_(transformer.norm_out.linear.bias)
    nn.init.normal_(transformer.proj_out.weight, std=0.01)
    nn.init.zeros_(transformer.proj_out.bias)


def fast_backward(device: str) -> AbstractContextManager[None]:
    """Context for attention over about a hundred tokens in training: on a CPU the flash kernel's backward pass takes a
    third of a step, and plain matrix products are faster."""
    return sdpa_kernel(SDPBackend.MATH) if device == "cpu" else nullcontext()


class CogVideoXTask:
    """transformer and the captioner's text encoder are trained in place. late: shift of the timesteps towards noise,
    where layout and motion are decided, in the first part of the training. judge: scores samples."""

    names_for_adam = (
        "patch_embed", "time_embedding", "norm", "proj_out", "shared", "embed_tokens", "relative_attention_bias",
    )  # fmt: skip
    object_weight, late_until = 2.0, 0.6

    def __init__(
        self, transformer: Any, words: Captioner, store: FrameLatents, held_out: FrameLatents, *, schedule: Schedule,
        device: str = "cpu", batch: int = 32, late: float = 0.5,
        judge: Callable[[int], dict[str, Any]] = lambda step: {},
    ):  # fmt: skip
        self.transformer, self.words = transformer.to(device), words
        self.modules: dict[str, nn.Module] = {"transformer": self.transformer, "text_encoder": words.text_encoder}
        self.store, self.held_out, self.schedule, self.device = store, held_out, schedule, device
        self.batch_size, self.late, self.judge, self.samples = batch, late, judge, 0

    def predict(self, noisy_BTChw: Tensor, t_B: Tensor, states_BLD: Tensor) -> Tensor:
        frames, rows, columns = noisy_BTChw.shape[1], noisy_BTChw.shape[3], noisy_BTChw.shape[4]
        table = rotary(self.transformer, frames, rows, columns, torch.device(self.device))
        with fast_backward(self.device):
            return self.transformer(
                noisy_BTChw, states_BLD, t_B.to(self.device), image_rotary_emb=table, return_dict=False
            )[0]

    def clips(self, store: FrameLatents, index: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B, T, C, h, w) and weights (B, T, 1, h, w)."""
        latents = store.latents[index.to(self.device)].float()
        return latents, 1 + self.object_weight * store.weight[index.to(self.device)].float()[:, :, None]

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        index = torch.randint(len(self.store), (self.batch_size,), generator=generator)
        x0, weight = self.clips(self.store, index)
        t_B = self.schedule.draw(len(x0), generator, self.late if progress < self.late_until else 0.0)
        noisy, target = self.schedule.mix(x0, noise_like(x0, generator), t_B.to(self.device))
        states = self.words.embed(self.words.draw(self.store.seed[index].tolist(), generator))
        self.samples += len(x0) * processes.count()
        return self.error(noisy, t_B, states, target, weight), {}

    def error(self, noisy: Tensor, t_B: Tensor, states: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        predicted = self.predict(noisy, t_B, states)
        return weighted_error(predicted.transpose(1, 2), target.transpose(1, 2), weight[:, :, 0])

    @torch.no_grad()
    def evaluate(self, step: int) -> dict[str, Any]:
        """Return held-out errors with fixed noise, and the rise in per cent without words."""
        index = torch.arange(min(48, len(self.held_out)))
        x0, weight = self.clips(self.held_out, index)
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1)).to(x0)
        states = self.words.held_out(self.held_out.seed.tolist()[: len(x0)])
        silent = self.words.embed([""]).expand_as(states)
        found: dict[str, Any] = {}
        for t in HELD_OUT_STEPS:
            t_B = torch.full((len(x0),), t)
            noisy, target = self.schedule.mix(x0, noise, t_B.to(self.device))
            error = float(self.error(noisy, t_B, states, target, weight))
            without = float(self.error(noisy, t_B, silent, target, weight))
            found[f"error_{t}"] = round(error, 4)
            found[f"silent_percent_{t}"] = round(100 * (without / error - 1), 1)
        return found | {"samples": self.samples} | self.judge(step)
