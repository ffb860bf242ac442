"""ATI: paths of points in the condition of image to video (Wang et al. 2025, arXiv 2505.22944).

The latents of the first frame at the start of a path are carried along it: around the path's place in each later latent
frame they replace the empty latents, with a weight that falls with the square of the distance, and the mask takes the
weights. A latent frame has the mean place of its four frames. Distances are in halves of the frame's shorter side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

GROUP = 4
"""Frames of a latent frame, and channels of the mask."""
TINY = 1e-5
"""Added to the number of places in a mean, as in the published code."""


def carried(condition_BCTHW: torch.Tensor, paths: Sequence[np.ndarray], temperature: float, most: int) -> torch.Tensor:
    """The condition (mask of 4 channels, then latents; see i2v.condition) with the first frame carried along the paths.

    paths: (F, 2) each, x and y in fractions of the frame. temperature: of the weight exp(-temperature * distance^2).
    most: number of paths that act on a place, the nearest ones; their weights are added up. Without paths, or with one
    latent frame, the condition itself.
    """
    mask, latents = condition_BCTHW[:, :GROUP], condition_BCTHW[:, GROUP:]
    _, _, frames, height, width = latents.shape
    if not paths or frames == 1:
        return condition_BCTHW
    half = torch.tensor([width, height], dtype=torch.float32) / min(width, height)
    places_NF2 = torch.from_numpy(np.stack(paths)).float().mul(2).sub(1) * half
    starts_N2 = (places_NF2[:, 0] / half).clamp(-1, 1).to(latents)
    features_NC = torch.nn.functional.grid_sample(
        latents[:, :, 0], starts_N2[None, None], mode="bilinear", padding_mode="zeros", align_corners=False
    )[0, :, 0].T
    places_NT2 = places_NF2[:, 1:].unflatten(1, (frames - 1, GROUP)).sum(2) / (GROUP + TINY)
    columns, rows = (torch.linspace(-float(side), float(side), count) for side, count in zip(half, (width, height)))
    mask, latents = mask.clone(), latents.clone()
    for frame, places_N2 in enumerate(places_NT2.unbind(1), start=1):
        x_WN, y_HN = columns[:, None] - places_N2[:, 0], rows[:, None] - places_N2[:, 1]
        weight_HWN = torch.exp(-temperature * (x_WN.square()[None] + y_HN.square()[:, None])).to(latents)
        nearest = weight_HWN.topk(min(most, len(paths)), dim=-1)
        carried_CHW = torch.einsum("hwk,hwkc->chw", nearest.values, features_NC[nearest.indices])
        total_HW = nearest.values.sum(-1)
        latents[0, :, frame] = carried_CHW + latents[0, :, frame] * (1 - total_HW.clamp(0, 1))
        mask[0, :, frame] = total_HW
    return torch.cat([mask, latents], dim=1)
