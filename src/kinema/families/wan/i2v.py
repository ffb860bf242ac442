"""Wan image to video: encode the first image to latents and a mask next to the noise, and to CLIP vision states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ...core.family import Prepared
from ...core.plan import Plan


def condition(plan: Plan, prepared: Prepared, encode: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """The channels concatenated to the noise: a mask of four channels (1 = keep, opposite to VACE) and the latents of
    a clip with only the first frame. Returns (1, 4 + z, T, H/8, W/8), float32."""
    assert prepared.first_BCHW is not None
    frames = torch.zeros(1, 3, plan.frames, plan.height, plan.width)
    frames[:, :, 0] = prepared.first_BCHW
    latents = encode(frames)
    keep = torch.zeros(1, plan.frames, *latents.shape[3:])
    keep[:, 0] = 1.0
    # The first frame has its own latent frame: it is repeated to fill the group of four.
    keep = torch.cat([keep[:, :1].expand(-1, 4, -1, -1), keep[:, 1:]], dim=1)
    mask = keep.view(1, -1, 4, *latents.shape[3:]).transpose(1, 2)  # 1 4 T H W
    return torch.cat([mask.to(latents), latents], dim=1)


def vision_states(picture_BCHW: torch.Tensor, processor: Any, encoder: Any) -> torch.Tensor:
    """The penultimate hidden states of CLIP vision for the first image, (1, L, D). The image is in [-1, 1]."""
    from PIL import Image

    pixels = picture_BCHW[0].movedim(0, -1).add(1.0).mul(127.5).round().clamp(0, 255).byte().cpu().numpy()
    inputs = processor(images=Image.fromarray(pixels), return_tensors="pt")
    parameter = next(encoder.parameters())
    states = encoder(inputs["pixel_values"].to(parameter.device, parameter.dtype), output_hidden_states=True)
    return states.hidden_states[-2]
