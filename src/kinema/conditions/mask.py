"""Masks on the canvas: 1 = generate, 0 = keep.

Boxes beat silhouettes: a tight outline tells the model what stood there.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ..core.conditions import Box, Mask
from ..core.errors import RequestError
from . import inputs


def draw(mask: Mask, num_frames: int, height: int, width: int) -> torch.Tensor:
    """The mask as (1, 1, F, H, W) float32 in [0, 1]. A mask clip that is shorter than the work is refused."""
    if mask.everything or mask.nothing:
        return torch.full((1, 1, num_frames, height, width), 1.0 if mask.everything else 0.0)
    if mask.boxes:
        return _boxes(mask.boxes, height, width).expand(1, 1, num_frames, height, width).clone()
    if mask.track:
        boxes = [mask.track[min(frame, len(mask.track) - 1)] for frame in range(num_frames)]
        return torch.cat([_boxes((box,), height, width) for box in boxes], dim=2)
    if mask.image is not None:
        return _gray(inputs.picture(mask.image)[None], height, width).expand(1, 1, num_frames, height, width).clone()
    assert mask.video is not None
    frames_FHWC, _ = inputs.clip(mask.video, stop=num_frames)
    if len(frames_FHWC) < num_frames:
        raise RequestError(
            f"The mask clip has {len(frames_FHWC)} frames, the work has {num_frames}.",
            field="conditions.mask.video",
            value=len(frames_FHWC),
            legal=f"{num_frames} frames or more",
        )
    return _gray(frames_FHWC, height, width)


def _boxes(boxes: tuple[Box, ...], height: int, width: int) -> torch.Tensor:
    canvas = torch.zeros(1, 1, 1, height, width)
    for left, top, right, bottom in boxes:
        rows = slice(int(top * height), max(int(top * height) + 1, round(bottom * height)))
        columns = slice(int(left * width), max(int(left * width) + 1, round(right * width)))
        canvas[..., rows, columns] = 1.0
    return canvas


def _gray(frames_FHWC: np.ndarray, height: int, width: int) -> torch.Tensor:
    """Brightness as mask; stretched to the canvas (bilinear), as the source clip is cropped the same way before."""
    resized = [
        np.asarray(Image.fromarray(frame).convert("L").resize((width, height), Image.Resampling.BILINEAR))
        for frame in frames_FHWC
    ]
    return torch.from_numpy(np.stack(resized)).float().div(255.0)[None, None]
