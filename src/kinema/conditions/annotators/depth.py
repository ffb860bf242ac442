"""Depth maps, near is white, by Depth Anything V2 (Yang and others, 2024) through transformers.

Defaults to the small network, whose weights are Apache-2.0; the base and large ones (VACE uses the large one) are
CC-BY-NC-4.0 and can be selected.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...weights import local
from .gray import three
from .steady import Peak

MODEL = "depth-anything/Depth-Anything-V2-Small-hf"


def draw(frames: Iterator[np.ndarray], folder: Path, device: str | None = None) -> Iterator[np.ndarray]:
    """Yield brightness from 0 (farthest) to 255 (nearest) on three channels. The network predicts inverse depth up to
    scale and shift; each frame's range is mapped to the full brightness as in VACE, but a shrinking range is smoothed
    over time, so that brightness does not pump."""
    import torch
    from transformers import AutoModelForDepthEstimation

    from ...weights.residency import Residency

    prepare, network, at = local.processor(folder), local.load(AutoModelForDepthEstimation, folder), local.place(device)
    nearest, farthest = Peak(0.15), Peak(0.15)
    Residency(at, [network], staged=False)
    for frame_HW3 in frames:
        pixels_BCHW = prepare(images=frame_HW3, return_tensors="pt")["pixel_values"].to(at)
        with torch.inference_mode():
            depth_BHW = network(pixel_values=pixels_BCHW).predicted_depth
            depth_BCHW = torch.nn.functional.interpolate(
                depth_BHW[:, None].float(), size=frame_HW3.shape[:2], mode="bilinear", align_corners=True
            )
        depth_HW = depth_BCHW[0, 0].cpu().numpy()
        high, low = nearest(float(depth_HW.max())), -farthest(-float(depth_HW.min()))
        unit_HW = (depth_HW - low) / max(high - low, 1e-12)
        yield three((255 * np.clip(unit_HW, 0, 1)).astype(np.uint8))
