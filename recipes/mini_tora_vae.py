"""The autoencoder of kinema-mini-tora, and drawn motion for its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX
from mini_tora_networks import SIDE, VAE
from torch import Tensor

from kinema.training.data.cogvideox_codec import make_spatial
from kinema.training.tasks.cogvideox_vae import initialize

BLOB_PX = (2.0, 5.0)
"""Standard deviations of the drawn blobs."""


def new_vae() -> Any:
    """Return an untrained autoencoder."""
    torch.manual_seed(0)
    vae = AutoencoderKLCogVideoX(**VAE)
    initialize(vae, torch.Generator().manual_seed(0))
    return spatial(vae)


def spatial(vae: Any) -> Any:
    """Restrict the full-resolution level, and half of the next, to single frames: a third less time a step."""
    encoder, decoder = vae.encoder, vae.decoder
    half = [block.conv2 for block in (*encoder.down_blocks[1].resnets, *decoder.up_blocks[-2].resnets)]
    make_spatial(
        encoder.conv_in, encoder.down_blocks[0].resnets, *half, decoder.up_blocks[-1].resnets, decoder.conv_out
    )
    return vae


def open_vae(folder: Path) -> Any:
    return spatial(AutoencoderKLCogVideoX.from_pretrained(folder, trust_remote_code=False).float().eval())


def draw_blobs(tracks_BNF2: Tensor, generator: torch.Generator) -> Tensor:
    """Draw the motion of tracks as coloured blobs on white (B, 3, F, H, W) in [-1, 1], as optical flow is drawn: the
    hue is the direction, the saturation is the speed relative to the fastest of the clip. Frame 0 is white."""
    step = torch.nan_to_num(tracks_BNF2.diff(dim=2))  # B N F-1 2
    step = torch.cat([torch.zeros_like(step[:, :, :1]), step], 2)
    at = torch.nan_to_num(tracks_BNF2.roll(1, 2), nan=-99.0)  # the motion is drawn where it begins
    size = float(torch.empty(()).uniform_(*BLOB_PX, generator=generator))
    grid = torch.arange(SIDE).float()
    along_x = (-((grid - at[..., :1]) ** 2) / (2 * size**2)).exp()
    along_y = (-((grid - at[..., 1:]) ** 2) / (2 * size**2)).exp()
    blob = along_y[..., :, None] * along_x[..., None, :]  # B N F H W
    flow = (blob[..., None] * step[:, :, :, None, None]).sum(1)  # B F H W 2
    speed = flow.norm(dim=-1)
    saturation = speed / speed.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-4)
    angle = torch.atan2(flow[..., 1], flow[..., 0])
    hue = torch.stack([0.5 + 0.5 * torch.cos(angle - turn) for turn in (0.0, 2.094, 4.189)], 1)
    return 1 - 2 * saturation[:, None] * (1 - hue)
