"""VACE's context: kept pixels, changed pixels and the mask, encoded and packed (arXiv 2503.07598, section 3).

Inactive = source outside the mask, reactive = source inside it; both are encoded with mid-gray (0.0) in the other's
place. The split is hard at 0.5, or in proportion to the mask (option vace_split), as in ComfyUI; the packed mask stays
soft. Reference images are encoded separately and come first, one
latent frame each, in the order of the request (diffusers' pipeline reverses it).

ComfyUI's WanVaceToVideo is this request (all pictures in arrays of exact values, conditions/arrays.py, of the canvas):
its control_video is a source (0.5 where it ends before its masks do; all 0.5 for masks alone), its control_masks a mask
`video` with fill="source" and as many frames as the clip (1 after its last), its reference_image a reference already
cropped to the canvas, its strength the option conditioning_scale, and vace_split is soft. A control clip that ends
early, without masks, needs no padding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from ...core.plan import Plan
from .options import WanOptions
from .prepare import WanPrepared

Encode = Callable[[torch.Tensor], torch.Tensor]


def context(plan: Plan, prepared: WanPrepared, encode: Encode, space: int, patch: int) -> torch.Tensor:
    """The context (1, 2*z + space**2, N + T, H/space, W/space), float32, with N reference frames first.

    `encode`: maps pixels (1, 3, F, H, W) in [-1, 1] to normalised latents. `space`: pixels per latent. `patch`: the
    transformer's patch size.
    """
    if prepared.source_BCFHW is None or prepared.mask_BCFHW is None:
        # Without a source, everything is generated, and both streams are the same gray.
        source = torch.zeros(1, 3, plan.frames, plan.height, plan.width)
        mask = torch.ones(1, 1, plan.frames, plan.height, plan.width)
        gray = encode(source)
        streams = torch.cat([gray, gray], dim=1)
    else:
        source, mask = prepared.source_BCFHW, prepared.mask_BCFHW
        share = mask if WanOptions.of(plan).vace_split == "soft" else (mask > 0.5).to(source.dtype)
        streams = torch.cat([encode(source * (1 - share)), encode(source * share)], dim=1)
    references = [encode(picture[:, :, None]) for picture in prepared.references]
    latents = torch.cat([*(torch.cat([each, torch.zeros_like(each)], dim=1) for each in references), streams], dim=2)
    packed = pack_mask(mask, streams.shape[2], space, patch).to(latents)
    empty = packed.new_zeros(1, packed.shape[1], len(references), *packed.shape[3:])
    return torch.cat([latents, torch.cat([empty, packed], dim=2)], dim=1)


def pack_mask(mask_BCFHW: torch.Tensor, latent_frames: int, space: int, patch: int) -> torch.Tensor:
    """Convert a mask (1, 1, F, H, W) to (1, space**2, T, H/space, W/space).

    Every space x space cell becomes space**2 channels (row-major); time is resampled nearest-exact.
    """
    _, _, num_frames, height, width = mask_BCFHW.shape
    rows, columns = height // (space * patch) * patch, width // (space * patch) * patch
    cells = mask_BCFHW[0, 0].view(num_frames, rows, space, columns, space)
    packed = cells.permute(2, 4, 0, 1, 3).flatten(0, 1)[None]  # 1 space^2 F rows columns
    return torch.nn.functional.interpolate(packed, size=(latent_frames, rows, columns), mode="nearest-exact")
