"""Wan image to video: encode the known frames to latents and a mask next to the noise, and to CLIP vision states.

Known are the first frame, the last one, both, or (Fun-InP) none; Wan 2.2 and some relatives have no image states.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ...core.plan import Plan
from .prepare import WanPrepared


def condition(plan: Plan, prepared: WanPrepared, encode: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """The channels concatenated to the noise: a mask of four channels (1 = keep, opposite to VACE) and the latents of
    a clip with only the known frames, gray elsewhere. Returns (1, 4 + z, T, H/8, W/8), float32."""
    frames = torch.zeros(1, 3, plan.frames, plan.height, plan.width)
    known = [(0, prepared.first_BCHW), (plan.frames - 1, prepared.last_BCHW)]
    places = [index for index, still_BCHW in known if still_BCHW is not None]
    for index, still_BCHW in known:
        if still_BCHW is not None:
            frames[:, :, index] = still_BCHW
    latents = encode(frames)
    keep = torch.zeros(1, plan.frames, *latents.shape[3:])
    keep[:, places] = 1.0
    # The first frame has its own latent frame: it is repeated to fill the group of four.
    keep = torch.cat([keep[:, :1].expand(-1, 4, -1, -1), keep[:, 1:]], dim=1)
    mask = keep.view(1, -1, 4, *latents.shape[3:]).transpose(1, 2)  # 1 4 T H W
    return torch.cat([mask.to(latents), latents], dim=1)


def image_states(prepared: WanPrepared, network: Any, processor: Any, encoder: Any) -> torch.Tensor:
    """The image states of a request, (1, L, D): those of the first picture and, for a network with places for two, of
    the last one after it; zeros without a picture, as Fun-InP is trained. Pictures that are only seen take the place
    of the frames."""
    two = network.config.pos_embed_seq_len is not None
    first, last = (
        on_canvas if other is None else other
        for other, on_canvas in zip(prepared.seen, (prepared.first_BCHW, prepared.last_BCHW))
    )
    pictures = [first, last if two else None]
    found = [vision_states(each, processor, encoder) for each in pictures if each is not None]
    if not found:
        config = encoder.config
        return torch.zeros(1, (config.image_size // config.patch_size) ** 2 + 1, config.hidden_size)
    return torch.cat(found, dim=1)


def vision_states(picture_BCHW: torch.Tensor, processor: Any, encoder: Any) -> torch.Tensor:
    """The penultimate hidden states of CLIP vision for an image, (1, L, D). The image is in [-1, 1]."""
    from PIL import Image

    pixels = picture_BCHW[0].movedim(0, -1).add(1.0).mul(127.5).round().clamp(0, 255).byte().cpu().numpy()
    inputs = processor(images=Image.fromarray(pixels), return_tensors="pt")
    parameter = next(encoder.parameters())
    states = encoder(inputs["pixel_values"].to(parameter.device, parameter.dtype), output_hidden_states=True)
    return states.hidden_states[-2]
