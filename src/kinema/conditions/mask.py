"""Masks on the canvas: 1 = generate, 0 = keep.

Prefer boxes to silhouettes: a tight outline reveals the removed object to the model. `Mask.shape` makes a mask coarser.
Pictures and clips are scaled to cover the canvas and cropped to their middle, like a source, so that a mask of the
source's size stays aligned with it.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ..core.conditions import Box, Mask, Point
from ..core.errors import RequestError
from . import image, inputs
from .mask_shape import denoised, reshape


def draw(mask: Mask, num_frames: int, height: int, width: int) -> torch.Tensor:
    """Draw the mask as (1, 1, F, H, W) float32 in [0, 1], with its `shape` applied.

    Raises RequestError for a mask clip that is too short, and for a picture or clip without a white pixel on the
    canvas (arrays of exact values may be empty); MediaError for files that cannot be read.
    """
    if mask.follows:
        raise RequestError(
            "A mask that tracks an object is supported only by in-place edits.",
            field="conditions.mask",
            legal="a mask clip (`kinema mask` writes one)",
        )
    drawn = _plain(mask, num_frames, height, width)
    if mask.shape == "original" or mask.everything or mask.nothing:
        return drawn.expand(1, 1, num_frames, height, width).clone()
    shaped_FHW = reshape(drawn[0, 0].numpy(), mask.shape, mask.ratio)
    return torch.from_numpy(shaped_FHW)[None, None].expand(1, 1, num_frames, height, width).clone()


def _plain(mask: Mask, num_frames: int, height: int, width: int) -> torch.Tensor:
    """The mask without its `shape` applied: (1, 1, F, H, W), with F = 1 if all frames are equal."""
    if mask.everything or mask.nothing:
        return torch.full((1, 1, 1, height, width), 1.0 if mask.everything else 0.0)
    if mask.boxes:
        return _boxes(mask.boxes, height, width)
    if mask.track:
        boxes = [mask.track[min(frame, len(mask.track) - 1)] for frame in range(num_frames)]
        return torch.cat([_boxes((box,), height, width) for box in boxes], dim=2)
    if mask.polygon:
        return _polygon(mask.polygon, height, width)
    if mask.image is not None:
        if (exact_FHW := inputs.masks(mask.image, 1)) is not None:
            return _exact(exact_FHW, height, width)
        return _not_empty(_gray(inputs.picture(mask.image)[None], height, width), "image", mask.image)
    assert mask.video is not None
    if (exact_FHW := inputs.masks(mask.video, num_frames)) is not None:
        inputs.check_mask_length(len(exact_FHW), num_frames)
        return _exact(exact_FHW, height, width)
    frames_FHWC, _ = inputs.clip(mask.video, stop=num_frames)
    inputs.check_mask_length(len(frames_FHWC), num_frames)
    return _not_empty(_gray(frames_FHWC, height, width), "video", mask.video)


def _boxes(boxes: tuple[Box, ...], height: int, width: int) -> torch.Tensor:
    canvas = torch.zeros(1, 1, 1, height, width)
    for left, top, right, bottom in boxes:
        rows = slice(int(top * height), max(int(top * height) + 1, round(bottom * height)))
        columns = slice(int(left * width), max(int(left * width) + 1, round(right * width)))
        canvas[..., rows, columns] = 1.0
    return canvas


def _polygon(points: tuple[Point, ...], height: int, width: int) -> torch.Tensor:
    """The pixels that are at least half inside a polygon (even-odd rule)."""
    import cv2

    fine = 4  # fillPoly includes every pixel that the outline touches; supersampling reduces that to 1/8 pixel
    drawn_HW = np.zeros((fine * height, fine * width), np.float32)
    corners = np.asarray(points) * (fine * width, fine * height) - 0.5  # pixel centres are integers
    cv2.fillPoly(drawn_HW, [np.round(corners * 16).astype(np.int32)], 1.0, shift=4)
    share_HW = cv2.resize(drawn_HW, (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy((share_HW >= 0.5).astype(np.float32))[None, None, None]


def _gray(frames_FHWC: np.ndarray, height: int, width: int) -> torch.Tensor:
    """Brightness as mask, covering the canvas; bilinear, to avoid ringing at hard edges."""
    return torch.from_numpy(np.stack([brightness(frame, height, width) for frame in frames_FHWC]))[None, None]


def _exact(masks_FHW: np.ndarray, height: int, width: int) -> torch.Tensor:
    """Masks of an array, covering the canvas. Unlike brightness, they have no noise of a codec to remove."""
    fitted = [image.cover(mask_HW, height, width, Image.Resampling.BILINEAR) for mask_HW in masks_FHW]
    return torch.from_numpy(np.stack(fitted))[None, None]


def brightness(frame_HWC: np.ndarray, height: int, width: int) -> np.ndarray:
    """A uint8 RGB frame as mask, covering the canvas: (height, width) float32 in [0, 1], without codec noise."""
    gray_HW = np.asarray(Image.fromarray(frame_HWC).convert("L"))
    return denoised(image.cover(gray_HW, height, width, Image.Resampling.BILINEAR).astype(np.float32) / 255)


def _not_empty(drawn: torch.Tensor, field: str, media: str) -> torch.Tensor:
    """Return the mask. Raises RequestError if it is empty."""
    if float(drawn.max()) == 0:
        height, width = drawn.shape[-2:]
        raise RequestError(
            f"The mask {media[:200]} is empty: it has no white pixel on the {width}x{height} canvas.",
            field=f"conditions.mask.{field}",
            legal="white where to generate, black where to keep; or Mask(nothing=True) to keep everything",
        )
    return drawn
