"""Training on of an autoencoder's decoder alone: the encoder is frozen, so every latent that was ever made stays valid.

The picture gets sharper while a transformer already learns on the latents. Beside the loss of vae.py: differences of
neighbouring pixels are matched too (edges), and the latents get a little noise, because those that a sampler makes are
never quite clean.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .vae import VaeTask, edge_error

EDGES, LATENT_NOISE = 1.0, 0.08
"""Weight of the edge term; noise on the latents as a share of their root mean square."""


class DecoderTask(VaeTask):
    """`VaeTask` with everything before the decoder frozen."""

    def __init__(self, vae: torch.nn.Module, *stores: Any, **settings: Any):
        super().__init__(vae, *stores, **settings)
        for module in (vae.encoder, vae.quant_conv):
            module.requires_grad_(False)

    def loss(self, step: int, progress: float, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        frames, mask = self.batch(step, generator)
        with torch.no_grad():
            latents, _ = self.encode(self.vae, frames)
            noise = torch.randn(latents.shape, generator=generator).to(latents)
            latents = latents + LATENT_NOISE * latents.square().mean().sqrt() * noise
        out = self.decode(self.vae, latents).float()
        weight = 1 + 3 * mask
        weight = weight / weight.mean()
        error = out - frames
        reconstruction = (weight * (error.abs() + 3 * error.square())).mean()
        edges = edge_error(error)
        psnr = 10 * torch.log10(4 / error.detach().square().mean())
        numbers = {"reconstruction": reconstruction.item(), "edges": edges.item(), "psnr": psnr.item()}
        return reconstruction + EDGES * edges, numbers
