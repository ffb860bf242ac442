"""Wan 2.2 TI2V-5B: text to video, and from a first picture. The picture's latents stand in the first latent frame,
clean, at time 0; there is no mask among the channels and no image encoder.

As in diffusers' pipeline and ComfyUI's noise mask: the network always sees the clean frame, and its prediction for that
frame is the frame itself. Samplers therefore need not know of it: their latents of that frame end at it.

ComfyUI's Wan22ImageToVideoLatent with a start_image is the condition image:first, cropped to the canvas, and nothing
else; without one, it is a text to video of that size. The option first_frame=sampled leaves the frame to the channels
beside the noise, as ComfyUI's WanFunInpaintToVideo and Wan22FunControlToVideo do for the 5B models.
"""

from __future__ import annotations

from typing import Any

import torch


def levels(scheduler: Any) -> dict[float, float]:
    """The sigma of each timestep of a scheduler, which may have rounded its timesteps."""
    return {float(t): float(sigma) for t, sigma in zip(scheduler.timesteps, scheduler.sigmas)}


def with_known(x_BCTHW: torch.Tensor, known_BCTHW: torch.Tensor) -> torch.Tensor:
    """The latents with their first frames replaced by the known ones."""
    return torch.cat([known_BCTHW.to(x_BCTHW), x_BCTHW[:, :, known_BCTHW.shape[2] :]], dim=2)


def towards(output_BCTHW: torch.Tensor, x_BCTHW: torch.Tensor, known_BCTHW: torch.Tensor, sigma: float) -> torch.Tensor:
    """The network's flow, with that of the first frames replaced by the flow whose clean latents are the known ones:
    (x - known) / sigma. Float32."""
    known = known_BCTHW.to(x_BCTHW.device, torch.float32)
    flow = (x_BCTHW[:, :, : known.shape[2]].float() - known) / sigma
    return torch.cat([flow, output_BCTHW[:, :, known.shape[2] :].float()], dim=2)
