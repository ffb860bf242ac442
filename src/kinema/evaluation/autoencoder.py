"""What a model's own autoencoder makes of frames: nobody can ask more of the model."""

from __future__ import annotations

from typing import Any

import numpy as np


def autoencoded(family: Any, frames_FHWC: np.ndarray) -> np.ndarray:
    """Frames (F, H, W, 3) uint8 to latents and back, with the autoencoder among the family's parts."""
    import torch

    vae = family.parts.vae
    parameter = next(vae.parameters())
    x = torch.from_numpy(np.ascontiguousarray(frames_FHWC)).permute(3, 0, 1, 2)[None]
    with torch.inference_mode():
        z = vae.encode((x.float() / 127.5 - 1).to(parameter.device, parameter.dtype)).latent_dist.mode()
        y = vae.decode(z).sample[0].float().clamp(-1, 1)
    return ((y + 1) * 127.5).round().byte().permute(1, 2, 3, 0).cpu().numpy()
