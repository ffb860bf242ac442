"""Reconstruction of frames by a model's VAE, the upper bound of the model's scores."""

from __future__ import annotations

from typing import Any

import numpy as np


def reconstructed(family: Any, frames_FHWC: np.ndarray) -> np.ndarray:
    """Encode and decode frames (F, H, W, 3) uint8 with the family's VAE."""
    import torch

    vae = family.parts.vae
    parameter = next(vae.parameters())
    x = torch.from_numpy(np.ascontiguousarray(frames_FHWC)).permute(3, 0, 1, 2)[None]
    with torch.inference_mode():
        z = vae.encode((x.float() / 127.5 - 1).to(parameter.device, parameter.dtype)).latent_dist.mode()
        y = vae.decode(z).sample[0].float().clamp(-1, 1)
    return ((y + 1) * 127.5).round().byte().permute(1, 2, 3, 0).cpu().numpy()
