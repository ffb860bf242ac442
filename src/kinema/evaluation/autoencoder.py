"""Reconstruction of frames by a model's VAE, the upper bound of the model's scores."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np


def reconstructed(family: Any, frames_FHWC: np.ndarray) -> np.ndarray:
    """Encode and decode frames (F, H, W, 3) uint8 with the family's VAE: of clips, or of single frames, which it may
    decode together."""
    import torch

    vae = family.parts.vae
    parameter = next(vae.parameters())
    x_FCHW = torch.from_numpy(np.ascontiguousarray(frames_FHWC)).permute(0, 3, 1, 2).float() / 127.5 - 1
    x_FCHW = x_FCHW.to(parameter.device, parameter.dtype)
    of_frames = any(isinstance(layer, torch.nn.Conv2d) and layer.in_channels == 3 for layer in vae.encoder.modules())
    more = {"num_frames": len(x_FCHW)} if "num_frames" in inspect.signature(vae.decode).parameters else {}
    with torch.inference_mode():
        if of_frames:
            y_FCHW = vae.decode(vae.encode(x_FCHW).latent_dist.mode(), **more).sample
        else:
            z_BCTHW = vae.encode(x_FCHW.permute(1, 0, 2, 3)[None]).latent_dist.mode()
            y_FCHW = vae.decode(z_BCTHW).sample[0].permute(1, 0, 2, 3)
    y_FHWC = (y_FCHW.float().clamp(-1, 1) + 1) * 127.5
    return y_FHWC.round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
